"""Training curves: one small picture a quantity, methods told apart by color and dash, seeds thin.

A point is the mean of consecutive steps (how many stands under the picture), so that a curve shows
the run and not its noise. Guard events are marks on the floor of the pictures and lines of a list.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from videothinker.errors import UserError
from videothinker.records import Step, read_jsonl
from videothinker.report.sources import BASE, ROLES, RunFolder
from videothinker.report.svg import Scale, element, path, picture, ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 290.0, 172.0, 46.0, 8.0, 8.0, 26.0
POINTS = 80
"""At most this many points a curve."""
LABELLED = (
    ("held_out/", "Validation accuracy", "share"),
    ("reward/", "Reward by label", "mean"),
    ("completion_length", "Completion length", "tokens"),
)
"""Metrics worth a picture: (how their names begin, title, unit)."""
Reading = Callable[[Step], float | None]


@dataclass(frozen=True)
class Curve:
    """One training run."""

    run: RunFolder
    role: str
    steps: tuple[Step, ...]

    @property
    def klass(self) -> str:
        """The CSS class that colors it."""
        return "base" if self.role == BASE else self.run.stage.removeprefix("train-")


@dataclass(frozen=True)
class Panel:
    """One quantity over steps."""

    title: str
    unit: str
    drawing: Markup


@dataclass(frozen=True)
class GuardEvent:
    """What a guard did."""

    run: RunFolder
    role: str
    step: int
    words: str


def read_curves(runs: Sequence[RunFolder]) -> list[Curve]:
    """The steps of every training run.

    Raises:
        UserError: a finished run lost some of its steps.
    """
    return [Curve(run, ROLES[run.stage], _steps(run)) for run in runs if run.stage in ROLES]


def _steps(run: RunFolder) -> tuple[Step, ...]:
    where = run.path / "metrics.jsonl"
    steps = tuple(read_jsonl(where, Step))
    whole = int(run.config.get("max_steps") or len(steps))  # pretraining names its steps otherwise
    if run.done and len(steps) < whole:
        raise UserError(
            f"{where}: {whole - len(steps):,} of {whole:,} steps are gone though the run is done, "
            f"and a report is computed from records alone; run {run.stage!r} again"
        )
    return steps


def binned(steps: Sequence[Step], reading: Reading) -> list[tuple[float, float]]:
    """(step, mean) of consecutive steps, at most POINTS of them; steps without a value left out."""
    values = [(s.step, v) for s in steps if (v := reading(s)) is not None]
    size = bin_size(len(steps))
    pieces = [values[i : i + size] for i in range(0, len(values), size)]
    return [(sum(s for s, _ in p) / len(p), sum(v for _, v in p) / len(p)) for p in pieces]


def legend(curves: Sequence[Curve]) -> list[tuple[str, str]]:
    """(role, its CSS class), in the order of the tables."""
    drawn = {curve.role: curve.klass for curve in curves}
    return [(role, drawn[role]) for role in ROLES.values() if role in drawn]


def sources(curves: Sequence[Curve]) -> list[tuple[str, str, list[int]]]:
    """(role, how many steps make one point, run numbers), for the caption."""
    found = []
    for role in dict.fromkeys(curve.role for curve in curves):
        like = [curve for curve in curves if curve.role == role]
        sizes = sorted({bin_size(len(curve.steps)) for curve in like})
        words = " or ".join(map(str, sizes)) + (" step" if sizes == [1] else " steps")
        found.append((role, words, [curve.run.number for curve in like]))
    return found


def bin_size(steps: int) -> int:
    """How many consecutive steps make one point."""
    return max(1, -(-steps // POINTS))


def average(
    curves: Sequence[Sequence[tuple[float, float]]],
) -> list[tuple[float, float]]:
    """Mean over runs, point by point, as far as every run has come."""
    return [
        (sum(s for s, _ in at) / len(at), sum(v for _, v in at) / len(at))
        for at in zip(*curves, strict=False)
    ]


def _grid(x: Scale, y: Scale, levels: Sequence[float], last: float) -> list[Markup]:
    drawn = []
    for level in levels:
        drawn.append(element("line", x1=x.start, x2=x.end, y1=y(level), y2=y(level), klass="grid"))
        text = f"{level:g}".replace("-", "\N{MINUS SIGN}")
        drawn.append(
            element("text", text, x=x.start - 6, y=y(level) + 4, text_anchor="end", klass="tick")
        )
    for at, anchor in ((0.0, "start"), (last, "end")):
        place = {"x": x(at), "y": HEIGHT - 8, "text_anchor": anchor, "klass": "tick"}
        drawn.append(element("text", f"step {at:.0f}" if at else "0", **place))
    return drawn


def _guards(curves: Sequence[Curve], x: Scale, floor: float) -> list[Markup]:
    return [
        element(
            "path",
            element("title", f"{c.role} seed {c.run.seed}, step {s.step}: {s.guard}"),
            d=f"M{x(s.step):.1f},{floor:.1f}l-4,7h8z",
            klass=f"guard {c.klass}",
        )
        for c in curves
        for s in c.steps
        if s.guard is not None
    ]


def draw(title: str, unit: str, curves: Sequence[Curve], reading: Reading) -> Panel | None:
    """One quantity's picture; None where no run has it."""
    series = [(curve, binned(curve.steps, reading)) for curve in curves]
    series = [(curve, points) for curve, points in series if points]
    if not series:
        return None
    values = [v for _, points in series for _, v in points]
    levels = ticks(min(0.0, *values), max(values))
    last = float(max(curve.steps[-1].step for curve, _ in series))
    x = Scale(0.0, last, LEFT, WIDTH - RIGHT)
    y = Scale(levels[0], levels[-1], HEIGHT - BOTTOM, TOP)
    drawn: list[Markup] = _grid(x, y, levels, last)
    roles = Counter(curve.role for curve, _ in series)
    for curve, points in series:
        d = path([(x(step), y(value)) for step, value in points])
        words = f"{curve.role}, seed {curve.run.seed} ({curve.run.name})"
        shape = f"curve {curve.klass}" + (" faint" if roles[curve.role] > 1 else "")
        drawn.append(element("path", element("title", words), d=d, klass=shape))
    for role in (role for role, count in roles.items() if count > 1):
        like = [(curve, points) for curve, points in series if curve.role == role]
        d = path([(x(step), y(value)) for step, value in average([p for _, p in like])])
        words = f"{role}, mean of {len(like)} runs"
        shape = f"curve {like[0][0].klass}"
        drawn.append(element("path", element("title", words), d=d, klass=shape))
    drawn += _guards([curve for curve, _ in series], x, HEIGHT - BOTTOM)
    ends = "; ".join(
        f"{curve.role} seed {curve.run.seed} from {points[0][1]:.3g} to {points[-1][1]:.3g}"
        for curve, points in series
    )
    label = f"{title} over training steps. {ends}."
    return Panel(title, unit, picture(WIDTH, HEIGHT, label, *drawn, klass="panel"))


def _reward(name: str) -> Reading:
    return lambda step: step.reward.get(name)


def _metric(name: str) -> Reading:
    return lambda step: step.metrics.get(name)


def panels(curves: Sequence[Curve]) -> list[Panel]:
    """Reward by part, divergence, entropy, valid formats and the repulsion in force.

    A base model's first steps have no loss on words (recorded as 0): it only looks.
    """
    rl = [curve for curve in curves if curve.role != BASE]
    base = [curve for curve in curves if curve.role == BASE]
    rewards = dict.fromkeys(name for curve in rl for step in curve.steps for name in step.reward)
    moving = any(len({s.repulsion for s in c.steps}) > 1 for c in rl)
    wanted = [
        *((f"Reward: {name.replace('_', ' ')}", "mean", rl, _reward(name)) for name in rewards),
        ("Divergence from the bias model", "nats a token", rl, lambda s: s.divergence),
        ("Entropy", "nats a token", rl, lambda s: s.entropy),
        ("Valid format", "share of completions", rl, lambda s: s.valid),
        ("Groups without signal", "a step", rl, lambda s: float(s.dropped_groups)),
        ("Pretraining: words", "nats a token", base, lambda s: s.loss or None),
        ("Pretraining: looking", "weighted loss", base, _metric("look")),
        ("Pretraining: contacts", "weighted loss", base, _metric("touch")),
    ]
    if moving:
        pushed = [c for c in rl if any(s.repulsion for s in c.steps)]
        wanted.append(("Repulsion in force", "weight", pushed, lambda s: s.repulsion))
    names = dict.fromkeys(name for curve in rl for step in curve.steps for name in step.metrics)
    for prefix, title, unit in LABELLED:
        found = [name for name in names if name.startswith(prefix)]
        heads = [f"{title}: {n.removeprefix(prefix)}".removesuffix(": ") for n in found]
        wanted += [(h, unit, rl, _metric(n)) for h, n in zip(heads, found, strict=True)]
    drawn = [draw(title, unit, some, reading) for title, unit, some, reading in wanted if some]
    return [panel for panel in drawn if panel is not None]


def events(curves: Sequence[Curve]) -> list[GuardEvent]:
    """Everything a guard did, in order of run and step."""
    return [
        GuardEvent(curve.run, curve.role, step.step, step.guard)
        for curve in curves
        for step in curve.steps
        if step.guard is not None
    ]
