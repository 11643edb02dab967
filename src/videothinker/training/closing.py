"""The words a training stage ends with, from its records: how it went, and whether it learned."""

from collections.abc import Sequence
from statistics import fmean

from videothinker.algorithms.base import TrainConfig
from videothinker.records import Step

TENTH = 10
MEND_REWARDS = (
    "check that the reward functions tell a better completion from a worse one, raise "
    "--temperature or --num-generations, or give questions that the model answers right only "
    "sometimes"
)


def closing_table(steps: Sequence[Step]) -> list[str]:
    """Means over the first and the last tenth of the steps, one quantity a line.

    Raises:
        ValueError: there are no steps; a mean of nothing is not a number.
    """
    if not steps:
        raise ValueError("no steps were recorded; there is nothing to average")
    count = max(1, len(steps) // TENTH)
    pushed = any(step.divergence is not None for step in steps)
    names = [*steps[-1].reward, "valid", "entropy"]
    names += ["divergence", "repulsion"] if pushed else []
    rows = [(name, _mean(steps[:count], name), _mean(steps[-count:], name)) for name in names]
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


def failings(steps: Sequence[Step], config: TrainConfig, *, changed: bool) -> list[str]:
    """Why a run is no success, each as `what: how it shows; what to do`; empty where it is one.

    Args:
        steps: all of the run's records.
        config: its settings.
        changed: do the trained weights differ from those it started from?
    """
    found, where = list[str](), f"in {config.out.name}"
    still = "" if changed else f", and the weights are still those of {config.model}"
    drawn = sum(step.metrics["drawn"] for step in steps)
    unread = not any(step.valid for step in steps)
    if unread:
        count = sum(step.metrics["completions"] for step in steps)
        found.append(
            f"{where} no answer could be read: none of the {count:.0f} completions is one <think> "
            f"block and one <answer> block; {_why_unread(steps, config)}"
        )
    if sum(step.dropped_groups for step in steps) == drawn:
        earned = unread and not any(any(step.reward.values()) for step in steps)
        found.append(
            f"{where} no group had a signal: in each of the {drawn:.0f} groups drawn all "
            f"{config.num_generations} completions earned the same ({_rewards(steps)}){still}; "
            f"{'answers that cannot be read earn nothing' if earned else MEND_REWARDS}"
        )
    elif not changed:
        found.append(
            f"{where} no weight of {config.model} changed: {_why_unchanged(steps, config)}"
        )
    return found


def _why_unread(steps: Sequence[Step], config: TrainConfig) -> str:
    cut = fmean(step.metrics["truncated"] for step in steps)
    if cut > 0.5:
        return (
            f"{cut:.0%} were cut at max_completion_length {config.max_completion_length}: raise it"
        )
    return "start from a model that keeps to that format, such as one that `pretrain` made"


def _rewards(steps: Sequence[Step]) -> str:
    """The mean of every reward function over all completions drawn."""
    drawn = [step.metrics["drawn"] for step in steps]
    means = {
        name: fmean([step.reward[name] for step in steps], weights=drawn)
        for name in steps[0].reward
    }
    return "mean " + ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())


def _why_unchanged(steps: Sequence[Step], config: TrainConfig) -> str:
    if all(step.metrics["skipped"] for step in steps):
        return (
            "loss or gradient was not a number at every step, which was skipped; lower "
            "--learning-rate, or use --dtype float32"
        )
    return (
        f"learning rate {config.learning_rate:g} over {config.max_steps} steps moves no "
        f"{config.dtype} number; raise --learning-rate or --max-steps"
    )
