"""Which frames: uniform in time; at a constant rate the uniformly spaced ones, whatever rounds."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.video.made_videos import gray, write
from videothinker.video import read_clip
from videothinker.video.clips import CLIP_PIXELS, BadVideo, Timeline, choose, fit

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


def constant(count: int, rate: Fraction, tick: Fraction, how: str) -> Timeline:
    """Frame i at i / rate, stored in whole ticks."""
    exact = [Fraction(i) / rate / tick for i in range(count)]
    ticks = [math.floor(t) if how == "cut" else round(t) for t in exact]
    return Timeline(np.array([float(t * tick) for t in ticks]), 0.0, float(tick))


@pytest.mark.parametrize(
    ("rate", "tick"),
    [
        (Fraction(25), Fraction(1, 12800)),
        (Fraction(25), Fraction(1, 25)),
        (FILM, Fraction(1, 1000)),
        (Fraction(24), Fraction(1, 1000)),
        (NTSC, Fraction(1, 1000)),
        (NTSC, Fraction(1, 600)),
        (NTSC, Fraction(1, 90000)),
        (2 * NTSC, Fraction(1, 1000)),
        (Fraction(120), Fraction(1, 1000)),
        (Fraction(3), Fraction(1, 3)),
    ],
)
@pytest.mark.parametrize("how", ["rounded", "cut"])
def test_a_constant_rate_gives_the_uniformly_spaced_numbers(
    rate: Fraction, tick: Fraction, how: str
) -> None:
    for count in (2, 3, 5, 23, 31, 32, 33, 128, 150, 301, 1000, 9001):
        line = constant(count, rate, tick, how)
        for frames in (1, 2, 3, 4, 7, 8, 12, 16, 31, 32, 64, 128):
            chosen, seconds = choose(line, frames, None, "v")
            few = min(frames, count)
            wanted = np.linspace(0, count - 1, few).round().astype(int)
            np.testing.assert_array_equal(chosen, wanted)
            # rounding moves first and last by a tick at most
            assert seconds == pytest.approx(count / float(rate), abs=2.01 * float(tick))


def test_a_variable_rate_gives_the_frames_nearest_in_time() -> None:
    """Held against the definition, in fractions, place by place."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        gaps = rng.choice([1, 2, 3, 40, 200, 1000], size=int(rng.integers(40, 90)))
        ticks = np.cumsum(gaps).tolist()
        line = Timeline(np.array(ticks) / 1000, 0.5, 0.001)
        frames = int(rng.integers(2, 32))
        chosen, _ = choose(line, frames, None, "v")
        assert len(chosen) == frames
        for place, index in enumerate(chosen):
            wanted = ticks[0] + Fraction((ticks[-1] - ticks[0]) * place, frames - 1)
            off = min(abs(t - wanted) for t in ticks)
            assert abs(abs(ticks[index] - wanted) - off) < Fraction(1, 10**6)


def test_a_frame_left_out_is_seen_where_ticks_are_as_long_as_frames() -> None:
    """99 frames of 100: numbers would be off by one beyond the gap, times are not."""
    ticks = [i for i in range(100) if i != 30]
    chosen, seconds = choose(Timeline(np.array(ticks) / 25, 0.04, 0.04), 12, None, "v")
    assert [ticks[i] for i in chosen] == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]
    assert seconds == pytest.approx(4.0)


def test_seconds_go_to_the_end_of_the_last_frame() -> None:
    def lasting(times: list[float], last: float) -> float:
        return choose(Timeline(np.array(times), last, 0.001), 2, None, "v")[1]

    assert lasting([0, 0.5, 1.0], 0.0) == 1.5  # constant: three frames at two a second
    assert lasting([0, 0.5, 1.0], 0.2) == 1.5  # a last duration that was cut short
    assert lasting([0, 0.5, 1.0], 4.0) == 5.0  # one that stands
    assert lasting([0, 0.5, 2.0], 0.25) == 2.25  # variable
    assert lasting([0, 0.5, 2.0], 0.0) == 3.5  # variable, unknown: as long as the one before
    assert lasting([1.0], 0.25) == 0.25


def test_a_clip_is_the_part_that_exists() -> None:
    line = Timeline(np.arange(10.0), 0.0, 0.001)  # 0 to 10 s
    chosen, seconds = choose(line, 4, (2.0, 8.0), "v")
    assert (chosen.tolist(), seconds) == ([2, 4, 6, 8], 6.0)
    chosen, seconds = choose(line, 3, (7.5, 99.0), "v")
    assert (chosen.tolist(), seconds) == ([8, 9], 2.5)
    chosen, seconds = choose(line, 3, (-3.0, 1.5), "v")
    assert (chosen.tolist(), seconds) == ([0, 1], 1.5)
    chosen, seconds = choose(line, 3, (4.2, 4.7), "v")  # none comes up, one stands
    assert (chosen.tolist(), seconds) == ([4], pytest.approx(0.5))
    chosen, seconds = choose(line, 3, (9.5, 9.8), "v")
    assert (chosen.tolist(), seconds) == ([9], pytest.approx(0.3))
    chosen, seconds = choose(line, 3, (5.0, 5.0), "v")
    assert (chosen.tolist(), seconds) == ([5], 1.0)


@pytest.mark.parametrize("clip", [(10.0, 12.0), (-2.0, -1.0), (5.2, 5.1), (math.nan, 3.0)])
def test_a_clip_outside_the_video_is_refused(clip: tuple[float, float]) -> None:
    line = Timeline(np.arange(10.0), 0.0, 0.001)
    with pytest.raises(BadVideo, match=r"no frame between .*: it goes from 0\.00 s to 10\.00 s"):
        choose(line, 3, clip, "v")


def test_a_budget_shrinks_frames_and_keeps_their_shape() -> None:
    assert fit(3840, 2160, 32) == (3840, 2160)
    assert fit(480, 320, 1000) == (480, 320)
    width, height = fit(8000, 4000, 32)
    assert width == pytest.approx(2 * height, abs=2)
    assert 0.99 * CLIP_PIXELS < 32 * width * height <= CLIP_PIXELS
    assert min(fit(1 << 26, 1, 1 << 12)) == 1


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "ts"])
def test_a_whole_file_whose_first_frame_comes_late_is_whole(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    late = [5.0 + i / 4 for i in range(12)]
    write(tmp_path / f"late.{suffix}", [gray(20 * i) for i in range(12)], times=late, codec=codec)
    clip = read_clip(tmp_path, f"late.{suffix}", 12)
    levels = clip.frames.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, 20 * np.arange(12), atol=6)
    np.testing.assert_allclose(clip.times - clip.times[0], np.arange(12) / 4, atol=0.02)
