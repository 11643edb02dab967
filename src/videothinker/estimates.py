"""Numbers with their uncertainty: means clustered by video, and shares of a count.

What is said about one video is not independent evidence. A mean over nothing raises; a share of
nothing is unknown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from videothinker.errors import UserError

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    value: float
    error: float | None
    """Standard error, clustered; None where a single cluster gives none."""
    low: float
    high: float
    n: int
    clusters: int


def mean(values: Sequence[float], clusters: Sequence[str], *, low: float = 0.0) -> Estimate:
    """The mean of `values` with its cluster-robust standard error.

    se^2 = m/(m-1) * sum over clusters of (sum of the cluster's residuals)^2 / n^2, with m clusters
    and n values. The interval is value +- t se, with Student's t of m - 1 degrees of freedom and
    with the unclustered se where that is larger (Cameron and Miller, J. Human Resources 2015, on
    few clusters), kept inside [low, 1]. Where all values are equal no spread is seen: the share of
    clusters with another value is at most Wilson's upper end for none of m, and each of these may
    lie at either end of [low, 1].

    Args:
        values: scores, one a question (or option).
        clusters: what each belongs to, usually its video.
        low: least possible score; the greatest is 1.

    Raises:
        UserError: no values: an accuracy over zero samples does not exist.
    """
    if not values:
        raise UserError("no samples are left to average over; an accuracy over none is no number")
    n = len(values)
    centre = math.fsum(values) / n
    sums: dict[str, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums.setdefault(cluster, []).append(value - centre)
    m = len(sums)
    if m < 2:
        return Estimate(centre, None, low, 1.0, n, m)
    error = math.sqrt(m / (m - 1) * math.fsum(math.fsum(part) ** 2 for part in sums.values())) / n
    alone = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (n - 1) / n)
    if len(set(values)) == 1:
        other = share(0, m).high
        ends = centre - other * (centre - low), centre + other * (1 - centre)
        return Estimate(centre, error, *ends, n, m)
    slack = student(m - 1) * max(error, alone)
    return Estimate(centre, error, max(low, centre - slack), min(1.0, centre + slack), n, m)


def less(found: Estimate, known: float) -> Estimate:
    """`found` minus a number that is known without error, such as the score of a guess."""
    ends = {name: getattr(found, name) - known for name in ("value", "low", "high")}
    return replace(found, **ends)


def student(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t.

    Exact for 1 and 2 degrees of freedom, else the expansion around the normal quantile (Abramowitz
    and Stegun 26.7.5), right to 0.2 %.
    """
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
    z = Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (i + 1) for i, term in enumerate(terms))


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


def percent(value: float | None) -> str:
    """0.7403 -> `74.0`; a dash where nothing was measured."""
    return "-" if value is None else f"{100 * value:.1f}"


def between(low: float, high: float) -> str:
    """An interval: `70.1 to 77.9`."""
    return f"{percent(low)} to {percent(high)}"


def points(found: Mapping[str, Any]) -> str:
    """A difference with its interval, as summaries keep them: `+3.9 points (95 % +1.0 to +6.8)`."""
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} points (95 % {low:+.1f} to {high:+.1f})"


def show(part: Share) -> str:
    """`74.0 % (13674 of 18473; 95 % 73.4 to 74.6)`."""
    if part.value is None:
        return "unknown (0 of 0)"
    return (
        f"{percent(part.value)} % ({part.count} of {part.n}; 95 % {between(part.low, part.high)})"
    )
