"""Controller and guard: by hand, and against the bounded objective that the controller climbs."""

import math
from dataclasses import replace

import pytest
import torch

from videothinker.algorithms.control import Signs, controlled, guarded
from videothinker.algorithms.objective import exact_kl

F64 = torch.float64


def test_controller_by_hand() -> None:
    assert controlled(0.3, 0.0, 0.4) == pytest.approx(0.3)
    assert controlled(0.3, 0.2, 0.4) == pytest.approx(0.15)
    assert controlled(0.3, 0.4, 0.4) == pytest.approx(0.0)
    assert controlled(0.3, 0.6, 0.4) == pytest.approx(-0.15)
    assert controlled(0.3, 99.0, 0.4) == pytest.approx(-0.3)


def test_the_controller_climbs_a_bounded_objective() -> None:
    # d/dtheta beta0 (D - D^2 / (2 target)) = beta0 (1 - D / target) dD/dtheta
    bias = torch.tensor([2.0, 0.0, -1.0], dtype=F64).log_softmax(-1)
    logits = torch.tensor([1.0, 0.5, 0.0], dtype=F64, requires_grad=True)
    divergence = exact_kl(logits.log_softmax(-1), bias)
    (slope,) = torch.autograd.grad(divergence, logits, retain_graph=True)
    bounded = 0.3 * (divergence - divergence**2 / (2 * 0.4))
    (expected,) = torch.autograd.grad(bounded, logits)
    torch.testing.assert_close(controlled(0.3, divergence.item(), 0.4) * slope, expected)


WELL = Signs(valid=0.9, entropy=1.0, divergence=0.5)
LIMITS = Signs(valid=0.5, entropy=3.0, divergence=4.0)


def test_guard_leaves_a_healthy_step_alone() -> None:
    assert guarded(0.3, WELL, LIMITS) == (0.3, None)


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"valid": 0.4}, "valid format 0.40 < 0.50"),
        ({"entropy": 3.5}, "entropy 3.50 > 3.00"),
        ({"divergence": 5.0}, "divergence 5.00 > 4.00"),
        ({"divergence": math.nan}, "divergence nan"),
    ],
)
def test_guard_stops_the_push_and_says_why(broken: dict[str, float], word: str) -> None:
    weight, text = guarded(0.3, replace(WELL, **broken), LIMITS)
    assert weight == 0
    assert text is not None
    assert text.startswith("repulsion 0.3 set to 0: ")
    assert word in text
    assert guarded(-0.3, replace(WELL, **broken), LIMITS) == (-0.3, None)
