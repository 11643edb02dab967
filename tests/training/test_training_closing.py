"""The closing table averages what the records say."""

import pytest

from videothinker.records import Step
from videothinker.training.closing import closing_table


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
