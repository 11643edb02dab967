"""What the loop hands from the settings to the arithmetic: each value in its own place."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from videothinker.algorithms.base import Objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.processes import Processes
from videothinker.training import loop
from videothinker.training.loop import Loop, Progress, advantages_of, decide, learning_rate
from videothinker.training.rewards import weighted
from videothinker.training.rollouts import Batch, Scored
from videothinker.training.step import Sums

PUSH: dict[str, Any] = {"guard_valid": 0.0, "guard_entropy": 9.0}


def config(**changes: Any) -> CdpoConfig:
    return CdpoConfig(**({"model": "m", "out": Path("o"), "bias": "b"} | changes))


def scored(item: int, *, valid: int = 2, kind: str = "a") -> Scored:
    flags = [number < valid for number in range(2)]
    rewards, cut = [0.0, 1.0], [False] * 2
    return Scored(item, f"q{item}", kind, "inferential", [rewards], flags, cut, [3, 4], rewards)


def batch(*rows: Scored, rewards: list[list[float]] | None = None) -> Batch:
    table = torch.tensor(rewards or [[0.0, 1.0]] * len(rows), dtype=torch.float64)
    return Batch(list(rows), {}, table, list(rows))


def decided(given: CdpoConfig, *, divergence: float, entropy: float = 1.0, valid: int = 2):
    processes = SimpleNamespace(main=False, size=1)
    parts = cast("Loop", SimpleNamespace(config=given, bias=object(), processes=processes))
    return decide(parts, batch(scored(0, valid=valid)), Progress(3, 6, entropy, divergence))


def test_the_objective_is_the_settings() -> None:
    settings = {"epsilon": 0.11, "epsilon_high": 0.66, "temperature": 0.7, "loss_type": "dapo"}
    found, guard = decided(config(**settings, divergence="js", **PUSH), divergence=0.1)
    assert {name: getattr(found, name) for name in settings} == settings
    assert found.divergence == "js"
    assert guard is None


@pytest.mark.parametrize(
    ("changes", "divergence", "weight"),
    [
        ({"schedule": "controller", "repulsion": 0.2, "divergence_target": 0.5}, 0.1, 0.16),
        ({"schedule": "controller", "repulsion": 0.2, "divergence_target": 0.5}, 0.75, -0.1),
        ({"repulsion": 0.2, "schedule": "constant"}, 0.75, 0.2),
        ({"repulsion": 0.2, "schedule": "constant", "direction": "attract"}, 0.75, -0.2),
    ],
)
def test_the_weight_in_force(changes: dict[str, Any], divergence: float, weight: float) -> None:
    found, _ = decided(config(**changes, **PUSH), divergence=divergence)
    assert found.repulsion == pytest.approx(weight)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"divergence": 0.1, "valid": 0}, "valid format 0.00"),
        ({"divergence": 0.1, "entropy": 3.5}, "entropy 3.50"),
        ({"divergence": 4.5}, "divergence 4.50"),
    ],
)
def test_the_guard_sees_each_of_its_three_signs(state: dict[str, Any], word: str) -> None:
    found, guard = decided(config(schedule="constant"), **state)
    assert found.repulsion == 0
    assert guard is not None
    assert word in guard


def test_the_guard_can_be_switched_off() -> None:
    """As in the paper, which has none: every sign broken, and the push stands."""
    broken = {"divergence": 9.0, "entropy": 9.0, "valid": 0}
    plain = {"schedule": "constant", "repulsion": 0.01}
    stopped, words = decided(config(**plain), **broken)
    pushed, none = decided(config(**plain, guard=False), **broken)
    assert (stopped.repulsion, pushed.repulsion) == (0, 0.01)
    assert words is not None
    assert none is None


def test_advantages_belong_to_their_groups() -> None:
    rows = batch(scored(4), scored(7, kind="b"), rewards=[[0.0, 2.0], [9.0, 5.0]])
    found = advantages_of(rows, config(scale_rewards="none"))
    assert {item: values.tolist() for item, values in found.items()} == {4: [-1, 1], 7: [2, -2]}
    normed = advantages_of(rows, config())
    assert normed[4].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5], rel=1e-3)
    assert normed[7].tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)], rel=1e-3)


def test_the_update_hands_over_advantages_counts_and_the_clip_of_the_norm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The groups here are not in the order of the rows: each must get its own advantages."""
    seen: list[tuple[Any, Any]] = []

    def accumulate(*args: Any, **kwargs: Any) -> Sums:
        seen.append((args, kwargs))
        kwargs["old_logps"].setdefault(0, "kept")
        return Sums(loss=2.0, tokens=7.0, entropy=3.5, divergence=700.0, kl=1.4)

    class Optimizer(SimpleNamespace):
        clipped: tuple[float, ...] = ()
        stepped: tuple[float, ...] = ()

        def clip(self, limit: float) -> float:
            self.clipped += (limit,)
            return 1.0

        def step(self, lr: float) -> None:
            self.stepped += (lr,)

    monkeypatch.setattr(loop, "accumulate_gradients", accumulate)
    optimizer = Optimizer(zero=lambda: None, gradients=list)
    given = config(scale_rewards="none", num_iterations=2, max_grad_norm=3.5, learning_rate=0.25)
    alone = Processes(0, 1, torch.device("cpu"))
    parts = SimpleNamespace(
        config=given, policy=None, bias=None, optimizer=optimizer, processes=alone, idle=None
    )
    rows = batch(scored(4), scored(7), rewards=[[0.0, 2.0], [9.0, 5.0]])
    rows.groups = cast("Any", {7: "seven", 4: "four"})
    progress = Progress(3, 6, entropy=9.0, divergence=9.0)
    total, extra = loop.update(cast("Loop", parts), rows, Objective(), progress)
    for args, kwargs in seen:
        assert args[2] == ["four", "seven"]
        assert [values.tolist() for values in args[3]] == [[-1, 1], [2, -2]]
        assert kwargs["backwards"] == 2
        assert (kwargs["completions"], kwargs["tokens"]) == (4, 14)
    assert [kwargs["old_logps"] for _, kwargs in seen] == [{0: "kept"}] * 2
    assert seen[0][1]["old_logps"] is seen[1][1]["old_logps"]
    assert (optimizer.clipped, optimizer.stepped) == ((3.5, 3.5), (0.25, 0.25))
    assert (total.loss, extra["grad_norm"]) == (2.0, 1.0)
    # what the next step's controller and guard look at: KL and entropy, not the trained divergence
    assert (progress.divergence, progress.entropy) == (pytest.approx(0.2), 0.5)


def test_the_learning_rate_falls_to_zero_where_linear() -> None:
    linear = config(lr_scheduler_type="linear", learning_rate=0.4, max_steps=4)
    assert [learning_rate(linear, done) for done in range(4)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert learning_rate(config(learning_rate=0.4, max_steps=4), 3) == 0.4


def test_rewards_are_weighed_as_set() -> None:
    rewards_RG = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert weighted(rewards_RG, (2.0, 0.5)) == [2.0, 0.5]
    assert weighted(rewards_RG, None) == [1.0, 1.0]
