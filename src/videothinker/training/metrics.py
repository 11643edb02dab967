"""What is logged of a step; every name is defined in docs/metrics.md.

What is said of completions is said of all that were drawn: without those of the groups that dynamic
sampling drops, a reward that is always 1 would have no mean.
Nothing here depends on the clock, so that two identical runs write the same bytes.
"""

from collections.abc import Sequence
from statistics import fmean

from videothinker.records import Step
from videothinker.training.rollouts import Batch
from videothinker.training.step import Objective, Sums


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
        accuracy: label -> accuracy on the held-out slice, where this step looked.
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
        valid=valid_share(batch),
        repulsion=objective.repulsion,
        dropped_groups=batch.dropped,
        guard=guard,
        metrics=metrics,
    )


def valid_share(batch: Batch) -> float:
    """Share of the batch's completions with a valid format."""
    return fmean(valid for row in batch.rolled_out for valid in row.valid)
