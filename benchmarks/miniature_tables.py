"""From compact records to docs/results_old_world.md; see benchmarks/miniature.py."""

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


def against_baseline(grid: Grid, where: str, method: str, whats: Sequence[str]) -> list[str]:
    """Signed differences; empty for GRPO itself and for what was not trained on its questions.

    A bias model shares at most the number of a seed with GRPO, no draw. Where GRPO was run with
    fewer seeds, their number stands behind.
    """
    other = baseline(method)
    ours, theirs = (set(grid.seeds(where, name)) for name in (method, other))
    fewer = f"; {len(ours & theirs)} of {len(ours)} seeds" if ours - theirs else ""
    apart = method == other or method.partition("@")[0] == "bias"
    gaps = [None if apart else difference(grid, where, method, other, what) for what in whats]
    return ["" if gap is None else gap.signed + fewer for gap in gaps]


def method_row(grid: Grid, where: str, method: str) -> list[str]:
    """One line of the main table."""
    return [
        *opening(grid, where, method, (*ACCURACIES, "mix")),
        *against_baseline(grid, where, method, tuple(AGAINST)),
        f"{share(grid, where, method, SIMULATED):.0f}",
        f"{share(grid, where, method, VALID):.1f}",
    ]


def main_table(grid: Grid) -> list[str]:
    """Every method on the main set of questions."""
    return table(HEAD, [method_row(grid, MAIN, method) for method in grid.methods(MAIN)])


SETS = {
    MAIN: "the main questions",
    "pairs": "minimal pairs, two questions that look alike and differ in the answer",
    "seen": "the main questions, every model made to describe by a prefill",
    "without": "the main questions, every model made to simulate the removal by a prefill",
    "seen-drawn": "the same as `seen`, drawn at temperature 1 as in training",
    "without-drawn": "the same as `without`, drawn at temperature 1 as in training",
    "six-objects": "out of domain, always 6 objects where the base saw 4 or 5",
    "four-collisions": "out of domain, always 4 collisions where the base saw 2 to 4",
    "other-shades": "out of domain, color channels up to 21 of 255 from those the base saw",
    "more-frames": "out of domain, 24 frames of the same 5 seconds where the base saw 16",
    "longer-videos": "out of domain, videos of 7.68 seconds where the base saw 5.12 (from pixels "
    "24 frames instead of 16)",
    "slice": "other scenes, by which a checkpoint is chosen",
    "harder": "out of domain, lanes 0.4 apart where the models trained on 0.8",
    "longer": "out of domain, videos of 7.68 seconds",
    "shades": "out of domain, color channels up to 21 of 255 from those the models trained on",
    "crowded": "out of domain, seven objects where the models trained on five or six",
    "harder-without": "the same as `harder`, the base made to simulate",
    "longer-without": "the same as `longer`, the base made to simulate",
    "shades-without": "the same as `shades`, the base made to simulate",
    "crowded-without": "the same as `crowded`, the base made to simulate",
}
"""What the further sets are."""


def further_row(grid: Grid, where: str, method: str) -> list[str]:
    """One line of a further set's table: a pair's halves and both, or a label at a time."""
    if where == PAIRS:
        return [*opening(grid, where, method, tuple(HALVES)), str(pairs_right(grid, where, method))]
    return [
        *opening(grid, where, method, ACCURACIES),
        *against_baseline(grid, where, method, FURTHER),
    ]


def set_row(grid: Grid, where: str) -> list[str]:
    """What a set is and how many questions it has; of minimal pairs there are no labels."""
    asked = grid.sets[where]
    begins = f" (the answer begins `{asked['prefill']}`)" if asked["prefill"] else ""
    pairs = len(set(asked["pairs"]) - {""}) if where == PAIRS else 0
    labels = [f"{pairs} pairs", "", ""]
    if not pairs:
        away = grid.letters(where, "a").count("a")
        labels = [*(str(asked["labels"].count(c)) for c in LABELS), str(away)]
    return [f"`{where}`", SETS[where] + begins, *labels, str(len(set(asked["scenes"])))]


def set_table(grid: Grid) -> list[str]:
    """Every set of questions that somebody answered."""
    head = ("questions", "what they are", *LABELS.values(), "of these give-aways", "scenes")
    return table(head, [set_row(grid, where) for where in grid.sets if grid.methods(where)])


def further_set(grid: Grid, where: str) -> list[str]:
    """Every method that answered a further set."""
    pairs = len(set(grid.sets[where]["pairs"]) - {""})
    gaps = [AGAINST[what] for what in FURTHER]
    head = (*OPENING[:2], *HALVES.values(), "both right") if pairs else (*OPENING[:-1], *gaps)
    methods = dict.fromkeys([*grid.methods(MAIN), *grid.methods(where)])
    rows = [further_row(grid, where, method) for method in methods if grid.seeds(where, method)]
    return [f"`{where}`:", "", *table(head, rows)]


def other_sets(grid: Grid) -> list[str]:
    """Every further set that was answered, a table each."""
    found = [
        further_set(grid, where) for where in grid.sets if where != MAIN and grid.methods(where)
    ]
    return [line for lines in found for line in ("", *lines)]


def curves_table(grid: Grid) -> list[str]:
    """Where each method's training ended."""
    rows = []
    for method in dict.fromkeys(one["arm"] for one in grid.trainings):
        values = [
            last(grid, method, name)
            for name in ("divergence", "entropy", "valid", "inferential_share")
        ]
        guarded = sum(one["guarded_steps"] for one in grid.training(method))
        shown = ["" if value is None else f"{value:.3f}" for value in values]
        rows.append([method, *shown, str(guarded)])
    head = ("method", "divergence, nats", "entropy, nats", "valid", "inferential share drawn")
    return table((*head, "steps the guard acted"), rows)


def erosion(grid: Grid, share_of_training: float, method: str) -> list[str] | None:
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
    gap = accuracy(grid, MAIN, method, "i").mean - base
    there = accuracy(grid, MAIN, method, "r").mean - rest
    each = by_seed(grid, MAIN, method, "i")
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
"""GRPO's methods and the inferential share of their training questions."""


def erosion_table(grids: Sequence[Grid]) -> list[str]:
    """The condition, for every share that GRPO was run at."""
    rows = []
    for grid in grids:
        for method, rho in SHARE_OF.items():
            if grid.seeds(MAIN, method) and (row := erosion(grid, rho, method)):
                rows.append([grid.name, *row])
    pulls = ("pull to describing", "pull to simulating")
    outcome = ("predicted", "change against base", "on the rest", "seeds that lost", "")
    return table(("grid", "inferential share", *pulls, *outcome), rows) if rows else []


TITLES = {
    "headline": (
        "Headline: fresh seeds and scenes, run once",
        """Transcript tier; `bias-failure` has the floor .05; `recipes/miniature.yaml`.""",
    ),
    "confirmation": (
        "Confirmation: the default floor, on seeds and scenes of its own",
        """Transcript tier; `bias-failure` has the floor .2; `recipes/miniature-confirmation.yaml`.
`grpo-long` and the methods at 26 % inferential were planned before they were run. `grpo-longer`
was run afterwards, on the seeds that `grpo-long` had left eroded: no estimate for all seeds.""",
    ),
    "development": (
        "Development: every method that was run",
        """Transcript tier; `bias-failure` has the floor .2, `bias-failure-F` the floor F;
`recipes/miniature-development.yaml`. These seeds are those on which settings were compared.""",
    ),
    "video": (
        "Video tier",
        """The shipped base, frames in; `bias-failure` has the floor .05;
`recipes/miniature-video.yaml`. Never pooled with the rest.""",
    ),
    "video_before": (
        "Video tier, from the base before",
        """The same recipe and world, fewer seeds; the base of commit e732ec6. The next one replaced
it, for it missed a bar of its card ([base_model.md](base_model.md)).""",
    ),
}
SMALL = (
    "`METHOD@small` started from `base-small`, a smaller base pretrained alike, and trained on the "
    "questions of `METHOD`."
)
INTRO = """# What the old world showed, and why it misled

Use this page to look up a number of the grids that asked questions of the old writer (`world
--give-aways allowed`). What holds on questions that do not give themselves away is in
[results.md](results.md).

**Why it misled.** Writing a what-if question, the old writer drew options that are mixed *in the
world without the object*: some happen, some do not. It did not ask whether they are mixed *in the
video*. So an observational question is mixed in the video too, and an inferential one mostly has
none or all of its options there. Whoever describes the video has no valid answer left, and knows
without reading the premise that something must be changed. About three in four inferential
questions are so. Inferential accuracy, which was read as reasoning, can be had by changing
anything at all.

So inferential accuracy stands beside its two parts in every table: *give-aways*, and *the rest*,
on which a describer is always wrong.

Written by `python benchmarks/miniature.py tables` from the records in
`benchmarks/results/miniature/`: one digit a question, model and training seed, one mark a
question that gives itself away. `python benchmarks/miniature_giveaways.py tables` prints two
other kinds of interval. How to read a column:"""
WORDS = (
    ("accuracy", "percent of questions answered exactly, 95 % interval over scenes and seeds"),
    ("mix", "observational and inferential weighed 74 to 26, as in the paper's data"),
    ("against GRPO", "points, paired by training seed and question"),
    ("says it simulates", "share of answers that open with a removal, whatever was computed"),
    ("`METHOD@P`", "trained with P % inferential questions; without `@P`, with 5 %"),
    ("steps of training", "60 at a falling rate, where nothing else is said"),
    ("`grpo-long`", "260 steps at the usual falling rate; from pixels 210"),
    ("`grpo-longer`", "520 steps"),
    ("`grpo-constant`", "60 steps at a rate that does not fall"),
    ("`grpo-long-constant`", "260 steps at a rate that does not fall"),
    ("`grpo-long-slow`", "260 steps whose rates add up to those of 60"),
    ("`@small`", "from a base of 0.25 M parameters instead of 0.45 M"),
)
"""A column or method, and how it is read."""


def section(grid: Grid) -> list[str]:
    """One grid: its sets of questions, its main table, the further sets, where training ended."""
    title, about = TITLES[grid.name]
    smaller = any(method.endswith(("@small", "-small")) for method in grid.methods(MAIN))
    about = f"{about} {SMALL}" if smaller else about
    lines = [f"## {title}", "", about, "", *set_table(grid), ""]
    lines += [f"`{MAIN}`:", "", *main_table(grid), *other_sets(grid)]
    if grid.trainings:
        lines += ["", "Where training ended (mean of the last ten steps):", "", *curves_table(grid)]
    return lines


EROSION = """## When GRPO erodes

A policy that mixes two ways of thinking drifts to describing iff

    (1 - rho) (p_oo - p_so) > rho (p_si - p_oi)

with rho the inferential share and p_xy the base's accuracy when made to think in way x, on
questions y. Predicted from the base alone, against what plain GRPO did:"""


def old_world() -> str:
    """docs/results_old_world.md."""
    grids = [Grid.read(name) for name in TITLES]
    words = table(("what is written", "what it means"), WORDS)
    parts: list[str | list[str]] = [
        *(INTRO, words, *split.in_short(split.read()), split.OUT, split.domain_table(split.read())),
        *(section(grid) for grid in grids),
        *(EROSION, erosion_table(grids), weight_section(grids)),
    ]
    return split.joined(parts) + "\n"


"""Name of a page of docs/ -> what writes all of it."""
