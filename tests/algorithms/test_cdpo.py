"""A small softmax policy: the plain repulsion collapses, one that is bounded does not.

Eight tokens, one a completion: 0 takes the shortcut (right on 92.5 % of observational and 3.5 % of
inferential questions), 1 simulates (right on 60 % of both), the others have no valid format. The
bias model loves the shortcut and gives malformed text e-18 of its weight, as a trained model does.
Rewards are accuracy plus format, 24 prompts x 8 completions, Adam at 0.05, 300 steps.

k3 and js do not collapse there, their force on a token being bounded. They do where most tokens are
thoughts that no reward looks at, drawn by the same weights as the answer, and where the bias model
answers as the policy does, so that the only way away from it is malformed text.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from videothinker.algorithms import objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.choices import DIVERGENCES
from videothinker.algorithms.control import Signs

PROMPTS, GROUP, MALFORMED = 24, 8, 6
BASE = torch.tensor([1.0, 0.8] + [-3.0] * MALFORMED)
BIAS = torch.tensor([4.0, 0.0] + [-14.0] * MALFORMED).log_softmax(0)
ALIKE = torch.tensor([1.0, 0.8] + [-8.0] * MALFORMED).log_softmax(0)
PLAIN = {"schedule": "constant", "guard": False}
"""As in the paper."""
BOUNDED = {"schedule": "controller", "divergence": "exact"}
WEIGHTS = (0.01, 0.1, 0.3, 1.0)


def settings(**changes: Any) -> CdpoConfig:
    """The trainer's own defaults, but for `changes`."""
    return CdpoConfig(**({"model": "m", "out": Path("o"), "bias": "b"} | changes))


def play(config: CdpoConfig, *, thoughts: int = 0, bias_V: torch.Tensor = BIAS) -> torch.Tensor:
    """Share of valid completions after each of 300 steps; the last token is the answer."""
    rng = torch.Generator().manual_seed(0)
    logits = BASE.clone().requires_grad_()
    adam = torch.optim.Adam([logits], lr=0.05)
    shape = (PROMPTS * GROUP, thoughts + 1)
    weights = torch.full(shape, 1 / PROMPTS / GROUP / (thoughts + 1))
    chosen = DIVERGENCES[config.divergence]
    last, valid = None, []
    for _ in range(300):
        logps_V = logits.log_softmax(0)
        probabilities_BV = logps_V.detach().exp().expand(PROMPTS, -1)
        draws = GROUP * (thoughts + 1)
        tokens = torch.multinomial(probabilities_BV, draws, replacement=True, generator=rng)
        tokens = tokens.view(PROMPTS, GROUP, thoughts + 1)
        advantages, formed = judge(tokens[..., -1], rng)
        logps, bias = logps_V[tokens].view(shape), bias_V[tokens].view(shape)
        if chosen.whole_vocabulary:
            value = chosen.function(logps_V[None], bias_V[None]).expand(shape)
            kl = objective.exact_kl(logps_V[None], bias_V[None]).item()
        else:
            value = chosen.function(logps, bias, logps.detach())
            kl = objective.sampled_kl(logps, bias, logps).mean().item()
        entropy = -(logps_V.exp() * logps_V).sum().item()
        measured = kl if last is None else last
        push, _ = config.weigh(Signs(valid=formed, entropy=entropy, divergence=measured))
        last = kl
        ratio = objective.token_ratio(logps, logps)
        surrogate = objective.clipped_surrogate(ratio, advantages, epsilon=0.2, epsilon_high=0.28)
        adam.zero_grad()
        objective.cdpo_loss(surrogate, value, weights, repulsion=push).backward()
        adam.step()
        valid.append(logits.softmax(0)[:2].sum().item())
    return torch.tensor(valid)


def judge(answers_BG: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, float]:
    """Advantages of accuracy plus format, and the share of valid answers."""
    inferential = torch.rand(PROMPTS, 1, generator=rng) < 0.1
    shortcut = torch.where(inferential, 0.035, 0.925)
    chance = torch.where(answers_BG == 0, shortcut, torch.where(answers_BG == 1, 0.6, 0.0))
    right = torch.rand(PROMPTS, GROUP, generator=rng) < chance
    formed = (answers_BG < 2).float()
    return objective.group_advantages(right.float() + formed).flatten(), formed.mean().item()


@pytest.mark.parametrize("divergence", ["rho_k3", "k2", "exact"])
def test_the_plain_form_collapses(divergence: str) -> None:
    """At 0.3 and 1 of the axis .01 to 1: not one valid completion is left."""
    for weight in (0.3, 1.0):
        plain = settings(**PLAIN, repulsion=weight, divergence=divergence)
        assert play(plain)[-50:].max() < 0.01


@pytest.mark.parametrize("divergence", list(DIVERGENCES))
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_controller_does_not(divergence: str, weight: float) -> None:
    """On the whole axis, unrescaled; the weight in force is clamped to +-repulsion."""
    controlled = {"schedule": "controller", "divergence": divergence}
    alone = settings(**controlled, repulsion=weight, guard=False)
    assert play(alone).min() > 0.9


@pytest.mark.parametrize("divergence", ["k3", "js"])
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_a_bounded_force_collapses_where_thoughts_are_free(divergence: str, weight: float) -> None:
    """At 0.3 and 1 of the axis, with 31 thoughts an answer."""
    plain = settings(**PLAIN, repulsion=weight, divergence=divergence)
    assert play(plain, thoughts=31, bias_V=ALIKE)[-50:].max() < 0.01


@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_bounded_repulsion_does_not_collapse_there(weight: float) -> None:
    """Exact divergence, controller and guard: on the whole axis, unrescaled."""
    bounded = settings(**BOUNDED, repulsion=weight)
    assert play(bounded, thoughts=31, bias_V=ALIKE).min() > 0.85


@pytest.mark.parametrize("thoughts", [0, 31])
def test_the_default_is_the_papers_with_a_guard_and_does_not_collapse(thoughts: int) -> None:
    default = settings()
    told = (default.divergence, default.repulsion, default.schedule, default.guard)
    assert told == ("k3", 0.01, "constant", True)
    assert play(default, thoughts=thoughts, bias_V=ALIKE if thoughts else BIAS).min() > 0.85
