"""The push from the bias model: guard, controller, direction, and where the divergence enters."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.training.toy_training import OPEN
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.generation.base import generate
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.planning.plan import Choice
from videothinker.records import Sample, Step, read_jsonl
from videothinker.training import sampling, stages
from videothinker.training.stages import train

QUIET = {"eval_steps": 0, "save_steps": 100}
"""Nothing is validated, and a checkpoint written at the end alone."""


def test_the_guard_stops_the_push_and_the_record_says_so(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), **(quick | QUIET)))
    for step in read_jsonl(out / "metrics.jsonl", Step):
        assert step.repulsion == 0
        assert step.guard is not None
        assert "valid format 0.00 < 0.50" in step.guard


@pytest.mark.parametrize("divergence", ["exact", "js", "k2"])
def test_the_controller_follows_the_kl_of_the_step_before(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path, divergence: str
) -> None:
    """Each step's weight from the record of the one before; the divergence trained is another."""
    held = {"schedule": "controller", "repulsion": 0.3, "divergence_target": 0.05}
    settings = quick | QUIET | OPEN | held | {"divergence": divergence}
    settings |= {"max_steps": 6, "learning_rate": 3e-3}
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), **settings))
    steps = read_jsonl(out / "metrics.jsonl", Step)
    for before, after in pairwise(steps):
        wanted = 0.3 * min(1.0, max(-1.0, 1 - before.metrics["kl"] / 0.05))
        assert after.repulsion == pytest.approx(wanted, rel=1e-9)
    assert steps[0].repulsion == pytest.approx(steps[1].repulsion)  # it measured its own batch
    assert len({step.repulsion for step in steps[1:]}) == len(steps[1:])
    assert all(step.divergence is not None for step in steps)
    same = [step.divergence == pytest.approx(step.metrics["kl"]) for step in steps]
    assert all(same) if divergence == "exact" else not any(same)


def test_the_guard_looks_at_the_entropy_of_the_step_before(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """Its limit stands between two steps of a run without a guard, whose entropy falls."""
    plain = {"schedule": "constant", "repulsion": 1e-6, "learning_rate": 3e-3}
    settings = quick | QUIET | plain | {"guard_valid": 0.0, "bias": str(other), "max_steps": 6}
    free = train(toy, CdpoConfig(out=tmp_path / "a", guard=False, **settings))
    entropies = [step.entropy for step in read_jsonl(free / "metrics.jsonl", Step)]
    limit = (entropies[2] + entropies[3]) / 2
    assert min(entropies[:3]) > limit > max(entropies[3:])
    out = train(toy, CdpoConfig(out=tmp_path / "b", guard_entropy=limit, **settings))
    stopped = [step.guard is not None for step in read_jsonl(out / "metrics.jsonl", Step)]
    # the first step looks at its own batch, each later one at the step before
    assert stopped == [True, True, True, True, False, False]


def test_repelling_drives_away_and_attracting_towards_the_bias_model(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    """The sign through the whole line, with no reward to disturb it."""
    plain = {"divergence": "exact", "repulsion": 1.0, "reward_funcs": ("format",), "max_steps": 12}
    last = {}
    for direction in ("repel", "attract"):
        settings = quick | QUIET | plain | OPEN | {"direction": direction, "learning_rate": 3e-3}
        out = train(toy, CdpoConfig(out=tmp_path / direction, bias=str(other), **settings))
        steps = read_jsonl(out / "metrics.jsonl", Step)
        first = steps[0].divergence
        last[direction] = steps[-1].divergence
        assert steps[-1].repulsion == (1 if direction == "repel" else -1)
    assert first is not None
    assert last["attract"] < 0.5 * first
    assert last["repel"] > 10 * first


def test_a_divergence_in_the_reward_drives_away_by_advantages_alone(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    plain = {"divergence": "exact", "repulsion": 1.0, "reward_funcs": ("format",), "max_steps": 12}
    settings = quick | QUIET | plain | OPEN | {"divergence_in": "reward", "learning_rate": 3e-3}
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), **settings))
    steps = read_jsonl(out / "metrics.jsonl", Step)
    assert steps[-1].divergence > 2 * steps[0].divergence
    assert all(step.repulsion == 1 for step in steps)
    # on policy a centred surrogate is worth zero, whatever its gradient; a term in the loss is not
    assert all(abs(step.loss) < 1e-6 for step in steps)


def test_bias_failure_sampling_measures_once_and_records(
    toy: Path,
    other: Path,
    quick: dict[str, Any],
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    together: list[int | None] = []

    def counted(*given: Any, at_once: int | None) -> list[Group]:
        together.append(at_once)
        return generate(*given, at_once=at_once)

    room = Choice(at_once=1, merges=True, recomputes=True)
    monkeypatch.setattr(stages, "check_hardware", lambda *_, **__: room)
    monkeypatch.setattr(sampling, "generate", counted)
    alone = quick | QUIET | {"sampling": "bias-failure", "sampling_rollouts": 2}
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), repulsion=0, **alone))
    samples = read_jsonl(out / "success.jsonl", Sample)
    facts = msgspec.json.decode((out / "run.json").read_bytes())["facts"]
    assert len(samples) == 2 * facts["train_questions"]
    assert set(together) == {1}  # no more prompts at once than the plan has room for
    told = " ".join(capsys.readouterr().err.split())
    asked = f"{facts['train_questions']} questions 2 times"
    assert re.search(f"bias-failure sampling: before step 1 .* {asked}", told)
    assert "draws as uniform does" in told
    assert {sample.model for sample in samples} == {load_policy(other).digest}
    assert facts["drawn_shares"].keys() == facts["labels"].keys()
    assert all(step.divergence is None for step in read_jsonl(out / "metrics.jsonl", Step))
    again = alone | {"success": out / "success.jsonl", "gradient_checkpointing": None}
    capsys.readouterr()
    reused = train(toy, GrpoConfig(out=tmp_path / "b", bias=str(other), **again))
    assert not (reused / "success.jsonl").exists()
    told = " ".join(capsys.readouterr().err.split())
    assert "activations made again in the backward pass" in told  # as the plan chose
    assert "before step 1" not in told
    with pytest.raises(UserError, match="samples of another model"):
        train(toy, GrpoConfig(out=tmp_path / "c", **(again | {"sampling": "base-failure"})))
