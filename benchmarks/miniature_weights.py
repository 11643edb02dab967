"""The weight of the repulsion: a curve a family of methods, and what three conditions say of it."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul

from miniature_records import (
    ACCURACIES,
    MAIN,
    OPENING,
    RIGHT,
    VALID,
    Grid,
    Interval,
    difference,
    flags,
    opening,
    table,
    weights,
)

FAMILIES = {
    "controller": "exact divergence, its weight led by a controller",
    "k3": "the plain objective: the paper's divergence at a constant weight",
}
"""Methods called FAMILY-WEIGHT, trained on the questions that `grpo` was trained on."""
LEAST_VALID = 95.0
"""Percent of a seed's answers that must be of a valid format."""
MOST_LOST = 2.0
"""Points of the mix that a seed may lie below GRPO's of the same seed."""
HALF, DECADE = 0.5, 10.0
"""The share of a family's best gain to keep, and over which ratio of weights."""
EPSILON = 1e-9
UNSAID = "cannot be said, no seed has its GRPO"
HEAD = (
    *OPENING,
    "valid in the worst seed",
    "mix against GRPO in the worst seed",
    "inferential against GRPO",
    "share of the best gain",
)


@dataclass(frozen=True)
class Point:
    """One weight of a family; percent and points."""

    method: str
    weight: float
    valid: float
    """Of the worst seed."""
    mix_gap: float
    """Mix minus that of the same seed's GRPO, in the worst seed; nan without a common seed."""
    gap: Interval | None
    """Inferential accuracy minus GRPO's over the common seeds; None without one."""

    @property
    def gain(self) -> float:
        """Mean of the gap."""
        return math.nan if self.gap is None else self.gap.mean


def mixes(grid: Grid, method: str) -> dict[int | None, float]:
    """Percent of the mix that is right, by seed."""
    factors = weights(grid.sets[MAIN]["labels"], "mix")
    rows = zip(grid.seeds(MAIN, method), flags(grid, MAIN, method, RIGHT), strict=True)
    return {seed: 100 * math.fsum(map(mul, factors, row)) / len(row) for seed, row in rows}


def point(grid: Grid, method: str, weight: float) -> Point:
    """What is known of one method."""
    ours, plain = mixes(grid, method), mixes(grid, "grpo")
    valid = min(100 * math.fsum(row) / len(row) for row in flags(grid, MAIN, method, VALID))
    mix_gap = min((ours[seed] - plain[seed] for seed in ours if seed in plain), default=math.nan)
    return Point(method, weight, valid, mix_gap, difference(grid, MAIN, method, "grpo", "i"))


def curve(grid: Grid, family: str) -> list[Point]:
    """A family's methods on the main set, by weight."""
    found = [
        (method, re.fullmatch(rf"{family}-(\d*\.?\d+)", method)) for method in grid.methods(MAIN)
    ]
    points = [point(grid, method, float(match[1])) for method, match in found if match]
    return sorted(points, key=lambda one: one.weight)


def best_of(points: Sequence[Point]) -> Point | None:
    """The weight with the largest gain; None where no weight gains."""
    found = [one for one in points if one.gain > EPSILON]
    return max(found, key=lambda one: one.gain, default=None)


def point_row(grid: Grid, one: Point, best: Point | None) -> list[str]:
    """One line of the table."""
    return [
        *opening(grid, MAIN, one.method, (*ACCURACIES, "mix")),
        f"{one.valid:.1f}",
        "" if one.gap is None else f"{one.mix_gap:+.1f}",
        "" if one.gap is None else one.gap.signed,
        "" if one.gap is None or best is None else f"{one.gain / best.gain:.2f}",
    ]


def listed(points: Sequence[Point]) -> str:
    """Weights in words."""
    words = [f"{one.weight:g}" for one in points]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def holds(points: Sequence[Point], condition: Callable[[Point], bool], worst: str = "") -> str:
    """At which weights a condition holds, in words; `worst` is said where it fails."""
    if not points:
        return UNSAID
    right = [one for one in points if condition(one)]
    wrong = [one for one in points if not condition(one)]
    if not wrong:
        return "holds at every weight run"
    return f"fails at {listed(wrong)}{worst}" + (f", holds at {listed(right)}" if right else "")


def kept(points: Sequence[Point]) -> str:
    """Over which neighbouring weights half of the best gain is kept, in words."""
    best = best_of(points)
    if best is None:
        return "fails, no weight gains" if points else UNSAID
    runs: list[list[Point]] = [[]]
    for one in points:
        if one.gain >= HALF * best.gain - EPSILON:
            runs[-1].append(one)
        else:
            runs.append([])
    longest = max(filter(None, runs), key=lambda run: run[-1].weight / run[0].weight)
    low, high = longest[0].weight, longest[-1].weight
    verdict = "holds" if high / low >= DECADE - EPSILON else "fails"
    where = f"only at {low:g}" if low == high else f"from {low:g} to {high:g}"
    return f"{verdict} ({where}; best {best.gain:+.1f} at {best.weight:g})"


def verdict_rows(family: str, points: Sequence[Point]) -> list[list[str]]:
    """Whether the three conditions hold for a family, a line each."""
    compared = [one for one in points if one.gap is not None]
    alone = [one for one in points if one.gap is None]
    deepest = f" ({min((one.mix_gap for one in compared), default=0.0):+.1f} at worst)"
    apart = f"; at {listed(alone)} no seed has its GRPO" if compared and alone else ""
    verdicts = {
        f"at least {LEAST_VALID:g} % valid in every seed": holds(
            points, lambda one: one.valid >= LEAST_VALID - EPSILON
        ),
        f"a mix at most {MOST_LOST:g} points below GRPO's in every seed": holds(
            compared, lambda one: one.mix_gap >= -MOST_LOST - EPSILON, deepest
        ),
        "half of the best gain over a decade": kept(compared) + apart,
    }
    return [[f"`{family}`", condition, verdict] for condition, verdict in verdicts.items()]


def weight_section(grids: Sequence[Grid]) -> list[str]:
    """The page's section on the development grid's curves; empty where there are none."""
    grid = next((one for one in grids if one.name == "development"), None)
    curves = {family: curve(grid, family) for family in FAMILIES} if grid else {}
    curves = {family: points for family, points in curves.items() if points}
    if grid is None or not curves:
        return []
    rows = [point_row(grid, one, best_of(points)) for points in curves.values() for one in points]
    verdicts = [row for family, points in curves.items() for row in verdict_rows(family, points)]
    families = [f"`{family}` is {FAMILIES[family]}." for family in curves]
    return [
        "## The weight of the repulsion",
        "",
        "Development, against GRPO of the same seed. " + " ".join(families),
        "",
        *table(HEAD, rows),
        "",
        "What was asked of each curve, over all weights run:",
        "",
        *table(("family", "condition", "does it hold?"), verdicts),
    ]
