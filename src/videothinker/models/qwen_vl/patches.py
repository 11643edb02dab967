"""Frames to the patches a Qwen-VL's vision tower reads, without torchvision.

The arithmetic is that of transformers' `Qwen2VLVideoProcessor` and `Qwen3VLVideoProcessor` (smart
resize, antialiased bicubic, rescale, normalise, patchify); tests hold it equal to arrays stored
from those classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from videothinker.errors import UserError

MAX_ASPECT_RATIO = 200
"""Beyond this the processor refuses a frame, and so do we."""


@dataclass(frozen=True, eq=False)
class Patches:
    """What the vision tower takes.

    `pixel_values` is float32 `[patches, channels * temporal_patch_size * patch_size ** 2]`,
    `grid_thw` is int64 `[1, 3]` (patches along time, height, width), `height` and `width` are the
    resized frame in pixels.
    """

    pixel_values: Tensor
    grid_thw: Tensor
    height: int
    width: int


def smart_resize(
    height: int, width: int, *, factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """A frame size divisible by `factor`: about the same shape, pixels within the budget.

    Source: `smart_resize` of transformers 5.23 (`qwen2_vl`), Python's banker's rounding included.
    """
    return _within((1, 1), height, width, factor, (min_pixels, max_pixels))


def smart_resize_video(
    frames: int,
    height: int,
    width: int,
    *,
    factor: int,
    temporal: int,
    min_pixels: int,
    max_pixels: int,
) -> tuple[int, int]:
    """As `smart_resize`, with a budget of pixels for all frames together.

    Source: `smart_resize` of transformers 5.23 (`qwen3_vl`). The budget is checked with the
    frame count rounded to whole temporal patches, but the new size is computed from the actual
    count. A single frame, which it refuses, is counted as the patch that it fills.
    """
    frames = max(frames, temporal)
    if height < factor or width < factor:
        grow = max(factor / height, factor / width)
        height, width = int(height * grow), int(width * grow)
    counted = round(frames / temporal) * temporal
    return _within((counted, frames), height, width, factor, (min_pixels, max_pixels))


def _within(
    frames: tuple[int, int], height: int, width: int, factor: int, bounds: tuple[int, int]
) -> tuple[int, int]:
    """`frames`: the count that the budget is checked with, and that the size is computed from."""
    if max(height, width) / min(height, width) > MAX_ASPECT_RATIO:
        raise UserError(
            f"a frame of {width}x{height} pixels is too long: the sides may differ "
            f"at most {MAX_ASPECT_RATIO} times; crop the video"
        )
    counted, shown = frames
    rows, columns = (round(side / factor) * factor for side in (height, width))
    if counted * rows * columns > bounds[1]:
        shrink = math.sqrt(shown * height * width / bounds[1])
        rows = max(factor, math.floor(height / shrink / factor) * factor)
        columns = max(factor, math.floor(width / shrink / factor) * factor)
    elif counted * rows * columns < bounds[0]:
        grow = math.sqrt(bounds[0] / (shown * height * width))
        rows = math.ceil(height * grow / factor) * factor
        columns = math.ceil(width * grow / factor) * factor
    return rows, columns


def frames_to_patches(
    frames_THW3: np.ndarray,
    *,
    min_pixels: int,
    max_pixels: int,
    patch_size: int = 14,
    temporal_patch_size: int = 2,
    merge_size: int = 2,
    mean: Sequence[float],
    std: Sequence[float],
    resample: str = "bicubic",
    whole_video: bool = False,
) -> Patches:
    """Resize, normalise and cut uint8 frames; an odd last frame is repeated to fill its patch.

    `min_pixels` and `max_pixels` bound height times width of one frame, or of all frames together
    (`whole_video`).
    """
    if frames_THW3.dtype != np.uint8 or frames_THW3.ndim != 4 or frames_THW3.shape[-1] != 3:
        raise ValueError(
            f"frames came as {frames_THW3.dtype} {frames_THW3.shape}; uint8 [T, H, W, 3] is needed"
        )
    if len(frames_THW3) == 0:
        raise ValueError("no frames came; at least one is needed")
    count, height, width, _ = frames_THW3.shape
    bounds = {
        "factor": patch_size * merge_size,
        "min_pixels": min_pixels,
        "max_pixels": max_pixels,
    }
    if whole_video:
        height, width = smart_resize_video(
            count, height, width, temporal=temporal_patch_size, **bounds
        )
    else:
        height, width = smart_resize(height, width, **bounds)
    frames_TCHW = resize(channels_first(frames_THW3), height, width, resample)
    normal_TCHW = normalise(frames_TCHW, mean, std)
    return _patchify(normal_TCHW, patch_size, temporal_patch_size, merge_size)


def channels_first(frames_THW3: np.ndarray) -> Tensor:
    """uint8 `[T, 3, H, W]`."""
    whole = np.require(frames_THW3, requirements=["C", "W"])
    return torch.from_numpy(whole).permute(0, 3, 1, 2)


def resize(frames_TCHW: Tensor, height: int, width: int, resample: str) -> Tensor:
    """Antialiased, on uint8, as torchvision does it; `resample` is a filter's name."""
    if frames_TCHW.shape[-2:] == (height, width):
        return frames_TCHW
    return interpolate(
        frames_TCHW, size=(height, width), mode=resample, align_corners=False, antialias=True
    )


def normalise(frames_TCHW: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """float32; the library folds 1/255 into both numbers, and rounding follows that order."""
    mean_C, std_C = (torch.tensor(n, dtype=torch.float32) * 255.0 for n in (mean, std))
    return (frames_TCHW.float() - mean_C[:, None, None]) / std_C[:, None, None]


def _patchify(frames_TCHW: Tensor, patch: int, temporal: int, merge: int) -> Patches:
    if padding := -len(frames_TCHW) % temporal:
        last = frames_TCHW[-1:].expand(padding, -1, -1, -1)
        frames_TCHW = torch.cat([frames_TCHW, last])
    count, channels, height, width = frames_TCHW.shape
    grid = (count // temporal, height // patch, width // patch)
    blocks = frames_TCHW.reshape(
        grid[0], temporal, channels, grid[1] // merge, merge, patch, grid[2] // merge, merge, patch
    )
    # time, rows, columns of merged blocks, then the merge block, then the pixels of one patch
    pixels = blocks.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return Patches(
        pixel_values=pixels.reshape(math.prod(grid), channels * temporal * patch * patch),
        grid_thw=torch.tensor([grid], dtype=torch.int64),
        height=height,
        width=width,
    )
