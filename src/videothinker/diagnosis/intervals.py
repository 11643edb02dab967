"""Shares with their uncertainty."""

import math
from dataclasses import dataclass

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Share:
    """How often something happened, with a 95 % interval."""

    count: int
    n: int
    value: float | None
    """count / n; None where n is 0: nothing is known."""
    low: float
    high: float


def share(count: int, n: int) -> Share:
    """Wilson's score interval (J. Am. Stat. Assoc. 22, 1927); [0, 1] where n is 0."""
    if n == 0:
        return Share(0, 0, None, 0.0, 1.0)
    rate, z2 = count / n, Z95 * Z95
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == n else min(1.0, centre + half)
    return Share(count, n, rate, low, high)


def show(part: Share) -> str:
    """`74.0 % (13674 of 18473; 95 % 73.4 to 74.6)`."""
    if part.value is None:
        return "unknown (0 of 0)"
    return (
        f"{100 * part.value:.1f} % ({part.count} of {part.n}; "
        f"95 % {100 * part.low:.1f} to {100 * part.high:.1f})"
    )
