"""Positions and seconds against hand calculations, and against the library where releases agree."""

import numpy as np
import pytest
import torch
from transformers.video_utils import VideoMetadata

from videothinker.errors import UserError
from videothinker.models.base import Prompt
from videothinker.models.loaded import Policy
from videothinker.models.positions import continued, lay_out


def split(policy: Policy, prompt: Prompt) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions of the text before the video, of the video, and of the text after it."""
    places_3P = policy.positions(prompt)
    at = (prompt.input_ids_P == policy.model.config.video_token_id).nonzero().flatten()
    first, last = int(at[0]), int(at[-1])
    return places_3P[:, :first], places_3P[:, first : last + 1], places_3P[:, last + 1 :]


@pytest.mark.parametrize(("seconds", "text"), [(12.0, 23), (60.0, 113), (300.0, 563)])
def test_text_begins_after_the_videos_largest_position(
    policy: Policy, seconds: float, text: int
) -> None:
    """32 frames of 480x320, 16 x 11 x 17 merged patches: what transformers 4.51 to 5.0 give."""
    frames = np.zeros((32, 320, 480, 3), np.uint8)
    prompt = policy.encode("Who?", policy.to_video(frames, seconds, max_pixels=256 * 28 * 28))
    before, video, after = split(policy, prompt)
    start = before.shape[1]
    assert video.shape[1] == 16 * 11 * 17
    assert torch.equal(before, torch.arange(start).expand(3, -1))
    assert torch.equal(after, (start + text + torch.arange(after.shape[1])).expand(3, -1))


def test_every_axis_by_hand(policy: Policy, frames_THW3: np.ndarray) -> None:
    """A grid of 3 x 2 x 3 merged patches, 2 positions a second, 1.5 seconds a step."""
    before, video, after = split(policy, policy.encode("Who?", policy.to_video(frames_THW3, 4.5)))
    start = before.shape[1]
    assert (video[0] - start).tolist() == [0] * 6 + [3] * 6 + [6] * 6
    assert (video[1] - start).tolist() == ([0] * 3 + [1] * 3) * 3
    assert (video[2] - start).tolist() == [0, 1, 2] * 6
    assert after[:, 0].tolist() == [start + 7] * 3


def test_a_wide_frame_can_reach_beyond_a_short_clip(
    policy: Policy, frames_THW3: np.ndarray
) -> None:
    """0.2 seconds a step are times 0, 0, 0; the largest position is a column's, 2."""
    before, video, after = split(policy, policy.encode("Who?", policy.to_video(frames_THW3, 0.6)))
    assert video[0].unique().tolist() == [before.shape[1]]
    assert after[:, 0].tolist() == [before.shape[1] + 3] * 3


@pytest.mark.parametrize(
    ("count", "times"), [(16, [0, 1, 2, 3, 5, 6, 7, 8]), (4, [0, 5]), (5, [0, 4, 8])]
)
def test_seconds_a_step_are_the_processors(policy: Policy, count: int, times: list[int]) -> None:
    """CLEVRER: 128 frames at 25 a second. The last frame of an odd count is shown twice."""
    frames = np.zeros((count, 56, 84, 3), np.uint8)
    prompt = policy.encode("Who?", policy.to_video(frames, 5.12))
    library = VideoMetadata(total_num_frames=128, fps=25.0, frames_indices=list(range(count)))
    assert prompt.video.second_per_grid == pytest.approx(2 / library.sampled_fps, rel=1e-12)
    _, video, _ = split(policy, prompt)
    assert (video[0].unique() - video[0, 0]).tolist() == times


def test_inside_the_video_every_release_agrees(policy: Policy, frames_THW3: np.ndarray) -> None:
    """At whole seconds a step: some releases cut fractions, and some begin the text too early."""
    prompt = policy.encode("Who?", policy.to_video(frames_THW3, 6.0))
    video_P = prompt.input_ids_P == policy.model.config.video_token_id
    library, _ = policy.model.model.get_rope_index(
        prompt.input_ids_P[None],
        mm_token_type_ids=2 * video_P.int()[None],
        video_grid_thw=prompt.video.grid_thw,
        second_per_grid_ts=torch.tensor([prompt.video.second_per_grid]),
    )
    end = int(video_P.nonzero()[-1]) + 1
    assert torch.equal(policy.positions(prompt)[:, :end], library[:, 0, :end])


def test_videos_in_pieces_with_text_between() -> None:
    """Two frames of one row and two columns, each with its words before it, by hand."""
    video_P = torch.tensor([0, 0, 1, 1, 0, 1, 1, 0]).bool()
    frame = torch.tensor([[0, 0], [0, 0], [0, 1]])
    assert lay_out(video_P, [frame, frame]).tolist() == [
        [0, 1, 2, 2, 4, 5, 5, 7],
        [0, 1, 2, 2, 4, 5, 5, 7],
        [0, 1, 2, 3, 4, 5, 6, 7],
    ]
    with pytest.raises(ValueError, match="2 video tokens came for a grid of 1"):
        lay_out(video_P, [frame[:, :1], frame])


def test_a_completion_goes_on_one_by_one() -> None:
    places = torch.tensor([[0, 5], [0, 5], [1, 5]])
    assert continued(places, 2).tolist() == [[0, 5, 6, 7], [0, 5, 6, 7], [1, 5, 6, 7]]
    assert torch.equal(continued(places, 0), places)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clip_without_duration_is_refused(
    policy: Policy, frames_THW3: np.ndarray, seconds: float
) -> None:
    with pytest.raises(UserError, match="6 frames of a clip of .* seconds came"):
        policy.to_video(frames_THW3, seconds)
