"""The classifier finds a planted shortcut, finds none where there is none, and never reads on."""

import sys

import numpy as np
import pytest

from tests.diagnosis.made_questions import asks, without
from videothinker.clevrer.answerers import Asked
from videothinker.diagnosis.classifier import FEWEST_VIDEOS, classify, features
from videothinker.estimates import mean

NOUNS = ("door", "lamp", "ball", "chair", "horse", "tree", "boat", "stone")


def random_list(seed: int, videos: int, *, planted: bool):
    """Three options of two random words; the right one is drawn, and is the one with `not`."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(videos):
        right = int(rng.integers(3))
        words = [" ".join(rng.choice(NOUNS, 2)) for _ in range(3)]
        if planted:
            words = [f"not {w}" if place == right else f"all {w}" for place, w in enumerate(words)]
        choices = tuple(f"{w} {place}" for place, w in enumerate(words))
        made.append(
            asks(str(number), "Which?", "ABC"[right], video=str(number), choices=choices, type="t")
        )
    return made


def accuracy(questions, asked):
    right = classify(questions, asked, 0).right
    assert set(right) == {q.id for q in questions}
    return mean([float(right[q.id]) for q in questions], [q.id for q in questions])


def test_a_planted_shortcut_is_found() -> None:
    assert accuracy(random_list(0, 100, planted=True), {}).value == 1


@pytest.mark.parametrize("seed", range(3))
def test_where_there_is_none_the_interval_includes_chance(seed: int) -> None:
    found = accuracy(random_list(seed, 300, planted=False), {})
    assert found.low < 1 / 3 < found.high


def test_where_one_question_alone_has_a_wrong_option_nothing_breaks() -> None:
    """Of most folds' training videos every option is right: that is then said of the rest."""
    made = [
        asks(str(i), "Which?", "AB" if i else "A", video=str(i), choices=("x", "y"), type="t")
        for i in range(25)
    ]
    right = classify(made, {}, 0).right
    assert len(right) == 25
    assert not right["0"]


def scene(rng: np.random.Generator, *, away: bool) -> Asked:
    """Three options among six objects; none happens in the video, or the first or the second."""
    options = (frozenset((0, 1)), frozenset((2, 3)), frozenset((1, 2)))
    seen = [] if away else [options[int(rng.integers(2))]]
    negated = bool(rng.integers(2))
    return Asked(options, ("a", "b", "c"), (*seen, frozenset((4, 5))), 4, negated)


def test_give_aways_are_learned_from_the_scene() -> None:
    """Right is what describing picks; where it picks none or all, the last option changes."""
    rng = np.random.default_rng(0)
    questions, asked = [], {}
    for number in range(200):
        told = scene(rng, away=number % 2 == 1)
        happens = list(told.in_video) if number % 2 == 0 else [False, False, True]
        letters = [x for x, one in zip("ABC", told.picks(happens), strict=True) if one]
        name = str(number)
        text = without("gray cube", negated=told.negated)
        choices = ("one", "two", "three")
        questions.append(asks(name, text, "".join(letters), video=name, choices=choices))
        asked[name] = told
    assert accuracy(questions, asked).value == 1


def test_the_removed_object_is_never_looked_at() -> None:
    options = (frozenset((0, 1)), frozenset((1, 2)))
    seen = (frozenset((0, 1)), frozenset((3, 4)))
    told = [Asked(options, ("x", "y"), seen, removed, False) for removed in (3, 4)]
    one, other = asks("a", without("gray cube"), "A"), asks("b", without("red sphere"), "B")
    assert one.question_struck is not None
    mine = list(features(one, told[0], one.question_struck))
    assert mine == list(features(other, told[1], one.question_struck))
    # and the options are told apart
    assert mine[0] != mine[1]


def test_too_few_videos_and_a_missing_library_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    few = classify(random_list(0, FEWEST_VIDEOS - 1, planted=True), {}, 0)
    assert few.right == {}
    assert few.note is not None
    assert "19 videos are too few (20)" in few.note
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    absent = classify(random_list(0, 30, planted=True), {}, 0)
    assert absent.right == {}
    assert absent.note is not None
    assert "pip install scikit-learn" in absent.note
