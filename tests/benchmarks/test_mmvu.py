"""MMVU: as published, and rows that are not."""

import json

import pytest

from videothinker.benchmarks import mmvu
from videothinker.benchmarks.base import group_of
from videothinker.errors import UserError


def test_mmvu_as_published(shared):
    found = mmvu.load(shared / "mmvu")
    assert found.wrong_counts() == []
    assert len(mmvu.DISCIPLINE) == 27
    first = found.questions[0]
    assert (first.id, first.video, first.answer) == (
        "mmvu/validation_1",
        "videos/Chemistry/0.mp4",
        ("A",),
    )
    assert sum(group_of(q, "discipline") == "Healthcare" for q in found.questions) == 121
    raw = json.loads((shared / "mmvu" / "validation.json").read_text())
    closed = {f"mmvu/{r['id']}": r for r in raw if r["question_type"] == "multiple-choice"}
    for question in found.questions:
        row = closed[question.id]
        assert question.choices["ABCDE".index(question.answer[0])] == row["choices"][row["answer"]]


def test_a_judge_alone_has_no_rule():
    assert mmvu.BENCHMARK.own.rule is None
    assert mmvu.BENCHMARK.own.words


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (lambda r: (r / "validation.json").write_text('[{"id": "x"'), "validation.json"),
        (lambda r: None, "cannot be read"),
    ],
)
def test_an_unknown_row_names_its_file_and_place(tmp_path, write, match):
    write(tmp_path)
    with pytest.raises(UserError, match=match):
        mmvu.load(tmp_path)
