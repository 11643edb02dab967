"""The one training loop: draw, roll out, reward, advantages, update, log, checkpoint.

A group is never split: its completions are rolled out, scored and differentiated by one process.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import torch

from videothinker import cdpo, console
from videothinker.errors import UserError
from videothinker.models.loaded import Policy
from videothinker.records import Step
from videothinker.runs import Journal
from videothinker.training.checkpoints import last_checkpoint, load_checkpoint, save_checkpoint
from videothinker.training.config import CdpoConfig, TrainConfig
from videothinker.training.in_reward import move_to_reward
from videothinker.training.metrics import step_record, valid_share
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.processes import Processes
from videothinker.training.rollouts import Batch, Collector, Draw
from videothinker.training.step import Bias, Objective, Sums, accumulate_gradients, measure
from videothinker.training.trackers import completion_tokens
from videothinker.training.validation import Validation


@dataclass
class Progress:
    """Where the loop stands; written into every checkpoint."""

    step: int = 0
    position: int = 0
    """Questions drawn so far, dropped ones included."""
    entropy: float | None = None
    """Of the last good step, in nats a token: what the guard looks at."""
    divergence: float | None = None
    """KL(policy || bias) of the last good step, in nats a token, whatever divergence is trained:
    what the controller and the guard look at."""
    bad_in_a_row: int = 0
    """Steps whose loss or gradient was not a number."""


@dataclass
class Loop:
    """What the loop is made of; built by `stages`."""

    config: TrainConfig
    policy: Policy
    bias: Bias | None
    collector: Collector
    draw: Draw
    validation: Validation
    optimizer: MasterAdamW
    processes: Processes
    journal: Journal[Step] | None
    """metrics.jsonl; null in all processes but the main one."""
    track: Callable[[Step, float], None]
    """Called with each record and the step's seconds."""

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.config.out / "checkpoints"


def train(loop: Loop) -> Progress:
    """Go from the last checkpoint, if any, to `max_steps`."""
    config, progress = loop.config, resume(loop)
    with console.progress("train", config.max_steps, done=progress.step) as bar:
        while progress.step < config.max_steps:
            started = time.monotonic()
            step = progress.step + 1
            batch = loop.collector.collect(step, progress.position, loop.draw)
            objective, guard = decide(loop, batch, progress)
            sums, extra = update(loop, batch, objective, progress)
            look = config.eval_steps and step % config.eval_steps == 0
            record = step_record(
                *(step, batch, list(loop.collector.rewards), objective, sums),
                guard=guard,
                extra=extra,
                accuracy=loop.validation.accuracy(loop.policy) if look else {},
            )
            progress.step, progress.position = step, progress.position + batch.drawn
            if loop.journal:
                loop.journal.append(record)
            seconds = time.monotonic() - started
            loop.track(record, seconds)
            if step % config.save_steps == 0 or step == config.max_steps:
                checkpoint(loop, progress)
            bar.advance()
            bar.note(
                f"reward {sum(record.reward.values()):.2f} valid {record.valid:.2f} "
                f"{completion_tokens(record) / seconds:.0f} tokens/s"
            )
    return progress


def decide(loop: Loop, batch: Batch, progress: Progress) -> tuple[Objective, str | None]:
    """This step's objective: the repulsion after schedule and guard, and what the guard did."""
    config = loop.config
    plain = Objective(
        loss_type=config.loss_type,
        epsilon=config.epsilon,
        epsilon_high=config.epsilon_high,
        temperature=config.temperature,
    )
    if not isinstance(config, CdpoConfig) or loop.bias is None or not config.repulsion:
        return plain, None
    pushed = replace(plain, divergence=config.divergence)
    if progress.divergence is None or progress.entropy is None:
        sums = measure(loop.policy, loop.bias, list(batch.groups.values()), pushed)
        add_up(sums, loop.processes)
        progress.divergence, progress.entropy = means(sums)
    repulsion = cdpo.signed(config.repulsion, config.direction)
    if config.schedule == "controller":
        repulsion = cdpo.controlled(repulsion, progress.divergence, config.divergence_target)
    guard = None
    if config.guard:
        repulsion, guard = cdpo.guarded(
            repulsion,
            valid=valid_share(batch),
            entropy=progress.entropy,
            divergence=progress.divergence,
            limits=cdpo.Limits(config.guard_valid, config.guard_entropy, config.guard_divergence),
        )
    if guard and loop.processes.main:
        console.say(f"warning: step {progress.step + 1}: guard: {guard}")
    return replace(pushed, repulsion=repulsion), guard


def update(
    loop: Loop, batch: Batch, objective: Objective, progress: Progress
) -> tuple[Sums, dict[str, float]]:
    """`num_iterations` updates on the batch; the sums over them, learning rate and gradient norm.

    An update whose loss or gradient is not a number is skipped and counted.

    Raises:
        UserError: after `max_bad_steps` such steps in a row.
    """
    config, optimizer = loop.config, loop.optimizer
    total, old_logps, norm, skipped = Sums(), {}, 0.0, False
    if loop.bias and batch.scored and objective.repulsion and in_reward(config):
        batch, objective = move_to_reward(loop.policy, loop.bias, batch, objective, loop.processes)
    lr = learning_rate(config, progress.step)
    advantages = advantages_of(batch, config)
    for _ in range(config.num_iterations if batch.scored else 0):
        optimizer.zero()
        sums = accumulate_gradients(
            *(loop.policy, loop.bias),
            list(batch.groups.values()),
            [advantages[item] for item in batch.groups],
            objective,
            completions=sum(len(row.lengths) for row in batch.scored),
            tokens=sum(sum(row.lengths) for row in batch.scored),
            old_logps=old_logps,
        )
        add_up(sums, loop.processes)
        for gradient in optimizer.gradients():
            loop.processes.add(gradient)
        norm = optimizer.clip(config.max_grad_norm)
        skipped = not (math.isfinite(sums.loss) and math.isfinite(norm))
        if skipped:
            break
        sums.loss /= config.num_iterations
        total.add(sums)
        optimizer.step(lr)
    optimizer.zero()
    count_bad(progress, config, skipped=skipped)
    if total.tokens:
        progress.divergence, progress.entropy = means(total)
    norm = norm if math.isfinite(norm) else 0.0
    return total, {"learning_rate": lr, "grad_norm": norm, "skipped": float(skipped)}


def in_reward(config: TrainConfig) -> bool:
    """Does the divergence stand in the reward?"""
    return isinstance(config, CdpoConfig) and config.divergence_in == "reward"


def advantages_of(batch: Batch, config: TrainConfig) -> dict[int, torch.Tensor]:
    """Item -> advantages [G], from the rewards of all processes' groups."""
    if not batch.scored:
        return {}
    advantages_BG = cdpo.group_advantages(
        batch.rewards_BG, scale=config.scale_rewards, types=[row.type for row in batch.scored]
    )
    return {row.item: a_G for row, a_G in zip(batch.scored, advantages_BG, strict=True)}


def learning_rate(config: TrainConfig, done: int) -> float:
    """Of the step after `done` steps."""
    if config.lr_scheduler_type == "constant":
        return config.learning_rate
    return config.learning_rate * (1 - done / config.max_steps)


def count_bad(progress: Progress, config: TrainConfig, *, skipped: bool) -> None:
    """Count a skipped step, warn, and stop the run after a few in a row."""
    progress.bad_in_a_row = progress.bad_in_a_row + 1 if skipped else 0
    if not skipped:
        return
    console.say(f"warning: step {progress.step + 1}: loss or gradient is not a number; skipped")
    if progress.bad_in_a_row >= config.max_bad_steps:
        raise UserError(
            f"loss or gradient was not a number in {progress.bad_in_a_row} steps in a row, up to "
            f"step {progress.step + 1}; lower --learning-rate or --repulsion, or use float32"
        )


def add_up(sums: Sums, processes: Processes) -> None:
    """Replace this process's sums by everyone's."""
    if processes.size == 1:
        return
    tensor = torch.tensor(astuple(sums), dtype=torch.float64, device=processes.device)
    processes.add(tensor)
    sums.__init__(*tensor.tolist())


def means(sums: Sums) -> tuple[float, float]:
    """KL(policy || bias) and entropy a token."""
    return sums.kl / sums.tokens, sums.entropy / sums.tokens


def checkpoint(loop: Loop, progress: Progress) -> None:
    """Save what a killed run needs to go on to the same end."""
    if loop.processes.main:
        save_checkpoint(
            *(loop.checkpoints, loop.policy, loop.optimizer, asdict(progress)),
            keep=loop.config.save_total_limit,
        )
    loop.processes.wait()


def resume(loop: Loop) -> Progress:
    """Take up the last checkpoint; forget the records of later steps, they will come again."""
    found = last_checkpoint(loop.checkpoints)
    progress = Progress(**load_checkpoint(found, loop.optimizer)) if found else Progress()
    if loop.journal:
        loop.journal.keep(lambda record: record.step <= progress.step)
        if found:
            console.say(f"resumed from {found}")
    loop.processes.wait()
    return progress
