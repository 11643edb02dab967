"""Which frames of a video are shown: uniform in time, all of them where there are few."""

import math
from dataclasses import dataclass

import numpy as np

from videothinker.errors import UserError

FRAME_PIXELS = 1 << 26
"""Most pixels of one stored frame (8192 x 8192); a larger one is refused before it is decoded."""
CLIP_PIXELS = 1 << 28
"""Most pixels of a clip (32 frames of 3840 x 2160), 3 bytes each; larger frames are scaled down as
they are decoded."""
SLACK = 0.001
"""Seconds by which a time stamp may be off and the rate still be constant."""


class BadVideo(UserError):
    """A video that cannot give frames; the message names it."""


@dataclass(frozen=True)
class Clip:
    """Frames, when they are shown, and how long the whole clip lasts.

    Attributes:
        frames: uint8, `T H W 3`, RGB, upright, pixels square.
        times: float64, `T`, seconds from the start of the file at which each frame comes up. It
            never falls; a frame that stands for long in a variable rate can come twice.
        seconds: from the first frame's start to the last frame's end, of all frames there are and
            not of the chosen ones alone; of a clip with start and end the part that exists.
    """

    frames: np.ndarray
    times: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """When the frames of a whole video come up.

    Attributes:
        times: float64, at least one, sorted, seconds from the start of the file.
        last: seconds the last frame is shown, as the file says; 0 where it does not.
        tick: seconds between two neighbouring times that the file could store.
    """

    times: np.ndarray
    last: float
    tick: float

    @property
    def end(self) -> float:
        """When the last frame goes."""
        gaps = np.diff(self.times)
        if len(gaps) == 0:
            return float(self.times[0]) + self.last
        if not is_constant(self.times, self.tick):
            return float(self.times[-1] + (self.last or gaps[-1]))
        step = float(gaps.mean())  # files round the last duration, and some cut it short
        return float(self.times[-1]) + (self.last if self.last > 1.5 * step else step)


def choose(
    line: Timeline, frames: int, clip: tuple[float, float] | None, name: str
) -> tuple[np.ndarray, float]:
    """At most `frames` frames of a clip, uniform in time from its first to its last one.

    At a constant rate these are uniformly spaced in number; at a variable one each is the frame
    nearest to its place in time. A clip in which no frame comes up shows the one that stands.

    Args:
        line: the whole video's.
        frames: how many are wanted; all there are where there are fewer.
        clip: start and end in seconds; None is the whole video.
        name: of the video, for the error.

    Returns:
        Indices into `line.times`, and the clip's duration in seconds.

    Raises:
        BadVideo: the clip lies outside the video.
    """
    times, end = line.times, line.end
    first, last = (float(times[0]), end) if clip is None else clip
    inside = np.flatnonzero((times >= first) & (times <= last))
    if len(inside) == 0:
        if not times[0] <= first <= last or first >= end:
            raise BadVideo(
                f"video {name!r} has no frame between {first:g} s and {last:g} s: it goes from "
                f"{times[0]:.2f} s to {end:.2f} s; mend start and end, or drop its questions"
            )
        inside = np.searchsorted(times, [first], side="right") - 1
    seconds = min(last, end) - max(first, float(times[0]))
    if seconds <= 0:  # a clip that is one moment lasts as long as its frame
        seconds = float([*times[1:], end][inside[-1]] - times[inside[-1]])
    if len(inside) <= frames:
        return inside, seconds
    if is_constant(times[inside], line.tick):
        return inside[np.linspace(0, len(inside) - 1, frames).round().astype(int)], seconds
    return inside[nearest(times[inside], frames)], seconds


def is_constant(times: np.ndarray, tick: float) -> bool:
    """Do the times lie on a straight line, but for what a file's rounding moves them?

    Rounding moves a time by a tick at most, counted from the line between first and last. More
    than a quarter of a frame is never taken for rounding: where ticks are as long as frames, that
    would hide a frame left out.
    """
    if len(times) < 3:
        return True
    line = np.linspace(times[0], times[-1], len(times))
    step = float(times[-1] - times[0]) / (len(times) - 1)
    return bool(np.abs(times - line).max() <= min(step / 4, max(tick, SLACK)) + 1e-9)


def nearest(times: np.ndarray, frames: int) -> np.ndarray:
    """Indices of the times nearest to `frames` uniform ones from first to last; ties go down."""
    wanted = np.linspace(times[0], times[-1], frames)
    after = np.searchsorted(times, wanted).clip(1, len(times) - 1)
    return after - (wanted - times[after - 1] <= times[after] - wanted)


def fit(width: int, height: int, frames: int) -> tuple[int, int]:
    """The size, width first, at which `frames` frames keep to the budget of a clip."""
    shrink = math.sqrt(frames * width * height / CLIP_PIXELS)
    if shrink <= 1:
        return width, height
    return max(1, int(width / shrink)), max(1, int(height / shrink))


def check_size(width: int, height: int, name: str) -> None:
    """Refuse a frame that is too large to decode.

    Raises:
        BadVideo: it has more pixels than the budget of a frame.
    """
    if width * height > FRAME_PIXELS:
        raise BadVideo(
            f"{name!r} has frames of {width}x{height} pixels; at most {FRAME_PIXELS / 1e6:.0f} "
            "million pixels are decoded: make a smaller copy"
        )
