"""The closing words say what the records say: means, and whether anything was learned."""

import re
from pathlib import Path
from typing import Any

import pytest

from videothinker.algorithms.grpo import GrpoConfig
from videothinker.records import Step
from videothinker.training.closing import closing_table, failings


def test_means_over_the_first_and_last_tenth_by_hand() -> None:
    steps = [
        Step(step=i + 1, loss=0.0, reward={"format": i / 20}, entropy=1.0, valid=i / 20,
             divergence=i / 10, repulsion=0.3, guard="stopped" if i == 3 else None)
        for i in range(20)
    ]  # fmt: skip
    head, format_line, *rest = closing_table(steps)
    assert head.split() == ["mean", "of", "first", "2", "last", "2"]
    assert format_line.split() == ["format", "0.025", "0.925"]
    assert "divergence             0.050       1.850" in rest
    assert rest[-1] == "guard stopped the push at 1 of 20 steps"


def test_without_a_bias_model_nothing_is_said_of_a_push() -> None:
    lines = "\n".join(closing_table([Step(step=1, loss=0.0, reward={"format": 1.0}, entropy=1.0)]))
    assert "entropy" in lines
    assert not {"divergence", "repulsion", "guard"} & set(lines.split())


def test_nothing_is_not_averaged() -> None:
    with pytest.raises(ValueError, match="no steps"):
        closing_table([])


CONFIG = GrpoConfig(model="BASE", out=Path("runs/x"), num_generations=4, max_completion_length=12)


def step(number: int, **fields: Any) -> Step:
    """Two groups of four were drawn, one of them flat; three of four answers could be read."""
    metrics = {"drawn": 2.0, "completions": 8.0, "truncated": 0.0, "skipped": 0.0}
    plain: dict[str, Any] = {"reward": {"r": 0.5}, "valid": 0.75, "dropped_groups": 1}
    metrics |= fields.pop("metrics", {})
    return Step(step=number, loss=0.0, metrics=metrics, **(plain | fields))


def test_a_run_that_learned_has_no_failing() -> None:
    steps = [step(1, dropped_groups=2, valid=0.0), step(2)]  # one step in vain is none either
    assert failings(steps, CONFIG, changed=True) == []


def test_a_reward_without_a_signal_is_named_with_its_true_mean() -> None:
    """By hand: 2 groups at 1.0 and 6 at 0.5 are 0.625 in the mean."""
    steps = [
        step(1, reward={"r": 1.0}, dropped_groups=2),
        step(2, reward={"r": 0.5}, dropped_groups=6, metrics={"drawn": 6.0}),
    ]
    (told,) = failings(steps, CONFIG, changed=False)
    assert re.match("in x no group had a signal: .* 8 groups .* 4 ", told)
    assert "mean r 0.625" in told
    assert "the weights are still those of BASE" in told
    assert "check that the reward functions" in told
    (pushed,) = failings(steps, CONFIG, changed=True)  # by the repulsion alone
    assert "weights" not in pushed


def test_answers_that_were_never_read_are_named_with_the_cause() -> None:
    cut = [step(n, valid=0.0, metrics={"truncated": 0.875}) for n in (1, 2)]
    (told,) = failings(cut, CONFIG, changed=True)
    assert "none of the 16 completions" in told
    assert "88% were cut at max_completion_length 12" in told
    (told,) = failings([step(1, valid=0.0)], CONFIG, changed=True)
    assert "keeps to that format" in told
    earned = [step(1, valid=0.0, reward={"r": 0.0}, dropped_groups=2)]
    assert "answers that cannot be read earn nothing" in failings(earned, CONFIG, changed=False)[1]


def test_weights_that_did_not_change_are_named_with_the_cause() -> None:
    (told,) = failings([step(1)], CONFIG, changed=False)
    assert re.search("no weight of BASE changed: .*1e-06 .*500 steps", told)
    (told,) = failings([step(1, metrics={"skipped": 1.0})], CONFIG, changed=False)
    assert "not a number at every step" in told
