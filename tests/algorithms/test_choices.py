"""Every divergence's gradient against the exact expectation over a small vocabulary, in float64.

For logits theta, the expected gradient of a sampled-token loss f is sum_v pi(v) d f(v) / d theta,
with pi(v) not differentiated: that is what on-policy training follows in the mean.
"""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from videothinker.algorithms import objective
from videothinker.algorithms.choices import DIVERGENCES

F64 = torch.float64
SAMPLED = [name for name, chosen in DIVERGENCES.items() if not chosen.whole_vocabulary]
WHOLE = [name for name, chosen in DIVERGENCES.items() if chosen.whole_vocabulary]


def pair(seed: int, vocabulary: int = 7) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(vocabulary, dtype=F64, generator=rng, requires_grad=True)
    bias = (1.5 * torch.randn(vocabulary, dtype=F64, generator=rng)).log_softmax(-1)
    return logits, bias


def expected_gradient(name: str, logits: Tensor, bias: Tensor) -> Tensor:
    logps = logits.log_softmax(-1)
    values = DIVERGENCES[name].function(logps[None], bias[None], logps.detach()[None])[0]
    (gradient,) = torch.autograd.grad((logps.detach().exp() * values).sum(), logits)
    return gradient


def reverse(logits: Tensor, bias: Tensor) -> Tensor:
    """KL(pi || bias), from the definition."""
    p = torch.softmax(logits, -1)
    (gradient,) = torch.autograd.grad((p * torch.log(p / bias.exp())).sum(), logits)
    return gradient


def forward(logits: Tensor, bias: Tensor) -> Tensor:
    """KL(bias || pi), from the definition."""
    p, q = torch.softmax(logits, -1), bias.exp()
    (gradient,) = torch.autograd.grad((q * torch.log(q / p)).sum(), logits)
    return gradient


@pytest.mark.parametrize("seed", range(5))
def test_plain_k3_follows_the_forward_divergence(seed: int) -> None:
    logits, bias = pair(seed)
    got = expected_gradient("k3", logits, bias)
    torch.testing.assert_close(got, forward(logits, bias), rtol=1e-12, atol=1e-14)
    assert (got - reverse(logits, bias)).norm() > 0.05 * got.norm()


@pytest.mark.parametrize("name", ["rho_k3", "k2"])
@pytest.mark.parametrize("seed", range(5))
def test_rho_k3_and_k2_follow_the_papers_formula(name: str, seed: int) -> None:
    logits, bias = pair(seed)
    torch.testing.assert_close(
        expected_gradient(name, logits, bias), reverse(logits, bias), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("seed", range(5))
def test_exact_is_the_papers_formula(seed: int) -> None:
    logits, bias = pair(seed)
    value = objective.exact_kl(logits.log_softmax(-1)[None], bias[None]).sum()
    (gradient,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(gradient, reverse(logits, bias), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_jensen_shannon_from_its_definition(seed: int) -> None:
    logits, bias = pair(seed)
    p, q = torch.softmax(logits, -1), bias.exp()
    m = (p + q) / 2
    wanted = ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
    got = objective.jensen_shannon(logits.log_softmax(-1)[None], bias[None]).sum()
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(got, logits)[0], torch.autograd.grad(wanted, logits)[0]
    )
    assert got < math.log(2)


def test_jensen_shannon_is_at_most_log_two() -> None:
    far = torch.tensor([[50.0, 0.0]], dtype=F64).log_softmax(-1)
    near = torch.tensor([[0.0, 50.0]], dtype=F64).log_softmax(-1)
    assert objective.jensen_shannon(far, near).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", SAMPLED)
def test_values_on_two_tokens_by_hand(name: str) -> None:
    # p = (1/2, 1/8), bias = (1/4, 1/4): d = (-log 2, log 2)
    logps = torch.tensor([[0.5, 0.125]], dtype=F64).log()
    bias = torch.tensor([[0.25, 0.25]], dtype=F64).log()
    d = math.log(2)
    wanted = {
        "k3": [0.5 + d - 1, 2 - d - 1],
        "rho_k3": [0.5 + d - 1, 2 - d - 1],
        "k2": [d * d / 2, d * d / 2],
    }[name]
    assert DIVERGENCES[name].function(logps, bias, logps)[0].tolist() == pytest.approx(wanted)


def test_all_are_zero_where_the_models_agree() -> None:
    logps = torch.randn(3, 5, dtype=F64).log_softmax(-1)
    for name in SAMPLED:
        assert DIVERGENCES[name].function(logps, logps, logps).abs().max() < 1e-12
    for name in WHOLE:
        assert DIVERGENCES[name].function(logps, logps).abs().max() < 1e-12


def test_the_mean_of_k3_estimates_the_divergence() -> None:
    logits, bias = pair(3)
    logps = logits.detach().log_softmax(-1)
    mean = (logps.exp() * objective.k3(logps[None], bias[None])[0]).sum()
    torch.testing.assert_close(mean, objective.exact_kl(logps[None], bias[None])[0])


@pytest.mark.parametrize("seed", range(5))
def test_the_sampled_estimate_has_the_divergences_expectation(seed: int) -> None:
    """Drawn by the policy itself, and by an earlier one; from the definition."""
    logits, bias = pair(seed)
    logps = logits.log_softmax(-1)
    p, q = logps.detach().exp(), bias.exp()
    wanted = (p * (p / q).log()).sum().item()
    for old in (logps.detach(), (logps.detach() + 0.7 * pair(seed + 9)[1]).log_softmax(-1)):
        values = objective.sampled_kl(logps[None], bias[None], old[None])[0]
        assert not values.requires_grad
        assert (old.exp() * values).sum().item() == pytest.approx(wanted, rel=1e-12)


def test_k2_and_jensen_shannon_are_other_numbers() -> None:
    """Why the controller and the guard need an estimate of their own."""
    logits, bias = pair(3)
    logps = logits.detach().log_softmax(-1)
    kl = objective.exact_kl(logps[None], bias[None]).item()
    half_square = (logps.exp() * objective.k2(logps[None], bias[None])[0]).sum().item()
    assert abs(half_square - kl) > 0.2 * kl
    assert objective.jensen_shannon(logps[None], bias[None]).item() < 0.5 * kl


def test_the_sampled_estimate_on_two_tokens_by_hand() -> None:
    # p = (1/2, 1/8), old = (1/4, 1/8), bias = (1/4, 1/4): ratios (2, 1), log ratios (log 2, -log 2)
    tables = ([0.5, 0.125], [0.25, 0.25], [0.25, 0.125])
    logps, bias, old = (torch.tensor([row], dtype=F64).log() for row in tables)
    wanted = [2 * math.log(2), -math.log(2)]
    assert objective.sampled_kl(logps, bias, old)[0].tolist() == pytest.approx(wanted)


def test_the_force_of_k3_at_its_clamp() -> None:
    """The measured worst case: 59,873 on one token just inside, nothing beyond."""
    logps = torch.tensor([[-11.0 + 1e-9, -12.0]], dtype=F64, requires_grad=True)
    objective.k3(logps, torch.zeros(1, 2, dtype=F64)).sum().backward()
    assert logps.grad is not None
    inside, beyond = logps.grad[0].tolist()
    assert inside == pytest.approx(1 - math.exp(11), rel=1e-6)
    assert round(inside) == -59873
    assert beyond == 0


def test_the_bias_model_gets_no_gradient() -> None:
    logps = torch.randn(2, 5, dtype=F64).log_softmax(-1)
    for name in SAMPLED:
        bias = torch.randn(2, 5, dtype=F64, requires_grad=True)
        assert not DIVERGENCES[name].function(logps, bias.log_softmax(-1), logps).requires_grad
    for name in WHOLE:
        bias = torch.randn(2, 5, dtype=F64, requires_grad=True)
        assert not DIVERGENCES[name].function(logps, bias.log_softmax(-1)).requires_grad


SOURCE = Path(__file__).resolve().parents[2] / "src" / "videothinker"
VARIATION = """

def total_variation(logps_NV: Tensor, bias_logps_NV: Tensor) -> Tensor:
    \"\"\"Half the summed difference of the probabilities.\"\"\"
    return (logps_NV.exp() - bias_logps_NV.detach().exp()).abs().sum(dim=-1) / 2
"""
LINE = '    "tv": Divergence("total_variation", whole_vocabulary=True),\n'
ASKED = """
from pathlib import Path
import torch
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.choices import DIVERGENCES
name = CdpoConfig(model="m", out=Path("o"), bias="b", divergence="tv").objective().divergence
chosen = DIVERGENCES[name]
rows = torch.tensor([[0.75, 0.25]]).log(), torch.tensor([[0.5, 0.5]]).log()
print(chosen.whole_vocabulary, chosen.function(*rows).item())
"""


def test_a_divergence_is_added_by_one_function_and_one_line(tmp_path: Path) -> None:
    """The steps of CONTRIBUTING.md, followed in a copy of the source; its value by hand."""
    shutil.copytree(SOURCE, tmp_path / "videothinker", ignore=shutil.ignore_patterns("__pycache__"))
    algorithms = tmp_path / "videothinker" / "algorithms"
    with (algorithms / "objective.py").open("a") as file:
        file.write(VARIATION)
    table = (algorithms / "choices.py").read_text()
    last = table[: table.index('    "js":')]
    (algorithms / "choices.py").write_text(last + LINE + table[len(last) :])
    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "0.25"]
