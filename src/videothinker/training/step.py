"""The arithmetic of one optimisation step: rollout groups in, gradients and sums out.

Imports torch, `policy` and `cdpo` alone. One group at a time is in memory; every sum returned adds
up over groups and over processes, and so do the gradients.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from videothinker import cdpo
from videothinker.models.base import Group
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import chunked_vocabulary, token_logps


@dataclass(frozen=True)
class Objective:
    """What is maximised at this step; see `cdpo`."""

    loss_type: cdpo.LossType = "grpo"
    epsilon: float = 0.2
    epsilon_high: float = 0.28
    temperature: float = 1.0
    divergence: cdpo.Divergence | None = None
    """Null where there is no bias model."""
    repulsion: float = 0.0
    """The weight in force, with its sign, after schedule and guard."""


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
    advantages: Sequence[Tensor],
    objective: Objective,
    *,
    completions: int,
    tokens: int,
    old_logps: dict[int, Tensor] | None = None,
) -> Sums:
    """Add the gradient of the loss of `groups` to the policy's parameters.

    Args:
        policy: the model in training.
        bias: the frozen bias model; needed where the objective has a divergence.
        groups: rollouts of this process.
        advantages: [G] for each group.
        objective: what is maximised.
        completions: completions in the whole batch, all processes; the mean's denominator.
        tokens: completion tokens in the whole batch, all processes.
        old_logps: [G, C] by number of group; filled at a rollout's first update and read at the
            next ones.
    """
    old_logps = {} if old_logps is None else old_logps
    sums = Sums()
    with training_mode(policy):
        for number, (group, given_G) in enumerate(zip(groups, advantages, strict=True)):
            # without advantage and repulsion the gradient is exactly zero: forward alone
            pulls = objective.divergence is not None and objective.repulsion != 0
            with torch.set_grad_enabled(pulls or bool(given_G.any())):
                seen = _forward(policy, bias, group, objective, old_logps.get(number))
            old_GC = old_logps.setdefault(number, seen.logps_GC.detach())
            mask_GC = group.mask_GC.to(old_GC.device)
            advantages_G = given_G.to(old_GC)
            ratio_GC = cdpo.token_ratio(seen.logps_GC, old_GC)
            clip = {"epsilon": objective.epsilon, "epsilon_high": objective.epsilon_high}
            loss = cdpo.cdpo_loss(
                cdpo.clipped_surrogate(ratio_GC, advantages_G, **clip),
                seen.divergence_GC,
                cdpo.token_weights(
                    mask_GC, objective.loss_type, completions=completions, tokens=tokens
                ),
                repulsion=objective.repulsion,
            )
            if loss.requires_grad:
                loss.backward()
            clipped_GC = cdpo.is_clipped(ratio_GC, advantages_G, **clip) & mask_GC
            sums.add(seen.sums(mask_GC))
            sums.add(Sums(loss=float(loss.detach()), clipped=float(clipped_GC.sum())))
    return sums


@torch.no_grad()
def measure(policy: Policy, bias: Bias, groups: Sequence[Group], objective: Objective) -> Sums:
    """Entropy and divergence of `groups` without a gradient: what the controller starts from."""
    sums = Sums()
    for group in groups:
        sums.add(_forward(policy, bias, group, objective, None).sums(group.mask_GC))
    return sums


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


def _forward(
    policy: Policy,
    bias: Bias | None,
    group: Group,
    objective: Objective,
    old_GC: Tensor | None,
) -> Seen:
    """The policy, and the bias model where there is a divergence, on one group."""
    mask_GC = group.mask_GC.to(policy.device)
    targets_N = group.completion_ids_GC.to(policy.device)[mask_GC]
    heat, name = objective.temperature, objective.divergence
    # the bias model first: what its layers need is gone when the policy's graph grows
    frozen = None if bias is None or name is None else _frozen_states(bias, group, mask_GC)
    hidden_ND = policy.hidden(group)[mask_GC]
    logps_N, entropy_N = token_logps(hidden_ND, policy.head_VD, targets_N, temperature=heat)
    old_N = logps_N.detach() if old_GC is None else old_GC[mask_GC]
    divergence_N = kl_N = None
    if frozen is not None and name in cdpo.WHOLE:
        both = (hidden_ND, policy.head_VD, *frozen)
        divergence_N = chunked_vocabulary(_normalised(cdpo.WHOLE[name]), *both, temperature=heat)
        kl_N = divergence_N.detach()
        if name != "exact":
            with torch.no_grad():
                kl_N = chunked_vocabulary(_normalised(cdpo.exact_kl), *both, temperature=heat)
    elif frozen is not None and name is not None:
        with torch.no_grad():
            bias_N, _ = token_logps(*frozen, targets_N, temperature=heat)
        divergence_N = cdpo.SAMPLED[name](logps_N, bias_N, old_N)
        kl_N = cdpo.sampled_kl(logps_N, bias_N, old_N)
    return Seen(
        logps_GC=spread(logps_N, mask_GC),
        entropy_GC=spread(entropy_N.detach(), mask_GC),
        divergence_GC=None if divergence_N is None else spread(divergence_N, mask_GC),
        kl_GC=None if kl_N is None else spread(kl_N, mask_GC),
    )


def _normalised(whole: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A divergence of log-probabilities as one of logits."""
    return lambda logits, other: whole(logits.log_softmax(-1), other.log_softmax(-1))


@torch.no_grad()
def _frozen_states(bias: Bias, group: Group, mask_GC: Tensor) -> tuple[Tensor, Tensor]:
    """The bias model's hidden states at the N completion tokens [N, D] and its head [V, D]."""
    with bias.active():
        return bias.policy.hidden(group)[mask_GC], bias.policy.head_VD.detach()


def spread(values_N: Tensor, mask_GC: Tensor) -> Tensor:
    """Values of the N completion tokens back in their places [G, C], 0 on padding."""
    empty_GC = torch.zeros(mask_GC.shape, dtype=values_N.dtype, device=values_N.device)
    return empty_GC.masked_scatter(mask_GC, values_N)


@contextmanager
def training_mode(policy: Policy) -> Iterator[None]:
    """Training mode, which gradient checkpointing asks for; rollouts want evaluation mode."""
    policy.model.train()
    try:
        yield
    finally:
        policy.model.eval()
