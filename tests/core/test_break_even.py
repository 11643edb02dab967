"""When does one way of answering earn more than another?"""

import random

import numpy as np
import pytest

from videothinker.break_even import Way, break_even, forecast, interval, lines, winner
from videothinker.records import Diagnosis, Question, Sample


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


def answered(rights: dict[str, float]) -> dict[str, list[Sample]]:
    return {
        name: [Sample(question_id=name, model="m", protocol="p", verdict="right", exact=right)]
        for name, right in rights.items()
    }


def test_a_forecast_counts_by_label_and_draws_by_scene() -> None:
    """30 scenes, an observational question each; every third also an inferential one."""
    draw = random.Random(0)
    questions, labels = [], {}
    here, there = dict[str, float](), dict[str, float]()
    for scene in range(30):
        for label in ("observational", "inferential")[: 1 + (scene % 3 == 0)]:
            name = f"{scene}-{label}"
            questions.append(
                Question(
                    id=name,
                    dataset="d",
                    split="train",
                    question="?",
                    choices=("a", "b"),
                    answer=("A",),
                    type="counterfactual",
                    groups={"scene": str(scene)},
                )
            )
            labels[name] = Diagnosis(question_id=name, rule="r", label=label)
            here[name] = float(draw.random() < 0.8)
            there[name] = float(label == "observational")
    found = forecast(questions, labels, answered(here), answered(there))
    assert found is not None
    assert found["there"] == {"observational": 1.0, "inferential": 0.0}
    assert found["inferential_share"] == 0.25
    cost, gain = 1 - found["here"]["observational"], found["here"]["inferential"]
    assert found["break_even"] == pytest.approx(cost / (cost + gain))
    low, high = found["interval"]
    assert 0 <= low < found["break_even"] < high < 0.5
    assert f"(95 % {low:.1%} to {high:.1%})" in " ".join(lines(found, "B"))
    only = [q for q in questions if q.id.endswith("-observational")]
    assert forecast(only, labels, answered(here), answered(there)) is None


def test_an_interval_covers_the_share_it_estimates() -> None:
    """Of 200 samples of 100 scenes, about 95 % have the true share between their ends."""
    rng = np.random.default_rng(0)
    means_WL, held = np.array([[0.9, 0.7], [0.95, 0.02]]), 0
    truth = 0.05 / (0.05 + 0.68)
    for _ in range(200):
        right_CWL = (rng.random((100, 2, 2)) < means_WL).astype(float)
        between = interval(right_CWL, np.ones((100, 2)))
        assert between is not None
        held += between[0] <= truth <= between[1]
    assert 180 <= held <= 199
