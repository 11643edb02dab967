"""Numbers as a reader wants them: points with their sign, true minus signs."""

from videothinker.console import count
from videothinker.estimates import Estimate
from videothinker.families import WHOLE

MINUS = "\N{MINUS SIGN}"


def points(value: float) -> str:
    """0.021 -> "+2.1", with its sign."""
    return f"{100 * value:+.1f}".replace("-", MINUS)


def interval(estimate: Estimate) -> str:
    """Say `95 % interval -9.8 to +14.0`."""
    return f"95 % interval {points(estimate.low)} to {points(estimate.high)}"


def units(number: int, name: str | None) -> str:
    """Say `1 question`, or `2 families` under that name."""
    if name != WHOLE:
        return count(number, "question")
    return f"{number:,} " + ("family" if number == 1 else "families")
