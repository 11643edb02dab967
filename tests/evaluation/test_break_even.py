"""When does one way of answering earn more than another?"""

import random

import pytest

from videothinker.evaluation.break_even import Way, break_even, lines, winner


def test_the_break_even_share_by_hand() -> None:
    """A describer 90 / 0, a simulator 80 / 40: it costs 10 points and gains 40, so 1 in 5."""
    simulating, describing = Way(0.8, 0.4), Way(0.9, 0.0)
    assert break_even(simulating, describing) == pytest.approx(0.2)
    assert break_even(describing, simulating) == pytest.approx(0.2)
    assert [winner(simulating, describing, p) for p in (0.1, 0.3)] == ["there", "here"]


def test_at_the_break_even_share_both_earn_the_same() -> None:
    draw = random.Random(0)
    for _ in range(200):
        here, there = (Way(draw.random(), draw.random()) for _ in range(2))
        share = break_even(here, there)
        ends = {winner(here, there, p) for p in (0.0, 1.0)}
        assert (share is None) == (len(ends) == 1)
        if share is not None:
            earned = [(1 - share) * w.observational + share * w.inferential for w in (here, there)]
            assert earned[0] == pytest.approx(earned[1])
            assert winner(here, there, share - 0.01) != winner(here, there, share + 0.01)


@pytest.mark.parametrize(
    ("here", "there", "says"),
    [
        (Way(0.8, 0.4), Way(0.9, 0.0), "to the way of answering of this run where more than 20.0%"),
        (Way(0.9, 0.0), Way(0.8, 0.4), "to the way of answering of B where more than 20.0%"),
        (Way(0.9, 0.4), Way(0.8, 0.4), "keep the way of answering of this run"),
        (Way(0.8, 0.1), Way(0.8, 0.4), "keep the way of answering of B"),
        (Way(0.8, 0.4), Way(0.8, 0.4), "both ways earn the same"),
    ],
)
def test_a_forecast_says_which_way_pays(here: Way, there: Way, says: str) -> None:
    found = {
        "here": {"observational": here.observational, "inferential": here.inferential},
        "there": {"observational": there.observational, "inferential": there.inferential},
        "break_even": break_even(here, there),
        "inferential_share": 0.5,
    }
    assert says in " ".join(lines(found, "B"))
