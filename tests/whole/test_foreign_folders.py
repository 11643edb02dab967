"""A run folder from elsewhere says where the videos lie: any folder of this machine."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.answering_toys import ask_about, write_video
from videothinker import cli
from videothinker.benchmarks import jsonl
from videothinker.errors import UserError
from videothinker.publishing.config import PushConfig
from videothinker.records import Diagnosis, write_jsonl
from videothinker.runs import open_run

VERBS = {
    "diagnose": ["diagnose", "{}", "--benchmark", "jsonl"],
    "evaluate": ["evaluate", "--data", "{}", "--check"],
    "train": ["train", "grpo", "--data", "{}", "--model", "m", "--dry-run"],
    "check": ["check", "{}"],
    "convert": ["convert", "{}"],
    "export": ["export", "--to", "lmms-eval", "--data", "{}"],
    "push": ["push", "{}", "--with-videos", "--to", "OUT"],
}


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A diagnose folder as the stage leaves it, its video in another folder."""
    (tmp_path / "private").mkdir()
    write_video(tmp_path / "private/a.mp4", 0)
    folder = tmp_path / "ours"
    with open_run(folder, "diagnose", PushConfig(to="")) as run:
        run.facts["data_root"] = str(tmp_path / "private")
        questions = [ask_about(n, "a.mp4") for n in range(4)]
        write_jsonl(folder / "questions.jsonl", questions)
        rows = [Diagnosis(question_id=q.id, rule="r", label="inferential") for q in questions]
        write_jsonl(folder / "diagnosis.jsonl", rows)
    return folder


def copied(ours: Path, name: str) -> Path:
    """As an archive unpacks it, times and all."""
    return shutil.copytree(ours, ours.parent / name)


def test_a_folder_of_ours_says_where_its_videos_lie_also_when_it_was_moved(ours: Path) -> None:
    root = ours.parent / "private"
    assert jsonl.data_root(ours) == root
    assert jsonl.data_root(ours / "questions.jsonl") == root
    assert jsonl.data_root(ours.rename(ours.parent / "moved")) == root


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_from_elsewhere_does_not(
    verb: str, ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs, out = copied(ours, "theirs"), tmp_path / "out"
    words = [word.replace("{}", str(theirs)).replace("OUT", str(out)) for word in VERBS[verb]]
    words += [] if verb == "push" else ["--out", str(out)]
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert told.count(f"add --data-root {tmp_path / 'private'}") == 1
    assert "Traceback" not in told
    assert not list(out.rglob("*.mp4"))
    assert not (out / "samples.jsonl").exists()


def test_what_is_said_or_lies_inside_counts(ours: Path, tmp_path: Path) -> None:
    theirs = copied(ours, "theirs")
    words = ["push", str(theirs), "--with-videos", "--to", str(tmp_path / "out")]
    assert cli.main([*words, "--data-root", str(tmp_path / "private")]) == 0
    assert (tmp_path / "out/a.mp4").is_file()
    run = json.loads((theirs / "run.json").read_text())
    run["facts"]["data_root"] = str(theirs / "videos")
    (theirs / "run.json").write_text(json.dumps(run))
    assert jsonl.data_root(theirs) == theirs / "videos"
    (theirs / "videos").symlink_to(tmp_path / "private")
    with pytest.raises(UserError, match="add --data-root"):
        jsonl.data_root(theirs)


def test_no_stamp_of_theirs_fits(ours: Path) -> None:
    """Whatever number they write, and whatever time they give their file."""
    theirs = copied(ours, "theirs")
    questions, run_json = theirs / "questions.jsonl", theirs / "run.json"
    run = json.loads(run_json.read_text())
    for stamp in (run["facts"]["stamp"], None, 0, questions.stat().st_mtime_ns):
        run["facts"]["stamp"] = stamp
        run_json.write_text(json.dumps(run))
        os.utime(questions, ns=(stamp or 0, stamp or 0))
        with pytest.raises(UserError, match="was copied or changed since"):
            jsonl.data_root(theirs)
