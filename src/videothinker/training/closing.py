"""The table a training stage ends with: how the run began and how it ended, from its records."""

from collections.abc import Sequence

from videothinker.records import Step

TENTH = 10


def closing_table(steps: Sequence[Step]) -> list[str]:
    """Means over the first and the last tenth of the steps, one quantity a line.

    Raises:
        ValueError: there are no steps; a mean of nothing is not a number.
    """
    if not steps:
        raise ValueError("no steps were recorded; there is nothing to average")
    count = max(1, len(steps) // TENTH)
    pushed = any(step.divergence is not None for step in steps)
    rows = [
        (name, _mean(steps[:count], name), _mean(steps[-count:], name))
        for name in [
            *(*steps[-1].reward, "valid", "entropy"),
            *(("divergence", "repulsion") if pushed else ()),
        ]
    ]
    guarded = sum(step.guard is not None for step in steps)
    tail = [f"guard stopped the push at {guarded} of {len(steps)} steps"] if pushed else []
    head = f"{'mean of':<16}{f'first {count}':>12}{f'last {count}':>12}"
    lines = [
        f"{name:<16}{first:>12.3f}{last:>12.3f}"
        for name, first, last in rows
        if first is not None and last is not None
    ]
    return [head, *lines, *tail]


def _mean(steps: Sequence[Step], name: str) -> float | None:
    values = [
        step.reward[name] if name in step.reward else getattr(step, name, None) for step in steps
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
