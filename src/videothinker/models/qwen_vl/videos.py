"""A video as a Qwen-VL takes it: frames cut into patches, and when they are shown."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from videothinker.errors import UserError
from videothinker.models import base
from videothinker.models.qwen_vl.patches import frames_to_patches


@dataclass(frozen=True)
class VisionSettings:
    """How a model's frames are prepared, read from its preprocessor config.

    `min_pixels` and `max_pixels` bound one frame's height times width; where `whole_video` is set,
    that of all frames together.
    """

    patch_size: int
    temporal_patch_size: int
    merge_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_pixels: int
    max_pixels: int
    whole_video: bool = False
    image_pixels: tuple[int, int] | None = None
    """The bounds of an image, which are kept for whoever reads the folder; null where they are a
    frame's."""


@dataclass(frozen=True, eq=False, kw_only=True)
class QwenVideo(base.Video):
    """`pixel_values` float32 `[patches, patch values]`, `grid_thw` int64 `[1, 3]`."""

    pixel_values: Tensor
    grid_thw: Tensor
    step_times: tuple[float, ...] = ()
    """When each step of the temporal grid is shown, seconds: the mean of its first and last frame,
    an odd last frame standing twice; none where nobody asks."""


def prepare_video(
    frames_THW3: np.ndarray,
    seconds: float,
    settings: VisionSettings,
    *,
    times: Sequence[float] | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> QwenVideo:
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
        **_budget(settings, len(frames_THW3), min_pixels, max_pixels),
        patch_size=settings.patch_size,
        temporal_patch_size=settings.temporal_patch_size,
        merge_size=settings.merge_size,
        mean=settings.mean,
        std=settings.std,
        whole_video=settings.whole_video,
    )
    second_per_grid = settings.temporal_patch_size * seconds / len(frames_THW3)
    content = hashlib.sha256(patches.pixel_values.numpy().tobytes())
    content.update(repr((patches.grid_thw.tolist(), second_per_grid)).encode())
    if times is None:
        times = [seconds * number / len(frames_THW3) for number in range(len(frames_THW3))]
    return QwenVideo(
        pixel_values=patches.pixel_values,
        grid_thw=patches.grid_thw,
        second_per_grid=second_per_grid,
        frames=len(frames_THW3),
        height=patches.height,
        width=patches.width,
        tokens=int(patches.grid_thw.prod()) // settings.merge_size**2,
        digest=content.hexdigest(),
        step_times=step_times(times, settings.temporal_patch_size),
    )


def _budget(
    settings: VisionSettings, frames: int, min_pixels: int | None, max_pixels: int | None
) -> dict[str, int]:
    """A frame's bounds as they were asked for, in the sense of `settings`; else the model's own."""
    times = frames if settings.whole_video else 1
    least = settings.min_pixels if min_pixels is None else min_pixels * times
    most = settings.max_pixels if max_pixels is None else max_pixels * times
    if settings.whole_video:  # the model's own bound of a video can lie beyond what was asked for
        least = min(least, most) if min_pixels is None else least
        most = max(least, most) if max_pixels is None else most
    return {"min_pixels": least, "max_pixels": most}


def step_times(times: Sequence[float], temporal: int) -> tuple[float, ...]:
    """See `QwenVideo.step_times`; the source is `Qwen3VLProcessor`."""
    padded = [*times, *[times[-1]] * (-len(times) % temporal)]
    firsts, lasts = padded[::temporal], padded[temporal - 1 :: temporal]
    return tuple(
        (float(first) + float(last)) / 2 for first, last in zip(firsts, lasts, strict=True)
    )
