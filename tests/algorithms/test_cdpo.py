"""A small softmax policy: the plain repulsion collapses, one that is bounded does not.

Eight tokens, one a completion: 0 takes the shortcut (right on 92.5 % of observational and 3.5 % of
inferential questions), 1 simulates (right on 60 % of both), the others have no valid format. The
bias model loves the shortcut and gives malformed text e-18 of its weight, as a trained model does.
Rewards are accuracy plus format, 24 prompts x 8 completions, Adam at 0.05, 300 steps.

k3 and js do not collapse there, their force on a token being bounded. They do where most tokens are
thoughts that no reward looks at, drawn by the same weights as the answer, and where the bias model
answers as the policy does, so that the only way away from it is malformed text.
"""

from itertools import repeat
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


def play(*configs: CdpoConfig, thoughts: int = 0, bias_V: torch.Tensor = BIAS) -> torch.Tensor:
    """Share of valid completions after each of 300 steps, of a policy a config [W, steps].

    The last token is the answer. The configs are of one divergence, and each draws as if alone.
    """
    streams = [torch.Generator().manual_seed(0) for _ in configs]
    logits_WV = BASE.repeat(len(configs), 1).requires_grad_()
    adam = torch.optim.Adam([logits_WV], lr=0.05)
    shape = (len(configs), PROMPTS * GROUP, thoughts + 1)
    weights = torch.full(shape[1:], 1 / PROMPTS / GROUP / (thoughts + 1))
    chosen = DIVERGENCES[configs[0].divergence]
    bias_WV = bias_V.repeat(len(configs), 1)
    last_W, valid = None, []
    for _ in range(300):
        logps_WV = logits_WV.log_softmax(-1)
        tokens = torch.stack(list(map(draw, logps_WV.detach().exp(), streams, repeat(thoughts))))
        judged = [judge(one[..., -1], rng) for one, rng in zip(tokens, streams, strict=True)]
        tokens = tokens.view(len(configs), -1)
        logps = logps_WV.gather(1, tokens).view(-1, thoughts + 1)
        bias = bias_WV.gather(1, tokens).view(-1, thoughts + 1)
        if chosen.whole_vocabulary:
            value = chosen.function(logps_WV, bias_WV)[:, None, None].expand(shape)
            kl_W = objective.exact_kl(logps_WV, bias_WV).tolist()
        else:
            value = chosen.function(logps, bias, logps.detach()).view(shape)
            kl_W = objective.sampled_kl(logps, bias, logps).view(shape).mean((1, 2)).tolist()
        entropy_W = (-(logps_WV.exp() * logps_WV).sum(-1)).tolist()
        ratio, advantages = objective.token_ratio(logps, logps), torch.cat([a for a, _ in judged])
        surrogate = objective.clipped_surrogate(ratio, advantages, epsilon=0.2, epsilon_high=0.28)
        signs = map(Signs, [formed for _, formed in judged], entropy_W, last_W or kl_W)
        last_W = kl_W
        pushes = [config.weigh(seen)[0] for config, seen in zip(configs, signs, strict=True)]
        terms = zip(surrogate.view(shape), value, pushes, strict=True)
        losses = [objective.cdpo_loss(s, v, weights, repulsion=push) for s, v, push in terms]
        adam.zero_grad()
        torch.stack(losses).sum().backward()
        adam.step()
        valid.append(logits_WV.detach().softmax(-1)[:, :2].sum(-1))
    return torch.stack(valid, dim=1)


def draw(probabilities_V: torch.Tensor, rng: torch.Generator, thoughts: int) -> torch.Tensor:
    """Tokens of all prompts' completions."""
    draws = GROUP * (thoughts + 1)
    probabilities_BV = probabilities_V.expand(PROMPTS, -1)
    tokens = torch.multinomial(probabilities_BV, draws, replacement=True, generator=rng)
    return tokens.view(PROMPTS, GROUP, thoughts + 1)


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
    plain = [settings(**PLAIN, repulsion=one, divergence=divergence) for one in (0.3, 1.0)]
    assert play(*plain)[:, -50:].max() < 0.01


@pytest.mark.parametrize("divergence", list(DIVERGENCES))
def test_the_controller_does_not(divergence: str) -> None:
    """On the whole axis, unrescaled; the weight in force is clamped to +-repulsion."""
    controlled = {"schedule": "controller", "divergence": divergence, "guard": False}
    assert play(*(settings(**controlled, repulsion=one) for one in WEIGHTS)).min() > 0.9


@pytest.mark.parametrize("divergence", ["k3", "js"])
def test_a_bounded_force_collapses_where_thoughts_are_free(divergence: str) -> None:
    """At 0.3 and 1 of the axis, with 31 thoughts an answer."""
    plain = [settings(**PLAIN, repulsion=one, divergence=divergence) for one in (0.3, 1.0)]
    assert play(*plain, thoughts=31, bias_V=ALIKE)[:, -50:].max() < 0.01


def test_a_bounded_repulsion_does_not_collapse_there() -> None:
    """Exact divergence, controller and guard: on the whole axis, unrescaled."""
    bounded = [settings(**BOUNDED, repulsion=one) for one in WEIGHTS]
    assert play(*bounded, thoughts=31, bias_V=ALIKE).min() > 0.85


@pytest.mark.parametrize("thoughts", [0, 31])
def test_the_default_is_the_papers_with_a_guard_and_does_not_collapse(thoughts: int) -> None:
    default = settings()
    told = (default.divergence, default.repulsion, default.schedule, default.guard)
    assert told == ("k3", 0.01, "constant", True)
    assert play(default, thoughts=thoughts, bias_V=ALIKE if thoughts else BIAS).min() > 0.85
