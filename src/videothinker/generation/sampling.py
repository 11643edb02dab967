"""What is drawn: settings, one prompt's group of completions, and the draw itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from videothinker.errors import UserError
from videothinker.models.qwen2_5_vl.encoding import Encoded
from videothinker.seeds import derive


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn (TRL's names; the authors' values)."""

    num_generations: int = 8
    """Completions a prompt, G (authors' script)."""
    max_completion_length: int = 768
    """Tokens, the end token included (authors' script)."""
    temperature: float = 1.0
    """0 takes the likeliest token (authors' script: 1.0)."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together have this probability (TRL's default)."""

    def __post_init__(self) -> None:
        if self.num_generations < 1 or self.max_completion_length < 1:
            raise UserError(
                f"num_generations {self.num_generations} and max_completion_length "
                f"{self.max_completion_length} came; both must be at least 1"
            )
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise UserError(
                f"temperature {self.temperature} and top_p {self.top_p} came; temperature must "
                "be at least 0 and top_p above 0 and at most 1"
            )


@dataclass(eq=False)
class Group:
    """One prompt and its G completions, padded to the longest of them; tensors on the CPU.

    `mask_GC` is true on sampled tokens, the end token included; `truncated_G` where none came.
    """

    prompt: Encoded
    completion_ids_GC: Tensor
    mask_GC: Tensor
    truncated_G: Tensor


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
