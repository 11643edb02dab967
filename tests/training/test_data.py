"""Training on a list in another shape than ours: the same reader, the same confirmation."""

import json

import pytest

from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.training.data import load_training_set


def test_a_video_r1_list_is_trained_on_as_it_comes(tmp_path, capsys):
    path, videos = tmp_path / "list.json", tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").touch()
    row = {"problem": "Which?", "options": ["A. left", "B. right"], "path": "/old/a.mp4"}
    path.write_text(json.dumps([row | {"solution": "<answer>B</answer>", "problem_id": 7}]))
    settings = {"model": "m", "out": tmp_path / "out", "data_root": videos, "eval_steps": 0}
    with pytest.raises(UserError, match="'old/' .* ''.*--accept-guesses"):
        load_training_set(path, GrpoConfig(**settings))
    (only,) = load_training_set(path, GrpoConfig(**settings, accept_guesses=True)).train
    assert (only.id, only.video, only.choices, only.answer) == (
        "7", "a.mp4", ("left", "right"), ("B",),
    )  # fmt: skip
    assert "no question belongs to the split 'train'" in " ".join(capsys.readouterr().err.split())
