"""What is logged of a step, and an optional tracker; every name is defined in docs/metrics.md.

What is said of completions is said of all that were drawn: without those of the groups that dynamic
sampling drops, a reward that is always 1 would have no mean.
Nothing in metrics.jsonl depends on the clock, so that two identical runs write the same bytes;
quantities of the clock, such as tokens a second, go to the tracker and the progress bar.
"""

import importlib.util
from collections.abc import Callable, Sequence
from statistics import fmean

from videothinker.algorithms.base import Objective, TrainConfig
from videothinker.errors import UserError
from videothinker.processes import Processes
from videothinker.records import Step
from videothinker.training.rollouts import Batch
from videothinker.training.step import Sums

TRACKERS = "trackers"
"""The folder in the run's."""
Track = Callable[[Step, float, float], None]
"""Called with each record, the step's seconds, and those in which it stood still for videos."""


def step_record(
    step: int,
    batch: Batch,
    reward_names: Sequence[str],
    objective: Objective,
    sums: Sums,
    *,
    guard: str | None,
    extra: dict[str, float],
    accuracy: dict[str, float],
) -> Step:
    """The record of one step from the batch's rows and the sums over its tokens.

    Args:
        step: its number, from 1.
        batch: all groups that were drawn, and which of them were trained on.
        reward_names: of the reward functions, in the order of each row's rewards.
        objective: in force at this step.
        sums: over all groups, processes and updates; of no token where none was made.
        guard: what the guard did, in words.
        extra: learning rate, gradient norm and the like.
        accuracy: label -> accuracy on the validation slice, where this step validated.
    """
    rows, tokens = batch.rolled_out, sums.tokens
    lengths = [length for row in rows for length in row.lengths]
    metrics = {
        "groups": float(len(batch.scored)),
        "completions": float(len(lengths)),
        "drawn": float(batch.drawn),
        "completion_length": fmean(lengths),
        "truncated": fmean(cut for row in rows for cut in row.truncated),
        **extra,
    }
    if tokens:
        metrics["clip_share"] = sums.clipped / tokens
    if tokens and objective.divergence:
        metrics["kl"] = sums.kl / tokens
    for label in sorted({row.label for row in rows}):
        mine = [row for row in rows if row.label == label]
        metrics[f"reward/{label}"] = fmean(total for row in mine for total in row.total_G)
        metrics[f"share/{label}"] = len(mine) / len(rows)
    metrics |= {f"held_out/{label}": value for label, value in accuracy.items()}
    return Step(
        step=step,
        loss=sums.loss,
        reward={
            name: fmean(value for row in rows for value in row.rewards_RG[place])
            for place, name in enumerate(reward_names)
        },
        divergence=sums.divergence / tokens if tokens and objective.divergence else None,
        entropy=sums.entropy / tokens if tokens else None,
        valid=batch.valid,
        repulsion=objective.repulsion,
        dropped_groups=batch.dropped,
        guard=guard,
        metrics=metrics,
    )


def open_tracker(config: TrainConfig, processes: Processes) -> Track:
    """What logs to the tracker asked for, if any.

    Raises:
        UserError: the tracker is not installed.
    """
    if config.log_with is None or not processes.main:
        return lambda record, seconds, waited: None  # noqa: ARG005
    if importlib.util.find_spec(config.log_with) is None:
        raise UserError(
            f"log_with is {config.log_with!r}, which is not installed; "
            f"run `pip install {config.log_with}`, or leave log_with out"
        )
    from accelerate import Accelerator  # noqa: PLC0415

    folder = config.out / TRACKERS
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(
        cpu=processes.device.type == "cpu", log_with=config.log_with, project_dir=str(folder)
    )
    # wandb would write where the command was given, under a random name
    own = {"dir": str(folder), "name": config.out.name}
    accelerator.init_trackers("videothinker", init_kwargs={"wandb": own})
    return lambda record, seconds, waited: accelerator.log(
        flat(record, seconds, waited), step=record.step
    )


def flat(record: Step, seconds: float, waited: float) -> dict[str, float]:
    """A record as name -> number, with the step's speed, and its share of waiting for videos."""
    names = ("loss", "valid", "repulsion", "divergence", "entropy", "dropped_groups")
    values = {name: getattr(record, name) for name in names} | record.metrics
    values |= {f"reward/{name}": value for name, value in record.reward.items()}
    values |= {"seconds": seconds, "waited_for_videos": waited / seconds}
    values["completion_tokens_per_second"] = completion_tokens(record) / seconds
    return {name: value for name, value in values.items() if value is not None}


def completion_tokens(record: Step) -> float:
    """All completion tokens of the step, those of dropped groups included."""
    return record.metrics["completions"] * record.metrics["completion_length"]
