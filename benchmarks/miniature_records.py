"""The committed records of the miniature, and estimates from them; see benchmarks/miniature.py."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videothinker.estimates import Estimate, mean
from videothinker.report.estimates import seed_half

RECORDS = Path(__file__).parent / "results" / "miniature"
MAIN = "test"
"""The set that every method answers."""
SHARES = {"o": 0.74, "i": 0.26}
"""Weights of the mix: observational and inferential in the paper's training data."""
RIGHT, VALID, SIMULATED, FOLLOWS = 1, 2, 4, 8
"""What an answer's digit adds up, in base 16: exactly right, of a valid format, opens with a
removal, is another answer than the one to the other question of its pair or family.
"""
CHANGES = {"gone": "g", "new": "n", "both": "b"}
"""What a removal does to the options of an inferential question; "-" of any other question."""
LABELS = {"o": "observational", "i": "inferential"}
PARTS = {"a": "give-aways", "r": "the rest"}
"""Of the inferential questions: do they give themselves away (videothinker.giveaways)?"""
HALVES = {"n": "irrelevant half", "c": "causal half"}
"""Of the minimal pairs: the removed object does not matter to the options, or does."""
PAIRS = "pairs"
"""The set of minimal pairs."""
GIVEAWAYS = "giveaways.json"
"""One mark a question of every set; made by benchmarks/miniature_giveaways.py."""


@dataclass(frozen=True)
class Interval:
    """Percent: a mean and its 95 % interval, over questions and training seeds."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} ({self.low:.1f} to {self.high:.1f})"

    @property
    def signed(self) -> str:
        """A difference, with its sign."""
        return f"{self.mean:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


@dataclass(frozen=True)
class Grid:
    """One committed file of records."""

    name: str
    sets: dict[str, Any]
    evaluations: list[dict[str, Any]]
    trainings: list[dict[str, Any]]

    @staticmethod
    def raw(name: str) -> "Grid":
        """The records called `name` as committed, without the split by give-away."""
        records = json.loads((RECORDS / f"{name}.json").read_text())
        sets = {key: value for one in records["sets"] for key, value in one.items()}
        return Grid(name, sets, records["evaluations"], records["trainings"])

    @staticmethod
    def read(name: str) -> "Grid":
        """The records called `name` as committed, each question with its part."""
        grid = Grid.raw(name)
        rows = {row["set"]: row for row in marked(name)}
        if missing := grid.sets.keys() - rows.keys():
            raise SystemExit(f"{GIVEAWAYS}: lacks {missing} of {name}; miniature_giveaways.py mark")
        sets = {where: asked | split_of(rows[where], asked) for where, asked in grid.sets.items()}
        return replace(grid, sets=sets)

    def letters(self, where: str, what: str) -> str:
        """One letter a question: its label, or its part where `what` is one."""
        return self.sets[where]["parts" if what in (*PARTS, *HALVES) else "labels"]

    def methods(self, where: str) -> list[str]:
        """Methods evaluated on a set, in the records' order of first appearance."""
        return list(dict.fromkeys(e["arm"] for e in self.evaluations if e["set"] == where))

    def seeds(self, where: str, method: str) -> list[int | None]:
        """The training seeds of a method that answered a set; [None] of an untrained base."""
        found = [e["seed"] for e in self.evaluations if (e["set"], e["arm"]) == (where, method)]
        return sorted(found, key=lambda seed: -1 if seed is None else seed)

    def answers(self, where: str, method: str, seed: int | None) -> list[int]:
        """One digit a question."""
        for one in self.evaluations:
            if (one["set"], one["arm"], one["seed"]) == (where, method, seed):
                return [int(c, 16) for c in one["answers"]]
        raise KeyError((where, method, seed))

    def training(self, method: str) -> Iterator[dict[str, Any]]:
        """The training records of a method."""
        return (one for one in self.trainings if one["arm"] == method)


def marked(name: str) -> list[dict[str, Any]]:
    """The rows of GIVEAWAYS that are about a grid."""
    rows = json.loads((RECORDS / GIVEAWAYS).read_text())["sets"]
    return [row for row in rows if row["grid"] == name]


def split_of(row: dict[str, Any], asked: dict[str, Any]) -> dict[str, str]:
    """What GIVEAWAYS says of a set's questions, one character each.

    `marks` (1: gives itself away), `choices` (how many), and `parts`: o observational, a or r
    inferential, n or c half of a minimal pair.
    """
    letter = {"0": "r", "1": "a"}
    both = zip(asked["labels"], row["marks"], strict=True)
    parts = row["halves"] or "".join(letter[mark] if c == "i" else c for c, mark in both)
    return {"marks": row["marks"], "choices": row["choices"], "parts": parts}


def weights(labels: str, what: str) -> list[float]:
    """Weights whose weighted mean over all questions is the accuracy of a label, or the mix."""
    chosen = SHARES if what == "mix" else {what: 1.0}
    return [len(labels) * chosen.get(c, 0.0) / max(1, labels.count(c)) for c in labels]


def widened(found: Estimate, means: Sequence[float], least: float = 0.0) -> Interval:
    """A clustered mean (a share of 1) whose interval the seeds' means widen, in quadrature.

    So are the report's (videothinker.report.estimates). Its low end is at least `least`.
    """
    half = math.hypot(found.high - found.value, seed_half(means))
    low, high = max(least, found.value - half), min(1.0, found.value + half)
    return Interval(100 * found.value, 100 * low, 100 * high)


def estimate(
    grid: Grid, where: str, rows: Sequence[Sequence[float]], what: str, least: float = 0.0
) -> Interval:
    """Mean of rows (a seed each, a value a question), clustered by scene.

    `what` is mix, or a letter of LABELS, PARTS or HALVES.

    No value is below `least`: 0 for accuracies, -1 for differences.
    """
    labels, scenes = grid.letters(where, what), grid.sets[where]["scenes"]
    factors = weights(labels, what)
    kept = [n for n, factor in enumerate(factors) if factor]
    averaged = {n: math.fsum(row[n] for row in rows) / len(rows) for n in kept}
    whole = math.fsum(factors[n] * averaged[n] for n in kept) / len(factors)
    # around the mean of its own label: that the labels differ is no uncertainty of the mix
    strata = {c: [averaged[n] for n in kept if labels[n] == c] for c in {labels[n] for n in kept}}
    centre = {c: math.fsum(values) / len(values) for c, values in strata.items()}
    scale = len(kept) / len(factors)
    found = mean(
        [whole + factors[n] * scale * (averaged[n] - centre[labels[n]]) for n in kept],
        [scenes[n] for n in kept],
        low=-1.0,
    )
    means = [math.fsum(factors[n] * row[n] for n in kept) / len(factors) for row in rows]
    return widened(found, means, least)


def flags(grid: Grid, where: str, method: str, bit: int) -> list[list[float]]:
    """One row a seed: is the bit set in each answer?"""
    seeds = grid.seeds(where, method)
    return [[float(bool(a & bit)) for a in grid.answers(where, method, seed)] for seed in seeds]


def accuracy(grid: Grid, where: str, method: str, what: str) -> Interval:
    """Exact accuracy over a method's seeds."""
    return estimate(grid, where, flags(grid, where, method, RIGHT), what)


def by_seed(grid: Grid, where: str, method: str, label: str) -> list[float]:
    """Percent right of the questions of a label, part or half, a number a seed."""
    asked = [n for n, c in enumerate(grid.letters(where, label)) if c == label]
    rows = flags(grid, where, method, RIGHT)
    return [100 * math.fsum(row[n] for n in asked) / len(asked) for row in rows]


def difference(grid: Grid, where: str, method: str, other: str, what: str) -> Interval | None:
    """Paired difference over the seeds both methods have; None where they share none."""
    common = [s for s in grid.seeds(where, method) if s in grid.seeds(where, other)]
    if not common:
        return None
    rows = [
        [
            (a & RIGHT) - (b & RIGHT)
            for a, b in zip(
                grid.answers(where, method, s), grid.answers(where, other, s), strict=True
            )
        ]
        for s in common
    ]
    return estimate(grid, where, rows, what, least=-1.0)


def baseline(method: str) -> str:
    """Plain GRPO on the same training questions: `grpo@P` of `METHOD@P`."""
    _, at, share_of_training = method.partition("@")
    return f"grpo{at}{share_of_training}"


def share(grid: Grid, where: str, method: str, bit: int) -> float:
    """Percent of all answers with the bit."""
    rows = flags(grid, where, method, bit)
    return 100 * math.fsum(map(math.fsum, rows)) / sum(map(len, rows))


def twos(grid: Grid, where: str) -> list[tuple[int, int]]:
    """The two questions of each minimal pair, or family, by their place in the set."""
    places: dict[str, list[int]] = {}
    for n, pair in enumerate(grid.sets[where]["pairs"]):
        if pair:
            places.setdefault(pair, []).append(n)
    return [(two[0], two[1]) for two in places.values() if len(two) == 2]


def whole_by_seed(grid: Grid, where: str, method: str) -> list[list[float]]:
    """One row a seed: are both questions of each two right?"""
    at = twos(grid, where)
    return [[row[a] * row[b] for a, b in at] for row in flags(grid, where, method, RIGHT)]


def over_twos(
    grid: Grid, where: str, rows: Sequence[Sequence[float]], least: float = 0.0
) -> Interval:
    """Mean of rows (a seed each, a value a pair or family), clustered by scene; see `estimate`."""
    averaged = [math.fsum(values) / len(rows) for values in zip(*rows, strict=True)]
    scenes = [grid.sets[where]["scenes"][a] for a, _ in twos(grid, where)]
    means = [math.fsum(row) / len(row) for row in rows]
    return widened(mean(averaged, scenes, low=least), means, least)


def pairs_right(grid: Grid, where: str, method: str) -> Interval:
    """Percent of minimal pairs, or families, with both questions right."""
    return over_twos(grid, where, whole_by_seed(grid, where, method))


def last(grid: Grid, method: str, name: str) -> float | None:
    """The last point of a training curve, averaged over the method's seeds."""
    found = [one["curves"][name][-1] for one in grid.training(method) if one["curves"][name]]
    kept = [value for value in found if value is not None]
    return math.fsum(kept) / len(kept) if kept else None


OPENING = ("method", "seeds", "observational", "inferential", *PARTS.values(), "mix")
"""Heads of `opening`; a set without a mix has one less."""
ACCURACIES = (*LABELS, *PARTS)
"""What stands under them: inferential accuracy never without its split."""


def opening(grid: Grid, where: str, method: str, whats: Sequence[str]) -> list[str]:
    """How a line begins: the method, how many seeds it has, its accuracies."""
    seeds = grid.seeds(where, method)
    count = "-" if seeds == [None] else str(len(seeds))
    return [method, count, *(str(accuracy(grid, where, method, what)) for what in whats)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]
