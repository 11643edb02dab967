"""Means with the interval they deserve: over questions (clustered by video) and over seeds.

    half width = sqrt( (1.96 se_questions)^2 + (t_{k-1} sd_seeds / sqrt(k))^2 )

se_questions is the cluster-robust error of the seed-averaged score a question; the second part is
there only where two or more seeds were trained, and a figure from one seed says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videothinker.errors import UserError
from videothinker.report.results import Arm, Board

NORMAL = 1.959964
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t for 1 to 9 degrees of freedom."""
MIN_QUESTIONS = 100
"""Fewer questions than this carry no claim, whatever the interval."""
MARGIN = 0.05
"""A difference whose whole interval lies within this of zero counts as none."""


@dataclass(frozen=True)
class Estimate:
    """A mean in [0, 1] (or a difference in [-1, 1]) and its 95 % interval."""

    mean: float
    half: float
    n: int
    """Questions."""
    clusters: int
    """Videos."""
    seeds: tuple[tuple[int, float], ...]
    """(training seed, its own mean)."""

    @property
    def low(self) -> float:
        """Lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.mean + self.half

    @property
    def verdict(self) -> str:
        """For a difference: up, down, none (within MARGIN) or undecided."""
        if self.n < MIN_QUESTIONS:
            return "undecided"
        if self.low >= -MARGIN and self.high <= MARGIN:
            return "none"
        if self.low > 0:
            return "up"
        return "down" if self.high < 0 else "undecided"


def cluster_error(values: Mapping[str, float], cluster: Mapping[str, str]) -> tuple[float, int]:
    """Cluster-robust standard error of a mean, and the number of clusters.

    With residuals e_i = x_i - mean summed inside each of m clusters,
    se^2 = m / (m - 1) * sum_c (sum_{i in c} e_i)^2 / n^2. One cluster has no error: infinite.
    """
    mean = sum(values.values()) / len(values)
    sums: dict[str, float] = {}
    for q, value in values.items():
        sums[cluster[q]] = sums.get(cluster[q], 0.0) + value - mean
    m = len(sums)
    if m < 2:
        return math.inf, m
    square = m / (m - 1) * sum(total**2 for total in sums.values()) / len(values) ** 2
    return math.sqrt(square), m


def _seed_half(means: Sequence[float]) -> float:
    k = len(means)
    if k < 2:
        return 0.0
    centre = sum(means) / k
    deviation = math.sqrt(sum((m - centre) ** 2 for m in means) / (k - 1))
    quantile = STUDENT[k - 2] if k - 2 < len(STUDENT) else NORMAL
    return quantile * deviation / math.sqrt(k)


def _average(tables: Sequence[Mapping[str, float]], ids: Sequence[str]) -> dict[str, float]:
    return {q: sum(table[q] for table in tables) / len(tables) for q in ids}


def _estimate(
    values: Mapping[str, float], cluster: Mapping[str, str], seeds: Sequence[tuple[int, float]]
) -> Estimate:
    if not values:
        raise UserError("no question is left to average over; evaluate on some first")
    error, m = cluster_error(values, cluster)
    half = min(1.0, math.hypot(NORMAL * error, _seed_half([mean for _, mean in seeds])))
    return Estimate(sum(values.values()) / len(values), half, len(values), m, tuple(seeds))


def clusters(board: Board) -> dict[str, str]:
    """Question id -> its video (the question itself where it has none): what may be correlated."""
    return {q: question.video or q for q, question in board.questions.items()}


def _tables(arm: Arm, variant: str, metric: str) -> list[tuple[int, dict[str, float]]]:
    tables = [(one.seed, one.scores(variant, metric)) for one in arm.answered]
    return [(seed, table) for seed, table in tables if table]


def accuracy(
    board: Board, arm: Arm, ids: Sequence[str], variant: str = "full", metric: str = "exact"
) -> Estimate | None:
    """Mean score of an arm over `ids` and over its seeds; null where it answered none of them."""
    tables = _tables(arm, variant, metric)
    common = [q for q in ids if tables and all(q in table for _, table in tables)]
    if not common:
        return None
    seeds = [(seed, sum(table[q] for q in common) / len(common)) for seed, table in tables]
    return _estimate(_average([t for _, t in tables], common), clusters(board), seeds)


def difference(board: Board, arm: Arm, other: Arm, ids: Sequence[str]) -> Estimate | None:
    """Paired difference `arm - other` on the questions both answered.

    Arms with the same seeds are paired seed by seed; otherwise each arm is averaged over its own
    seeds first and the seeds' parts of the two errors add in quadrature.
    """
    a, b = _tables(arm, "full", "exact"), _tables(other, "full", "exact")
    tables = [table for _, table in (*a, *b)]
    common = [q for q in ids if a and b and all(q in table for table in tables)]
    if not common:
        return None
    left, right = (_average([t for _, t in side], common) for side in (a, b))
    values = {q: left[q] - right[q] for q in common}
    means = [
        [(seed, sum(t[q] for q in common) / len(common)) for seed, t in side] for side in (a, b)
    ]
    if [seed for seed, _ in a] == [seed for seed, _ in b]:
        seeds = [(seed, x - y) for (seed, x), (_, y) in zip(*means, strict=True)]
        return _estimate(values, clusters(board), seeds)
    middle = sum(values.values()) / len(values)
    alone = _estimate(values, clusters(board), [(seed, x) for seed, x in means[0]][:1])
    half = math.hypot(alone.half, *(_seed_half([m for _, m in side]) for side in means))
    centre = sum(m for _, m in means[1]) / len(means[1])
    seeds = tuple((seed, x - centre) for seed, x in means[0])
    return Estimate(middle, min(1.0, half), alone.n, alone.clusters, seeds)
