"""Counts against the published ones, and one kind of question at a time."""

import msgspec
import pytest

from videothinker.benchmarks.base import Benchmark, tier_of
from videothinker.errors import UserError
from videothinker.records import Question


def test_a_question_that_comes_twice_counts_once():
    one = Question(
        id="q",
        dataset="d",
        split="s",
        question="?",
        type="t",
        context="c",
        choices=("x",),
        answer=("A",),
    )
    twice = Benchmark("b", (one, one), (), ("type",), {"questions": 2, "type t": 3, "type u": 0})
    assert twice.wrong_counts() == [
        "questions: 1 found, 2 published, 1 missing",
        "type t: 1 found, 3 published, 2 missing",
    ]
    fewer = Benchmark("b", (one,), (), ("type",), {"type t": 0})
    assert fewer.wrong_counts() == ["type t: 1 found, 0 published, 1 too many"]


def test_one_kind_at_a_time():
    seen = Question(
        id="a",
        dataset="d",
        split="s",
        video="v",
        question="q",
        choices=("x",),
        answer=("A",),
        type="t",
    )
    told = msgspec.structs.replace(seen, id="b", video=None, context="Frame 0: a cube.")
    bare = msgspec.structs.replace(seen, id="c", video=None)
    assert (tier_of([seen, seen]), tier_of([told])) == ("video", "transcript")
    for questions, match in (
        ([seen, told, told], r"1 with a video \(first 'a'\), 2 with a transcript \(first 'b'\)"),
        ([seen, bare], r"1 with neither \(first 'c'\)"),
        ([bare], r"1 with neither"),
    ):
        with pytest.raises(UserError, match=match):
            tier_of(questions)
