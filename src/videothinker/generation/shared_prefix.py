"""Draw G completions for every prompt: each prompt is computed once, finished rows leave.

Prompts about one video share its encoding and their common beginning. A completion's draws come
from its own seeded stream, so a prompt's tokens do not depend on what else is in the batch. On a
GPU one step is recorded as a CUDA graph and replayed without launching kernel by kernel.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from videothinker.generation.base import Sampling
from videothinker.generation.cache import PrefixPlan, RowsPlan
from videothinker.models.base import Group, Prompt
from videothinker.models.loaded import PrefixPolicy, not_finite
from videothinker.seeds import derive

NOTHING = -1
"""Stands where no token was drawn."""
WARM_UP = 2
"""Runs before recording, so that libraries allocate their workspaces outside the graph."""


class NotFinite(ArithmeticError):
    """Logits of `row` are not finite after `drawn` tokens."""

    def __init__(self, row: int, drawn: int) -> None:
        super().__init__(row, drawn)
        self.row, self.drawn = row, drawn


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
    count = sampling.num_generations
    beginnings = share_beginnings(prompts)
    order = [index for shared in beginnings for index in shared.prompts]
    uniform_RC = uniform_draws(
        [seeds[index] for index in order], count, sampling.max_completion_length
    ).to(policy.device)
    training = policy.model.training
    policy.model.eval()
    try:
        rest = max(prompts[i].prompt_tokens - one.length for one in beginnings for i in one.prompts)
        plans = [_prefill(policy, prompts[one.prompts[0]], one.length) for one in beginnings]
        rows = RowsPlan(
            plans,
            [number for number, one in enumerate(beginnings) for _ in one.prompts],
            rest + sampling.max_completion_length,
            static=static,
        )
        first_nV, next_nX = _prefill_rest(policy, prompts, beginnings, rows)
        rows.repeat(count)
        ids_RC = _decode(
            policy,
            rows,
            first_nV.repeat_interleave(count, dim=0),
            next_RX=next_nX.repeat_interleave(count, dim=0),
            uniform_RC=uniform_RC,
            sampling=sampling,
        )
    except NotFinite as stop:
        prompt = prompts[order[stop.row // count]]
        raise not_finite(policy, prompt, stop.drawn) from None
    finally:
        policy.model.train(training)
    by_prompt_nGC = ids_RC.cpu().unflatten(0, (len(order), count))
    groups = {
        index: _group(policy, prompts[index], ids_GC)
        for index, ids_GC in zip(order, by_prompt_nGC, strict=True)
    }
    return [groups[index] for index in range(len(prompts))]


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
    policy: PrefixPolicy,
    rows: RowsPlan,
    logits_RV: Tensor,
    *,
    next_RX: Tensor,
    uniform_RC: Tensor,
    sampling: Sampling,
) -> Tensor:
    """Drawn ids `[R, C]`, -1 after a completion's end.

    Raises `NotFinite` at the first logits of an open row that hold nan or infinity: no token can be
    drawn from them. The host asks about both in the one wait a token has.
    """
    ids_RC = torch.full(uniform_RC.shape, NOTHING, device=policy.device)
    eos = torch.tensor(policy.eos_ids, device=policy.device)
    row_A = torch.arange(len(ids_RC), device=policy.device)
    open_A = torch.ones_like(row_A, dtype=torch.bool)
    graph: GraphedStep | None = None
    for step in range(sampling.max_completion_length):
        asked_A = open_A
        # finite only where all terms are, and fifty times as fast as looking at each
        odd_A = asked_A & ~logits_RV.sum(dim=-1).isfinite()
        tokens_A = draw(logits_RV, uniform_RC[row_A, step], sampling)
        tokens_A = torch.where(asked_A, tokens_A, NOTHING)
        ids_RC[row_A, step] = tokens_A
        open_A = open_A & ~torch.isin(tokens_A, eos)
        running, odd = torch.stack([open_A.sum(), odd_A.sum()]).tolist()
        if odd:  # or the sum overflowed, as float16 may
            broken_A = asked_A & ~logits_RV.isfinite().all(dim=-1)
            if broken_A.any():
                raise NotFinite(int(row_A[broken_A][0]), step)
        if running == 0 or step + 1 == sampling.max_completion_length:
            break
        # With fixed shapes a departure costs a new graph: wait until half have finished.
        if running < len(row_A) and (not rows.static or running <= len(row_A) // 2):
            stay = open_A.nonzero().squeeze(1)
            rows.keep(stay)
            row_A, tokens_A, open_A = row_A[stay], tokens_A[stay], open_A[stay]
            graph = None
        rows.advance()
        tokens_A = tokens_A.clamp(min=0)  # rows that have ended go on with any token
        places_AX = next_RX[row_A] + step
        if rows.static and can_record(policy.device):
            graph = graph or GraphedStep(partial(_step, policy, rows), tokens_A, places_AX)
            logits_RV = graph(tokens_A, places_AX)
        else:
            logits_RV = _step(policy, rows, tokens_A, places_AX)
    return ids_RC


def _step(policy: PrefixPolicy, rows: RowsPlan, tokens_A: Tensor, places_AX: Tensor) -> Tensor:
    """Logits `[A, V]` of the next token of every row."""
    hidden_A1D = policy.hidden_states(tokens_A[:, None], places_AX.T[:, :, None], rows)
    return linear(hidden_A1D[:, 0], policy.head_VD)


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


def uniform_draws(seeds: Sequence[int], generations: int, length: int) -> Tensor:
    """float64 `[prompts * generations, length]`: every completion's own stream of uniform numbers.

    Completion g of a prompt draws from `derive(seed, "rollout", g)`, so its tokens depend neither
    on the rest of the batch nor on the device.
    """
    rows = []
    for seed in seeds:
        for generation in range(generations):
            stream = torch.Generator().manual_seed(derive(seed, "rollout", generation))
            rows.append(torch.rand(length, generator=stream, dtype=torch.float64))
    return torch.stack(rows)


def draw(logits_RV: Tensor, uniform_R: Tensor, sampling: Sampling) -> Tensor:
    """One token a row by inverting the cumulative distribution at the row's uniform number."""
    if sampling.temperature == 0:
        return logits_RV.argmax(dim=-1)
    probabilities_RV = (logits_RV.float() / sampling.temperature).softmax(dim=-1)
    if sampling.top_p < 1:
        probabilities_RV = _nucleus(probabilities_RV, sampling.top_p)
    cumulative_RV = probabilities_RV.double().cumsum(dim=-1)
    target_R1 = uniform_R[:, None] * cumulative_RV[:, -1:]
    # right=True skips tokens of probability zero: the first whose sum exceeds the target
    return torch.searchsorted(cumulative_RV, target_R1, right=True).squeeze(-1)


def _nucleus(probabilities_RV: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of likeliest tokens whose probabilities reach `top_p`."""
    ordered_RV, order_RV = probabilities_RV.sort(dim=-1, descending=True, stable=True)
    before_RV = ordered_RV.cumsum(dim=-1) - ordered_RV
    kept_RV = torch.where(before_RV < top_p, ordered_RV, 0.0)
    return torch.zeros_like(probabilities_RV).scatter(-1, order_RV, kept_RV)


def can_record(device: torch.device) -> bool:
    """Are there graphs on this device?"""
    return device.type == "cuda"


class GraphedStep:
    """`step(tokens_A, places_AX)` with the shapes of its first call, replayed for every later one.

    What the step reads beside its arguments (keys, values, masks, slots) must change in place. The
    warm-up writes the same keys and values at the same slots as the replay does.
    """

    def __init__(
        self, step: Callable[[Tensor, Tensor], Tensor], tokens_A: Tensor, places_AX: Tensor
    ) -> None:
        self.tokens_A, self.places_AX = tokens_A.clone(), places_AX.clone()
        here = tokens_A.device
        stream = torch.cuda.Stream(here)
        stream.wait_stream(torch.cuda.current_stream(here))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(self.tokens_A, self.places_AX)
        torch.cuda.current_stream(here).wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        # on the stream that has its workspaces since the warm-up
        with torch.cuda.graph(self.graph, stream=stream):
            self.logits_AV = step(self.tokens_A, self.places_AX)

    def __call__(self, tokens_A: Tensor, places_AX: Tensor) -> Tensor:
        """Logits `[A, V]`, overwritten by the next call."""
        self.tokens_A.copy_(tokens_A)
        self.places_AX.copy_(places_AX)
        self.graph.replay()
        return self.logits_AV
