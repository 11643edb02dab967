"""Our patches are the library's patches, on arrays stored from its own video processor."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videothinker.errors import UserError
from videothinker.models.qwen_vl.patches import frames_to_patches, smart_resize
from videothinker.models.qwen_vl.preprocessor import CLIP_MEAN, CLIP_STD

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "video_patches.json").read_text(encoding="utf-8"))["cases"]
ARRAYS = np.load(GOLDEN / "video_patches.npz")


@pytest.mark.parametrize("name", CASES)
def test_patches_equal_the_librarys(name: str) -> None:
    size = CASES[name]["size"]
    patches = frames_to_patches(
        ARRAYS[f"{name}.frames"],
        min_pixels=size["shortest_edge"],
        max_pixels=size["longest_edge"],
        mean=CLIP_MEAN,
        std=CLIP_STD,
    )
    assert patches.grid_thw.tolist() == ARRAYS[f"{name}.grid_thw"].tolist()
    expected = ARRAYS[f"{name}.pixel_values"]
    assert patches.pixel_values.shape == expected.shape
    # bit-equal with the torch that made them; one grey level is 0.015 elsewhere
    assert np.abs(patches.pixel_values.numpy() - expected).max() <= 1e-5


def test_one_grey_level_would_show() -> None:
    frames = ARRAYS["square_4x112.frames"].copy()
    frames[0, 0, 0, 0] ^= 1
    size = {"min_pixels": 3136, "max_pixels": 100352, "mean": CLIP_MEAN, "std": CLIP_STD}
    patches = frames_to_patches(frames, **size)
    difference = np.abs(patches.pixel_values.numpy() - ARRAYS["square_4x112.pixel_values"])
    assert (difference > 0).sum() == 1
    assert difference.max() > 0.01


def test_patchify_by_hand() -> None:
    """Two 28 x 56 frames, one value a patch and frame: order is merged block, then inside it."""
    frames = np.zeros((2, 28, 56, 3), np.uint8)
    for t in range(2):
        for row in range(2):
            for column in range(4):
                frames[t, row * 14 : (row + 1) * 14, column * 14 : (column + 1) * 14] = (
                    100 * t + 10 * row + column
                )
    patches = frames_to_patches(
        frames, min_pixels=1, max_pixels=28 * 56, mean=(0, 0, 0), std=(1 / 255,) * 3
    )
    first = patches.pixel_values[:, 0].round().int().tolist()
    assert first == [0, 1, 10, 11, 2, 3, 12, 13]
    second_frame = patches.pixel_values.view(8, 3, 2, 14, 14)[:, :, 1]
    assert (second_frame[:, 0, 0, 0] - patches.pixel_values[:, 0]).round().unique().item() == 100


@settings(max_examples=200, deadline=None)
@given(st.integers(11, 2000), st.integers(11, 2000), st.integers(1, 64), st.integers(1, 8))
def test_smart_resize_stays_in_its_budget(height: int, width: int, low: int, times: int) -> None:
    smallest, largest = low * 784, (low + 1) * times * 4 * 784
    rows, columns = smart_resize(height, width, factor=28, min_pixels=smallest, max_pixels=largest)
    assert rows % 28 == columns % 28 == 0
    assert rows >= 28
    assert columns >= 28
    if min(rows, columns) > 28:
        assert rows * columns <= largest


def test_refuses_what_are_not_frames() -> None:
    given = {"min_pixels": 784, "max_pixels": 7840, "mean": CLIP_MEAN, "std": CLIP_STD}
    with pytest.raises(ValueError, match="uint8"):
        frames_to_patches(np.zeros((2, 28, 28, 3), np.float32), **given)
    with pytest.raises(ValueError, match="no frames"):
        frames_to_patches(np.zeros((0, 28, 28, 3), np.uint8), **given)
    with pytest.raises(UserError, match="at most 200"):
        frames_to_patches(np.zeros((2, 2, 802, 3), np.uint8), **given)
