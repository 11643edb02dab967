"""The naive way, in the library's own code: every completion repeats its prompt and its video.

Positions are ours where there is a video (tests/models/test_positions.py holds them to hand
calculations): the library's differ from release to release.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from videothinker.generation.base import Sampling
from videothinker.models.base import Group, Prompt
from videothinker.models.positions import continued
from videothinker.models.qwen2_5_vl.model import Qwen25VL
from videothinker.models.qwen2_vl.model import Qwen2VL
from videothinker.models.qwen3_vl.model import Qwen3VL
from videothinker.seeds import derive

FAMILIES = {"qwen2_5_vl": Qwen25VL, "qwen2_vl": Qwen2VL, "qwen3_vl": Qwen3VL}


def load_naive(folder: Path, attention: str = "sdpa") -> Any:
    return AutoModelForImageTextToText.from_pretrained(
        folder, attn_implementation=attention, dtype=torch.float32
    )


def positions(model: Any, prompt: Prompt) -> Tensor:
    """Ours, which need the configuration alone."""
    return FAMILIES[model.config.model_type](model, None, None).positions(prompt)


def inputs(model: Any, prompt: Prompt, ids_GL: Tensor) -> dict[str, Any]:
    """This prompt and its continuations as the library takes them."""
    given: dict[str, Any] = {"input_ids": ids_GL, "attention_mask": torch.ones_like(ids_GL)}
    if prompt.video is None:
        return given
    rows = len(ids_GL)
    places_3L = continued(positions(model, prompt), ids_GL.shape[1] - prompt.prompt_tokens)
    return given | {
        "pixel_values_videos": prompt.video.pixel_values.repeat(rows, 1),
        "video_grid_thw": prompt.video.grid_thw.repeat(rows, 1),
        "position_ids": places_3L[:, None].expand(-1, rows, -1),
    }


def naive_logps(model: Any, group: Group, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies `[G, C]` from G repeated forwards, 0 on padding."""
    prompt = group.prompt
    ids_GP = prompt.input_ids_P.expand(len(group.completion_ids_GC), -1)
    ids_GL = torch.cat([ids_GP, group.completion_ids_GC], dim=1)
    logits = model(**inputs(model, prompt, ids_GL)).logits
    logp_GCV = (logits[:, prompt.prompt_tokens - 1 : -1] / temperature).log_softmax(-1)
    chosen_GC = logp_GCV.gather(-1, group.completion_ids_GC[..., None])[..., 0]
    entropy_GC = -(logp_GCV.exp() * logp_GCV).sum(-1)
    return chosen_GC * group.mask_GC, entropy_GC * group.mask_GC


@torch.no_grad()
def naive_rollout(
    model: Any, prompt: Prompt, seed: int, sampling: Sampling, eos: tuple[int, ...]
) -> list[list[int]]:
    """Completions drawn one token at a time, the whole sequence computed anew for each."""
    length, rows = sampling.max_completion_length, range(sampling.num_generations)
    streams = [torch.Generator().manual_seed(derive(seed, "rollout", row)) for row in rows]
    uniforms = [torch.rand(length, generator=stream, dtype=torch.float64) for stream in streams]
    drawn: list[list[int]] = [[] for _ in rows]
    while open_ := [r for r in rows if len(drawn[r]) < length and not set(drawn[r][-1:]) & {*eos}]:
        new_GC = torch.tensor([drawn[row] for row in open_], dtype=torch.long)
        ids_GL = torch.cat([prompt.input_ids_P.expand(len(open_), -1), new_GC], dim=1)
        logits_GV = model(**inputs(model, prompt, ids_GL)).logits[:, -1]
        for row, logits_V in zip(open_, logits_GV, strict=True):
            uniform = float(uniforms[row][len(drawn[row])])
            drawn[row].append(_choose(logits_V, uniform, sampling))
    return drawn


def _choose(logits_V: Tensor, uniform: float, sampling: Sampling) -> int:
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    weights = (logits_V / sampling.temperature).softmax(-1).double().tolist()
    if sampling.top_p < 1:
        total = 0.0
        for token in sorted(range(len(weights)), key=lambda t: -weights[t]):
            weights[token], total = (
                (weights[token], total + weights[token]) if total < sampling.top_p else (0.0, total)
            )
    left = uniform * sum(weights)
    for token, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return token
    raise AssertionError("the draw fell beyond the distribution")
