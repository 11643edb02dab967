"""Methods and figure of docs/results.md: the grid on questions that do not give themselves away.

All its test questions stand in families of two: one video, one set of options, two objects to
remove, an observational and an inferential question. Whoever does not read the premise has no
family right.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from miniature_records import (
    MAIN,
    Grid,
    Interval,
    accuracy,
    by_seed,
    difference,
    over_twos,
    pairs_right,
    table,
    twos,
    whole_by_seed,
)

from videothinker.report.svg import Scale, element, picture

NAME, PIXELS = "families", "families_video"
"""The records of the two tiers."""
SHOWN = ("grpo", "bias-failure", "both", "label-26", "families", "k3-0.01", "controller")
"""Methods of README's table."""
IMAGES = Path(__file__).parents[1] / "docs" / "images"
PLAIN, CURE, BASE = "grpo", "bias-failure", "base"
SHARES = {
    "bias-failure": "5 %, drawn 20 %",
    "both": "5 %, drawn 20 %",
    "probed": "5 %, drawn 20 %",
    "label-26": "5 %, drawn 26 %",
    "label-40": "5 %, drawn 40 %",
    "floor-0.05": "5 %, drawn 34 %",
    "families": "28 %",
    "families-exact": "28 %",
    "whole": "28 %, drawn 41 %",
    "consistency": "50 %",
    "base-failure": "5 %, drawn 13 %",
    "curriculum": "5 %, drawn 11 %",
    "bias-failure@26": "26 %, drawn 64 %",
    "families@26": "38 %",
}
"""Inferential questions among those trained on, where they are not what the method's name says."""
SHORTCUT = "handed on"
"""The best answerer that reads the premise and simulates nothing (`diagnosis.audit`)."""
METHODS = {
    "grpo": "GRPO",
    "bias-failure": "bias-failure sampling",
    "families": "GRPO, half of its questions in families",
    "both": "CDPO, k3 at .01 on questions drawn by bias failure",
    "k3-0.01": "CDPO, the paper's k3 at .01",
    "k3-0.03": "CDPO, k3 at .03",
    "controller": "CDPO, controller",
    "label-26": "GRPO, drawn by label to 26 %",
    "label-40": "GRPO, drawn by label to 40 %",
    "floor-0.05": "bias-failure sampling, floor .05",
    "exact": "GRPO, exact reward",
    "families-exact": "families, exact reward",
    "base-failure": "base-failure sampling",
    "curriculum": "pass-rate curriculum",
    "grpo-long": "GRPO, three times as long",
    "grpo-longest": "GRPO, 4.7 times as long",
    "probed": "bias-failure sampling, labels without logs",
    "consistency": "families, paid whole",
    "whole": "families, drawn whole by bias failure",
    "k3-0.003": "CDPO, k3 at .003",
    "k3-0.1": "CDPO, k3 at .1",
    "self": "CDPO, k3 at .01, away from the base",
    "generic": "CDPO, k3 at .01, away from a policy of GRPO",
    "struck": "CDPO, the paper's k3 at .01 and bias model",
    "attract": "k3 at .01, toward the bias model",
    "grpo@26": "GRPO",
    "bias-failure@26": "bias-failure sampling",
    "families@26": "GRPO, half of its questions in families",
    "exact@26": "GRPO, exact reward",
    "k3-0.01@26": "CDPO, the paper's k3 at .01",
    "k3-0.03@26": "CDPO, k3 at .03",
    "controller@26": "CDPO, controller",
}
"""Methods in the order of the grid, in words."""
PANELS = {"o": "observational", "i": "inferential", "f": "families whole"}
PREFILLED, DESCRIBED = "without", "seen"
READER = "a rule that reads the premise and simulates nothing"
ROW, TOP, LEFT, WIDTH, GAP = 22, 40, 340, 170, 26


def whole_difference(grid: Grid, method: str, other: str) -> Interval | None:
    """Families right as a whole, `method` minus `other`, paired by seed; None without such."""
    seeds, others = grid.seeds(MAIN, method), grid.seeds(MAIN, other)
    common = [seed for seed in seeds if seed in others]
    if not common:
        return None
    mine, theirs = whole_by_seed(grid, MAIN, method), whole_by_seed(grid, MAIN, other)
    rows = [
        [a - b for a, b in zip(mine[seeds.index(s)], theirs[others.index(s)], strict=True)]
        for s in common
    ]
    return over_twos(grid, MAIN, rows, least=-1.0)


def against(method: str) -> str:
    """Plain GRPO on as many inferential questions."""
    return f"{PLAIN}@26" if method.endswith("@26") else PLAIN


def points(grid: Grid, where: str, method: str, what: str) -> list[float]:
    """Percent right, a number a seed."""
    if what == "f":
        return [100 * math.fsum(row) / len(row) for row in whole_by_seed(grid, where, method)]
    return by_seed(grid, where, method, what)


def compute(grid: Grid, method: str) -> str:
    """Completions drawn for one model of a method, as a multiple of GRPO's on as many questions.

    Its own, those of its bias model, those by which successes were measured, and those by which a
    model labelled its questions.
    """
    named = {f"{one['arm']}--s{one['seed']}": one for one in grid.trainings}

    def total(name: str) -> float:
        runs = list(grid.training(name))
        own = math.fsum(one["completions"] for one in runs) / len(runs)
        bias = max(named[one["bias"]]["completions"] if one["bias"] in named else 0 for one in runs)
        reused = (str(one["config"].get("success")).partition("/")[0] for one in runs)
        asked = [*runs, *(named[run] for run in reused if run in named)]
        measured = max(one["measured"] for one in asked)
        return own + bias + measured + max(one.get("probed", 0) for one in runs)

    return f"{total(method) / total(against(method)):.1f}"


def method_row(grid: Grid, method: str) -> list[str]:
    """One method of the table."""
    gap = None if method == against(method) else whole_difference(grid, method, against(method))
    cost = (
        None if method == against(method) else difference(grid, MAIN, method, against(method), "o")
    )
    return [
        METHODS[method],
        SHARES.get(method, "26 %" if method.endswith("@26") else "5 %"),
        compute(grid, method),
        str(len(grid.seeds(MAIN, method))),
        str(accuracy(grid, MAIN, method, "o")),
        str(accuracy(grid, MAIN, method, "i")),
        str(pairs_right(grid, MAIN, method)),
        gap.signed if gap else "",
        cost.signed if cost else "",
    ]


def methods_table(grid: Grid) -> list[str]:
    """Every method that was run, and what its numbers have to be held against."""
    head = ("trained by", "inferential in training", "compute", "seeds", *PANELS.values())
    head = (*head, "against GRPO", "observational, against GRPO")
    rows = [method_row(grid, method) for method in METHODS if grid.seeds(MAIN, method)]
    beside = [[name, "-", "-", "-", *cells, "", ""] for name, *cells in beside_rows(grid)]
    return table(head, rows + beside)


def beside_rows(grid: Grid) -> list[list[str]]:
    """Who was not trained: the base made to simulate, and answerers that simulate nothing."""
    return [
        ["the base made to simulate", *accuracies(grid, PREFILLED)],
        [READER, *(f"{shortcut(grid)[what]:.1f}" for what in PANELS)],
        ["any answerer that never reads the premise, at most", "100", "100", "0"],
    ]


def cure_table(grid: Grid) -> list[str]:
    """Methods with two seeds or more against bias-failure sampling, paired by seed."""
    rows = []
    for method, words in METHODS.items():
        common = set(grid.seeds(MAIN, method)) & set(grid.seeds(MAIN, CURE))
        if method.endswith("@26") or method in (CURE, PLAIN) or len(common) < 2:
            continue
        gap = whole_difference(grid, method, CURE)
        cost = difference(grid, MAIN, method, CURE, "o")
        assert gap is not None
        assert cost is not None
        rows.append([words, str(len(common)), gap.signed, cost.signed])
    return table(
        ("against bias-failure sampling", "seeds", "families whole", "observational"), rows
    )


def shortcut(grid: Grid, where: str = MAIN) -> dict[str, float]:
    """Percent right of the answerer that simulates nothing."""
    asked = grid.sets[where]
    marks = [int(c) for c in asked["shortcut"]]
    found = {}
    for label in "oi":
        some = [m for m, c in zip(marks, asked["labels"], strict=True) if c == label]
        found[label] = 100 * sum(some) / len(some)
    at = twos(grid, where)
    return found | {"f": 100 * sum(marks[a] * marks[b] for a, b in at) / len(at)}


def base_table(grid: Grid) -> list[str]:
    """What there is before training."""
    rows = [
        ["the base, free", *accuracies(grid, MAIN)],
        ["the base made to describe", *accuracies(grid, DESCRIBED)],
        ["the same drawn at temperature 1", *accuracies(grid, f"{DESCRIBED}-drawn")],
        *beside_rows(grid),
    ]
    rows.insert(4, ["the same drawn at temperature 1", *accuracies(grid, f"{PREFILLED}-drawn")])
    return table(("answers", *PANELS.values()), rows)


def accuracies(grid: Grid, where: str, method: str = BASE) -> list[str]:
    """Means in the order of `PANELS`; dashes where it was not asked."""
    if not grid.seeds(where, method):
        return ["-"] * 3
    return [
        *(f"{accuracy(grid, where, method, what).mean:.1f}" for what in "oi"),
        f"{pairs_right(grid, where, method).mean:.1f}",
    ]


def figure(grid: Grid) -> str:
    """A dot a seed, a method a row; the base made to simulate as a line."""
    methods = [method for method in METHODS if grid.seeds(MAIN, method)]
    height = TOP + ROW * len(methods) + 34
    parts: list[Markup] = [_style()]
    for row, method in enumerate(methods):
        y = TOP + ROW * (row + 0.5)
        words = f"{METHODS[method]}, at 26 %" if method.endswith("@26") else METHODS[method]
        parts.append(element("text", words, x=LEFT - 12, y=y + 4, text_anchor="end"))
    for panel, what in enumerate(PANELS):
        start = LEFT + panel * (WIDTH + GAP)
        scale = Scale(0, 100, start, start + WIDTH)
        parts += _panel(grid, what, scale, methods)
    label = "Percent right by method: a dot is a training seed, the line the base made to simulate"
    width = LEFT + 3 * WIDTH + 2 * GAP + 16
    drawn = picture(width, height, label, *parts)
    return str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _style() -> Markup:
    rules = "text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.base{stroke:#c33}"
    rules += ".dot{fill:#1f6feb;fill-opacity:.6}svg{background:#fff}"
    return element("style", rules)


def _panel(grid: Grid, what: str, scale: Scale, methods: Sequence[str]) -> list[Markup]:
    bottom = TOP + ROW * len(methods) + 4
    title = PANELS[what]
    found = [element("text", title, x=(scale.start + scale.end) / 2, y=22, text_anchor="middle")]
    for tick in (0, 25, 50, 75, 100):
        at = scale(tick)
        found.append(element("line", x1=at, x2=at, y1=TOP, y2=bottom, klass="grid"))
        found.append(element("text", str(tick), x=at, y=bottom + 16, text_anchor="middle"))
    for value in points(grid, PREFILLED, BASE, what):
        at = scale(value)
        found.append(element("line", x1=at, x2=at, y1=TOP, y2=bottom, klass="base"))
    for row, method in enumerate(methods):
        y = TOP + ROW * (row + 0.5)
        found += [
            element("circle", cx=scale(value), cy=y, r=4, klass="dot")
            for value in points(grid, MAIN, method, what)
        ]
    return found


def figures() -> dict[Path, str]:
    """The picture of each tier, by its file."""
    return {IMAGES / f"{name}.svg": figure(Grid.raw(name)) for name in (NAME, PIXELS)}


def short_table() -> list[str]:
    """README's table: the methods with most seeds, means alone, transcripts / pixels."""
    grids = [Grid.raw(name) for name in (NAME, PIXELS)]
    rows = [
        ["the base made to simulate", "-", "-", *_pairs([accuracies(g, PREFILLED) for g in grids])]
    ]
    rows += [[METHODS[method], *_pairs([_means(g, method) for g in grids])] for method in SHOWN]
    asked = [[f"{shortcut(g)[what]:.1f}" for what in PANELS] for g in grids]
    rows.append([READER, "-", "-", *_pairs(asked)])
    return table(("trained by", "compute", "seeds", *PANELS.values()), rows)


def _means(grid: Grid, method: str) -> list[str]:
    if not grid.seeds(MAIN, method):
        return ["-"] * 5
    return [
        compute(grid, method),
        str(len(grid.seeds(MAIN, method))),
        *accuracies(grid, MAIN, method),
    ]


def _pairs(tiers: Sequence[Sequence[str]]) -> list[str]:
    return [" / ".join(cells) for cells in zip(*tiers, strict=True)]
