"""Frames to patches, and where every token of a prompt stands."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videothinker.errors import UserError
from videothinker.models import base
from videothinker.models.base import Prompt
from videothinker.models.positions import lay_out
from videothinker.models.qwen2_5_vl.patches import frames_to_patches


@dataclass(frozen=True)
class VisionSettings:
    """How a model's frames are prepared, read from its preprocessor config.

    `min_pixels` and `max_pixels` bound one frame's height times width.
    """

    patch_size: int
    temporal_patch_size: int
    merge_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_pixels: int
    max_pixels: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Video(base.Video):
    """`pixel_values` float32 `[patches, patch values]`, `grid_thw` int64 `[1, 3]`."""

    pixel_values: Tensor
    grid_thw: Tensor


def prepare_video(
    frames_THW3: np.ndarray,
    seconds: float,
    settings: VisionSettings,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> Video:
    """Cut frames into patches; `seconds` is how long the whole clip lasts that they show.

    A grid step lasts temporal_patch_size / (sampled frames a second), as in the models' processor;
    sampled frames a second are T / `seconds`, whatever the frames' own times. The pixel budget is
    the model's own where none is given. Raises `UserError` for a clip without duration.
    """
    if not 0 < seconds < math.inf:
        raise UserError(
            f"{len(frames_THW3)} frames of a clip of {seconds} seconds came; positions in time "
            "need its whole duration, above 0"
        )
    patches = frames_to_patches(
        frames_THW3,
        min_pixels=settings.min_pixels if min_pixels is None else min_pixels,
        max_pixels=settings.max_pixels if max_pixels is None else max_pixels,
        patch_size=settings.patch_size,
        temporal_patch_size=settings.temporal_patch_size,
        merge_size=settings.merge_size,
        mean=settings.mean,
        std=settings.std,
    )
    second_per_grid = settings.temporal_patch_size * seconds / len(frames_THW3)
    content = hashlib.sha256(patches.pixel_values.numpy().tobytes())
    content.update(repr((patches.grid_thw.tolist(), second_per_grid)).encode())
    return Video(
        pixel_values=patches.pixel_values,
        grid_thw=patches.grid_thw,
        second_per_grid=second_per_grid,
        frames=len(frames_THW3),
        height=patches.height,
        width=patches.width,
        tokens=int(patches.grid_thw.prod()) // settings.merge_size**2,
        digest=content.hexdigest(),
    )


def positions(config: Any, prompt: Prompt) -> Tensor:
    """Time, height and width position of every prompt token: int64 `[3, P]`, on the CPU.

    Grid step i of a video lies floor(i * seconds a step * `tokens_per_second`) after step 0, as
    first published (transformers' pull request 35569, by the model's authors) and in vLLM.
    """
    if prompt.video is None:
        return torch.arange(prompt.prompt_tokens).expand(3, -1)
    vision = config.vision_config
    steps, *sides = (int(n) for n in prompt.video.grid_thw[0])
    seconds = torch.tensor(prompt.video.second_per_grid)  # float32, as the processor hands it over
    times = (torch.arange(steps) * seconds * vision.tokens_per_second).long()
    rows, columns = (torch.arange(side // vision.spatial_merge_size) for side in sides)
    return lay_out(prompt.video_P, [torch.cartesian_prod(times, rows, columns).T])
