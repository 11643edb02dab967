"""The first picture: observational against inferential accuracy, one row a method.

Rows run base, GRPO, CDPO. Erosion is the inferential mark moving left on the way to GRPO, repair
is its way back; where nothing moves, the picture shows that as plainly. Under the inferential mark
stand its two parts: questions that give themselves away, and the rest. Where questions come in
families, the share of families that are right as a whole stands below.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from videothinker.estimates import between, percent
from videothinker.families import WHOLE
from videothinker.giveaways import AWAY
from videothinker.report.claim import LABELS
from videothinker.report.estimates import Accuracy, accuracy
from videothinker.report.results import PARTS, Board, Method
from videothinker.report.svg import Scale, element, path, picture
from videothinker.report.words import units

ROW = 80.0
LIFT = 11.0
"""How far the two marks of a row stand off its middle, in picture units."""
DROP = 19.0
"""How far the parts stand below the inferential mark."""
FAMILY = 24.0
"""How much further down the families stand, and how much higher a row is, where there are parts."""
APART = 44.0
"""Room for a part's figure between the two marks."""
EDGE = 22.0
"""Room right of the scale."""
KLASS = {**{label: label for label in LABELS}, WHOLE: "family"}
"""What has a mark with its interval -> how the style sheet calls it."""


@dataclass(frozen=True)
class AccuracyRow:
    """One method's figures on one board."""

    method: Method
    estimates: dict[str, Accuracy]
    """label, part of the inferential, WHOLE or "all" -> estimate; absent where nobody answered."""

    @property
    def unparsed(self) -> str:
        """`unparsed 0.0 %`, or of each label where they differ."""
        found = {k: percent(e.unparsed) for k, e in self.estimates.items() if k in LABELS}
        if len(set(found.values())) < 2:
            return f"unparsed {next(iter(found.values()), percent(0.0))} %"
        return f"unparsed {' / '.join(found.values())} %"

    @property
    def runs(self) -> list[int]:
        """Numbers of the evaluate runs behind the row."""
        return [one.run.number for one in self.method.evaluations]


def rows(board: Board) -> list[AccuracyRow]:
    """Accuracy of every method: by label, part of the inferential, families and all questions."""
    found = []
    for method in board.methods:
        estimates = {}
        for label in (*LABELS, *board.parts, WHOLE, "all"):
            estimate = accuracy(board, method, board.units(None if label == "all" else label))
            if estimate is not None:
                estimates[label] = estimate
        found.append(AccuracyRow(method, estimates))
    return found


def _mark(label: str, x: float, y: float) -> Markup:
    """Hollow square: observational; disc: inferential; triangle: families. No color is needed."""
    if label == "observational":
        return element("rect", x=x - 5, y=y - 5, width=10, height=10, klass="mark observational")
    if label == WHOLE:
        d = f"M{x - 6:.1f},{y + 5:.1f}h12l-6,-11z"
        return element("path", d=d, klass="mark family")
    return element("circle", cx=x, cy=y, r=5.5, klass="mark inferential")


def _whisker(estimate: Accuracy, label: str, scale: Scale, y: float) -> Markup:
    low, high = scale(max(0.0, estimate.low)), scale(min(1.0, estimate.high))
    d = f"M{low:.1f},{y:.1f}H{high:.1f}M{low:.1f},{y - 3:.1f}v6M{high:.1f},{y - 3:.1f}v6"
    return element("path", d=d, klass=f"whisker {KLASS[label]}")


def _number(text: str, estimate: Accuracy, label: str, scale: Scale, y: float) -> Markup:
    """The figure, right of its interval, or left of it, or (where both are taken) over the mark."""
    low, high = scale(max(0.0, estimate.low)), scale(min(1.0, estimate.high))
    if high + 7 <= scale.end - 30:
        x, anchor = high + 7, "start"
    elif low - 7 >= scale.start + 36:
        x, anchor = low - 7, "end"
    else:
        x, y, anchor = scale(estimate.value) + 9, y - 8, "start"
    klass = f"number {KLASS[label]}"
    return element("text", text, x=x, y=y + 4, klass=klass, text_anchor=anchor)


def _series(row: AccuracyRow, label: str, scale: Scale, y: float) -> list[Markup]:
    estimate = row.estimates.get(label)
    if estimate is None:
        return []
    words = (
        f"{row.method.name}, {label}: {percent(estimate.value)} % "
        f"({between(estimate.low, estimate.high)}), n = {estimate.n}, "
        f"unparsed {percent(estimate.unparsed)} %"
    )
    dots = [
        element("circle", element("title", f"seed {seed}: {percent(mean)} %"),
                cx=scale(mean), cy=y, r=2, klass=f"seed {KLASS[label]}")
        for seed, mean in estimate.seeds if len(estimate.seeds) > 1
    ]  # fmt: skip
    number = _number(percent(estimate.value), estimate, label, scale, y)
    mark = _mark(label, scale(estimate.value), y)
    whisker = _whisker(estimate, label, scale, y)
    return [element("g", element("title", words), whisker, *dots, mark, number)]


def _diamond(part: str, x: float, y: float) -> Markup:
    """Hollow: give-aways; filled: the rest. Told apart without color."""
    d = f"M{x - 5:.1f},{y:.1f}l5,-5l5,5l-5,5z"
    return element("path", d=d, klass=f"mark {'part' if part == AWAY else 'inferential'}")


def _beside(text: str, left: float, right: float, scale: Scale, y: float) -> Markup:
    """Small figures right of what stands between `left` and `right`, or left of it at the edge."""
    fits = right + 8 + 6.2 * len(text) <= scale.end + EDGE
    x, anchor = (right + 8, "start") if fits else (left - 8, "end")
    klass = "number inferential part"
    return element("text", text, x=x, y=y + 4, klass=klass, text_anchor=anchor)


def _parts(row: AccuracyRow, scale: Scale, y: float) -> list[Markup]:
    """The two parts of the inferential questions, each with its figure; both in one where near."""
    found = [(row.estimates[part], part) for part in PARTS if part in row.estimates]
    found.sort(key=lambda one: one[0].value)
    drawn = []
    for e, part in found:
        value = f"{percent(e.value)} % ({between(e.low, e.high)})"
        words = f"{row.method.name}, {part}: {value}, n = {e.n}"
        drawn.append(element("g", element("title", words), _diamond(part, scale(e.value), y)))
    places, figures = [scale(e.value) for e, _ in found], [percent(e.value) for e, _ in found]
    if len(found) == 2 and places[1] - places[0] < APART:
        return [*drawn, _beside(" / ".join(figures), places[0], places[1], scale, y)]
    return [
        *drawn, *(_beside(text, x, x, scale, y) for text, x in zip(figures, places, strict=True))
    ]  # fmt: skip


def _axis(scale: Scale, top: float, bottom: float) -> list[Markup]:
    drawn = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = scale(tick)
        drawn.append(element("line", x1=x, x2=x, y1=top, y2=bottom, klass="grid"))
        text = f"{100 * tick:.0f}" + (" %" if tick == 1 else "")
        drawn.append(element("text", text, x=x, y=bottom + 18, text_anchor="middle", klass="tick"))
    return drawn


def _summary(board: Board, found: Sequence[AccuracyRow]) -> str:
    parts = []
    for row in found:
        words = [f"{label} {percent(e.value)} %" for label, e in row.estimates.items()]
        parts.append(f"{row.method.name}: {', '.join(words)}")
    return f"Accuracy on {board.title}. " + "; ".join(parts)


def sizes(found: Sequence[AccuracyRow]) -> str:
    """`n = 240 observational and 120 inferential (94 give-aways, 26 the rest)`.

    Or each method's own where they differ.
    """
    each = {row.method.name: _counted(row) for row in found}
    if len(set(each.values())) == 1:
        return f"n = {next(iter(each.values()))}"
    return "; ".join(f"{name}: n = {words}" for name, words in each.items())


def _counted(row: AccuracyRow) -> str:
    """How many questions of each label and part a method answered."""
    labels = [f"{row.estimates[b].n} {b}" for b in LABELS if b in row.estimates]
    split = [f"{row.estimates[part].n} {part}" for part in PARTS if part in row.estimates]
    whole = row.estimates.get(WHOLE)
    ending = f"; {units(whole.n, WHOLE)}" if whole else ""
    return " and ".join(labels) + (f" ({', '.join(split)})" if split else "") + ending


def _split(name: str) -> tuple[str, str]:
    """`CDPO (divergence js)` -> `CDPO`, `divergence js`: a name and what sets it apart."""
    name, _, settings = name.partition(" (")
    return name, settings.rstrip(")")


def _margin(found: Sequence[AccuracyRow]) -> float:
    """Room for the methods' names on the left of a wide picture."""
    widths = [
        (9.0 * len(n), 6.4 * max(len(s), len(row.unparsed)))
        for row in found
        for n, s in (_split(row.method.name),)
    ]
    return min(300.0, max(map(max, widths)) + 30)


def _named(row: AccuracyRow, middle: float, *, narrow: bool) -> list[Markup]:
    """The method's name, what sets it apart, and what of its answers could not be read."""
    name, settings = _split(row.method.name)
    y = middle - 36 if narrow else middle - (8 if settings else 2)
    drawn = [element("text", name, x=0, y=y, klass="method")]
    if settings:
        place = (10.0 * len(name) + 12, y) if narrow else (0, y + 17)
        drawn.append(element("text", settings, x=place[0], y=place[1], klass="settings"))
    below = y + (32 if settings and not narrow else 15)
    return [*drawn, element("text", row.unparsed, x=0, y=below, klass="settings")]


def chart(board: Board, found: Sequence[AccuracyRow], *, narrow: bool) -> Markup:
    """The picture, with the methods' names beside the rows (wide) or above them (narrow)."""
    width, left, height = (350.0, 12.0, ROW + 36) if narrow else (760.0, _margin(found), ROW)
    top, shift = 8.0, 8.0 if narrow else 0.0
    deeper = FAMILY if board.families and board.parts else 0.0
    pitch = height + deeper
    scale = Scale(0.0, 1.0, left, width - EDGE)
    bottom = top + pitch * len(found)
    drawn: list[Markup] = _axis(scale, top, bottom)
    roles = [row.method.role for row in found]
    firsts = [row for i, row in enumerate(found) if row.method.role not in roles[:i]]
    lifts = (-LIFT, LIFT, LIFT + DROP + deeper)
    middles = [top + pitch * i + height / 2 + shift for i in range(len(found))]
    for label, lift in zip(KLASS, lifts, strict=True):
        centres = [
            (scale(row.estimates[label].value), middle + lift)
            for row, middle in zip(found, middles, strict=True)
            if label in row.estimates and row in firsts
        ]
        if len(centres) > 1:
            drawn.append(element("path", d=path(centres), klass=f"thread {KLASS[label]}"))
    for row, middle in zip(found, middles, strict=True):
        drawn += _named(row, middle - shift if narrow else middle + deeper / 2, narrow=narrow)
        for label, lift in zip(KLASS, lifts, strict=True):
            drawn += _series(row, label, scale, middle + lift)
        drawn += _parts(row, scale, middle + LIFT + DROP)
    klass = "chart narrow" if narrow else "chart wide"
    return picture(width, bottom + 26, _summary(board, found), *drawn, klass=klass)
