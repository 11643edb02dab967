"""What docs/results_old_world.md begins with, and the tables in pages written by hand.

python benchmarks/miniature_pages.py     (fills those of MARKED)
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import miniature_families as families
import miniature_results as results
from miniature_records import (
    HALVES,
    LABELS,
    MAIN,
    PAIRS,
    PARTS,
    SIMULATED,
    Grid,
    accuracy,
    difference,
    pairs_right,
    table,
)
from miniature_split import gains, giving_away, guess, opening_as_removal, pair_rows, sets_of
from miniature_weights import mixes

ROOT = Path(__file__).parents[1]
GRIDS = {
    "headline": "transcripts, floor .05",
    "confirmation": "transcripts, floor .2",
    "video": "pixels, shipped base",
    "video_before": "pixels, base before",
}
"""The grids with fresh seeds, as a reader tells them apart."""
CHOICES = {
    "confirmation": ("grpo", "grpo-long", "bias-failure", "grpo@26", "bias-failure@26"),
    "headline": ("base", "grpo", "bias-failure", "cdpo-paper", "cdpo"),
    "development": (
        *("grpo", "grpo-long", "bias-failure-0.2", "base-failure", "label-26", "label-50"),
        *("k3-0.01", "k3-0.03", "k3-0.1", "controller-0.03", "controller-0.1"),
        *("pairs-plain", "pairs-consistency"),
    ),
    "video": ("base", "grpo", "grpo-long", "bias-failure", "cdpo-paper", "cdpo"),
    "video_before": ("base", "grpo", "grpo-long", "bias-failure", "cdpo-paper", "cdpo"),
}
"""Grid -> the methods that a choice is between."""
PREFILLED = "without"
"""The set whose every answer is made to begin as a removal."""
OURS, PLAIN, LONG = "bias-failure", "grpo", "grpo-long"

Grids = Mapping[str, Grid]


def read() -> dict[str, Grid]:
    """The grids of the tables, by name."""
    return {name: Grid.read(name) for name in CHOICES}


def point(grid: Grid, where: str, method: str, what: str) -> str:
    """An accuracy without its interval; a dash where it was not asked."""
    if where not in grid.sets or not grid.seeds(where, method):
        return "-"
    return f"{accuracy(grid, where, method, what).mean:.1f}"


def gain(grid: Grid, where: str, what: str) -> str:
    """Bias-failure sampling against GRPO, with its interval."""
    found = difference(grid, where, OURS, PLAIN, what)
    return "" if found is None else found.signed


def sits_there(grid: Grid) -> float:
    """Percent of the gain on inferential questions that sits in those that give themselves away."""
    asked = grid.letters(MAIN, "a")
    found = {what: difference(grid, MAIN, OURS, PLAIN, what) for what in "ia"}
    whole, part = ((one.mean if one else 0.0) for one in found.values())
    return 100 * asked.count("a") * part / ((asked.count("a") + asked.count("r")) * whole)


def short_table(grids: Grids) -> list[str]:
    """One line a grid: how many give themselves away, and what is gained on either part."""
    rows = []
    for name, title in GRIDS.items():
        grid = grids[name]
        away = giving_away(grid, MAIN, "i")
        methods = [
            " → ".join(point(grid, MAIN, method, part) for method in (PLAIN, OURS))
            for part in PARTS
        ]
        rest = [point(grid, PREFILLED, "base", "r"), f"{guess(grid, MAIN, 'r'):.1f}"]
        share_of_gain = f"{sits_there(grid):.0f} %"
        own = [f"{100 * (away.value or 0):.1f} %", methods[0], share_of_gain, methods[1]]
        rows.append([title, *own, gain(grid, MAIN, "r"), *rest])
    head = (
        *("test set", "give themselves away", "right, of these", "of the gain"),
        *("right, of the rest", "gain on the rest", "base made to simulate", "a guess"),
    )
    return table(head, rows)


def choice_table(grids: Grids) -> list[str]:
    """One line a method, means alone."""
    rows = []
    for name, methods in CHOICES.items():
        grid = grids[name]
        for method in methods:
            rows.append([name, method, *_choice(grid, MAIN, method)])
            if method == "base":
                rows.append([name, "base made to simulate", *_choice(grid, PREFILLED, method)])
    head = ("grid", "method", "simulate", *LABELS.values(), *PARTS.values(), "mix", "pairs right")
    return table(head, rows)


def _choice(grid: Grid, where: str, method: str) -> list[str]:
    answers = [grid.answers(where, method, seed) for seed in grid.seeds(where, method)]
    simulate = sum(sum(bool(a & SIMULATED) for a in row) > len(row) / 2 for row in answers)
    paired = PAIRS in grid.sets and where == MAIN and grid.seeds(PAIRS, method)
    return [
        "-" if method == "base" else f"{simulate} of {len(answers)}",
        *(point(grid, where, method, what) for what in (*LABELS, *PARTS, "mix")),
        f"{pairs_right(grid, PAIRS, method).mean:.1f}" if paired else "-",
    ]


def tier_table(grids: Grids, names: Sequence[str]) -> list[str]:
    """Every method of a tier: its means, and its gain on the rest and its cost with intervals."""
    rows = []
    for name in names:
        grid = grids[name]
        for method in ("base", PLAIN, LONG, OURS, "cdpo-paper", "cdpo"):
            if not (seeds := grid.seeds(MAIN, method)):
                continue
            plain = method in ("base", PLAIN)
            gaps = [None if plain else difference(grid, MAIN, method, PLAIN, what) for what in "ro"]
            signed = ["" if gap is None else gap.signed for gap in gaps]
            means = [point(grid, MAIN, method, what) for what in ("o", *PARTS)]
            count = "-" if seeds == [None] else str(len(seeds))
            rows.append([GRIDS[name], method, count, *means, *signed])
    against = ("the rest, against GRPO", "observational, against GRPO")
    head = ("test set", "method", "seeds", "observational", *PARTS.values(), *against)
    return table(head, rows)


def domain_table(grids: Grids) -> list[str]:
    """Every set of a grid: the share that gives itself away, and what is gained on either part."""
    rows = []
    for name, title in GRIDS.items():
        grid = grids[name]
        for where in sets_of(grid):
            away = giving_away(grid, where, "i")
            found = [gain(grid, where, what) for what in (*PARTS, "o")]
            count = str(len(gains(grid, where, OURS, PLAIN, "i")))
            rows.append([title, where, f"{100 * (away.value or 0):.0f} %", count, *found])
    head = ("grid", "questions", "give themselves away", "seeds", *PARTS.values(), "observational")
    return table(head, rows)


def halves_table(grids: Grids) -> list[str]:
    """Minimal pairs by half, with what becomes of the causal half where a removal is told."""
    rows = []
    for name, title in GRIDS.items():
        grid = grids[name]
        for _, method, count, *cells in pair_rows(grid) if PAIRS in grid.sets else ():
            found = opening_as_removal(grid, method)
            told = "-" if found.value is None else f"{100 * found.value:.1f} (n {found.n})"
            rows.append([title, method, count, *cells[:-1], told])
    head = (
        "grid",
        "method",
        "seeds",
        *HALVES.values(),
        "both right",
        "causal half, told as a removal",
    )
    return table(head, rows)


def cost_table(grids: Grids) -> list[str]:
    """What bias-failure sampling costs on observational questions, seed by seed."""
    rows = []
    for name, title in GRIDS.items():
        each = gains(grids[name], MAIN, OURS, PLAIN, "o")
        lost = f"{sum(value < 0 for value in each.values())} of {len(each)}"
        listed = ", ".join(f"{value:+.1f}" for value in each.values())
        rows.append([title, gain(grids[name], MAIN, "o"), lost, listed])
    return table(("grid", "observational against GRPO", "seeds that lose", "by seed"), rows)


def compute_rows(grids: Grids) -> Iterator[list[str]]:
    """GRPO with as much total compute as bias-failure sampling, seed by seed."""
    for name, title in GRIDS.items():
        grid = grids[name]
        if not grid.seeds(MAIN, LONG):
            continue
        ours, theirs = mixes(grid, OURS), mixes(grid, LONG)
        for seed in theirs:
            answers = grid.answers(MAIN, LONG, seed)
            simulates = sum(bool(a & SIMULATED) for a in answers) > len(answers) / 2
            mix = [f"{theirs[seed]:.1f}", f"{ours[seed]:.1f}", f"{ours[seed] - theirs[seed]:+.1f}"]
            yield [title, str(seed), "simulates" if simulates else "describes", *mix]


def compute_table(grids: Grids) -> list[str]:
    """See `compute_rows`."""
    head = ("grid", "seed", "long GRPO", "mix, long GRPO", "mix, bias-failure", "difference")
    return table(head, list(compute_rows(grids)))


ABOUT = """## In short

**Most inferential questions of these worlds give themselves away, and what bias-failure sampling
gains over GRPO sits there.** On the rest little or nothing is gained. What to do about a shortcut
in your own data is in [choosing.md](choosing.md).

An inferential question *gives itself away* where none or all of its options happen in the video.
Who describes the video then has nothing left to choose, and knows without reading the premise
that something must be changed. No observational question here does so. *The rest* are the
inferential questions that do not give themselves away: a describer is wrong on every one of them,
so a gain there has to be held against a guess, and against the base made to simulate.

Before the arrow stands GRPO, after it bias-failure sampling, in percent right."""
READ = """Intervals are of 95 %, over scenes and training seeds together; differences are paired by
seed and question; 5 % of the training questions are inferential. The two tiers are never pooled,
and nothing was measured at 3B. The base of the transcript tier was one before today's, half as
large."""
TRANSCRIPT = """### Transcript tier

Text in, a base of less than half a million parameters; seeds, methods and scenes were fixed
before the run. Bias-failure sampling gains on the rest with one floor and not with the other.
CDPO led by a controller gains there too. Both pay in observational accuracy."""
VIDEO = """### Video tier

Frames in, a base of about two million parameters, in one untuned regime. Bias-failure sampling
gains nothing on the rest that an interval would show. CDPO with the controller gains, about up to
what the base made to simulate has, and pays more."""
PAIRED = """### Minimal pairs: is the premise read?

A minimal pair asks one video two questions that differ in the removed object alone. In the
irrelevant half describing is right, in the causal half it is wrong, and none of these questions
gives itself away. After GRPO, the paper's CDPO or bias-failure sampling a policy answers nearly
as a describer would, whatever its answer opens with. The last column takes only answers that open
with a removal; the base gives few of them, on questions it chooses itself."""
COST = """### What it costs

Bias-failure sampling against GRPO on observational questions, by seed:"""
COMPUTE = """GRPO trained as long as bias model, measured successes and sampling take together,
against bias-failure sampling of the same seed. Where long GRPO comes to simulate by itself it has
the higher mix; where it does not, bias-failure sampling has."""
OUT = """## Bias-failure sampling on every set of questions

Against GRPO, in points. The gain in give-aways shrinks out of domain and is gone with four
collisions. On the rest an interval excludes zero for the first line alone, and from the base
before with six objects and with four collisions."""


def joined(parts: Sequence[str | list[str]]) -> str:
    """Paragraphs and tables, a blank line between them."""
    return "\n\n".join(part if isinstance(part, str) else "\n".join(part) for part in parts)


def in_short(grids: Grids) -> list[str | list[str]]:
    """What the old world's page begins with."""
    tiers = (TRANSCRIPT, tier_table(grids, ("headline", "confirmation")))
    pixels = (VIDEO, tier_table(grids, ("video", "video_before")))
    parts = (ABOUT, short_table(grids), READ, *tiers, *pixels, PAIRED, halves_table(grids))
    return [*parts, COST, cost_table(grids), COMPUTE, compute_table(grids)]


MARKED: dict[str, Callable[[], Mapping[str, list[str]]]] = {
    "README.md": lambda: {"families": families.short_table()},
    "docs/results.md": results.tables,
    "docs/choosing_old_world.md": lambda: {"methods": choice_table(read())},
}
"""Page -> the tables that stand in it, by the names that mark their places."""


def filled(page: str) -> str:
    """A page's text with its marked tables as the records give them."""
    text = (ROOT / page).read_text()
    for name, lines in MARKED[page]().items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{page}: has no {begin.strip()} ... {end} to fill")
        text = before + begin + "\n".join(lines) + "\n" + found + after
    return text


def main() -> None:
    """Fill the marked tables of the pages written by hand."""
    for page in MARKED:
        (ROOT / page).write_text(filled(page))
        sys.stderr.write(f"filled {page}\n")


if __name__ == "__main__":
    main()
