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
from torch.nn.functional import linear, pad

from videothinker.generation.base import Sampling
from videothinker.generation.cache import PrefixPlan, RowsPlan
from videothinker.generation.completions import NOTHING, Completions, NotFinite
from videothinker.generation.decoder import Decoder, decoder_of
from videothinker.generation.drawing import uniform_draws
from videothinker.generation.graphs import GraphedStep, as_it_is, can_record, fuse_on
from videothinker.generation.pages import Pages
from videothinker.models.base import Group, Prompt
from videothinker.models.loaded import PrefixPolicy, not_finite

ASK_EVERY = 16
"""Tokens between two questions whether all rows have ended, where asking makes a GPU wait."""
FEW = 16
"""Rows that go on together to the end, where shapes are fixed."""


@dataclass(eq=False)
class Beginning:
    """The prefix that some prompts share: their first `length` tokens."""

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
    rest = max(prompts[i].prompt_tokens - one.length for one in beginnings for i in one.prompts)
    plans = [_prefill(policy, prompts[one.prompts[0]], one.length) for one in beginnings]
    owners = [number for number, one in enumerate(beginnings) for _ in one.prompts]
    rows = RowsPlan(plans, owners, rest + length)
    del plans  # their keys and values are in `rows` now
    first_nV, next_nX = _prefill_rest(policy, prompts, beginnings, rows)
    rows.repeat(count)
    fuse = fuse_on(policy.device) if static else as_it_is
    state = Completions(policy, uniform_RC.to(policy.device), sampling, fuse)
    state.take(first_nV.repeat_interleave(count, dim=0))
    with decoder_of(policy, fuse, join=static) as decoder:
        _decode(
            decoder, rows, state, next_RX=next_nX.repeat_interleave(count, dim=0), static=static
        )
    return state.ids_RC


def share_beginnings(prompts: Sequence[Prompt]) -> list[Beginning]:
    """Let prompts about one video share a prefix where their common beginning holds all of it.

    Every other prompt has its own: all but its last token.
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
            found += [Beginning([i], prompts[i].prompt_tokens - 1) for i in members]
    return found


def _common_tokens(ids: Sequence[Tensor]) -> int:
    """Length of the longest common beginning that leaves every prompt at least one token."""
    shortest = min(len(one) for one in ids) - 1
    table = torch.stack([one[:shortest] for one in ids])
    same = (table == table[0]).all(dim=0)
    return int(same.long().cumprod(dim=0).sum())


def _prefill(policy: PrefixPolicy, prompt: Prompt, length: int) -> PrefixPlan:
    """Keys and values of a prompt's first `length` tokens."""
    plan = PrefixPlan()
    places_XP = policy.positions(prompt)[:, :length].to(policy.device)
    nothing = torch.empty(1, 0, dtype=torch.long, device=policy.device)
    policy.hidden_states(nothing, places_XP[:, None], plan, prompt=prompt, first=length)
    return plan


def _prefill_rest(
    policy: PrefixPolicy, prompts: Sequence[Prompt], beginnings: Sequence[Beginning], rows: RowsPlan
) -> tuple[Tensor, Tensor]:
    """Each prompt's tokens after its prefix; logits of its last token and the next position."""
    rests, places = [], []
    for shared in beginnings:
        for index in shared.prompts:
            rests.append(prompts[index].input_ids_P[shared.length :])
            places.append(policy.positions(prompts[index])[:, shared.length :])
    lengths_n = torch.tensor([len(rest) for rest in rests], device=policy.device)
    longest = int(lengths_n.max())
    ids_nS = torch.stack([pad(rest, (0, longest - len(rest))) for rest in rests])
    places_nXS = torch.stack([pad(place, (0, longest - place.shape[1])) for place in places])
    rows.start(lengths_n)
    hidden_nSD = policy.hidden_states(
        ids_nS.to(policy.device), places_nXS.transpose(0, 1).to(policy.device), rows
    )
    last_nD = hidden_nSD[torch.arange(len(rests), device=policy.device), lengths_n - 1]
    next_n = torch.stack([place.max() + 1 for place in places]).to(policy.device)
    next_nX = next_n[:, None].expand(-1, places_nXS.shape[1])
    return linear(last_nD, policy.head_VD), next_nX


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
    turns_2RC2d = decoder.turns(next_RX.T[:, :, None] + torch.arange(length, device=device))

    def step() -> None:
        cache.advance()
        turn_2A2d = turns_2RC2d[:, state.row_A, state.drawn - 1]
        state.take(decoder.logits(state.tokens_A, turn_2A2d, cache))

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
            run = GraphedStep(step, device) if static and can_record(device) else step
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
