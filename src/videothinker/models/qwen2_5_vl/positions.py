"""Where every token stands on the three rotary axes, as each family's weights were trained.

Defined here and not taken from transformers, whose releases differ: up to 5.2 the text after a
Qwen2.5-VL video began after all its positions, in 5.23 it begins inside the video's range of time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from videothinker.models.qwen2_5_vl.encoding import Encoded, QwenModel


def positions(model: QwenModel, prompt: Encoded) -> Tensor:
    """Time, height and width position of every prompt token: int64 `[3, P]`, on the CPU."""
    if prompt.grid_thw is None:
        return torch.arange(prompt.prompt_tokens).expand(3, -1)
    return FAMILIES[model.config.model_type](model.config, prompt)


def continued(places_3P: Tensor, count: int) -> Tensor:
    """A prompt's positions and those of `count` text tokens after it: `[3, P + count]`."""
    return torch.cat([places_3P, places_3P[:, -1:] + torch.arange(1, count + 1)], dim=1)


def qwen2_5_vl(config: Any, prompt: Encoded) -> Tensor:
    """Grid step i of a video lies floor(i * seconds a step * `tokens_per_second`) after step 0.

    As first published (transformers' pull request 35569, by the model's authors) and in vLLM.
    """
    assert prompt.grid_thw is not None
    vision = config.vision_config
    steps, *sides = (int(n) for n in prompt.grid_thw[0])
    seconds = torch.tensor(prompt.second_per_grid)  # float32, as the processor hands it over
    times = (torch.arange(steps) * seconds * vision.tokens_per_second).long()
    rows, columns = (torch.arange(side // vision.spatial_merge_size) for side in sides)
    video_P = prompt.input_ids_P == config.video_token_id
    return lay_out(video_P, [torch.cartesian_prod(times, rows, columns).T])


FAMILIES: dict[str, Callable[[Any, Encoded], Tensor]] = {"qwen2_5_vl": qwen2_5_vl}
"""By `model_type`: (config, prompt with a video) -> positions `[3, P]`."""


def lay_out(video_P: Tensor, grids: Sequence[Tensor]) -> Tensor:
    """Runs of text and of video one after the other: `[3, P]`.

    Each begins, on all three axes, one beyond the largest position of any axis before it; within a
    run of video the tokens have the next grid's positions `[3, N]`, within text they count up.
    """
    kinds, counts = torch.unique_consecutive(video_P, return_counts=True)
    waiting = iter(grids)
    parts, start = [], 0
    for video, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        part = next(waiting) if video else torch.arange(count).expand(3, -1)
        if part.shape[1] != count:
            raise ValueError(f"{count} video tokens came for a grid of {part.shape[1]}")
        parts.append(part + start)
        start = int(parts[-1].max()) + 1
    return torch.cat(parts, dim=1)
