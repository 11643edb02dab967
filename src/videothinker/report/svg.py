"""SVG as escaped text: elements, and a linear scale with round ticks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """`<tag a="b">children</tag>`; text children and values are escaped, Markup children are not.

    `klass` stands for class, and underscores in names for hyphens.
    """
    words = [escape(tag)]
    for name, value in attributes.items():
        if value is None:
            continue
        plain = "class" if name == "klass" else name.replace("_", "-")
        text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        words.append(Markup('{}="{}"').format(plain, text))
    inside = Markup().join(escape(child) for child in children)
    return Markup("<{}>{}</{}>").format(Markup(" ").join(words), inside, tag)


def picture(width: float, height: float, label: str, *children: str, klass: str = "") -> Markup:
    """An `<svg>` that scales with its column and says in words what it shows."""
    view = f"0 0 {width:g} {height:g}"
    title = element("title", label)
    return element("svg", title, *children, viewBox=view, role="img", aria_label=label, klass=klass)


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] of the data to [start, end] of the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` lies."""
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers (1, 2, 5 times a power of ten) that cover [low, high] in about four steps."""
    span = high - low
    if span <= 0:
        span = abs(high) or 1.0
        high = low + span
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def path(points: Sequence[tuple[float, float]]) -> str:
    """The `d` of a polyline."""
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
