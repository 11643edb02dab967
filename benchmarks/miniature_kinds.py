"""What the answers of docs/results.md's arms are, by kind of question, and what they were to be."""

import math
from collections.abc import Sequence

import numpy as np
from miniature_families import (
    ARMS,
    BASE,
    CURE,
    DESCRIBED,
    FORCED,
    PLAIN,
    against,
    points,
)
from miniature_records import (
    CHANGES,
    MAIN,
    RIGHT,
    SHARES,
    SIMULATED,
    VALID,
    Grid,
    Interval,
    difference,
    flags,
    over_twos,
    share,
    table,
    twos,
    whole_by_seed,
)

from videothinker.break_even import Way, break_even, interval

KINDS = (PLAIN, CURE, "probed", "families", "both", "k3-0.01", "k3-0.03", "label-26", "label-40",
         "floor-0.05", "controller", "grpo-longest")  # fmt: skip
"""Arms shown by kind of question."""
LABELLED = "label-26"
"""The best control that takes no more compute than GRPO."""


def mixes(grid: Grid, arm: str) -> dict[int | None, float]:
    """Percent right on the paper's mix of labels, by seed."""
    parts = {label: points(grid, MAIN, arm, label) for label in SHARES}
    seeds = grid.seeds(MAIN, arm)
    return {s: math.fsum(w * parts[c][n] for c, w in SHARES.items()) for n, s in enumerate(seeds)}


def lost(grid: Grid, arm: str, label: str = "mix") -> list[float]:
    """Points above plain GRPO on a label, or on the mix, one a seed."""
    if label == "mix":
        mine, theirs = mixes(grid, arm), mixes(grid, against(arm))
    else:
        mine, theirs = (
            dict(zip(grid.seeds(MAIN, one), points(grid, MAIN, one, label), strict=True))
            for one in (arm, against(arm))
        )
    return [mine[seed] - theirs[seed] for seed in mine if seed in theirs]


def answers_table(grid: Grid) -> list[str]:
    """The mix, seed by seed; what answers open with, and whether they are answers."""
    rows = []
    for arm, words in ARMS.items():
        if not (seeds := grid.seeds(MAIN, arm)):
            continue
        opening = [math.fsum(row) / len(row) for row in flags(grid, MAIN, arm, SIMULATED)]
        found = [*mixes(grid, arm).values()]
        gaps = [] if arm == against(arm) else lost(grid, arm)
        costs = [] if arm == against(arm) else lost(grid, arm, "o")
        rows.append([
            f"{words}, at 26 %" if arm.endswith("@26") else words,
            f"{math.fsum(found) / len(found):.1f}",
            f"{min(gaps):+.1f} to {max(gaps):+.1f}" if gaps else "",
            f"{sum(cost < 0 for cost in costs)} of {len(costs)}" if costs else "",
            f"{sum(one > 0.5 for one in opening)} of {len(seeds)}",
            f"{share(grid, MAIN, arm, VALID):.1f}",
        ])  # fmt: skip
    head = ("trained by", "the mix", "against GRPO, by seed", "seeds that lose observational",
            "seeds that open with a removal", "valid")  # fmt: skip
    return table(head, rows)


def kinds_table(grid: Grid) -> list[str]:
    """Inferential questions by what changes; families by whether a rule suffices for them."""
    asked, at = grid.sets[MAIN], twos(grid, MAIN)
    suffices = [asked["shortcut"][a] == asked["shortcut"][b] == "1" for a, b in at]
    rows = []
    shown = [(DESCRIBED, BASE, "the base made to describe")]
    shown += [(FORCED, BASE, "the base made to simulate")]
    shown += [(MAIN, arm, ARMS[arm]) for arm in KINDS]
    for where, arm, words in shown:
        if not grid.seeds(where, arm):
            continue
        right, whole = flags(grid, where, arm, RIGHT), whole_by_seed(grid, where, arm)
        cells = [
            _percent(right, [letter == change for letter in asked["changes"]])
            for change in CHANGES.values()
        ]
        cells += [_percent(whole, [mark == kind for mark in suffices]) for kind in (True, False)]
        rows.append([words, *cells])
    rule, others = sum(suffices), len(suffices) - sum(suffices)
    head = ("right, percent", *CHANGES,
            f"{rule} families where a rule suffices", f"{others} where none does")  # fmt: skip
    return table(head, rows)


def _percent(rows: Sequence[Sequence[float]], chosen: Sequence[bool]) -> str:
    kept = [value for row in rows for value, take in zip(row, chosen, strict=True) if take]
    return f"{100 * math.fsum(kept) / len(kept):.1f}" if kept else "-"


def asked_table(grid: Grid, pixels: Grid) -> list[str]:
    """What the result was to be, and what it is."""
    rows = []
    for name, one in (("pixels", pixels), ("transcripts", grid)):
        for arm in (CURE, "families"):
            found = {
                "inferential, +15 over the best control": difference(one, MAIN, arm, LABELLED, "i"),
                "families whole, no less than the base made to simulate": above_base(one, arm),
                "observational against GRPO, low end above -3": difference(
                    one, MAIN, arm, PLAIN, "o"
                ),
            }
            rows += [
                [was, name, ARMS[arm], gap.signed if gap else "-"] for was, gap in found.items()
            ]
    for arm, words in ARMS.items():
        if arm.endswith("@26") and arm != against(arm) and grid.seeds(MAIN, arm):
            worst = f"{min(lost(grid, arm)):+.1f} with the worst seed"
            rows.append(["the mix at 26 %, no seed loses more than 2", "transcripts", words, worst])
    return table(("was to be", "tier", "of", "is"), rows)


def above_base(grid: Grid, arm: str) -> Interval:
    """Whole families over the untrained base made to simulate, whose one answer has no seeds."""
    (base,) = whole_by_seed(grid, FORCED, BASE)
    rows = [[a - b for a, b in zip(row, base, strict=True)]
            for row in whole_by_seed(grid, MAIN, arm)]  # fmt: skip
    return over_twos(grid, MAIN, rows, least=-1.0)


def drawn_share(grid: Grid) -> Interval:
    """The inferential share of training from which on simulating pays, in percent, by the base's
    answers drawn as in training (`videothinker.break_even`).
    """
    asked = grid.sets[f"{FORCED}-drawn"]
    scenes = {name: at for at, name in enumerate(dict.fromkeys(asked["scenes"]))}
    right_CWL, asked_CL = np.zeros((len(scenes), 2, 2)), np.zeros((len(scenes), 2))
    rows = [flags(grid, f"{where}-drawn", BASE, RIGHT)[0] for where in (FORCED, DESCRIBED)]
    for scene, letter, *right in zip(asked["scenes"], asked["labels"], *rows, strict=True):
        at, label = scenes[scene], "oi".index(letter)
        asked_CL[at, label] += 1
        right_CWL[at, :, label] += right
    simulating, describing = (Way(*row) for row in right_CWL.sum(0) / asked_CL.sum(0))
    share_of_training = break_even(simulating, describing)
    between = interval(right_CWL, asked_CL)
    if share_of_training is None or between is None:
        raise SystemExit(f"{grid.name}: one way of answering always pays; its page says otherwise")
    return Interval(*(100 * value for value in (share_of_training, *between)))
