"""Means with the interval they deserve: over questions (clustered by video) and over seeds.

Each end of the interval lies sqrt(q^2 + s^2) from the mean: q is the clustered interval of
the seed-averaged score a question, s = t_{k-1} sd_seeds / sqrt(k) the spread of k training seeds.
A figure from one seed has no s, and says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videothinker import estimates
from videothinker.dependence import cluster_of
from videothinker.estimates import Estimate, student
from videothinker.report.results import Board, Counted, Method

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


def _average(tables: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    return {name: sum(table[name] for table in tables) / len(tables) for name in names}


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


def _answered(
    units: Sequence[Counted], tables: Sequence[tuple[int, Mapping[str, float]]]
) -> list[Counted]:
    """The units of which every table holds every question."""
    held = [table for _, table in tables]
    return [unit for unit in units if held and all(q in table for table in held for q in unit)]


def _of_units(
    units: Sequence[Counted], tables: Sequence[tuple[int, Mapping[str, float]]]
) -> list[tuple[int, dict[str, float]]]:
    """(seed, first question of each unit -> the product over its questions)."""
    return [
        (seed, {unit[0]: math.prod(table[q] for q in unit) for unit in units})
        for seed, table in tables
    ]


def _means(tables: Sequence[tuple[int, Mapping[str, float]]]) -> list[tuple[int, float]]:
    return [(seed, sum(table.values()) / len(table)) for seed, table in tables]


def accuracy(
    board: Board,
    method: Method,
    units: Sequence[Counted],
    variant: str = "full",
    metric: str = "exact",
) -> Accuracy | None:
    """Mean score of a method over `units` and its seeds; None where it answered none of them."""
    tables = _tables(method, variant, metric)
    common = _answered(units, tables)
    if not common:
        return None
    scored = _of_units(common, tables)
    values = _average([table for _, table in scored], [unit[0] for unit in common])
    seeds = _means(scored)
    found = _estimate(board, values, seeds, spread=seed_half([mean for _, mean in seeds]))
    asked = [q for unit in common for q in unit]
    return Accuracy(**vars(found), unparsed=method.unparsed(asked, variant))


def difference(
    board: Board, method: Method, other: Method, units: Sequence[Counted]
) -> SeededEstimate | None:
    """Paired difference `method - other` on the units both answered.

    Methods with the same seeds are paired seed by seed; otherwise each method is averaged over its
    own seeds first and the seeds' parts of the two errors add in quadrature.
    """
    both = [_tables(one, "full", "exact") for one in (method, other)]
    common = _answered(units, [*both[0], *both[1]]) if all(both) else []
    if not common:
        return None
    a, b = (_of_units(common, tables) for tables in both)
    names = [unit[0] for unit in common]
    left, right = (_average([table for _, table in side], names) for side in (a, b))
    values = {name: left[name] - right[name] for name in names}
    means = [_means(side) for side in (a, b)]
    if [seed for seed, _ in a] == [seed for seed, _ in b]:
        seeds = [(seed, x - y) for (seed, x), (_, y) in zip(*means, strict=True)]
        spread = seed_half([gap for _, gap in seeds])
    else:
        centre = sum(mean for _, mean in means[1]) / len(means[1])
        seeds = [(seed, mean - centre) for seed, mean in means[0]]
        spread = math.hypot(*(seed_half([mean for _, mean in side]) for side in means))
    return _estimate(board, values, seeds, spread=spread, floor=-1.0)
