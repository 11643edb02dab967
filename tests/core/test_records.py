"""Records: what is read is what was written, and a bad line is named."""

import errno
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videothinker.errors import UserError
from videothinker.records import Question, Sample, encode, read_jsonl, write_alone, write_jsonl

QUESTION = Question(
    id="q1",
    dataset="d",
    split="train",
    video="v.mp4",
    question="What?",
    choices=("a", "b", "c"),
    answer=("A", "C"),
    type="counterfactual",
)


def test_round_trip(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "q.jsonl", [QUESTION, QUESTION])
    assert read_jsonl(path, Question) == [QUESTION, QUESTION]


@given(st.text(), st.floats(0, 1))
def test_any_text_survives(text: str, soft: float) -> None:
    sample = Sample(question_id="q", model="m", protocol="p", text=text, verdict="ok", soft=soft)
    assert msgspec.json.decode(encode(sample), type=Sample) == sample
    assert encode(sample).count(b"\n") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"surprise": 1}, "surprise"),
        ({"choices": []}, "no choices"),
        ({"answer": ["C", "A"]}, "sorted letters"),
        ({"answer": ["D"]}, "allowed are sorted letters among A, B, C"),
        ({"answer": ["A", "A"]}, "sorted letters"),
        ({"context": "text"}, "both a video and a context"),
        ({"choices": ["x"] * 27}, "at most 26"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, change: dict[str, object], says: str) -> None:
    path = tmp_path / "q.jsonl"
    bad = {**msgspec.to_builtins(QUESTION), **change}
    path.write_bytes(encode(QUESTION) + msgspec.json.encode(bad) + b"\n")
    with pytest.raises(UserError, match=r"q\.jsonl:2: .*" + says):
        read_jsonl(path, Question)


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_jsonl(tmp_path / "none.jsonl", Question)


def test_a_full_disk_is_a_sentence_where_a_file_is_written_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`report` and `convert` write outside run folders."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "page.html"
    write_alone(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        UserError, match=r"page\.html: .*No space left on device.*same command again"
    ):
        write_alone(path, b"new")
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == {path: b"old"}
