"""Draw G completions for every prompt: each prompt is computed once, finished rows leave.

Prompts about one video share its encoding and their common beginning. A completion's draws come
from its own seeded stream, so a prompt's tokens do not depend on what else is in the batch.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from videothinker.errors import UserError
from videothinker.generation.cache import RowsPlan, TrunkPlan
from videothinker.generation.graphs import GraphedStep, can_record
from videothinker.generation.sampling import Group, Sampling, draw, uniform_draws
from videothinker.models.qwen2_5_vl.encoding import Encoded
from videothinker.models.qwen2_5_vl.model import Policy
from videothinker.models.qwen2_5_vl.positions import positions

__all__ = ["Group", "Sampling", "rollout"]


NOTHING = -1
"""Stands where no token was drawn."""


class NotFinite(ArithmeticError):
    """Logits of `row` are not finite after `drawn` tokens."""

    def __init__(self, row: int, drawn: int) -> None:
        super().__init__(row, drawn)
        self.row, self.drawn = row, drawn


@dataclass(eq=False)
class _Trunk:
    """The beginning that some prompts share: its first `length` tokens."""

    prompts: list[int]
    length: int


@torch.no_grad()
def rollout(
    policy: Policy,
    prompts: Sequence[Encoded],
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    static: bool | None = None,
) -> list[Group]:
    """G completions for each prompt, in the prompts' order; `seeds` has one number a prompt.

    `static` keeps every step's shapes fixed and, on a GPU, replays a CUDA graph; the tokens are the
    same. None takes it on a GPU only.
    """
    static = can_record(policy.device) if static is None else static
    if not prompts or len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts came with {len(seeds)} seeds")
    count = sampling.num_generations
    trunks = share_beginnings(prompts, policy.model.config.video_token_id)
    order = [index for trunk in trunks for index in trunk.prompts]
    uniform_RC = uniform_draws(
        [seeds[index] for index in order], count, sampling.max_completion_length
    ).to(policy.device)
    training = policy.model.training
    policy.model.eval()
    try:
        own_length = max(
            len(prompts[index].input_ids_P) - trunk.length
            for trunk in trunks
            for index in trunk.prompts
        )
        plans = [_prefill_trunk(policy, prompts[trunk.prompts[0]], trunk) for trunk in trunks]
        rows = RowsPlan(
            plans,
            [i for i, trunk in enumerate(trunks) for _ in trunk.prompts],
            own_length + sampling.max_completion_length,
            static=static,
        )
        first_nV, next_n = _prefill_rest(policy, prompts, trunks, rows)
        rows.repeat(count)
        ids_RC = _decode(
            policy,
            rows,
            first_nV.repeat_interleave(count, dim=0),
            next_R=next_n.repeat_interleave(count),
            uniform_RC=uniform_RC,
            sampling=sampling,
        )
    except NotFinite as stop:
        prompt = prompts[order[stop.row // count]]
        raise UserError(_told_not_finite(policy, prompt, stop.drawn)) from None
    finally:
        policy.model.train(training)
    by_prompt_nGC = ids_RC.cpu().unflatten(0, (len(order), count))
    groups = {
        index: _group(policy, prompts[index], ids_GC)
        for index, ids_GC in zip(order, by_prompt_nGC, strict=True)
    }
    return [groups[index] for index in range(len(prompts))]


def share_beginnings(prompts: Sequence[Encoded], video_token_id: int) -> list[_Trunk]:
    """Put prompts about one video on one trunk where their common beginning holds the whole video.

    Every other prompt is its own trunk, all but its last token.
    """
    by_video: dict[str, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_video[prompt.video_digest or f"text {index}"].append(index)
    trunks = []
    for members in by_video.values():
        common = _common_tokens([prompts[index].input_ids_P for index in members])
        video_P = prompts[members[0]].input_ids_P == video_token_id
        if len(members) > 1 and not video_P[common:].any():
            trunks.append(_Trunk(members, common))
        else:
            trunks += [_Trunk([i], len(prompts[i].input_ids_P) - 1) for i in members]
    return trunks


def _common_tokens(ids: Sequence[Tensor]) -> int:
    """Length of the longest common beginning that leaves every prompt at least one token."""
    shortest = min(len(one) for one in ids) - 1
    table = torch.stack([one[:shortest] for one in ids])
    same = (table == table[0]).all(dim=0)
    return int(same.long().cumprod(dim=0).sum())


def _prefill_trunk(policy: Policy, prompt: Encoded, trunk: _Trunk) -> TrunkPlan:
    plan = TrunkPlan()
    places_3P = positions(policy.model, prompt).to(policy.device)[:, : trunk.length]
    policy.language_model(
        inputs_embeds=policy.embed_prompt(prompt)[None, : trunk.length],
        position_ids=places_3P[:, None],
        attention_mask={"full_attention": None},
        use_cache=False,
        plan=plan,
    )
    return plan


def _prefill_rest(
    policy: Policy, prompts: Sequence[Encoded], trunks: Sequence[_Trunk], rows: RowsPlan
) -> tuple[Tensor, Tensor]:
    """Each prompt's tokens after its trunk; logits of its last token and its next position."""
    rests, places = [], []
    for trunk in trunks:
        for index in trunk.prompts:
            rests.append(prompts[index].input_ids_P[trunk.length :])
            places.append(positions(policy.model, prompts[index])[:, trunk.length :])
    lengths_n = torch.tensor([len(rest) for rest in rests], device=policy.device)
    longest = int(lengths_n.max())
    ids_nS = torch.stack([pad(rest, (0, longest - len(rest))) for rest in rests])
    places_n3S = torch.stack([pad(place, (0, longest - place.shape[1])) for place in places])
    rows.start(lengths_n)
    hidden_nSD = policy.language_model(
        inputs_embeds=policy.model.get_input_embeddings()(ids_nS.to(policy.device)),
        position_ids=places_n3S.transpose(0, 1).to(policy.device),
        attention_mask={"full_attention": None},
        use_cache=False,
        plan=rows,
    ).last_hidden_state
    last_nD = hidden_nSD[torch.arange(len(rests), device=policy.device), lengths_n - 1]
    next_n = torch.stack([place.max() + 1 for place in places]).to(policy.device)
    return policy.model.lm_head(last_nD), next_n


def _decode(
    policy: Policy,
    rows: RowsPlan,
    logits_RV: Tensor,
    *,
    next_R: Tensor,
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
        places_A = next_R[row_A] + step
        if rows.static and can_record(policy.device):
            graph = graph or GraphedStep(partial(_step, policy, rows), tokens_A, places_A)
            logits_RV = graph(tokens_A, places_A)
        else:
            logits_RV = _step(policy, rows, tokens_A, places_A)
    return ids_RC


def _step(policy: Policy, rows: RowsPlan, tokens_A: Tensor, places_A: Tensor) -> Tensor:
    """Logits `[A, V]` of the next token of every row."""
    hidden_A1D = policy.language_model(
        inputs_embeds=policy.model.get_input_embeddings()(tokens_A[:, None]),
        position_ids=places_A[None, :, None].expand(3, -1, -1),
        attention_mask={"full_attention": None},
        use_cache=False,
        plan=rows,
    ).last_hidden_state
    return policy.model.lm_head(hidden_A1D[:, 0])


def _told_not_finite(policy: Policy, prompt: Encoded, drawn: int) -> str:
    words = policy.tokenizer.decode(prompt.input_ids_P, skip_special_tokens=True)
    numbers = str(policy.model.dtype).removeprefix("torch.")
    after = f"after {drawn} tokens of an answer to" if drawn else "at the end of"
    advice = "take another checkpoint" if numbers == "float32" else "give --dtype float32"
    return (
        f"the model's logits are not finite numbers in {numbers} {after} the prompt "
        f"{words[-80:]!r}; {advice}"
    )


def _group(policy: Policy, prompt: Encoded, ids_GC: Tensor) -> Group:
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
