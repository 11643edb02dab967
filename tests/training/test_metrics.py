"""docs/metrics.md defines every name a run logs, and no other."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.algorithms.test_base import rows_of
from videothinker.algorithms.base import Objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.records import Step, read_jsonl
from videothinker.training.metrics import flat, step_record
from videothinker.training.rollouts import Batch, Scored
from videothinker.training.stages import train
from videothinker.training.step import Sums

CLOCK = {"seconds", "completion_tokens_per_second", "waited_for_videos"}
LABELS = ("observational", "inferential", "unlabelled")


def general(name: str) -> str:
    """`reward/inferential` -> `reward/<label>`; `reward/format` -> `reward/<function>`."""
    kind, slash, last = name.partition("/")
    if not slash:
        return name
    label, comma, _ = last.partition(", ")
    ending = ", <part>" if comma else ""
    return f"{kind}/<label>{ending}" if label in LABELS else f"{kind}/<function>"


def test_logged_and_documented_names_are_the_same(
    toy: Path, other: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    out = train(toy, CdpoConfig(out=tmp_path / "a", bias=str(other), **quick))
    logged: set[str] = set()
    for step in read_jsonl(out / "metrics.jsonl", Step):
        fields = set(step.__struct_fields__) - {"reward", "metrics"}
        logged |= fields | {f"reward/{name}" for name in step.reward} | set(step.metrics)
        tracked = set(flat(step, 2.0, 0.5)) - CLOCK
        assert tracked <= logged
    documented = {row[0].strip("`") for row in rows_of("metrics.md")}
    assert {general(name) for name in logged} == documented


def test_speed_counts_completion_tokens() -> None:
    step = Step(step=1, loss=0.0, metrics={"completions": 4.0, "completion_length": 5.0})
    assert flat(step, 2.0, 0.5)["completion_tokens_per_second"] == 10
    assert flat(step, 2.0, 0.5)["waited_for_videos"] == 0.25


def group(label: str, rewards: list[float], *, valid: bool, item: int = 0) -> Scored:
    flags, cut = [valid] * 2, [False, True]
    return Scored(item, "q", "type", label, [rewards], flags, cut, [3, 5], rewards)


def record(batch: Batch, objective: Objective, sums: Sums) -> Step:
    return step_record(1, batch, ["r"], objective, sums, guard=None, extra={}, accuracy={})


def test_dropped_groups_count_in_what_is_said_of_completions() -> None:
    """Dynamic sampling dropped two of three groups: their completions were drawn all the same."""
    kept = group("inferential", [0.0, 1.0], valid=False)
    dropped = [group("observational", [1.0, 1.0], valid=True, item=n) for n in (1, 2)]
    batch = Batch([kept], {}, torch.zeros(1, 2), [kept, *dropped])
    told = record(batch, Objective(), Sums())
    assert told.reward == {"r": pytest.approx(5 / 6)}
    assert told.valid == pytest.approx(2 / 3)
    assert told.dropped_groups == 2
    assert told.metrics == {
        "groups": 1,
        "completions": 6,
        "drawn": 3,
        "completion_length": 4,
        "truncated": 0.5,
        "reward/inferential": 0.5,
        "share/inferential": pytest.approx(1 / 3),
        "reward/observational": 1.0,
        "share/observational": pytest.approx(2 / 3),
    }


@pytest.mark.parametrize("divergence", [None, "exact"])
def test_a_step_without_an_update_measured_nothing(divergence: Any) -> None:
    """A loss that is not a number leaves no sums: zero would read as a collapse."""
    objective = Objective(divergence=divergence, repulsion=0.1)
    batch = Batch(rolled_out=[group("observational", [1.0, 1.0], valid=True)])
    skipped = record(batch, objective, Sums())
    assert (skipped.divergence, skipped.entropy) == (None, None)
    assert "clip_share" not in skipped.metrics
    assert "kl" not in skipped.metrics
    sums = Sums(tokens=4.0, entropy=2.0, divergence=1.0, kl=3.0, clipped=0.0)
    made = record(batch, objective, sums)
    assert made.metrics.get("kl") == (0.75 if divergence else None)
    assert (made.divergence, made.entropy) == (0.25 if divergence else None, 0.5)
    assert made.metrics["clip_share"] == 0
