"""The tables of docs/results.md: methods (miniature_families.py) and what stands beside them."""

import math
from collections.abc import Sequence
from dataclasses import replace

from miniature_families import (
    BASE,
    CURE,
    DESCRIBED,
    METHODS,
    NAME,
    PANELS,
    PIXELS,
    PLAIN,
    PREFILLED,
    READER,
    accuracies,
    base_table,
    cure_table,
    methods_table,
    points,
    shortcut,
    whole_difference,
)
from miniature_kinds import answers_table, asked_table, drawn_share, kinds_table
from miniature_records import FOLLOWS, MAIN, RIGHT, Grid, flags, over_twos, pairs_right, table, twos

SMALL = "families_small"
"""The records of the transcript tier on a smaller base."""
FAR = {
    "harder": "harder to foresee",
    "shades": "other colors",
    "longer": "half as long again",
    "crowded": "seven objects",
}
"""Sets of scenes unlike those of training, in words."""
SLICE = "slice"
"""The labelled set by which a checkpoint is chosen."""
FOLLOWING = (PLAIN, CURE, "families", "both", "k3-0.01", "k3-0.03", "label-26", "attract")
"""Methods asked whether their answer follows the premise."""
SIZED = (PLAIN, CURE, "floor-0.05", "label-40")
"""Methods on two sizes of base."""


def follow_table(grids: tuple[Grid, Grid]) -> list[str]:
    """Families in which another answer is given where another object is named, a tier a column."""
    asked = [(DESCRIBED, BASE, "the base made to describe")]
    asked += [(PREFILLED, BASE, "the base made to simulate")]
    asked += [(MAIN, method, METHODS[method]) for method in FOLLOWING]
    rows = [
        [words, *(_followed(one, where, method) for one in grids)] for where, method, words in asked
    ]
    return table(("another answer for another object", "transcripts", "pixels"), rows)


def _followed(grid: Grid, where: str, method: str) -> str:
    if not grid.seeds(where, method):
        return "-"
    at = twos(grid, where)
    rows = [[row[a] for a, _ in at] for row in flags(grid, where, method, FOLLOWS)]
    return str(over_twos(grid, where, rows))


def size_table(larger: Grid, smaller: Grid) -> list[str]:
    """GRPO and what adds to it on two sizes of base, on the seeds that both have."""
    common = {None, *smaller.seeds(MAIN, PLAIN)}
    rows = []
    for words, grid in (("1.0 M", larger), ("0.6 M", smaller)):
        kept = [one for one in grid.evaluations if one["seed"] in common]
        same = replace(grid, evaluations=kept)
        rows.append([words, "the base made to simulate", "-", *accuracies(same, PREFILLED), ""])
        for method in SIZED:
            if not (seeds := same.seeds(MAIN, method)):
                continue
            gap = None if method == PLAIN else whole_difference(same, method, PLAIN)
            means = accuracies(same, MAIN, method)
            rows.append(
                [words, METHODS[method], str(len(seeds)), *means, gap.signed if gap else ""]
            )
    rows.append(["either", READER, "-", *(f"{shortcut(larger)[what]:.1f}" for what in PANELS), ""])
    return table(("base", "trained by", "seeds", *PANELS.values(), "against GRPO"), rows)


def far_table(grid: Grid) -> list[str]:
    """Whole families on scenes unlike those of training, by method."""
    asked = [where for where in FAR if where in grid.sets]
    methods = [
        BASE,
        *(method for method in METHODS if any(grid.seeds(where, method) for where in asked)),
    ]
    rows = []
    for method in methods:
        words = "the base made to simulate" if method == BASE else METHODS[method]
        count = "-" if method == BASE else ", ".join(map(str, grid.seeds(asked[0], method)))
        sets = [f"{where}-{PREFILLED}" if method == BASE else where for where in asked]
        rows.append([words, count, *(str(pairs_right(grid, where, method)) for where in sets)])
    rows.append([READER, "-", *(f"{shortcut(grid, where)['f']:.1f}" for where in asked)])
    return table(("families whole", "seeds", *(FAR[where] for where in asked)), rows)


def chosen_table(grid: Grid) -> list[str]:
    """GRPO's checkpoint that is best on the labelled slice, by seed, and its last one."""
    steps = sorted(int(method.partition("-")[2]) for method in grid.methods(SLICE))
    rows = []
    for place, seed in enumerate(grid.seeds(SLICE, f"{PLAIN}-{steps[-1]}")):
        right = {
            step: math.fsum(flags(grid, SLICE, f"{PLAIN}-{step}", RIGHT)[place]) for step in steps
        }
        best = max(steps, key=lambda step: right[step])  # the first of those that are equal
        cells = [
            f"{points(grid, MAIN, f'{PLAIN}-{step}', what)[place]:.1f}"
            for step in (best, steps[-1])
            for what in PANELS
        ]
        rows.append([str(seed), str(best), *cells])
    last = [f"{title}, step {steps[-1]}" for title in PANELS.values()]
    return table(("seed", "best step", *PANELS.values(), *last), rows)


def forecast_table(grids: Sequence[tuple[str, Grid]]) -> list[str]:
    """The share from which on simulating pays each base, by its own drawn answers."""
    rows = [[words, str(drawn_share(grid))] for words, grid in grids]
    return table(("base", "break-even, percent of the training questions"), rows)


def tables() -> dict[str, list[str]]:
    """The tables of docs/results.md by the names that mark their places."""
    grid, pixels, small = (Grid.raw(name) for name in (NAME, PIXELS, SMALL))
    bases = (("transcripts, 1.0 M", grid), ("transcripts, 0.6 M", small), ("pixels", pixels))
    found = {
        "follow": follow_table((grid, pixels)),
        "sizes": size_table(grid, small),
        "kinds, smaller base": kinds_table(small),
        "break-even": forecast_table(bases),
        "chosen": chosen_table(grid),
        "asked": asked_table(grid, pixels),
    }
    for tier, where in (("", grid), (", pixels", pixels)):
        found |= {
            f"methods{tier}": methods_table(where),
            f"against the sampling{tier}": cure_table(where),
            f"answers{tier}": answers_table(where),
            f"kinds{tier}": kinds_table(where),
            f"base{tier}": base_table(where),
            f"unlike{tier}": far_table(where),
        }
    return found
