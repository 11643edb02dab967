"""What our frames and words are is what the published processors made (see `make_golden.py`)."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from videothinker.errors import UserError
from videothinker.models.plain import llava_onevision, qwen3_5, smolvlm
from videothinker.models.plain.smolvlm import number_words

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "processors.json").read_text(encoding="utf-8"))
ARRAYS = np.load(GOLDEN / "processors.npz")
FAMILIES = {"llava_onevision": llava_onevision, "smolvlm": smolvlm, "qwen3_5": qwen3_5}
TOKENS = ["<video>", "<image>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"]
VISION = {
    "llava_onevision": {"image_size": 42, "patch_size": 14},
    "smolvlm": {"patch_size": 7},
    "qwen3_5": {"patch_size": 16, "spatial_merge_size": 2},
}


class Words:
    """The names of tokens; nothing is cut into them here."""

    chat_template = "the folder's own"

    def convert_ids_to_tokens(self, number: int) -> str:
        return TOKENS[number]


def frames_of(name: str, folder: Path) -> tuple[Any, Words]:
    family, words = name.partition(".")[0], Words()
    settings = json.dumps(EXPECTED["cases"][name]["settings"])
    (folder / "video_preprocessor_config.json").write_text(settings)
    config = SimpleNamespace(
        vision_config=SimpleNamespace(**VISION[family]),
        scale_factor=2,
        video_token_id=4 if family == "qwen3_5" else 0,
        image_token_id=1,
        vision_start_token_id=2,
        vision_end_token_id=3,
    )
    return FAMILIES[family].FRAMES(folder, config, words), words


def shown(name: str, folder: Path, frames: np.ndarray, **changes: Any) -> Any:
    bounds = {"times": None, "min_pixels": None, "max_pixels": None} | changes
    found, _ = frames_of(name, folder)
    return found.to_video(frames, EXPECTED["cases"][name]["seconds"], **bounds)


@pytest.mark.parametrize("name", EXPECTED["cases"])
def test_values_equal_the_processors(name: str, tmp_path: Path) -> None:
    video = shown(name, tmp_path, ARRAYS[f"{name}.frames"])
    made = {key for key in ARRAYS if key.startswith(f"{name}.")} - {f"{name}.frames"}
    if f"{name}.pixel_attention_mask" in made:  # all ones is what the model takes by itself
        assert (ARRAYS[f"{name}.pixel_attention_mask"] == 1).all()
        made.remove(f"{name}.pixel_attention_mask")
    assert {f"{name}.{key}" for key in video.values} == made
    for key, value in video.values.items():
        expected = torch.from_numpy(ARRAYS[f"{name}.{key}"])
        assert value.dtype == expected.dtype
        # one grey level is 0.008
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", EXPECTED["cases"])
def test_words_equal_the_processors(name: str, tmp_path: Path) -> None:
    case = EXPECTED["cases"][name]
    found, words = frames_of(name, tmp_path)
    video = shown(name, tmp_path, ARRAYS[f"{name}.frames"])
    assert case["rendered"].count(found.place) == 1
    expected = case["text"]
    if name.startswith("qwen3_5"):  # the marks of the place, which 5.23 keeps; see the module
        start, end = "<|vision_start|>", "<|vision_end|>"
        expected = expected.replace(f"{start}<", "<", 1).replace(f"{end}{end}", end)
    assert case["rendered"].replace(found.place, video.words) == expected
    placeholder = {"smolvlm": "<image>", "qwen3_5": "<|video_pad|>"}.get(
        name.partition(".")[0], "<video>"
    )
    assert video.tokens == video.words.count(placeholder)
    if name.startswith("smolvlm"):
        assert case["rendered"].startswith("<|im_start|>System: Look.")
        assert words.chat_template.startswith("<|im_start|>{% for message in messages %}")


def test_one_grey_level_shows(tmp_path: Path) -> None:
    name = "llava_onevision.own_size"
    frames = ARRAYS[f"{name}.frames"].copy()
    frames[0, 3, 4, 0] ^= 1
    gap = shown(name, tmp_path, frames).values["pixel_values_videos"].numpy()
    gap -= ARRAYS[f"{name}.pixel_values_videos"]
    assert (abs(gap) > 1e-5).sum() == 1
    assert abs(gap).max() == pytest.approx(1 / 127.5, rel=1e-4)


def test_the_times_that_are_told_are_written(tmp_path: Path) -> None:
    frames = ARRAYS["qwen3_5.shrunk.frames"]
    video = shown("qwen3_5.shrunk", tmp_path, frames, times=[1.0, 2.5, 61.0])
    assert video.words.startswith("<1.8 seconds>")
    assert "<61.0 seconds>" in video.words
    frames = ARRAYS["smolvlm.wide.frames"]
    video = shown("smolvlm.wide", tmp_path, frames, times=[1.0, 2.5, 61.9])
    assert [f"Frame from {at}:" in video.words for at in ("00:01", "00:02", "01:01")] == [True] * 3


def test_pixel_bounds_are_a_frames(tmp_path: Path) -> None:
    """128 x 128 pixels a frame: 4 x 4 merged patches of 32, for each of two pairs."""
    frames = np.zeros((4, 300, 300, 3), np.uint8)
    video = shown("qwen3_5.grown", tmp_path, frames, min_pixels=1, max_pixels=128 * 128)
    assert (video.height, video.width, video.tokens) == (128, 128, 32)
    one = shown("qwen3_5.grown", tmp_path, frames[:1], min_pixels=1, max_pixels=128 * 128)
    assert (one.frames, one.tokens, one.words.count("seconds")) == (1, 16, 1)


def test_numbers_are_words() -> None:
    found = {str(number): number_words(int(number)) for number in EXPECTED["numbers"]}
    assert found == EXPECTED["numbers"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size": {"height": 42}}, r"size \{'height': 42\} came; 'width' of at least 1"),
        ({"image_std": [0.5, 0.0, 0.5]}, "the second above 0"),
        ({"resample": 4}, "resample 4 came; allowed are 1, 2, 3"),
    ],
)
def test_odd_settings_are_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    name = "llava_onevision.wide"
    frames_of(name, tmp_path)
    path = tmp_path / "video_preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=told):
        llava_onevision.LlavaOnevisionFrames(tmp_path, None, Words())


def test_a_clip_without_duration_is_refused(tmp_path: Path) -> None:
    found, _ = frames_of("smolvlm.wide", tmp_path)
    with pytest.raises(UserError, match="3 frames of a clip of 0.0 seconds"):
        found.to_video(
            ARRAYS["smolvlm.wide.frames"], 0.0, times=None, min_pixels=None, max_pixels=None
        )
