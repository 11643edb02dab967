"""Means with the interval they deserve: over questions (clustered by video) and over seeds.

Each end of the interval lies sqrt(q^2 + s^2) from the mean: q is the clustered interval of
the seed-averaged score a question, s = t_{k-1} sd_seeds / sqrt(k) the spread of k training seeds.
A figure from one seed has no s, and says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videothinker import estimates
from videothinker.estimates import Estimate, student
from videothinker.evaluation.metrics import cluster_of, pairs
from videothinker.report.results import Board, Method

MIN_QUESTIONS = 100
"""Fewer questions than this carry no claim, whatever the interval."""
MARGIN = 0.05
"""A difference whose whole interval lies within this of zero counts as none."""


@dataclass(frozen=True)
class SeededEstimate(Estimate):
    """An estimate over training seeds."""

    seeds: tuple[tuple[int, float], ...]
    """(training seed, its own mean)."""

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


@dataclass(frozen=True)
class Accuracy(SeededEstimate):
    """The mean score of a method, beside what could not be read."""

    unparsed: float
    """Share of its answers that no letter could be read from: unparsed, cut off or failed. They
    count as wrong."""


def seed_half(means: Sequence[float]) -> float:
    """t_{k-1} sd / sqrt(k) of k seeds' means; 0 for one seed, whose spread is unknown."""
    k = len(means)
    if k < 2:
        return 0.0
    centre = sum(means) / k
    deviation = math.sqrt(sum((m - centre) ** 2 for m in means) / (k - 1))
    return student(k - 1) * deviation / math.sqrt(k)


def _average(tables: Sequence[Mapping[str, float]], ids: Sequence[str]) -> dict[str, float]:
    return {q: sum(table[q] for table in tables) / len(tables) for q in ids}


def _estimate(
    board: Board,
    values: Mapping[str, float],
    seeds: Sequence[tuple[int, float]],
    *,
    spread: float,
    floor: float = 0.0,
) -> SeededEstimate:
    """The clustered interval over questions, widened by the seeds' spread."""
    clusters = [cluster_of(board.questions[q]) for q in values]
    found = estimates.mean(list(values.values()), clusters, low=floor)
    low = max(floor, found.value - math.hypot(found.value - found.low, spread))
    high = min(1.0, found.value + math.hypot(found.high - found.value, spread))
    return SeededEstimate(
        found.value, found.error, low, high, found.n, found.clusters, tuple(seeds)
    )


def _tables(method: Method, variant: str, metric: str) -> list[tuple[int, dict[str, float]]]:
    tables = [(one.seed, one.scores(variant, metric)) for one in method.evaluations]
    return [(seed, table) for seed, table in tables if table]


def accuracy(
    board: Board, method: Method, ids: Sequence[str], variant: str = "full", metric: str = "exact"
) -> Accuracy | None:
    """Mean score of a method over `ids` and over its seeds; null where it answered none of them."""
    tables = _tables(method, variant, metric)
    common = [q for q in ids if tables and all(q in table for _, table in tables)]
    if not common:
        return None
    seeds = [(seed, sum(table[q] for q in common) / len(common)) for seed, table in tables]
    values = _average([t for _, t in tables], common)
    found = _estimate(board, values, seeds, spread=seed_half([mean for _, mean in seeds]))
    return Accuracy(**vars(found), unparsed=method.unparsed(common, variant))


def pairs_right(board: Board, method: Method, variant: str = "full") -> SeededEstimate | None:
    """Share of minimal pairs with both questions right, over the method's seeds."""
    tables = _tables(method, variant, "exact")
    found = [
        (one.id, other.id)
        for one, other in pairs(list(board.questions.values()))
        if tables and all(one.id in table and other.id in table for _, table in tables)
    ]
    if not found:
        return None
    both = [(seed, {a: table[a] * table[b] for a, b in found}) for seed, table in tables]
    seeds = [(seed, sum(table.values()) / len(table)) for seed, table in both]
    values = _average([table for _, table in both], [a for a, _ in found])
    return _estimate(board, values, seeds, spread=seed_half([mean for _, mean in seeds]))


def difference(
    board: Board, method: Method, other: Method, ids: Sequence[str]
) -> SeededEstimate | None:
    """Paired difference `method - other` on the questions both answered.

    Methods with the same seeds are paired seed by seed; otherwise each method is averaged over its
    own seeds first and the seeds' parts of the two errors add in quadrature.
    """
    a, b = _tables(method, "full", "exact"), _tables(other, "full", "exact")
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
        spread = seed_half([gap for _, gap in seeds])
    else:
        centre = sum(mean for _, mean in means[1]) / len(means[1])
        seeds = [(seed, mean - centre) for seed, mean in means[0]]
        spread = math.hypot(*(seed_half([mean for _, mean in side]) for side in means))
    return _estimate(board, values, seeds, spread=spread, floor=-1.0)
