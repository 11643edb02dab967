"""Qwen2-VL: where its tokens stand, and that a saved one is the same. The engine's bars are in
tests/models/test_shared_prefix.py and tests/generation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.qwen2_5_vl.test_model import official_layout
from videothinker.models.catalog import find_shape, load_policy
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps
from videothinker.models.qwen_vl import windows


@pytest.fixture
def tiny_folder(tiny_folders: dict[str, Path]) -> Path:
    return tiny_folders["qwen2_vl"]


def test_every_axis_by_hand(policy: Policy, frames_THW3: np.ndarray) -> None:
    """A grid of 3 x 2 x 3 merged patches; how long the clip lasts is not told."""
    for seconds in (4.5, 300.0):
        prompt = policy.encode("Who?", policy.to_video(frames_THW3, seconds))
        places_3P = policy.positions(prompt)
        start = int(prompt.video_P.nonzero()[0])
        video_3N = places_3P[:, prompt.video_P] - start
        assert video_3N[0].tolist() == [0] * 6 + [1] * 6 + [2] * 6
        assert video_3N[1].tolist() == ([0] * 3 + [1] * 3) * 3
        assert video_3N[2].tolist() == [0, 1, 2] * 6
        assert places_3P[:, start + 18].tolist() == [start + 3] * 3


def test_text_begins_after_many_steps(policy: Policy) -> None:
    """20 frames are 10 steps of 1 x 1 tokens: the text begins at 10, as in transformers 4.51.

    Transformers 5.23 begins it at 1, inside the video's own range.
    """
    frames = np.zeros((20, 28, 28, 3), np.uint8)
    prompt = policy.encode("Who?", policy.to_video(frames, 5.0, min_pixels=1))
    places_3P = policy.positions(prompt)
    start = int(prompt.video_P.nonzero()[0])
    assert places_3P[:, start + 10].tolist() == [start + 10] * 3


def test_inside_the_video_the_library_agrees(policy: Policy, frames_THW3: np.ndarray) -> None:
    prompt = policy.encode("Who?", policy.to_video(frames_THW3, 6.0))
    library, _ = policy.model.model.get_rope_index(
        prompt.input_ids_P[None],
        mm_token_type_ids=2 * prompt.video_P.int()[None],
        video_grid_thw=prompt.video.grid_thw,
    )
    end = int(prompt.video_P.nonzero()[-1]) + 1
    assert torch.equal(policy.positions(prompt)[:, :end], library[:, 0, :end])


def test_saved_and_read_again(policy: Policy, group, tmp_path: Path) -> None:
    again = load_policy(policy.save(tmp_path / "model"))
    assert (again.digest, again.vision, again.eos_ids) == (
        policy.digest,
        policy.vision,
        policy.eos_ids,
    )
    with torch.no_grad():
        assert torch.equal(group_logps(again, group).logps_GC, group_logps(policy, group).logps_GC)


def test_the_hubs_layout(policy: Policy, tiny_folder: Path, tmp_path: Path) -> None:
    """Flat configuration, tensors of an older naming, no tied head, shards."""
    folder = official_layout(tmp_path / "hub", tiny_folder)
    assert load_policy(folder).digest == policy.digest
    assert find_shape(str(folder)) == find_shape(str(tiny_folder))


def test_the_towers_attention_on_a_gpu_gives_the_same(
    policy: Policy, frames_THW3: np.ndarray
) -> None:
    """All frames in one call, where the library's way without flash kernels makes one a frame."""
    video = policy.to_video(frames_THW3, 3.0)
    with torch.no_grad():
        before = policy.see([video])[0]
        policy.model.set_attn_implementation({"vision_config": windows.NAME})
        torch.testing.assert_close(policy.see([video])[0], before, atol=1e-5, rtol=1e-5)
