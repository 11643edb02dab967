"""Our objective for a trainer that has logits: what the ms-swift plug-in computes at a step.

The functions are those of `algorithms`, called as `training/step.py` and `training/loop.py` call
them; a test holds both against each other. Torch alone. Axes: G completions of a micro-batch (of
any prompts), C tokens, N of them unmasked, V vocabulary.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from videothinker.algorithms.base import Objective, TrainConfig
from videothinker.algorithms.choices import DIVERGENCES
from videothinker.algorithms.control import Signs
from videothinker.algorithms.objective import (
    cdpo_loss,
    clipped_surrogate,
    exact_kl,
    sampled_kl,
    spread,
    token_ratio,
    token_weights,
)


@dataclass
class Steering:
    """The repulsion in force, from step to step: schedule and guard of `config`.

    A step looks at the KL(policy || bias) and the entropy of the step before, and at the share of
    valid formats among its own completions. Both are unknown at the first step, also after a
    trainer was resumed: then its own completions are measured before it.
    """

    config: TrainConfig
    divergence: float | None = None
    """KL(policy || bias) a token, in nats."""
    entropy: float | None = None
    """Nats a token."""
    objective: Objective = field(init=False)
    """In force at this step."""

    def __post_init__(self) -> None:
        self.objective = self.config.objective()

    @property
    def needs_measure(self) -> bool:
        """Is there a divergence, and nothing known of it?"""
        return self.config.objective().divergence is not None and self.divergence is None

    def weigh(self, valid: float) -> str | None:
        """Set the objective of a step; returns what the guard did, in words."""
        plain = self.config.objective()
        if plain.divergence is None:
            return None
        assert self.divergence is not None
        assert self.entropy is not None
        signs = Signs(valid=valid, entropy=self.entropy, divergence=self.divergence)
        repulsion, guard = self.config.weigh(signs)
        self.objective = replace(plain, repulsion=repulsion)
        return guard

    def remember(self, kl: float, entropy: float, tokens: float) -> None:
        """A step's sums over all its tokens; a step that gave no number is passed over."""
        if tokens and torch.isfinite(torch.tensor([kl, entropy])).all():
            self.divergence, self.entropy = kl / tokens, entropy / tokens


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """What was drawn, and what the models make of it."""

    logits_GCV: Tensor
    """Of the policy at each completion token, before the temperature."""
    bias_logits_GCV: Tensor | None
    """Of the frozen bias model; needed where the objective has a divergence."""
    targets_GC: Tensor
    """The tokens."""
    mask_GC: Tensor
    """True on completion tokens, the end token included."""
    advantages_G: Tensor
    old_logps_GC: Tensor | None = None
    """Of the policy that drew them, at the objective's temperature; None where that is the policy
    itself."""


@dataclass(frozen=True, eq=False)
class StepLoss:
    """Of one micro-batch."""

    loss: Tensor
    """To be minimised."""
    kl: float
    """Sum of KL(policy || bias) over its tokens; 0 where no divergence is computed."""
    entropy: float
    """Sum over its tokens, in nats."""
    tokens: float


def step_loss(
    batch: MicroBatch, objective: Objective, *, completions: float, tokens: float
) -> StepLoss:
    """The loss of a micro-batch, as the training loop computes that of its groups.

    Args:
        batch: see there.
        objective: in force.
        completions: what a completion's mean is divided by (`grpo`).
        tokens: what the sum over tokens is divided by (`dapo`).
    """
    mask_GC = batch.mask_GC.bool()
    targets_N1 = batch.targets_GC[mask_GC][:, None]
    logps_NV = _logps(batch.logits_GCV, mask_GC, objective.temperature)
    logps_N = logps_NV.gather(1, targets_N1)[:, 0]
    old_GC = batch.old_logps_GC
    old_N = logps_N.detach() if old_GC is None else old_GC[mask_GC].to(logps_N)
    divergence_N, kl_N = None, torch.zeros(())
    if objective.divergence is not None:
        assert batch.bias_logits_GCV is not None
        bias_NV = _logps(batch.bias_logits_GCV.detach(), mask_GC, objective.temperature)
        chosen = DIVERGENCES[objective.divergence]
        if chosen.whole_vocabulary:
            divergence_N = chosen.function(logps_NV, bias_NV)
            kl_N = exact_kl(logps_NV.detach(), bias_NV)
        else:
            bias_N = bias_NV.gather(1, targets_N1)[:, 0]
            divergence_N = chosen.function(logps_N, bias_N, old_N)
            kl_N = sampled_kl(logps_N, bias_N, old_N)
    ratio_GC = spread(token_ratio(logps_N, old_N), mask_GC)
    loss = cdpo_loss(
        clipped_surrogate(
            ratio_GC,
            batch.advantages_G.to(ratio_GC),
            epsilon=objective.epsilon,
            epsilon_high=objective.epsilon_high,
        ),
        None if divergence_N is None else spread(divergence_N, mask_GC),
        _weights(mask_GC, objective, completions, tokens),
        repulsion=objective.repulsion,
    )
    entropy = -(logps_NV.detach().exp() * logps_NV.detach()).sum()
    return StepLoss(loss, float(kl_N.detach().sum()), float(entropy), float(mask_GC.sum()))


def _weights(mask_GC: Tensor, objective: Objective, completions: float, tokens: float) -> Tensor:
    weights_GC = token_weights(mask_GC, objective.loss_type, completions=1, tokens=1)
    return weights_GC / (tokens if objective.loss_type == "dapo" else completions)


def _logps(logits_GCV: Tensor, mask_GC: Tensor, temperature: float) -> Tensor:
    return (logits_GCV[mask_GC].float() / temperature).log_softmax(-1)
