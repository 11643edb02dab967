"""Blind Gap and Visual Gain in an evaluation's summary and its text, by hand."""

import pytest

from tests.core.test_dependence import question, samples
from videothinker.evaluation.summary import line
from videothinker.evaluation.tables import _needed

FULL = {"a": samples("a", 1), "b": samples("b", 1), "c": samples("c", 0), "d": samples("d", 1)}
BLIND = {"a": samples("a", 1), "b": samples("b", 0), "c": samples("c", 0), "d": samples("d", 0)}
ASKED = [question(name) for name in "abcd"]


def test_a_line_holds_what_the_video_adds() -> None:
    told = line("all", ASKED, FULL, BLIND, full=True, several=False, own=None)
    # blind 1 of 4 where a guess has 1 of 4; with the video 3 of 4
    assert told["blind gap"]["value"] == pytest.approx(0)
    assert told["visual gain"]["value"] == pytest.approx(0.5)
    rows = _needed([told])
    assert rows[1].split()[:2] == ["all", "0.0"]
    assert "50.0" in rows[1]


def test_without_a_blind_run_or_a_full_one_nothing_is_said() -> None:
    for blind, full in (({}, True), (BLIND, False)):
        told = line("all", ASKED, FULL, blind, full=full, several=False, own=None)
        assert told["visual gain"] is None
        assert _needed([told]) == []
