"""Groups and steps without a signal, and losses that are no numbers."""

from pathlib import Path
from typing import Any

import pytest

from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.models.catalog import load_policy
from videothinker.records import Step, read_jsonl
from videothinker.training import loop
from videothinker.training.data import load_training_set
from videothinker.training.sampling import uniform_stream
from videothinker.training.stages import train


def test_dynamic_sampling_drops_groups_without_signal_and_refills(
    toy: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Counted along the stream, which goes on after the dropped: odd questions have a signal."""
    rewards = {"reward_funcs": ("tests.training.toy_training:odd_only",)}
    config = BiasConfig(out=tmp_path / "bias", **(quick | rewards))
    draw, place = uniform_stream(load_training_set(toy, config).train, config.seed), 0
    expected: list[tuple[int, int]] = []
    for _ in range(config.max_steps):
        first, kept = place, 0
        while kept < 3:
            missing = range(place, place + 3 - kept)
            kept += sum(int(draw(number).id[-1]) % 2 for number in missing)
            place = missing.stop
        expected.append((place - first, place - first - 3))
    steps = read_jsonl(train(toy, config) / "metrics.jsonl", Step)
    assert [(step.metrics["drawn"], step.dropped_groups) for step in steps] == expected
    assert sum(dropped for _, dropped in expected) > 0
    assert all(step.metrics["groups"] == 3 for step in steps)
    kept_all = train(toy, GrpoConfig(out=tmp_path / "grpo", **(quick | rewards)))
    for step in read_jsonl(kept_all / "metrics.jsonl", Step):
        assert step.metrics["drawn"] == step.metrics["groups"] == 3


def test_a_step_without_any_signal_changes_nothing(
    toy: Path, base: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    rewards = {"reward_funcs": ("format",), "max_refills": 1, "max_steps": 2, "eval_steps": 0}
    out = train(toy, BiasConfig(out=tmp_path / "bias", **(quick | rewards)))
    assert load_policy(out / "model").digest == load_policy(base).digest
    step = read_jsonl(out / "metrics.jsonl", Step)[0]
    assert (step.loss, step.dropped_groups, step.metrics["groups"]) == (0, 6, 0)
    assert step.entropy is None


def test_a_loss_that_is_not_a_number_is_skipped_counted_and_stops_the_run(
    toy: Path,
    quick: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    accumulate, calls = loop.accumulate_gradients, []

    def spoil(*args: Any, **kwargs: Any) -> Any:
        sums = accumulate(*args, **kwargs)
        calls.append(sums)
        if len(calls) in spoiled:
            sums.loss = float("nan")
        return sums

    monkeypatch.setattr(loop, "accumulate_gradients", spoil)
    spoiled = {1, 2}
    out = train(toy, GrpoConfig(out=tmp_path / "a", **quick))
    steps = read_jsonl(out / "metrics.jsonl", Step)
    assert [step.metrics["skipped"] for step in steps] == [1, 1, 0, 0]
    assert [step.entropy is None for step in steps] == [True, True, False, False]
    assert "step 1: loss or gradient is not a number" in " ".join(capsys.readouterr().err.split())
    assert load_policy(out / "checkpoints/step-2").digest == load_policy(quick["model"]).digest
    calls.clear()
    spoiled = {1, 2, 3}
    with pytest.raises(UserError, match="3 steps in a row"):
        train(toy, GrpoConfig(out=tmp_path / "b", **quick))
