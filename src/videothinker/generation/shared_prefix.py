"""Draw G completions for every prompt: each prompt is computed once, finished rows leave.

Prompts about one video share its encoding and their common beginning. A completion's draws come
from its own seeded stream, so a prompt's tokens do not depend on what else is in the batch. On a
GPU one step is recorded as a CUDA graph and replayed without launching kernel by kernel.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.nn.utils.rnn import pad_sequence

from videothinker.generation.base import Sampling
from videothinker.generation.cache import PrefixPlan, RowsPlan
from videothinker.generation.completions import NOTHING, Completions, NotFinite
from videothinker.generation.decoder import Decoder, decoder_of
from videothinker.generation.drawing import uniform_draws
from videothinker.generation.graphs import (
    GraphedStep,
    as_it_is,
    can_record,
    fuse_on,
    recorded_of,
)
from videothinker.generation.pages import Pages
from videothinker.models.base import Group, Prompt
from videothinker.models.loaded import PrefixPolicy, not_finite

ASK_EVERY = 16
"""Tokens between two questions whether all rows have ended, where asking makes a GPU wait."""
FEW = 16
"""Rows that go on together to the end, where shapes are fixed."""
TOGETHER = 4096
"""Prompt tokens, padding included, that a GPU computes in one forward. Fewer wait for launches,
more gain nothing."""


@dataclass(eq=False)
class Beginning:
    """The prefix that some prompts share, or all of one: their first `length` tokens."""

    prompts: list[int]
    length: int


@torch.no_grad()
def generate(
    policy: PrefixPolicy,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    static: bool | None = None,
) -> list[Group]:
    """See `base.Generator`.

    `static` keeps every step's shapes fixed and, on a GPU, replays a CUDA graph; the tokens are the
    same. None takes it on a GPU only.
    """
    static = can_record(policy.device) if static is None else static
    beginnings = share_beginnings(prompts)
    order = [index for shared in beginnings for index in shared.prompts]
    training = policy.model.training
    policy.model.eval()
    try:
        ids_RC = _roll_out(policy, prompts, beginnings, sampling, seeds, static=static)
    except NotFinite as stop:
        prompt = prompts[order[stop.row // sampling.num_generations]]
        raise not_finite(policy, prompt, stop.drawn) from None
    finally:
        policy.model.train(training)
    by_prompt_nGC = ids_RC.cpu().unflatten(0, (len(order), sampling.num_generations))
    groups = {
        index: _group(policy, prompts[index], ids_GC)
        for index, ids_GC in zip(order, by_prompt_nGC, strict=True)
    }
    return [groups[index] for index in range(len(prompts))]


def _roll_out(
    policy: PrefixPolicy,
    prompts: Sequence[Prompt],
    beginnings: Sequence[Beginning],
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    static: bool,
) -> Tensor:
    """Drawn ids `[R, C]` in the order of `beginnings`."""
    count, length = sampling.num_generations, sampling.max_completion_length
    order = [index for shared in beginnings for index in shared.prompts]
    uniform_RC = uniform_draws([seeds[index] for index in order], count, length)
    fuse = fuse_on(policy.device) if static else as_it_is
    with decoder_of(policy, fuse, join=static) as decoder:
        portions = _portions(beginnings, TOGETHER if static else 0)
        rows, first_nV, next_nX = _prefill(policy, prompts, portions, length)
        rows.repeat(count)
        state = Completions(policy, uniform_RC.to(policy.device), sampling, fuse)
        state.take(first_nV.repeat_interleave(count, dim=0))
        _decode(
            decoder, rows, state, next_RX=next_nX.repeat_interleave(count, dim=0), static=static
        )
    return state.ids_RC


def share_beginnings(prompts: Sequence[Prompt]) -> list[Beginning]:
    """Let prompts about one video share a prefix where their common beginning holds all of it.

    Every other prompt is a beginning of its own, whole.
    """
    by_video: dict[str, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_video[prompt.video.digest if prompt.video else f"text {index}"].append(index)
    found = []
    for members in by_video.values():
        common = _common_tokens([prompts[index].input_ids_P for index in members])
        if len(members) > 1 and not prompts[members[0]].video_P[common:].any():
            found.append(Beginning(members, common))
        else:
            found += [Beginning([i], prompts[i].prompt_tokens) for i in members]
    return found


def _common_tokens(ids: Sequence[Tensor]) -> int:
    """Length of the longest common beginning that leaves every prompt at least one token."""
    shortest = min(len(one) for one in ids) - 1
    table = torch.stack([one[:shortest] for one in ids])
    same = (table == table[0]).all(dim=0)
    return int(same.long().cumprod(dim=0).sum())


def _portions(beginnings: Sequence[Beginning], most: int) -> list[list[Beginning]]:
    """Neighbours that one forward computes: at most `most` tokens, or one beginning."""
    found: list[list[Beginning]] = []
    longest = 0
    for one in beginnings:
        longest = max(longest, one.length)
        if found and (len(found[-1]) + 1) * longest <= most:
            found[-1].append(one)
        else:
            found.append([one])
            longest = one.length
    return found


def _prefill(
    policy: PrefixPolicy,
    prompts: Sequence[Prompt],
    portions: Sequence[Sequence[Beginning]],
    length: int,
) -> tuple[RowsPlan, Tensor, Tensor]:
    """A row for each prompt, which has room for `length` tokens more; logits `[n, V]` of its last
    token and the next position.
    """
    passed = (_prefill_beginnings(policy, prompts, portion) for portion in portions)
    plans, ends = zip(*passed, strict=True)
    beginnings = [one for portion in portions for one in portion]
    owners = [number for number, one in enumerate(beginnings) for _ in one.prompts]
    rests = [prompts[i].prompt_tokens - one.length for one in beginnings for i in one.prompts]
    rows = RowsPlan(plans, [one.length for one in beginnings], owners, max(rests) + length)
    del plans  # their keys and values are in `rows` now
    last_nD = torch.cat(ends)[rows.prefix_of_R]
    if max(rests):
        rests_n, rest_nD = _prefill_rests(policy, prompts, beginnings, rows)
        last_nD = torch.where(rests_n[:, None] > 0, rest_nD, last_nD)
    order = [index for one in beginnings for index in one.prompts]
    next_nX = torch.stack([policy.positions(prompts[index])[:, -1] + 1 for index in order])
    return rows, linear(last_nD, policy.head_VD), next_nX.to(policy.device)


def _prefill_beginnings(
    policy: PrefixPolicy, prompts: Sequence[Prompt], portion: Sequence[Beginning]
) -> tuple[PrefixPlan, Tensor]:
    """Keys and values of each beginning, and the hidden state of its last token `[B, D]`."""
    firsts = [prompts[one.prompts[0]] for one in portion]
    places_BPX = pad_sequence(
        [policy.positions(p)[:, : o.length].T for p, o in zip(firsts, portion, strict=True)],
        batch_first=True,
    )
    plan = PrefixPlan()
    hidden_BPD = policy.hidden_states(
        torch.empty(len(portion), 0, dtype=torch.long, device=policy.device),
        places_BPX.permute(2, 0, 1).to(policy.device),
        plan,
        prompts=[p.beginning(one.length) for p, one in zip(firsts, portion, strict=True)],
    )
    ends_B = torch.tensor([one.length - 1 for one in portion], device=policy.device)
    return plan, hidden_BPD[torch.arange(len(portion), device=policy.device), ends_B]


def _prefill_rests(
    policy: PrefixPolicy, prompts: Sequence[Prompt], beginnings: Sequence[Beginning], rows: RowsPlan
) -> tuple[Tensor, Tensor]:
    """Each prompt's tokens after its beginning: how many, and the last one's hidden state."""
    pairs = [(one.length, prompts[index]) for one in beginnings for index in one.prompts]
    rests = [prompt.input_ids_P[length:] for length, prompt in pairs]
    places = [policy.positions(prompt)[:, length:].T for length, prompt in pairs]
    lengths_n = torch.tensor([len(rest) for rest in rests], device=policy.device)
    rows.start(lengths_n)
    hidden_nSD = policy.hidden_states(
        pad_sequence(rests, batch_first=True).to(policy.device),
        pad_sequence(places, batch_first=True).permute(2, 0, 1).to(policy.device),
        rows,
    )
    at_n = (lengths_n - 1).clamp(min=0)
    return lengths_n, hidden_nSD[torch.arange(len(rests), device=policy.device), at_n]


def _decode(
    decoder: Decoder, rows: RowsPlan, state: Completions, *, next_RX: Tensor, static: bool
) -> None:
    """Draw until every completion has ended.

    The host asks after every token whether rows have ended or met logits that are no numbers, or
    with fixed shapes every few.

    Raises:
        NotFinite: no token can be drawn.
    """
    cache = Pages(rows, decoder.fuse) if static else rows
    length, device = state.ids_RC.shape[1], next_RX.device
    rotations_2RC2d = decoder.rotations(next_RX.T[:, :, None] + torch.arange(length, device=device))

    def step() -> None:
        cache.advance()
        rotation_2A2d = rotations_2RC2d[:, state.row_A, state.drawn - 1]
        state.take(decoder.logits(state.tokens_A, rotation_2A2d, cache))

    run = None
    for drawn in range(1, length):
        if not static or drawn % ASK_EVERY == 0:
            running = state.ask()
            if running == 0:
                return
            count = _stay(running, len(state.row_A)) if static else running
            if count < len(state.row_A):
                cache.keep(state.keep(count))
                run = None
        if run is None:
            run = step
            if isinstance(cache, Pages) and can_record(device):
                kind = decoder.kind, cache.kind, state.ids_RC.shape, state.sampling
                run = GraphedStep(step, device, kind, recorded_of(decoder.policy.model))
        run()
    state.ask()


def _stay(running: int, rows: int) -> int:
    """With fixed shapes, how many rows stay: half, and half again, where so many have ended.

    Each count costs a new graph and kernels of its own, and below `FEW` a step takes the time of
    reading the weights however few the rows are.
    """
    while rows > FEW and running <= rows // 2:
        rows //= 2
    return rows


def _group(policy: PrefixPolicy, prompt: Prompt, ids_GC: Tensor) -> Group:
    mask_GC = ids_GC != NOTHING
    longest = int(mask_GC.sum(dim=1).max())
    ids_GC, mask_GC = ids_GC[:, :longest], mask_GC[:, :longest]
    ended_G = torch.isin(ids_GC, torch.tensor(policy.eos_ids)).any(dim=1)
    return Group(
        prompt=prompt,
        completion_ids_GC=ids_GC.masked_fill(~mask_GC, policy.pad_id),
        mask_GC=mask_GC,
        truncated_G=~ended_G,
    )
