"""A generator as whoever follows "How to add a generator" in CONTRIBUTING.md would write it.

No cache: every step is a forward over all tokens so far, by what any policy gives.
"""

from collections.abc import Sequence

import torch

from videothinker.generation.base import Sampling
from videothinker.generation.drawing import draw, uniform_draws
from videothinker.models.base import Group, Prompt
from videothinker.models.loaded import Policy, not_finite


@torch.no_grad()
def generate(
    model: Policy, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
) -> list[Group]:
    """See `base.Generator`."""
    return [_group(model, *one, sampling) for one in zip(prompts, seeds, strict=True)]


def _group(model: Policy, prompt: Prompt, seed: int, sampling: Sampling) -> Group:
    count, ends = sampling.num_generations, torch.tensor(model.eos_ids)
    uniform_GC = uniform_draws([seed], count, sampling.max_completion_length)
    ids_GC = torch.empty(count, 0, dtype=torch.long)
    mask_GC, going_G = torch.empty(count, 0, dtype=torch.bool), torch.ones(count, dtype=torch.bool)
    while ids_GC.shape[1] < sampling.max_completion_length and going_G.any():
        next_G1 = torch.full((count, 1), model.pad_id)
        mask_GC = torch.cat([mask_GC, going_G[:, None]], dim=1)
        shown = Group(prompt, torch.cat([ids_GC, next_G1], dim=1), mask_GC, going_G)
        logits_GV = model.hidden(shown)[:, -1] @ model.head_VD.T
        if not logits_GV.isfinite().all():
            raise not_finite(model, prompt, ids_GC.shape[1])
        next_G1[going_G, 0] = draw(logits_GV, uniform_GC[:, ids_GC.shape[1]], sampling)[going_G]
        ids_GC = torch.cat([ids_GC, next_G1], dim=1)
        going_G = going_G & ~torch.isin(next_G1[:, 0], ends)
    return Group(prompt, ids_GC, mask_GC, truncated_G=going_G)
