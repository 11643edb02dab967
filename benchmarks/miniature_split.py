"""Committed answers split by give-away and by half of a minimal pair (miniature_giveaways.py)."""

import math
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from miniature_records import (
    HALVES,
    LABELS,
    MAIN,
    PAIRS,
    PARTS,
    RIGHT,
    SIMULATED,
    Grid,
    Interval,
    accuracy,
    baseline,
    by_seed,
    difference,
    pairs_right,
    table,
)

from videothinker.estimates import Share, share, show
from videothinker.report.estimates import seed_half

GRIDS = ("headline", "confirmation", "development", "video", "video_before")
DRAWS = 10_000
"""Resamples of a bootstrap."""
NAMES = {**LABELS, **PARTS}


def gains(grid: Grid, where: str, method: str, other: str, what: str) -> dict[int, float]:
    """Training seed that two methods share -> the first method's gain, in points."""
    ours, theirs = (
        dict(zip(grid.seeds(where, name), by_seed(grid, where, name, what), strict=True))
        for name in (method, other)
    )
    return {s: ours[s] - theirs[s] for s in ours if s is not None and s in theirs}


def over_seeds(values: Sequence[float]) -> Interval:
    """Student's interval over training seeds alone: the same questions are asked again."""
    centre, half = math.fsum(values) / len(values), seed_half(values)
    return Interval(centre, centre - half, centre + half)


@cache
def resampled(count: int) -> np.ndarray:
    """How often each of `count` things is drawn, DRAWS times: `D count`."""
    return np.random.default_rng(count).multinomial(count, [1 / count] * count, DRAWS).astype(float)


def bootstrap(grid: Grid, where: str, method: str, other: str, what: str) -> Interval:
    """Percentiles of the gain over resampled seeds and, apart from them, resampled scenes."""
    found = gains(grid, where, method, other, what)
    kept = [n for n, c in enumerate(grid.letters(where, what)) if c == what]
    places = {scene: i for i, scene in enumerate(dict.fromkeys(grid.sets[where]["scenes"]))}
    scene_Q = np.array([places[grid.sets[where]["scenes"][n]] for n in kept])
    counts_V = np.bincount(scene_Q, minlength=len(places)).astype(float)
    sums_SV = np.zeros((len(found), len(places)))
    for row, seed in enumerate(found):
        ours, theirs = (np.array(grid.answers(where, name, seed))[kept] for name in (method, other))
        gap_Q = (ours & RIGHT) - (theirs & RIGHT)
        sums_SV[row] = np.bincount(scene_Q, gap_Q, minlength=len(places))
    scenes_DV = resampled(len(places))
    total_D = ((resampled(len(found)) @ sums_SV) * scenes_DV).sum(1)
    found_D = 100 * total_D / (len(found) * np.maximum(1, scenes_DV @ counts_V))
    low, high = np.quantile(found_D, (0.025, 0.975))
    return Interval(over_seeds([*found.values()]).mean, float(low), float(high))


def guess(grid: Grid, where: str, what: str) -> float:
    """Percent right of an answer drawn from all non-empty sets of letters."""
    both = zip(grid.sets[where]["choices"], grid.letters(where, what), strict=True)
    chances = [1 / (2 ** int(count) - 1) for count, letter in both if letter == what]
    return 100 * math.fsum(chances) / len(chances)


def giving_away(grid: Grid, where: str, label: str) -> Share:
    """Of a label's questions, those that give themselves away."""
    asked = grid.sets[where]
    marks = [m for m, c in zip(asked["marks"], asked["labels"], strict=True) if c == label]
    return share(marks.count("1"), len(marks))


def sets_of(grid: Grid) -> list[str]:
    """The sets that ask ordinary questions of their own: no pairs, no prefilled thinking."""
    return [w for w, asked in grid.sets.items() if w != PAIRS and not asked["prefill"]]


def opening_as_removal(grid: Grid, method: str) -> Share:
    """Causal halves answered right, among those whose answer opens with a removal."""
    found = [
        answer & RIGHT
        for seed in grid.seeds(PAIRS, method)
        for answer, half in zip(
            grid.answers(PAIRS, method, seed), grid.letters(PAIRS, "c"), strict=True
        )
        if half == "c" and answer & SIMULATED
    ]
    return share(sum(found), len(found))


def share_rows(grid: Grid) -> Iterator[list[str]]:
    """How many questions of each label give themselves away, a line a set of questions."""
    for where in sets_of(grid):
        floor = f"{guess(grid, where, 'r'):.1f}"
        shares = [show(giving_away(grid, where, label)) for label in LABELS]
        yield [grid.name, where, *shares, floor]


def gain_rows(grid: Grid, where: str) -> Iterator[list[str]]:
    """Every method's gain over GRPO by label and part, with three intervals."""
    for method in grid.methods(where):
        other = baseline(method)
        if method == other or method.partition("@")[0] == "bias":
            continue
        for what, name in NAMES.items():
            found = [*gains(grid, where, method, other, what).values()]
            gap = difference(grid, where, method, other, what) if found else None
            if gap is None:
                continue
            seeds = over_seeds(found).signed if len(found) > 1 else "one seed"
            drawn = bootstrap(grid, where, method, other, what).signed
            lost = f"{sum(gain < 0 for gain in found)} of {len(found)}"
            yield [grid.name, where, method, name, gap.signed, seeds, drawn, lost]


def accuracy_rows(grid: Grid, where: str) -> Iterator[list[str]]:
    """Every method, then each of its seeds."""
    for method in grid.methods(where):
        seeds = grid.seeds(where, method)
        yield [
            grid.name,
            where,
            method,
            "all",
            *(str(accuracy(grid, where, method, w)) for w in NAMES),
        ]
        each = [by_seed(grid, where, method, what) for what in NAMES]
        if seeds != [None]:
            for seed, *values in zip(seeds, *each, strict=True):
                yield [grid.name, where, method, str(seed), *(f"{value:.1f}" for value in values)]


def pair_rows(grid: Grid) -> Iterator[list[str]]:
    """Minimal pairs by half, a method a line."""
    for method in grid.methods(PAIRS):
        halves = [str(accuracy(grid, PAIRS, method, half)) for half in HALVES]
        both = str(pairs_right(grid, PAIRS, method))
        count = "-" if grid.seeds(PAIRS, method) == [None] else str(len(grid.seeds(PAIRS, method)))
        yield [grid.name, method, count, *halves, both, show(opening_as_removal(grid, method))]


PAIR_HEAD = ("grid", "method", "seeds", *HALVES.values(), "both right")
INTERVALS = ("over scenes and seeds", "Student over seeds", "bootstrap of seeds and scenes")


def printed(*, every: bool) -> list[str]:
    """All tables as lines of text; `every` set, or the main one and the pairs."""
    grids = [Grid.read(name) for name in GRIDS]
    asked = [(g, w) for g in grids for w in g.sets if w == MAIN or (every and w != PAIRS)]
    tables = {
        "Questions that give themselves away, and what a guess at the rest gets (percent)": (
            ("grid", "set", *LABELS.values(), "guess at the rest"),
            [row for grid in grids for row in share_rows(grid)],
        ),
        f"Percent right (95 % {INTERVALS[0]})": (
            ("grid", "set", "method", "seed", *NAMES.values()),
            [row for one in asked for row in accuracy_rows(*one)],
        ),
        "Gain over GRPO of the same training share, points (95 %)": (
            ("grid", "set", "method", "questions", *INTERVALS, "seeds that lose"),
            [row for one in asked for row in gain_rows(*one)],
        ),
        f"Minimal pairs by half, percent right (95 % {INTERVALS[0]})": (
            (*PAIR_HEAD, "causal half, where the answer opens with a removal"),
            [row for grid in grids for row in pair_rows(grid)],
        ),
    }
    lines: list[str] = []
    for title, (head, rows) in tables.items():
        lines += [title, "", *table(head, rows), ""]
    return lines
