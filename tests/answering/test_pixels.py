"""Frames far from what a model was trained on are said, with who says what it was."""

import json
from pathlib import Path

from tests.answering_toys import build_tiny, write_video
from videothinker import cli
from videothinker.answering.pixels import Trained, far_lines, trained_on
from videothinker.records import Sample


def saw(height: int, width: int) -> Sample:
    return Sample(
        question_id="q", model="m", protocol="p", verdict="ok", frames=4, height=height, width=width
    )


def test_far_is_more_than_twice_the_most_and_less_than_half_the_least() -> None:
    trained = Trained(1000, 4000, "the run that trained it")
    assert not list(far_lines([saw(80, 100), saw(20, 25)], trained))
    (line,) = far_lines([saw(80, 101), saw(40, 50), saw(20, 24)], trained)
    for part in ("2 of 3", "480 to 8,080", "1,000 to 4,000", trained.where):
        assert part in line
    transcript = Sample(question_id="q", model="m", protocol="p", verdict="ok")
    assert not list(far_lines([transcript], trained))
    assert not list(far_lines([saw(900, 900)], None))
    (line,) = far_lines([saw(80, 101)], trained)
    assert "frames of 8,080 pixels, far" in line
    whole = Trained(1000, 4000, "its config", whole_video=True)
    assert not list(far_lines([saw(40, 50), saw(5, 25)], whole))
    (line,) = far_lines([saw(40, 51), saw(40, 50), saw(4, 31)], whole)
    assert "2 of 3 answers saw videos of 496 to 8,160 pixels" in line


def test_the_run_speaks_before_the_preprocessor(tmp_path: Path) -> None:
    folder = build_tiny(tmp_path / "run" / "model")
    size = json.loads((folder / "preprocessor_config.json").read_text())["size"]
    own = (size["shortest_edge"], size["longest_edge"])
    found = trained_on(folder)
    assert found is not None
    assert (found.least, found.most, found.where) == (*own, "its preprocessor_config.json")
    run = {"stage": "train_grpo", "config": {"min_pixels": 10, "max_pixels": 20}}
    (folder.parent / "run.json").write_text(json.dumps(run))
    assert trained_on(folder) == Trained(10, 20, "the run that trained it")
    assert trained_on(None) is None
    other = json.dumps({"image_processor_type": "CLIPImageProcessor", "size": {"height": 3}})
    (tmp_path / "preprocessor_config.json").write_text(other)
    assert trained_on(tmp_path) is None


def test_where_a_family_counts_whole_videos_so_does_the_warning(tmp_path: Path) -> None:
    """Its image preprocessor, of the older name, has bounds of its own."""
    folder = build_tiny(tmp_path / "model", family="qwen3_vl", patch_size=16)
    path = folder / "video_preprocessor_config.json"
    size = {"size": {"shortest_edge": 4096, "longest_edge": 25165824}}
    path.write_text(json.dumps(json.loads(path.read_text()) | size))
    assert trained_on(folder) == Trained(4096, 25165824, f"its {path.name}", whole_video=True)


def test_ask_says_it(tmp_path: Path, capsys) -> None:
    model = build_tiny(tmp_path / "run" / "model").parent
    run = {"stage": "train_grpo", "config": {"min_pixels": 16, "max_pixels": 32}}
    (model / "run.json").write_text(json.dumps(run))
    write_video(tmp_path / "a.mp4", 0)
    words = ["ask", str(tmp_path / "a.mp4"), "Which?", "--choice", "a", "b", "--model", str(model)]
    assert cli.main([*words, "--max-new-tokens", "2"]) == 0
    assert "16 to 32 of the run that trained it" in capsys.readouterr().err
