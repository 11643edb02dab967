"""Blind Gap and Visual Gain against sums done by hand."""

import pytest

from videothinker.dependence import chance, dependence
from videothinker.estimates import share
from videothinker.records import Question, Sample


def question(name: str, choices: int = 4, answer: tuple[str, ...] = ("A",)) -> Question:
    return Question(
        id=name,
        dataset="d",
        split="test",
        video=f"{name}.mp4",
        question="Which?",
        choices=tuple("abcdefgh"[:choices]),
        answer=answer,
        type="t",
    )


def samples(name: str, *exact: float) -> list[Sample]:
    return [
        Sample(question_id=name, model="m", protocol="p", verdict="ok", exact=one) for one in exact
    ]


def test_a_guess_by_hand() -> None:
    assert chance(question("a"), several=False) == 1 / 4
    assert chance(question("a"), several=True) == 1 / 15
    assert chance(question("a", answer=("A", "B")), several=False) == 0
    assert chance(question("a", 3, ("A", "B")), several=True) == 1 / 7


def test_both_differences_by_hand() -> None:
    asked = [question("a"), question("b", 2), question("c")]
    full = {"a": samples("a", 1, 1), "b": samples("b", 1, 0), "c": samples("c", 1)}
    blind = {"a": samples("a", 1, 0), "b": samples("b", 1, 1)}
    found = dependence(asked, full, blind, several=False)
    assert found is not None
    # c was never asked without its video; blind: 1/2 and 1, guesses: 1/4 and 1/2
    assert found.blind_gap.value == pytest.approx((1 / 4 + 1 / 2) / 2)
    # full: 1 and 1/2
    assert found.visual_gain.value == pytest.approx((1 / 2 - 1 / 2) / 2)
    assert found.visual_gain.n == found.blind_gap.n == 2
    assert found.visual_gain.low < 0 < found.visual_gain.high


def test_none_right_without_the_video_is_not_surely_below_a_guess() -> None:
    """None right of two has the interval of 0 of 2, of whatever worth each guess is."""
    asked = [question("a"), question("b", 2)]
    wrong = {"a": samples("a", 0), "b": samples("b", 0)}
    found = dependence(asked, wrong, wrong, several=False)
    assert found is not None
    assert found.blind_gap.low == pytest.approx(-3 / 8)
    assert found.blind_gap.high == pytest.approx(share(0, 2).high - 3 / 8)


def test_nothing_asked_both_ways_is_no_number() -> None:
    assert dependence([question("a")], {"a": samples("a", 1)}, {}, several=False) is None
