"""A small softmax policy: the plain repulsion collapses, the default (controller) does not.

Eight tokens, one a completion: 0 takes the shortcut (right on 92.5 % of observational and 3.5 % of
inferential questions), 1 simulates (right on 60 % of both), the others have no valid format. The
bias model loves the shortcut and gives malformed text e-18 of its weight, as a trained model does.
Rewards are accuracy plus format, 24 prompts x 8 completions, Adam at 0.05, 300 steps.
"""

import pytest
import torch

from videothinker import cdpo

PROMPTS, GROUP, MALFORMED = 24, 8, 6
BASE = torch.tensor([1.0, 0.8] + [-3.0] * MALFORMED)
BIAS = torch.tensor([4.0, 0.0] + [-14.0] * MALFORMED).log_softmax(0)
WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0)


def play(weight: float, divergence: str, schedule: str, *, seed: int = 0) -> torch.Tensor:
    """Share of valid completions after each of 300 steps."""
    rng = torch.Generator().manual_seed(seed)
    logits = BASE.clone().requires_grad_()
    adam = torch.optim.Adam([logits], lr=0.05)
    count = PROMPTS * GROUP
    weights = torch.full((count, 1), 1 / count)
    last, valid = None, []
    for _ in range(300):
        logps_V = logits.log_softmax(0)
        probabilities = logps_V.detach().exp().expand(PROMPTS, -1)
        tokens = torch.multinomial(probabilities, GROUP, replacement=True, generator=rng)
        inferential = torch.rand(PROMPTS, 1, generator=rng) < 0.1
        shortcut = torch.where(inferential, 0.035, 0.925)
        chance = torch.where(tokens == 0, shortcut, torch.where(tokens == 1, 0.6, 0.0))
        right = torch.rand(PROMPTS, GROUP, generator=rng) < chance
        advantages = cdpo.group_advantages(right.float() + (tokens < 2).float()).flatten()
        logps, bias = logps_V[tokens].view(-1, 1), BIAS[tokens].view(-1, 1)
        if divergence in cdpo.WHOLE:
            value = cdpo.WHOLE[divergence](logps_V[None], BIAS[None]).expand(count)[:, None]
        else:
            value = cdpo.SAMPLED[divergence](logps, bias, logps.detach())
        measured = value.mean().item() if last is None else last
        push = weight if schedule == "constant" else cdpo.controlled(weight, measured, 0.4)
        last = value.mean().item()
        ratio = cdpo.token_ratio(logps, logps)
        surrogate = cdpo.clipped_surrogate(ratio, advantages, epsilon=0.2, epsilon_high=0.28)
        adam.zero_grad()
        cdpo.cdpo_loss(surrogate, value, weights, repulsion=push).backward()
        adam.step()
        valid.append(logits.softmax(0)[:2].sum().item())
    return torch.tensor(valid)


@pytest.mark.parametrize("divergence", ["rho_k3", "k2", "exact"])
def test_the_plain_form_collapses(divergence: str) -> None:
    """At 0.3 and 1 of the axis .01 to 1: not one valid completion is left."""
    for weight in (0.3, 1.0):
        assert play(weight, divergence, "constant")[-50:].max() < 0.01


@pytest.mark.parametrize("divergence", ["k3", "rho_k3", "k2", "exact", "js"])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_controller_does_not(divergence: str, weight: float) -> None:
    """On the whole axis, unrescaled; the weight in force is clamped to +-repulsion."""
    assert play(weight, divergence, "controller").min() > 0.9
