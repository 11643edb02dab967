"""From compact records to docs/results.md; see benchmarks/miniature.py."""

from collections.abc import Sequence

import miniature_pages as split
from miniature_records import (
    ACCURACIES,
    HALVES,
    LABELS,
    MAIN,
    OPENING,
    PAIRS,
    SIMULATED,
    VALID,
    Grid,
    accuracy,
    baseline,
    by_seed,
    difference,
    last,
    opening,
    pairs_right,
    share,
    table,
)
from miniature_weights import weight_section

AGAINST = {
    "i": "inferential against GRPO",
    "r": "the rest against GRPO",
    "o": "observational against GRPO",
    "mix": "mix against GRPO",
}
HEAD = (*OPENING, *AGAINST.values(), "says it simulates", "valid")
FURTHER = tuple(AGAINST)[:-1]
"""Of a further set, which has no mix."""


def against_baseline(grid: Grid, where: str, arm: str, whats: Sequence[str]) -> list[str]:
    """Signed differences; empty for GRPO itself and for what was not trained on its questions.

    A bias model shares at most the number of a seed with GRPO, no draw. Where GRPO was run with
    fewer seeds, their number stands behind.
    """
    other = baseline(arm)
    ours, theirs = (set(grid.seeds(where, name)) for name in (arm, other))
    fewer = f"; {len(ours & theirs)} of {len(ours)} seeds" if ours - theirs else ""
    apart = arm == other or arm.partition("@")[0] == "bias"
    gaps = [None if apart else difference(grid, where, arm, other, what) for what in whats]
    return ["" if gap is None else gap.signed + fewer for gap in gaps]


def arm_row(grid: Grid, where: str, arm: str) -> list[str]:
    """One line of the main table."""
    return [
        *opening(grid, where, arm, (*ACCURACIES, "mix")),
        *against_baseline(grid, where, arm, tuple(AGAINST)),
        f"{share(grid, where, arm, SIMULATED):.0f}",
        f"{share(grid, where, arm, VALID):.1f}",
    ]


def sizes(grid: Grid, where: str) -> str:
    """How many questions a set has, in words."""
    labels, scenes = grid.sets[where]["labels"], grid.sets[where]["scenes"]
    found = [f"{labels.count(c)} {name}" for c, name in LABELS.items()]
    away = grid.letters(where, "a").count("a")
    whole = f"{' and '.join(found)} questions about {len(set(scenes))} scenes"
    return f"{whole}; {away} of the inferential give themselves away"


def main_table(grid: Grid) -> list[str]:
    """Every arm on the main set of questions."""
    return table(HEAD, [arm_row(grid, MAIN, arm) for arm in grid.arms(MAIN)])


SETS = {
    "pairs": "minimal pairs, two questions that look alike and differ in the answer",
    "seen": "the main questions, every model forced to describe",
    "without": "the main questions, every model forced to simulate the removal",
    "six-objects": "out of domain, always 6 objects where the base saw 4 or 5",
    "four-collisions": "out of domain, always 4 collisions where the base saw 2 to 4",
    "other-shades": "out of domain, color channels up to 21 of 255 from those the base saw",
    "more-frames": "out of domain, 24 frames of the same 5 seconds where the base saw 16",
    "longer-videos": "out of domain, videos of 7.68 seconds where the base saw 5.12 (from pixels "
    "24 frames instead of 16)",
}
"""What the further sets are."""


def further_row(grid: Grid, where: str, arm: str) -> list[str]:
    """One line of a further set's table: a pair's halves and both, or a label at a time."""
    if where == PAIRS:
        return [*opening(grid, where, arm, tuple(HALVES)), str(pairs_right(grid, where, arm))]
    return [*opening(grid, where, arm, ACCURACIES), *against_baseline(grid, where, arm, FURTHER)]


def further_set(grid: Grid, where: str) -> list[str]:
    """What a further set is, and every arm that answered it."""
    prefill, pairs = grid.sets[where]["prefill"], len(set(grid.sets[where]["pairs"]) - {""})
    begins = f" (the answer begins `{prefill}`)" if prefill else ""
    size = f"{pairs} pairs" if pairs else sizes(grid, where)
    gaps = [AGAINST[what] for what in FURTHER]
    head = (*OPENING[:2], *HALVES.values(), "both right") if pairs else (*OPENING[:-1], *gaps)
    arms = dict.fromkeys([*grid.arms(MAIN), *grid.arms(where)])
    rows = [further_row(grid, where, arm) for arm in arms if grid.seeds(where, arm)]
    about = f"`{where}`: {SETS[where]}{begins}; {size}."
    return [about, "", *table(head, rows)]


def other_sets(grid: Grid) -> list[str]:
    """Every further set that was answered, a table each."""
    found = [further_set(grid, where) for where in grid.sets if where != MAIN and grid.arms(where)]
    return [line for lines in found for line in ("", *lines)]


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

    The sign is that of the mean; how many seeds lost stands beside it.

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
    base, rest = (accuracy(grid, MAIN, "base", what).mean for what in "ir")
    gap = accuracy(grid, MAIN, arm, "i").mean - base
    there = accuracy(grid, MAIN, arm, "r").mean - rest
    each = by_seed(grid, MAIN, arm, "i")
    lost = sum(one < base for one in each)
    predicted, seen = ("loses" if describe > simulate else "gains"), "loses" if gap < 0 else "gains"
    return [
        f"{100 * share_of_training:.0f} %",
        f"{describe:.3f}",
        f"{simulate:.3f}",
        predicted,
        f"{gap:+.1f}",
        f"{there:+.1f}",
        f"{lost} of {len(each)}",
        "as predicted" if predicted == seen else "not as predicted",
    ]


SHARE_OF = {"grpo": 0.05, "grpo@10": 0.10, "grpo@26": 0.26, "grpo@50": 0.50}
"""GRPO's arms and the inferential share of their training questions."""


def erosion_table(grids: Sequence[Grid]) -> list[str]:
    """The condition, for every share that GRPO was run at."""
    rows = []
    for grid in grids:
        for arm, rho in SHARE_OF.items():
            if grid.seeds(MAIN, arm) and (row := erosion(grid, rho, arm)):
                rows.append([grid.name, *row])
    pulls = ("pull to describing", "pull to simulating")
    outcome = ("predicted", "change against base", "on the rest", "seeds that lost", "")
    return table(("grid", "inferential share", *pulls, *outcome), rows) if rows else []


TITLES = {
    "headline": (
        "Headline: fresh seeds and scenes, run once",
        """Transcript tier, 5 % of the training questions inferential, `bias-failure` with the
floor .05; `recipes/miniature.yaml`.""",
    ),
    "confirmation": (
        "Confirmation: the default floor of bias-failure sampling, on seeds and scenes of its own",
        """Transcript tier, 5 % inferential, `bias-failure` with the floor .2; planned before they
were run, `grpo-long` (260 steps) and `ARM@26` (26 % inferential, against `grpo@26`); afterwards
`grpo-longer` (520 steps) on the three seeds that `grpo-long` had left eroded, no estimate for all
seeds; `recipes/miniature-confirmation.yaml`.""",
    ),
    "development": (
        "Development: every arm that was run",
        """`ARM@P` trained with P % inferential questions, `ARM` with 5; `bias-failure` has the
floor .2, `bias-failure-F` the floor F. `grpo-constant`: 60 steps at a rate that does not fall;
`grpo-long`, `grpo-long-constant`: 260 steps at the usual falling rate and at one that does not;
`grpo-long-slow`: 260 steps whose rates add up to those of 60.""",
    ),
    "video": (
        "Video tier",
        """The embedded base, frames in, 5 % inferential, `bias-failure` with the floor .05;
`grpo-long`: 210 steps instead of 60;
`recipes/miniature-video.yaml`. Never pooled with the rest.""",
    ),
    "video_before": (
        "Video tier, from the base before",
        """The same recipe and world, fewer seeds; the base of commit e732ec6, which the next
one replaced, for it missed a bar of its card (89.3 % of the descriptive questions, 90 asked).""",
    ),
}
SMALL = (
    "`ARM@small` started from `base-small`, a base of 0.25 M parameters instead of 0.45 M, "
    "pretrained alike, and trained on the questions of `ARM`."
)
INTRO = """# Results in miniature

**Read this first.** Most of the inferential questions give themselves away, and what
bias-failure sampling gains over GRPO sits there; on the rest little or nothing is gained. So
inferential accuracy stands beside its two parts in every table: *give-aways*, and *the rest*.

Written by `python benchmarks/miniature.py tables` from the records in
`benchmarks/results/miniature/` (one digit a question, model and training seed; one mark a
question that gives itself away), so that every number can be recomputed. Percent of questions
answered exactly, with 95 % intervals over scenes and training seeds; the mix weighs
observational and inferential questions 74 to 26, as in the paper's data; differences are paired
by training seed and question. *Says it simulates* is the share of answers that open with a
removal, whatever follows: an opening is no proof of what was computed. What the words mean:
[base models](base_model.md), [the method](method.md)."""


def section(grid: Grid) -> list[str]:
    """One grid: its main table, the further sets, where training ended."""
    title, about = TITLES[grid.name]
    smaller = any(arm.endswith(("@small", "-small")) for arm in grid.arms(MAIN))
    about = f"{about} {SMALL}" if smaller else about
    lines = [f"## {title}", "", f"{about} {sizes(grid, MAIN)}.", "", *main_table(grid)]
    lines += other_sets(grid)
    if grid.trainings:
        lines += ["", "Where training ended (mean of the last ten steps):", "", *curves_table(grid)]
    return lines


def page() -> str:
    """docs/results.md."""
    grids = [grid for name in TITLES if (grid := Grid.read(name))]
    parts = [INTRO, split.section(split.read())]
    parts += ["\n".join(section(grid)) for grid in grids]
    if rows := erosion_table(grids):
        about = (
            "A policy that mixes two ways of thinking drifts to describing iff "
            "(1 - rho)(p_oo - p_so) > rho (p_si - p_oi), rho the inferential share and p_xy the "
            "base's accuracy when made to think in way x, on questions y. Predicted from the base "
            "alone, against what plain GRPO did:"
        )
        parts.append("\n".join(["## When GRPO erodes", "", about, "", *rows]))
    if rows := weight_section(grids):
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"
