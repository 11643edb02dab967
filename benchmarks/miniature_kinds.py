"""What the methods of docs/results.md answer, by kind of question, and what they were to be."""

import math
from collections.abc import Sequence

import numpy as np
from miniature_families import (
    BASE,
    CURE,
    DESCRIBED,
    METHODS,
    PLAIN,
    PREFILLED,
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
"""Methods shown by kind of question."""
LABELLED = "label-26"
"""The best control that takes no more compute than GRPO."""


def mixes(grid: Grid, method: str) -> dict[int | None, float]:
    """Percent right on the paper's mix of labels, by seed."""
    parts = {label: points(grid, MAIN, method, label) for label in SHARES}
    seeds = grid.seeds(MAIN, method)
    return {s: math.fsum(w * parts[c][n] for c, w in SHARES.items()) for n, s in enumerate(seeds)}


def lost(grid: Grid, method: str, label: str = "mix") -> list[float]:
    """Points above plain GRPO on a label, or on the mix, one a seed."""
    if label == "mix":
        mine, theirs = mixes(grid, method), mixes(grid, against(method))
    else:
        mine, theirs = (
            dict(zip(grid.seeds(MAIN, one), points(grid, MAIN, one, label), strict=True))
            for one in (method, against(method))
        )
    return [mine[seed] - theirs[seed] for seed in mine if seed in theirs]


def answers_table(grid: Grid) -> list[str]:
    """The mix, seed by seed; what answers open with, and whether they are answers."""
    rows = []
    for method, words in METHODS.items():
        if not (seeds := grid.seeds(MAIN, method)):
            continue
        opening = [math.fsum(row) / len(row) for row in flags(grid, MAIN, method, SIMULATED)]
        found = [*mixes(grid, method).values()]
        gaps = [] if method == against(method) else lost(grid, method)
        costs = [] if method == against(method) else lost(grid, method, "o")
        rows.append([
            f"{words}, at 26 %" if method.endswith("@26") else words,
            f"{math.fsum(found) / len(found):.1f}",
            f"{min(gaps):+.1f} to {max(gaps):+.1f}" if gaps else "",
            f"{sum(cost < 0 for cost in costs)} of {len(costs)}" if costs else "",
            f"{sum(one > 0.5 for one in opening)} of {len(seeds)}",
            f"{share(grid, MAIN, method, VALID):.1f}",
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
    shown += [(PREFILLED, BASE, "the base made to simulate")]
    shown += [(MAIN, method, METHODS[method]) for method in KINDS]
    for where, method, words in shown:
        if not grid.seeds(where, method):
            continue
        right, whole = flags(grid, where, method, RIGHT), whole_by_seed(grid, where, method)
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
        for method in (CURE, "families"):
            found = {
                "inferential, +15 over the best control": difference(
                    one, MAIN, method, LABELLED, "i"
                ),
                "families whole, no less than the base made to simulate": above_base(one, method),
                "observational against GRPO, low end above -3": difference(
                    one, MAIN, method, PLAIN, "o"
                ),
            }
            rows += [
                [was, name, METHODS[method], gap.signed if gap else "-"]
                for was, gap in found.items()
            ]
    for method, words in METHODS.items():
        if method.endswith("@26") and method != against(method) and grid.seeds(MAIN, method):
            worst = f"{min(lost(grid, method)):+.1f} with the worst seed"
            rows.append(["the mix at 26 %, no seed loses more than 2", "transcripts", words, worst])
    return table(("was to be", "tier", "of", "is"), rows)


def above_base(grid: Grid, method: str) -> Interval:
    """Whole families over the untrained base made to simulate, whose one answer has no seeds."""
    (base,) = whole_by_seed(grid, PREFILLED, BASE)
    rows = [[a - b for a, b in zip(row, base, strict=True)]
            for row in whole_by_seed(grid, MAIN, method)]  # fmt: skip
    return over_twos(grid, MAIN, rows, least=-1.0)


def drawn_share(grid: Grid) -> Interval:
    """The inferential share of training from which on simulating pays, in percent, by the base's
    answers drawn as in training (`videothinker.break_even`).
    """
    asked = grid.sets[f"{PREFILLED}-drawn"]
    scenes = {name: at for at, name in enumerate(dict.fromkeys(asked["scenes"]))}
    right_CWL, asked_CL = np.zeros((len(scenes), 2, 2)), np.zeros((len(scenes), 2))
    rows = [flags(grid, f"{where}-drawn", BASE, RIGHT)[0] for where in (PREFILLED, DESCRIBED)]
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
