"""The naive side of `step.py` and `gpu_step.py`: prompt and video repeated for each completion."""

import torch
from torch import Tensor

from videothinker.algorithms import objective
from videothinker.algorithms.base import Objective
from videothinker.models.base import Prompt
from videothinker.models.loaded import Policy
from videothinker.models.positions import continued

GENERATIONS = 8
"""Completions of a prompt."""
OBJECTIVE = Objective(divergence="k3", repulsion=0.01)


def repeated(
    policy: Policy, prompts: list[Prompt], ids_RL: Tensor | None = None
) -> dict[str, Tensor]:
    """Prompts and their videos G times, as the library takes them; positions are ours."""
    rows = [prompt for prompt in prompts for _ in range(GENERATIONS)]
    device = policy.device
    if ids_RL is None:
        ids_RL = torch.stack([row.input_ids_P for row in rows]).to(device)
    further = ids_RL.shape[1] - rows[0].prompt_tokens
    places = [continued(policy.positions(row), further) for row in rows]
    return {
        "input_ids": ids_RL,
        "attention_mask": torch.ones_like(ids_RL),
        "position_ids": torch.stack(places, dim=1).to(device),
        "pixel_values_videos": torch.cat([row.video.pixel_values for row in rows]).to(device),
        "video_grid_thw": torch.cat([row.video.grid_thw for row in rows]).to(device),
    }


def naive_logps(policy: Policy, given: dict[str, Tensor], length: int) -> Tensor:
    """Log-probabilities [G, C], row by row over the vocabulary as TRL does."""
    out = policy.model(**given, use_cache=False, logits_to_keep=length + 1)
    targets_GC = given["input_ids"][:, -length:, None]
    rows = zip(out.logits[:, :-1], targets_GC, strict=True)
    return torch.stack([row.float().log_softmax(-1).gather(-1, ids)[:, 0] for row, ids in rows])


def naive_loss(logps_GC: Tensor, bias_GC: Tensor, advantages_G: Tensor, completions: int) -> Tensor:
    """CDPO's loss of one prompt, of `completions` in the step."""
    mask_GC = torch.ones_like(logps_GC, dtype=torch.bool)
    ratio_GC = objective.token_ratio(logps_GC, logps_GC.detach())
    return objective.cdpo_loss(
        objective.clipped_surrogate(ratio_GC, advantages_G, epsilon=0.2, epsilon_high=0.28),
        objective.k3(logps_GC, bias_GC),
        objective.token_weights(mask_GC, "grpo", completions=completions, tokens=mask_GC.numel()),
        repulsion=OBJECTIVE.repulsion,
    )
