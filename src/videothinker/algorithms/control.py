"""The weight of the repulsion that is in force at a step: schedule and guard.

Pure functions of numbers: what the step before measured, and how many of its own answers are valid.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Signs:
    """What schedule and guard look at."""

    valid: float
    """Share of the step's completions with a valid format."""
    entropy: float
    """Nats a token; of the last good step."""
    divergence: float
    """KL(policy || bias), nats a token, whatever divergence is trained; of the last good step."""


def controlled(repulsion: float, divergence: float, target: float) -> float:
    """beta_t = beta0 * clip(1 - D / target, -1, 1): repel below the target, attract above.

    Ours. Its gradient is that of beta0 (D - D^2 / (2 target)), which has its finite optimum at
    D = target, where the paper's beta D has none. The lower clip bounds the pull back, so that an
    overshoot cannot make the divergence outweigh the reward.

    Args:
        repulsion: beta0.
        divergence: D, the batch's KL(pi || bias) a token in nats (`exact_kl` or `sampled_kl`),
            whatever divergence is trained.
        target: the divergence to hold, in nats.
    """
    return repulsion * min(1.0, max(-1.0, 1 - divergence / target))


def guarded(repulsion: float, signs: Signs, limits: Signs) -> tuple[float, str | None]:
    """Stop pushing while the policy shows signs of collapse; a pull towards the bias model stays.

    Ours. Has no memory: the push returns with the first batch inside the limits.

    Args:
        repulsion: the weight before the guard.
        signs: as measured.
        limits: the least `valid`, the most `entropy` and the most `divergence` allowed.

    Returns:
        The weight to use, and what was done in words (null where nothing was).
    """
    valid, entropy, divergence = signs.valid, signs.entropy, signs.divergence
    broken: list[str] = []
    if not valid >= limits.valid:  # `not`, so that what is not a number breaks it too
        broken.append(f"valid format {valid:.2f} < {limits.valid:.2f}")
    if not entropy <= limits.entropy:
        broken.append(f"entropy {entropy:.2f} > {limits.entropy:.2f} nats")
    if not divergence <= limits.divergence:
        broken.append(f"divergence {divergence:.2f} > {limits.divergence:.2f} nats")
    if repulsion <= 0 or not broken:
        return repulsion, None
    return 0.0, f"repulsion {repulsion:.3g} set to 0: {'; '.join(broken)}"
