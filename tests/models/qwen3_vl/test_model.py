"""Qwen3-VL: frames, prompts and positions are the published processor's; DeepStack is at work.

The engine's other bars are in tests/models/test_shared_prefix.py and tests/generation.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.naive_policy import load_naive, naive_logps
from videothinker.errors import UserError
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps
from videothinker.models.qwen3_vl.model import PROCESSOR
from videothinker.models.qwen_vl import windows
from videothinker.models.qwen_vl.patches import frames_to_patches
from videothinker.models.qwen_vl.videos import step_times

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "video_patches.json").read_text(encoding="utf-8"))
ARRAYS = np.load(GOLDEN / "video_patches.npz")
PROMPTS = json.loads((GOLDEN / "prompts.json").read_text(encoding="utf-8"))["prompts"]

# the published template's form, as far as a question about a video goes
TEMPLATE = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\\n' }}"
    "{%- if messages[0].content is string %}{{- messages[0].content }}{%- else %}"
    "{%- for content in messages[0].content %}{%- if 'text' in content %}{{- content.text }}"
    "{%- endif %}{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endif %}"
    "{%- set video_count = namespace(value=0) %}{%- for message in messages %}"
    "{%- if message.role == 'user' %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}"
    "{%- for content in message.content %}"
    "{%- if content.type == 'image' or 'image' in content or 'image_url' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif content.type == 'video' or 'video' in content %}"
    "{%- set video_count.value = video_count.value + 1 %}"
    "{%- if add_vision_id %}Video {{ video_count.value }}: {% endif -%}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{%- elif 'text' in content %}{{- content.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


@pytest.fixture
def tiny_folder(tiny_folders: dict[str, Path]) -> Path:
    return tiny_folders["qwen3_vl"]


def cut(frames: np.ndarray, pixels: list[int]):
    return frames_to_patches(
        frames,
        min_pixels=pixels[0],
        max_pixels=pixels[1],
        patch_size=16,
        mean=PROCESSOR.mean,
        std=PROCESSOR.std,
        whole_video=True,
    )


@pytest.mark.parametrize("name", EXPECTED["cases"])
def test_patches_equal_the_librarys(name: str) -> None:
    patches = cut(ARRAYS[f"{name}.frames"], EXPECTED["cases"][name]["pixels"])
    assert patches.grid_thw.tolist() == ARRAYS[f"{name}.grid_thw"].tolist()
    expected = ARRAYS[f"{name}.pixel_values"]
    assert patches.pixel_values.shape == expected.shape
    # one grey level is 0.008; the torch that made them may round one elsewhere
    assert np.abs(patches.pixel_values.numpy() - expected).max() <= 1e-5
    assert list(PROCESSOR.mean) == EXPECTED["image_mean"]
    assert list(PROCESSOR.std) == EXPECTED["image_std"]


@pytest.mark.parametrize("case", PROMPTS, ids=lambda case: str(case["frames"]))
def test_prompts_are_the_processors(policy: Policy, case: dict) -> None:
    """The text around the tokens is the processor's own, and so are the token ids of that text."""
    height, width = case["size"]
    frames = np.zeros((case["frames"], height, width, 3), np.uint8)
    times = [index / case["fps"] for index in case["indices"]]
    video = policy.to_video(frames, 99.0, times=times, min_pixels=1)
    prompt = policy.encode("Who?", video)
    told = case["text"].removeprefix("user\n")
    assert f"<|im_start|>user\n{told}<|im_end|>\n" in policy.tokenizer.decode(prompt.input_ids_P)
    inside = policy.tokenizer(f"<|im_start|>user\n{told}<|im_end|>\n<|im_start|>assistant\n")
    assert prompt.input_ids_P.tolist() == inside["input_ids"]
    assert int(prompt.video_P.sum()) == video.tokens


def test_the_published_template(policy: Policy, frames_THW3: np.ndarray) -> None:
    """No system message of its own, one that is given in its place; the rest as in the tiny one."""
    video = policy.to_video(frames_THW3, 3.0)
    ours = [policy.encode("Who?", video), policy.encode("Who?", video, system="Be brief.")]
    policy.tokenizer.chat_template = TEMPLATE
    theirs = [policy.encode("Who?", video), policy.encode("Who?", video, system="Be brief.")]
    for mine, published in zip(ours, theirs, strict=True):
        assert torch.equal(mine.input_ids_P, published.input_ids_P)


def test_an_odd_last_frame_stands_twice() -> None:
    assert step_times([0.0, 0.5, 1.0, 1.5, 2.0], 2) == (0.25, 1.25, 2.0)


def test_every_axis_by_hand(policy: Policy) -> None:
    """Two steps of 2 x 3 tokens: each begins where its words end, the words where it ends."""
    frames = np.zeros((4, 64, 96, 3), np.uint8)
    prompt = policy.encode("Who?", policy.to_video(frames, 2.0))
    places_3P = policy.positions(prompt)
    video = prompt.video_P.nonzero().flatten().tolist()
    first, second = video[:6], video[6:]
    start = first[0]  # all before is text, one position a token
    assert places_3P[0, first].tolist() == [start] * 6
    assert (places_3P[1, first] - start).tolist() == [0, 0, 0, 1, 1, 1]
    assert (places_3P[2, first] - start).tolist() == [0, 1, 2] * 2
    between = second[0] - first[-1] - 1  # <|vision_end|>, the second step's time, <|vision_start|>
    again = start + 3 + between
    assert places_3P[:, second[0]].tolist() == [again] * 3
    assert places_3P[:, second[-1] + 1].tolist() == [again + 3] * 3


def test_positions_are_the_librarys(policy: Policy, frames_THW3: np.ndarray) -> None:
    prompt = policy.encode("Who?", policy.to_video(frames_THW3, 6.0))
    library, _ = policy.model.model.get_rope_index(
        prompt.input_ids_P[None],
        mm_token_type_ids=2 * prompt.video_P.int()[None],
        video_grid_thw=prompt.video.grid_thw,
    )
    assert torch.equal(policy.positions(prompt), library[:, 0])


def test_dropped_tower_features_show(
    policy: Policy, group: Group, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeepStack: without what inner tower blocks add, the values are not the library's."""
    right = naive_logps(load_naive(tiny_folder), group)[0]
    assert (group_logps(policy, group).logps_GC - right).abs().max() < 1e-5
    monkeypatch.setattr(policy, "deeper", lambda *_: {})
    assert (group_logps(policy, group).logps_GC - right).abs().max() > 1e-3


def test_saved_and_read_again(policy: Policy, group: Group, tmp_path: Path) -> None:
    again = load_policy(policy.save(tmp_path / "model"))
    assert (again.digest, again.eos_ids) == (policy.digest, policy.eos_ids)
    assert again.vision == policy.vision
    with torch.no_grad():
        assert torch.equal(group_logps(again, group).logps_GC, group_logps(policy, group).logps_GC)


def test_a_budget_is_a_frames_or_the_folders_own(policy: Policy, tmp_path: Path) -> None:
    """Bounds that are asked for are a frame's, times its frames; the folder's are a video's."""
    frames = np.zeros((8, 320, 480, 3), np.uint8)
    asked = policy.to_video(frames, 8.0, max_pixels=128 * 28 * 28)
    assert asked.height * asked.width <= 128 * 28 * 28
    assert (asked.height, asked.width) == (256, 384)  # a larger one: 288 x 416 is over
    folder = policy.save(tmp_path / "model")
    for name, size in {
        "preprocessor_config.json": {"shortest_edge": 65536, "longest_edge": 16777216},
        "video_preprocessor_config.json": {"shortest_edge": 4096, "longest_edge": 8 * 128 * 192},
    }.items():
        settings = json.loads((folder / name).read_text()) | {"size": size}
        (folder / name).write_text(json.dumps(settings))
    published = load_policy(folder)
    own = published.to_video(frames, 8.0)
    assert (own.height, own.width) == (128, 192)
    kept = json.loads((published.save(tmp_path / "again") / "preprocessor_config.json").read_text())
    assert kept["size"] == {"shortest_edge": 65536, "longest_edge": 16777216}


def test_a_part_of_a_video_that_lies_late_is_told_so(policy: Policy) -> None:
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    prompt = policy.encode("Who?", policy.to_video(frames, 4.0, times=[100.0, 102.0]))
    assert "<101.0 seconds><|vision_start|>" in policy.tokenizer.decode(prompt.input_ids_P)


def test_a_template_without_a_videos_three_tokens_is_refused(
    policy: Policy, frames_THW3: np.ndarray
) -> None:
    """A lone video token would take no times."""
    bare = policy.tokenizer.chat_template.replace("<|vision_start|><|video_pad|>", "<|video_pad|>")
    policy.tokenizer.chat_template = bare
    with pytest.raises(UserError, match="the chat template shows .* 0 times for a video"):
        policy.encode("Who?", policy.to_video(frames_THW3, 3.0))


def test_the_towers_attention_on_a_gpu_gives_the_same(
    policy: Policy, frames_THW3: np.ndarray
) -> None:
    """All frames in one call, where the library's way without flash kernels makes one a frame."""
    video = policy.to_video(frames_THW3, 3.0)
    with torch.no_grad():
        before = policy.see([video])[0]
        policy.model.set_attn_implementation({"vision_config": windows.NAME})
        torch.testing.assert_close(policy.see([video])[0], before, atol=1e-5, rtol=1e-5)
