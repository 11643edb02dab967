"""Reward functions of one's own."""

from pathlib import Path
from typing import Any

import pytest

from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.records import Step, read_jsonl
from videothinker.training.stages import train


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests.training.toy_training:returns_none", "returned None for question 'toy/train"),
        ("tests.training.toy_training:returns_nan", "returned nan for question 'toy/train"),
        ("tests.training.toy_training:returns_few", "returned 1 rewards for 4 completions"),
        ("tests.training.toy_training:nothing", "cannot be imported"),
        (
            "tests.training.toy_training:takes_too_little",
            "unexpected keyword argument 'prompts'.*by keyword",
        ),
        ("nowhere", "unknown; allowed are soft_accuracy, format, pair_consistency"),
    ],
)
def test_a_bad_reward_function_is_named(
    toy: Path, quick: dict[str, Any], tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(toy, GrpoConfig(out=tmp_path / "a", **(quick | {"reward_funcs": (name,)})))


def test_a_reward_function_may_ask_for_the_completions_tokens(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """TRL passes them by the name `completion_ids`: as many as the step's completions are long."""
    asked = {
        "reward_funcs": ("tests.training.toy_training:token_reward",),
        "max_steps": 1,
        "eval_steps": 0,
    }
    out = train(toy, GrpoConfig(out=tmp_path / "a", **(quick | asked)))
    (step,) = read_jsonl(out / "metrics.jsonl", Step)
    mean = step.metrics["completion_length"] / 10
    assert step.reward["tests.training.toy_training:token_reward"] == pytest.approx(mean)
