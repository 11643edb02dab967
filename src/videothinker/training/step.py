"""The arithmetic of one optimisation step: rollout groups in, gradients and sums out.

Needs the engine and `algorithms` alone. One group at a time is in memory; every sum returned adds
up over groups and over processes, and so do the gradients.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import torch
from torch import Tensor

from videothinker.algorithms.base import Objective
from videothinker.algorithms.choices import DIVERGENCES
from videothinker.algorithms.objective import (
    cdpo_loss,
    clipped_surrogate,
    exact_kl,
    is_clipped,
    sampled_kl,
    spread,
    token_ratio,
    token_weights,
)
from videothinker.models.base import Group
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import chunked_vocabulary, group_logps, token_logps


class Bias:
    """The frozen bias model: a policy of its own, or (LoRA) an adapter on the policy's weights."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def active(self) -> AbstractContextManager[None]:
        """Inside, `self.policy` computes as the bias model."""
        return nullcontext()


@dataclass
class Sums:
    """Sums over completion tokens (and the loss, whose token weights already hold the mean)."""

    loss: float = 0.0
    tokens: float = 0.0
    entropy: float = 0.0
    divergence: float = 0.0
    kl: float = 0.0
    """KL(policy || bias), whatever the divergence is."""
    clipped: float = 0.0

    def add(self, other: "Sums") -> None:
        """Add another group's or process's sums."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


def accumulate_gradients(
    policy: Policy,
    bias: Bias | None,
    groups: Sequence[Group],
    advantages: Sequence[Tensor | None],
    objective: Objective,
    *,
    completions: int,
    tokens: int,
    old_logps: dict[int, Tensor] | None = None,
    backwards: int | None = None,
    begun: "Begun | None" = None,
) -> Sums:
    """Add the gradient of the loss of `groups` to the policy's parameters.

    Args:
        policy: the model in training.
        bias: the frozen bias model; needed where the objective has a divergence.
        groups: rollouts of this process.
        advantages: [G] for each group; null for one that is passed with weight zero, for the sake
            of the other processes.
        objective: what is maximised.
        completions: completions in the whole batch, all processes; the mean's denominator.
        tokens: completion tokens in the whole batch, all processes.
        old_logps: [G, C] by number of group; filled at a rollout's first update and read at the
            next ones.
        backwards: how many of the first groups are differentiated; null for those that
            `has_gradient`.
        begun: what was passed before: forwards that `measure` has made, which are taken out, and
            the bias model's, which serve every update of a rollout.
    """
    old_logps = {} if old_logps is None else old_logps
    sums = Sums()
    with training_mode(policy):
        for number, (group, given_G) in enumerate(zip(groups, advantages, strict=True)):
            differentiated = (
                has_gradient(objective, given_G) if backwards is None else number < backwards
            )
            seen = begun.go_on(group) if begun else None
            if seen is None:
                with torch.set_grad_enabled(differentiated):
                    seen = _forward(policy, bias, group, objective, old_logps.get(number), begun)
            if given_G is None:
                if differentiated:
                    (0.0 * seen.logps_GC.sum()).backward()
                continue
            old_GC = old_logps.setdefault(number, seen.logps_GC.detach())
            mask_GC = group.mask_GC.to(old_GC.device)
            weights_GC = token_weights(
                mask_GC, objective.loss_type, completions=completions, tokens=tokens
            )
            loss, clipped_GC = group_loss(seen, old_GC, given_G.to(old_GC), weights_GC, objective)
            if differentiated:
                loss.backward()
            clipped = float((clipped_GC & mask_GC).sum())
            sums.add(seen.sums(mask_GC))
            sums.add(Sums(loss=float(loss.detach()), clipped=clipped))
    return sums


def group_loss(
    seen: "Seen", old_GC: Tensor, advantages_G: Tensor, weights_GC: Tensor, objective: Objective
) -> tuple[Tensor, Tensor]:
    """What is minimised of one group, and which of its tokens [G, C] the clip silences."""
    ratio_GC = token_ratio(seen.logps_GC, old_GC)
    clip = {"epsilon": objective.epsilon, "epsilon_high": objective.epsilon_high}
    surrogate_GC = clipped_surrogate(ratio_GC, advantages_G, **clip)
    loss = cdpo_loss(surrogate_GC, seen.divergence_GC, weights_GC, repulsion=objective.repulsion)
    return loss, is_clipped(ratio_GC, advantages_G, **clip)


def has_gradient(objective: Objective, advantages_G: Tensor | None) -> bool:
    """Without advantage and repulsion the gradient is exactly zero: the forward is enough."""
    pulls = objective.divergence is not None and objective.repulsion != 0
    return advantages_G is not None and (pulls or bool(advantages_G.any()))


def measure(
    policy: Policy,
    bias: Bias,
    groups: Sequence[Group],
    objective: Objective,
    begun: "Begun | None" = None,
) -> Sums:
    """Entropy and divergence of `groups`: what the controller starts from.

    Into `begun` goes what the update need not pass again: of the first group the whole forward, of
    the others the bias model's, as the memory is there of one group's graph.
    """
    sums = Sums()
    with training_mode(policy):
        for number, group in reversed(list(enumerate(groups))):
            goes_on = begun is not None and number == 0
            with torch.set_grad_enabled(goes_on):
                seen = _forward(policy, bias, group, objective, None, begun)
            sums.add(seen.sums(group.mask_GC))
            if begun is not None and goes_on:
                begun.seen[group] = seen
    return sums


class Frozen(NamedTuple):
    """What the bias model gives for the N completion tokens of a group; no gradient."""

    hidden_ND: Tensor
    head_VD: Tensor


@dataclass(eq=False)
class Seen:
    """What one group's forward passes give, each [G, C] and 0 on padding."""

    logps_GC: Tensor
    entropy_GC: Tensor
    divergence_GC: Tensor | None
    kl_GC: Tensor | None
    """KL(policy || bias), for the controller, the guard and the record; no gradient."""

    def sums(self, mask_GC: Tensor) -> Sums:
        """Over the tokens."""
        known = {"entropy": self.entropy_GC, "divergence": self.divergence_GC, "kl": self.kl_GC}
        totals = {name: float(at.detach().sum()) for name, at in known.items() if at is not None}
        return Sums(tokens=float(mask_GC.sum()), **totals)


@dataclass
class Begun:
    """What has been passed of a step's groups before their update."""

    seen: dict[Group, Seen] = field(default_factory=dict)
    """Forwards whose graph is there: of one group at most."""
    bias_logps: dict[Group, Tensor] = field(default_factory=dict)
    """The bias model's log-probability of each of the N completion tokens, where a divergence asks
    for no more."""

    def go_on(self, group: Group) -> Seen | None:
        """The group's forward, taken out; that of another one is let go with its graph."""
        found = self.seen.pop(group, None)
        self.seen.clear()
        return found


def _forward(  # noqa: PLR0917
    policy: Policy,
    bias: Bias | None,
    group: Group,
    objective: Objective,
    old_GC: Tensor | None,
    begun: Begun | None,
) -> Seen:
    """The policy, and the bias model where there is a divergence and it was not passed before."""
    mask_GC = group.mask_GC.to(policy.device)
    targets_N = group.completion_ids_GC.to(policy.device)[mask_GC]
    temperature, name = objective.temperature, objective.divergence
    # the bias model first: what its layers need is gone when the policy's graph grows
    frozen = bias_N = chosen = None
    if bias is not None and name is not None:
        chosen = DIVERGENCES[name]
        if chosen.whole_vocabulary:
            frozen = _frozen(bias, group, mask_GC)
        else:
            bias_N = _bias_logps(bias, group, mask_GC, temperature, begun or Begun())
    hidden_ND, head_VD = policy.hidden(group)[mask_GC], policy.head_VD
    logps_N, entropy_N = token_logps(hidden_ND, head_VD, targets_N, temperature=temperature)
    old_N = logps_N.detach() if old_GC is None else old_GC[mask_GC]
    divergence_N = kl_N = None
    if chosen is not None and frozen is not None:
        bias_ND, bias_VD = frozen
        divergence_N = kl_N = chunked_vocabulary(
            chosen.function, hidden_ND, head_VD, bias_ND, bias_VD, temperature=temperature
        )
        if chosen.function is not exact_kl:
            with torch.no_grad():
                kl_N = chunked_vocabulary(
                    exact_kl, hidden_ND, head_VD, bias_ND, bias_VD, temperature=temperature
                )
    elif chosen is not None and bias_N is not None:
        divergence_N = chosen.function(logps_N, bias_N, old_N)
        kl_N = sampled_kl(logps_N, bias_N, old_N)
    return Seen(
        logps_GC=spread(logps_N, mask_GC),
        entropy_GC=spread(entropy_N.detach(), mask_GC),
        divergence_GC=None if divergence_N is None else spread(divergence_N, mask_GC),
        kl_GC=None if kl_N is None else spread(kl_N.detach(), mask_GC),
    )


@torch.no_grad()
def _frozen(bias: Bias, group: Group, mask_GC: Tensor) -> Frozen:
    with bias.active():
        return Frozen(bias.policy.hidden(group)[mask_GC], bias.policy.head_VD.detach())


@torch.no_grad()
def _bias_logps(
    bias: Bias, group: Group, mask_GC: Tensor, temperature: float, begun: Begun
) -> Tensor:
    """The bias model's log-probability of each of the N completion tokens, passed once."""
    if group not in begun.bias_logps:
        frozen = _frozen(bias, group, mask_GC)
        targets_N = group.completion_ids_GC.to(mask_GC.device)[mask_GC]
        begun.bias_logps[group], _ = token_logps(
            frozen.hidden_ND, frozen.head_VD, targets_N, temperature=temperature
        )
    return begun.bias_logps[group]


@torch.no_grad()
def log_ratios(
    policy: Policy, bias: Bias, group: Group, temperature: float, begun: Begun | None = None
) -> Tensor:
    """The log-ratio log pi(o) - log pi_bias(o) of each whole completion o, [G], in nats.

    As a token-level loss term a divergence drops the score function of the prefix; in the reward it
    keeps it, because the advantage multiplies every token of the completion (as in RLHF before
    GRPO). On policy its mean is an unbiased estimate of the KL(pi || bias) of whole completions.
    """
    own_G = group_logps(policy, group, temperature=temperature).logps_GC.sum(dim=1)
    with bias.active():
        other_GC = group_logps(bias.policy, group, temperature=temperature).logps_GC
    if begun is not None:
        begun.bias_logps[group] = other_GC[group.mask_GC.to(other_GC.device)]
    return own_G - other_GC.sum(dim=1)


@contextmanager
def training_mode(policy: Policy) -> Iterator[None]:
    """Training mode, which gradient checkpointing asks for; rollouts want evaluation mode."""
    policy.model.train()
    try:
        yield
    finally:
        policy.model.eval()
