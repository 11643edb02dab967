"""A video as a Qwen-VL takes it: how its frames are prepared, and when they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from videothinker.models import base


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

    def budget(
        self, frames: int, min_pixels: int | None, max_pixels: int | None
    ) -> tuple[int, int]:
        """A frame's bounds as they were asked for, in the sense of these; else the model's own."""
        times = frames if self.whole_video else 1
        least = self.min_pixels if min_pixels is None else min_pixels * times
        most = self.max_pixels if max_pixels is None else max_pixels * times
        if self.whole_video:  # the model's own bound of a video can lie beyond what was asked for
            least = min(least, most) if min_pixels is None else least
            most = max(least, most) if max_pixels is None else most
        return least, most


@dataclass(frozen=True, eq=False, kw_only=True)
class QwenVideo(base.Video):
    """`pixel_values` float32 `[patches, patch values]`, `grid_thw` int64 `[1, 3]`."""

    pixel_values: Tensor
    grid_thw: Tensor
    step_times: tuple[float, ...] = ()
    """When each step of the temporal grid is shown, seconds: the mean of its first and last frame,
    an odd last frame standing twice; none where nobody asks."""


def step_times(times: Sequence[float], temporal: int) -> tuple[float, ...]:
    """See `QwenVideo.step_times`; the source is `Qwen3VLProcessor`."""
    padded = [*times, *[times[-1]] * (-len(times) % temporal)]
    firsts, lasts = padded[::temporal], padded[temporal - 1 :: temporal]
    return tuple(
        (float(first) + float(last)) / 2 for first, last in zip(firsts, lasts, strict=True)
    )
