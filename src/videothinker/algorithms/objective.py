"""Causal debiasing policy optimisation (CDPO) as pure functions of torch tensors.

The paper (arXiv 2605.01324, section "CDPO") maximises

    E[ 1/G sum_i 1/|o_i| sum_t ( min(r_it A_i, clip(r_it, 1-eps, 1+eps) A_i)
                                 + repulsion * KL(pi_theta || pi_bias) ) ]

with a frozen bias model pi_bias. TRL's `beta` is `-repulsion`. Axes: B prompts, G completions of a
prompt (a group), C completion tokens, V vocabulary. Token-level divergences drop the score-function
term of the prefix, as every GRPO implementation does.
"""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor

from videothinker.algorithms.choices import LossType, RewardScale

STD_EPSILON = 1e-4
"""Added to the group's deviation; the authors' and TRL's value."""
LOG_RATIO_CLAMP = 11.0
"""The authors clamp the log-ratio of k3 to +-11."""


def group_advantages(
    rewards_BG: Tensor, *, scale: RewardScale = "group", types: Sequence[str] | None = None
) -> Tensor:
    """How much better each completion is than its group: A = (r - mean) / (std + 1e-4).

    GRPO (arXiv 2402.03300, eq. 3), with the unbiased deviation, as the authors and TRL.

    Args:
        rewards_BG: summed rewards.
        scale: `group` divides by the group's deviation; `none` does not (Dr. GRPO, 2503.20783);
            `type` divides by the pooled deviation of all groups of the same question type, so that
            an easy question weighs no more than a hard one of its type.
        types: the type of each of the B prompts; needed for `type` alone.

    Returns:
        Advantages [B, G]; zero in a group whose rewards are all equal.
    """
    centred_BG = rewards_BG - rewards_BG.mean(dim=1, keepdim=True)
    if scale == "none":
        return centred_BG
    if scale == "group":
        return centred_BG / (rewards_BG.std(dim=1, keepdim=True) + STD_EPSILON)
    if types is None or len(types) != len(rewards_BG):
        raise ValueError("scale 'type' needs one type a prompt")
    variance_B = rewards_BG.var(dim=1)
    pooled_B = torch.stack(
        [variance_B[[other == kind for other in types]].mean().sqrt() for kind in types]
    )
    return centred_BG / (pooled_B[:, None] + STD_EPSILON)


def token_ratio(logps_GC: Tensor, old_logps_GC: Tensor) -> Tensor:
    """The ratio r = pi_theta(o_t) / pi_old(o_t): one in value, not in gradient, on policy."""
    return (logps_GC - old_logps_GC.detach()).exp()


def clipped_surrogate(
    ratio_GC: Tensor, advantages_G: Tensor, *, epsilon: float, epsilon_high: float
) -> Tensor:
    """min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A), to be maximised.

    PPO (1707.06347, eq. 7) with DAPO's higher upper bound (2503.14476, section 3.1).

    Returns:
        The surrogate of each token [G, C].
    """
    clipped_GC = ratio_GC.clamp(1 - epsilon, 1 + epsilon_high)
    advantages_G1 = advantages_G[:, None]
    return torch.minimum(ratio_GC * advantages_G1, clipped_GC * advantages_G1)


def is_clipped(
    ratio_GC: Tensor, advantages_G: Tensor, *, epsilon: float, epsilon_high: float
) -> Tensor:
    """Which tokens [G, C] the clip silences: below for A < 0, above for A > 0."""
    below_GC = (ratio_GC < 1 - epsilon) & (advantages_G[:, None] < 0)
    above_GC = (ratio_GC > 1 + epsilon_high) & (advantages_G[:, None] > 0)
    return below_GC | above_GC


def token_weights(mask_GC: Tensor, loss_type: LossType, *, completions: int, tokens: int) -> Tensor:
    """The weight of each token in the batch's mean, so that groups and processes simply add up.

    `grpo`: 1/completions * 1/|o_i|, every completion counts the same (2402.03300, eq. 3).
    `dapo`: 1/tokens, every token counts the same (2503.14476, section 3.3).

    Args:
        mask_GC: true on completion tokens, the end token included.
        loss_type: which of the two.
        completions: completions in the whole batch, all groups and processes.
        tokens: completion tokens in the whole batch.
    """
    mask_GC = mask_GC.float()
    if loss_type == "dapo":
        return mask_GC / tokens
    return mask_GC / mask_GC.sum(dim=1, keepdim=True).clamp(min=1) / completions


def spread(values_N: Tensor, mask_GC: Tensor) -> Tensor:
    """Values of the N completion tokens back in their places [G, C], 0 on padding."""
    empty_GC = torch.zeros(mask_GC.shape, dtype=values_N.dtype, device=values_N.device)
    return empty_GC.masked_scatter(mask_GC, values_N)


def k3(
    logps_GC: Tensor,
    bias_logps_GC: Tensor,
    _old_logps_GC: Tensor | None = None,
    *,
    clamp: float = LOG_RATIO_CLAMP,
) -> Tensor:
    """exp(d) - d - 1 with d = log pi_bias - log pi on the sampled token: the authors' code.

    As a plain loss its expected gradient is that of KL(bias || pi), the *forward* divergence, not
    of the paper's formula. Repelling with it pushes a token that the bias model likes down with a
    force of exp(d) - 1, up to 59,873 at the clamp; beyond the clamp there is no force.
    """
    gap_GC = (bias_logps_GC.detach() - logps_GC).clamp(-clamp, clamp)
    return gap_GC.exp() - gap_GC - 1


def rho_k3(logps_GC: Tensor, bias_logps_GC: Tensor, old_logps_GC: Tensor) -> Tensor:
    """Ratio times k3: the same value on policy, with the gradient of KL(pi || bias), the paper's.

    Unclamped, since a clamp would leave ratio * exp(clamp) behind as a force of the wrong sign.
    TRL's `use_bias_correction_kl=True`.
    """
    return token_ratio(logps_GC, old_logps_GC) * k3(logps_GC, bias_logps_GC, clamp=torch.inf)


def k2(logps_GC: Tensor, bias_logps_GC: Tensor, _old_logps_GC: Tensor | None = None) -> Tensor:
    """d^2 / 2: the gradient of KL(pi || bias), with a force of only |d| on a token."""
    return (bias_logps_GC.detach() - logps_GC).square() / 2


def sampled_kl(logps_GC: Tensor, bias_logps_GC: Tensor, old_logps_GC: Tensor) -> Tensor:
    """KL(pi || bias) from the sampled tokens, to be measured: r (log pi - log bias), no gradient.

    Unbiased for every divergence that is trained: a token drawn from pi_old with the ratio
    r = pi / pi_old has the expectation sum_v pi(v) (log pi(v) - log bias(v)), and r is 1 at a
    rollout's first update. Negative where the bias model likes a token more. `k3` has the same
    expectation and is never negative, but its exp(d) has no bounded variance where a repelled
    policy has left what the bias model likes.

    Returns:
        The estimate of each token [G, C], in nats.
    """
    logps_GC = logps_GC.detach()
    return token_ratio(logps_GC, old_logps_GC) * (logps_GC - bias_logps_GC.detach())


def exact_kl(logps_NV: Tensor, bias_logps_NV: Tensor) -> Tensor:
    """KL(pi || bias) = sum_v pi(v) (log pi(v) - log bias(v)) over the whole vocabulary.

    Args:
        logps_NV: log-probabilities of the policy at N tokens.
        bias_logps_NV: those of the bias model.

    Returns:
        Divergence of each token [N], in nats.
    """
    return (logps_NV.exp() * (logps_NV - bias_logps_NV.detach())).sum(dim=-1)


def jensen_shannon(logps_NV: Tensor, bias_logps_NV: Tensor) -> Tensor:
    """(KL(pi || m) + KL(bias || m)) / 2 with m their mean: symmetric, at most log 2.

    Args and returns as `exact_kl`.
    """
    bias_NV = bias_logps_NV.detach()
    middle_NV = torch.logaddexp(logps_NV, bias_NV) - log(2)
    own_N = (logps_NV.exp() * (logps_NV - middle_NV)).sum(dim=-1)
    other_N = (bias_NV.exp() * (bias_NV - middle_NV)).sum(dim=-1)
    return (own_N + other_N) / 2


def cdpo_loss(
    surrogate_GC: Tensor,
    divergence_GC: Tensor | None,
    weights_GC: Tensor,
    *,
    repulsion: float,
) -> Tensor:
    """-(surrogate + repulsion * divergence), weighted and summed: what the optimiser minimises.

    Args:
        surrogate_GC: from `clipped_surrogate`.
        divergence_GC: of the policy from the frozen bias model; null for plain GRPO and DAPO.
        weights_GC: from `token_weights`.
        repulsion: positive pushes away from the bias model, negative pulls towards it.
    """
    if divergence_GC is None:
        return -(weights_GC * surrogate_GC).sum()
    return -(weights_GC * (surrogate_GC + repulsion * divergence_GC)).sum()
