"""From compact records to docs/results.md; see benchmarks/miniature.py."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.evaluation.metrics import Estimate, mean
from videothinker.report.estimates import seed_half

RECORDS = Path(__file__).parent / "results" / "miniature"
SHARES = {"o": 0.74, "i": 0.26}
"""Weights of the mix: observational and inferential in the paper's training data."""
RIGHT, VALID, SIMULATED = 1, 2, 4
"""What an answer's digit adds up: exactly right, of a valid format, opens with a removal."""
LABELS = {"o": "observational", "i": "inferential"}


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
    def read(name: str) -> "Grid | None":
        """The records called `name`, where they are committed."""
        path = RECORDS / f"{name}.json"
        if not path.is_file():
            return None
        book = json.loads(path.read_text())
        sets = {key: value for one in book["sets"] for key, value in one.items()}
        return Grid(name, sets, book["evaluations"], book["trainings"])

    def arms(self, where: str) -> list[str]:
        """Arms evaluated on a set, in the records' order of first appearance."""
        return list(dict.fromkeys(e["arm"] for e in self.evaluations if e["set"] == where))

    def seeds(self, where: str, arm: str) -> list[int | None]:
        """The training seeds of an arm that answered a set; [None] of an untrained base."""
        found = [e["seed"] for e in self.evaluations if (e["set"], e["arm"]) == (where, arm)]
        return sorted(found, key=lambda seed: -1 if seed is None else seed)

    def answers(self, where: str, arm: str, seed: int | None) -> list[int]:
        """One digit a question."""
        for one in self.evaluations:
            if (one["set"], one["arm"], one["seed"]) == (where, arm, seed):
                return [int(c) for c in one["answers"]]
        raise KeyError((where, arm, seed))

    def training(self, arm: str) -> Iterator[dict[str, Any]]:
        """The training records of an arm."""
        return (one for one in self.trainings if one["arm"] == arm)


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


def estimate(grid: Grid, where: str, rows: Sequence[Sequence[float]], what: str) -> Interval:
    """Mean of rows (a seed each, a value a question), clustered by scene; `what` is o, i or mix."""
    asked = grid.sets[where]
    labels = asked["labels"]
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
        [asked["scenes"][n] for n in kept],
        low=-1.0,
    )
    means = [math.fsum(factors[n] * row[n] for n in kept) / len(factors) for row in rows]
    least = 0.0 if all(value >= 0 for row in rows for value in row) else -1.0
    return widened(found, means, least)


def flags(grid: Grid, where: str, arm: str, bit: int) -> list[list[float]]:
    """One row a seed: is the bit set in each answer?"""
    seeds = grid.seeds(where, arm)
    return [[float(bool(a & bit)) for a in grid.answers(where, arm, seed)] for seed in seeds]


def accuracy(grid: Grid, where: str, arm: str, what: str) -> Interval:
    """Exact accuracy over an arm's seeds."""
    return estimate(grid, where, flags(grid, where, arm, RIGHT), what)


def difference(grid: Grid, where: str, arm: str, other: str, what: str) -> Interval | None:
    """Paired difference over the seeds both arms have; None where they share none."""
    common = [s for s in grid.seeds(where, arm) if s in grid.seeds(where, other)]
    if not common:
        return None
    rows = [
        [
            (a & RIGHT) - (b & RIGHT)
            for a, b in zip(grid.answers(where, arm, s), grid.answers(where, other, s), strict=True)
        ]
        for s in common
    ]
    return estimate(grid, where, rows, what)


def share(grid: Grid, where: str, arm: str, bit: int) -> float:
    """Percent of all answers with the bit."""
    rows = flags(grid, where, arm, bit)
    return 100 * math.fsum(map(math.fsum, rows)) / sum(map(len, rows))


def pairs_right(grid: Grid, where: str, arm: str) -> Interval:
    """Percent of minimal pairs with both questions right."""
    asked = grid.sets[where]
    places: dict[str, list[int]] = {}
    for n, pair in enumerate(asked["pairs"]):
        if pair:
            places.setdefault(pair, []).append(n)
    found = [two for two in places.values() if len(two) == 2]
    rows = [[row[a] * row[b] for a, b in found] for row in flags(grid, where, arm, RIGHT)]
    averaged = [math.fsum(row[n] for row in rows) / len(rows) for n in range(len(found))]
    whole = mean(averaged, [asked["scenes"][a] for a, _ in found])
    return widened(whole, [math.fsum(row) / len(row) for row in rows])


def last(grid: Grid, arm: str, name: str) -> float | None:
    """The last point of a training curve, averaged over the arm's seeds."""
    found = [one["curves"][name][-1] for one in grid.training(arm) if one["curves"][name]]
    kept = [value for value in found if value is not None]
    return math.fsum(kept) / len(kept) if kept else None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]


MAIN = "test"
HEAD = (
    "arm",
    "seeds",
    "observational",
    "inferential",
    "mix",
    "inferential against GRPO",
    "observational against GRPO",
    "mix against GRPO",
    "says it simulates",
    "valid",
)


def baseline(arm: str) -> str:
    """Plain GRPO on the same training questions: `grpo@P` of `ARM@P`."""
    _, at, share_of_training = arm.partition("@")
    return f"grpo{at}{share_of_training}"


def arm_row(grid: Grid, where: str, arm: str) -> list[str]:
    """One line of the main table."""
    seeds = grid.seeds(where, arm)
    gaps = [
        None if arm == baseline(arm) else difference(grid, where, arm, baseline(arm), what)
        for what in ("i", "o", "mix")
    ]
    return [
        arm,
        "-" if seeds == [None] else str(len(seeds)),
        *(str(accuracy(grid, where, arm, what)) for what in ("o", "i", "mix")),
        *("" if gap is None else gap.signed for gap in gaps),
        f"{share(grid, where, arm, SIMULATED):.0f}",
        f"{share(grid, where, arm, VALID):.1f}",
    ]


def sizes(grid: Grid, where: str) -> str:
    """How many questions a set has, in words."""
    labels, scenes = grid.sets[where]["labels"], grid.sets[where]["scenes"]
    found = [f"{labels.count(c)} {name}" for c, name in LABELS.items()]
    return f"{' and '.join(found)} questions about {len(set(scenes))} scenes"


def main_table(grid: Grid) -> list[str]:
    """Every arm on the main set of questions."""
    return table(HEAD, [arm_row(grid, MAIN, arm) for arm in grid.arms(MAIN)])


def other_sets(grid: Grid) -> list[str]:
    """Observational / inferential accuracy on every further set, and pairs where there are any."""
    wheres = [w for w in grid.sets if w != MAIN]
    rows = []
    for arm in grid.arms(MAIN):
        row = [arm]
        for where in wheres:
            if not grid.seeds(where, arm):
                row.append("")
            elif any(grid.sets[where]["pairs"]):
                row.append(str(pairs_right(grid, where, arm)))
            else:
                known = [c for c in LABELS if c in grid.sets[where]["labels"]]
                row.append(" / ".join(f"{accuracy(grid, where, arm, c).mean:.1f}" for c in known))
        rows.append(row)
    return table(["arm", *wheres], [row for row in rows if any(row[1:])])


def curves_table(grid: Grid) -> list[str]:
    """Where each arm's training ended."""
    rows = []
    for arm in dict.fromkeys(one["arm"] for one in grid.trainings):
        values = [
            last(grid, arm, name)
            for name in ("divergence", "entropy", "valid", "inferential_share")
        ]
        guarded = sum(one["guarded_steps"] for one in grid.training(arm))
        shown = ["" if value is None else f"{value:.3f}" for value in values]
        rows.append([arm, *shown, str(guarded)])
    head = ("arm", "divergence, nats", "entropy, nats", "valid", "inferential share drawn")
    return table((*head, "steps the guard acted"), rows)


def erosion(grid: Grid, share_of_training: float, arm: str) -> list[str] | None:
    """One line: does two-mode theory predict the sign of GRPO's change on inferential questions?

    With rho the inferential share and p_xy the accuracy of way x on questions y, a policy that
    mixes the two ways drifts to description iff
    (1 - rho) (p_oo - p_so) > rho (p_si - p_oi).
    """
    if not all(grid.seeds(where, "base") for where in (MAIN, "seen", "without")):
        return None
    way = {
        (x, y): accuracy(grid, where, "base", y).mean / 100
        for x, where in (("o", "seen"), ("s", "without"))
        for y in LABELS
    }
    describe = (1 - share_of_training) * (way["o", "o"] - way["s", "o"])
    simulate = share_of_training * (way["s", "i"] - way["o", "i"])
    base = accuracy(grid, MAIN, "base", "i").mean
    gap = accuracy(grid, MAIN, arm, "i").mean - base
    predicted, seen = ("loses" if describe > simulate else "gains"), "loses" if gap < 0 else "gains"
    return [
        f"{100 * share_of_training:.0f} %",
        f"{describe:.3f}",
        f"{simulate:.3f}",
        predicted,
        f"{gap:+.1f}",
        "as predicted" if predicted == seen else "not as predicted",
    ]


SHARE_OF = {"grpo": 0.05, "grpo@10": 0.10, "grpo@26": 0.26}
"""GRPO's arms and the inferential share of their training questions."""


def erosion_table(grids: Sequence[Grid]) -> list[str]:
    """The condition, for every share that GRPO was run at."""
    rows = []
    for grid in grids:
        for arm, rho in SHARE_OF.items():
            if grid.seeds(MAIN, arm) and (row := erosion(grid, rho, arm)):
                rows.append([grid.name, str(len(grid.seeds(MAIN, arm))), *row])
    head = ("grid", "seeds", "inferential share", "pull to describing", "pull to simulating")
    return table((*head, "predicted", "change against base", ""), rows) if rows else []


TITLES = {
    "headline": (
        "Headline: fresh seeds and scenes, run once",
        "Transcript tier, 5 % of the training questions inferential; `recipes/miniature.yaml`.",
    ),
    "development": (
        "Development: every arm that was run",
        "`ARM@P` trained with P % inferential questions, `ARM` with 5.",
    ),
    "video": (
        "Video tier",
        "The embedded base, frames in; `recipes/miniature-video.yaml`. Never pooled with the rest.",
    ),
}
INTRO = """# Results in miniature

Written by `python benchmarks/miniature.py tables` from the records in
`benchmarks/results/miniature/` (one digit a question, model and training seed), so that every
number can be recomputed. Percent of questions answered exactly, with 95 % intervals over scenes and
training seeds; the mix weighs observational and inferential questions 74 to 26, as in the paper's
data; differences are paired by training seed and question. *Says it simulates* is the share of
answers that open with a removal, whatever follows: an opening is no proof of what was computed.
What the words mean: [base models](base_model.md), [the method](method.md)."""


def section(grid: Grid) -> list[str]:
    """One grid: its main table, the further sets, where training ended."""
    title, about = TITLES[grid.name]
    lines = [f"## {title}", "", f"{about} {sizes(grid, MAIN)}.", "", *main_table(grid)]
    if len(grid.sets) > 1:
        lines += [
            "",
            "On further questions, observational / inferential (minimal pairs: both right):",
        ]
        lines += ["", *other_sets(grid)]
    if grid.trainings:
        lines += ["", "Where training ended (mean of the last ten steps):", "", *curves_table(grid)]
    return lines


def page() -> str:
    """docs/results.md."""
    grids = [grid for name in TITLES if (grid := Grid.read(name))]
    parts = [INTRO, *("\n".join(section(grid)) for grid in grids)]
    if rows := erosion_table(grids):
        about = (
            "A policy that mixes two ways of thinking drifts to describing iff "
            "(1 - rho)(p_oo - p_so) > rho (p_si - p_oi), rho the inferential share and p_xy the "
            "base's accuracy when made to think in way x, on questions y. Predicted from the base "
            "alone, against what plain GRPO did:"
        )
        parts.append("\n".join(["## When GRPO erodes", "", about, "", *rows]))
    return "\n\n".join(parts) + "\n"
