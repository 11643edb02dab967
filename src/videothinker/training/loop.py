"""The one training loop, from questions to updated weights; `step.py` has the arithmetic.

A step: draw questions, roll out a group of completions for each, reward them, decide the objective,
turn rewards into advantages, update, log, checkpoint. What the algorithms do differently they
answer themselves (`algorithms/`). A group is never split: its completions are rolled out, scored
and differentiated by one process.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from videothinker import answers, console
from videothinker.algorithms.base import Objective, TrainConfig
from videothinker.algorithms.control import Signs
from videothinker.algorithms.objective import group_advantages
from videothinker.errors import UserError
from videothinker.generation.base import generate
from videothinker.models.base import Group
from videothinker.models.loaded import Policy
from videothinker.processes import Processes
from videothinker.records import Question, Step
from videothinker.runs import Journal
from videothinker.seeds import derive
from videothinker.training.checkpoints import (
    Progress,
    last_checkpoint,
    load_checkpoint,
    prune,
    save_checkpoint,
)
from videothinker.training.metrics import Track, completion_tokens, step_record
from videothinker.training.optimizer import Optimizer
from videothinker.training.rewards import (
    RewardFunc,
    asks,
    partner_success,
    reward_columns,
    score,
    weighted,
)
from videothinker.training.rollouts import Batch, Prompts, Scored, sampling_of, validate
from videothinker.training.step import (
    Begun,
    Bias,
    Sums,
    accumulate_gradients,
    has_gradient,
    log_ratios,
    measure,
)


@dataclass
class Loop:
    """What the loop is made of; built by `stages`."""

    config: TrainConfig
    policy: Policy
    bias: Bias | None
    prompts: Prompts
    draw: Callable[[int], Question]
    """Position in the run's stream of questions -> the question drawn there."""
    rewards: dict[str, RewardFunc]
    optimizer: Optimizer
    processes: Processes
    journal: Journal[Step] | None
    """metrics.jsonl; null in all processes but the main one."""
    track: Track
    whole: Callable[[], AbstractContextManager[None]] = nullcontext
    """Inside, this process has all weights of the policy, to use without the others."""
    idle: Group | None = None
    """What a process with fewer groups than others passes in their place, with weight zero; null
    for one process."""
    at_once: int | None = None
    """Prompts whose completions are drawn together; null for all of a step's."""

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.config.out / "checkpoints"


def run_loop(loop: Loop) -> Progress:
    """Go from the last checkpoint, if any, to `max_steps`."""
    config, progress = loop.config, resume(loop)
    with console.progress("train", config.max_steps, done=progress.step) as bar:
        while progress.step < config.max_steps:
            started, waited = time.monotonic(), loop.prompts.videos.waited
            step = progress.step + 1
            batch = collect(loop, step, progress.position)
            objective, guard = decide(loop, batch, progress)
            sums, extra = update(loop, batch, objective, progress)
            validates = config.eval_steps and step % config.eval_steps == 0
            with loop.whole() if validates else nullcontext():
                accuracy = validate(loop.prompts, loop.processes) if validates else {}
            names = list(loop.rewards)
            record = step_record(
                step, batch, names, objective, sums, guard=guard, extra=extra, accuracy=accuracy
            )
            progress.step, progress.position = step, progress.position + batch.drawn
            if loop.journal:
                loop.journal.append(record)
            seconds = time.monotonic() - started
            loop.track(record, seconds, loop.prompts.videos.waited - waited)
            if step % config.save_steps == 0 or step == config.max_steps:
                checkpoint(loop, progress)
            bar.advance()
            bar.note(
                f"reward {sum(record.reward.values()):.2f} valid {record.valid:.2f} "
                f"{completion_tokens(record) / seconds:.0f} tokens/s"
            )
    return progress


def collect(loop: Loop, step: int, position: int) -> Batch:
    """Draw from `position` of the stream, roll out and score.

    With refills (DAPO's dynamic sampling) groups without signal are dropped and others drawn.
    """
    config, batch = loop.config, Batch()
    for _ in range(1 + config.refills()):
        missing = config.prompts_per_step - len(batch.scored)
        drawn = {i: loop.draw(position + i) for i in range(batch.drawn, batch.drawn + missing)}
        mine = {item: question for item, question in drawn.items() if loop.processes.mine(item)}
        prompts = [loop.prompts.encode(question) for question in mine.values()]
        if step < config.max_steps:
            look_ahead(loop, position + batch.drawn + missing)
        seeds = [derive(config.seed, config.stage, step, item) for item in mine]
        with loop.whole():
            rolled = generate(
                loop.policy, prompts, sampling_of(config), seeds, at_once=loop.at_once
            )
        groups = dict(zip(mine, rolled, strict=True))
        scored = score_groups(loop, drawn, groups)
        kept = [row for row in scored if row.has_signal or not config.refills()]
        batch.rolled_out += scored
        batch.scored += kept
        batch.groups |= {row.item: groups[row.item] for row in kept if row.item in groups}
        if len(batch.scored) == config.prompts_per_step:
            break
    if batch.scored:
        totals_BG = [row.total_G for row in batch.scored]
        batch.rewards_BG = torch.tensor(totals_BG, dtype=torch.float64)
    return batch


def look_ahead(loop: Loop, position: int) -> None:
    """Let this process's videos of the questions that come next be read while a step goes on."""
    items = filter(loop.processes.mine, range(loop.config.prompts_per_step))
    loop.prompts.look_ahead(loop.draw(position + item) for item in items)


def score_groups(
    loop: Loop, drawn: Mapping[int, Question], groups: Mapping[int, Group]
) -> list[Scored]:
    """Read and reward this process's `groups`; everyone's rows, in the order of items."""
    texts = {item: loop.policy.decode(group) for item, group in groups.items()}
    parsed = {
        item: [
            answers.parse(text, drawn[item].choices, truncated=cut)
            for text, cut in zip(texts[item], group.truncated_G.tolist(), strict=True)
        ]
        for item, group in groups.items()
    }
    asked = any(asks(function, "partner_success") for function in loop.rewards.values())
    success = partner_success(drawn, parsed, loop.processes) if asked else None
    rows: list[Scored] = []
    for item, group in groups.items():
        question, count = drawn[item], len(texts[item])
        label = loop.prompts.data.labels.get(question.id, "unlabelled")
        columns = reward_columns(question, label, group)
        if success is not None:
            columns["partner_success"] = [success.get(item)] * count
        words = [loop.prompts.words(question)] * count
        rewards_RG = score(
            loop.rewards, words, texts[item], columns, seconds=loop.config.reward_timeout
        )
        row = Scored(
            item=item,
            question_id=question.id,
            type=question.type,
            label=label,
            rewards_RG=rewards_RG.tolist(),
            valid=[one.format for one in parsed[item]],
            truncated=columns["truncated"],
            lengths=group.mask_GC.sum(dim=1).tolist(),
            total_G=weighted(rewards_RG, loop.config.reward_weights),
        )
        rows.append(row)
    return sorted(loop.processes.gather(rows), key=lambda row: row.item)


def decide(loop: Loop, batch: Batch, progress: Progress) -> tuple[Objective, str | None]:
    """This step's objective: the repulsion after schedule and guard, and what the guard did.

    What they look at is measured at a run's first step.
    """
    objective = loop.config.objective()
    if objective.divergence is None or loop.bias is None:
        return objective, None
    if progress.divergence is None or progress.entropy is None:
        mine = list(batch.groups.values())
        sums = measure(loop.policy, loop.bias, mine, objective, left_over(loop, batch))
        measure(loop.policy, loop.bias, idle(loop, batch), objective)
        remember(progress, over_processes(sums, loop.processes))
    assert progress.divergence is not None
    assert progress.entropy is not None
    signs = Signs(valid=batch.valid, entropy=progress.entropy, divergence=progress.divergence)
    repulsion, guard = loop.config.weigh(signs)
    if guard and loop.processes.main:
        console.say(f"warning: step {progress.step + 1}: guard: {guard}")
    return replace(objective, repulsion=repulsion), guard


def left_over(loop: Loop, batch: Batch) -> Begun | None:
    """Forward passes that the next pass over the batch may reuse.

    None with several processes, which must all make the same passes.
    """
    return batch.begun if loop.processes.size == 1 else None


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
    if loop.bias and batch.scored and objective.repulsion and objective.divergence_in == "reward":
        batch, objective = move_to_reward(loop, loop.bias, batch, objective)
    lr = learning_rate(config, progress.step)
    advantages = advantages_of(batch, config)
    shares, backwards = share_groups(loop, batch, advantages, objective)
    for _ in range(config.num_iterations if batch.scored else 0):
        optimizer.zero()
        sums = accumulate_gradients(
            loop.policy,
            loop.bias,
            [group for group, _ in shares],
            [advantages_G for _, advantages_G in shares],
            objective,
            completions=sum(len(row.lengths) for row in batch.scored),
            tokens=sum(sum(row.lengths) for row in batch.scored),
            old_logps=old_logps,
            backwards=backwards,
            begun=left_over(loop, batch),
        )
        sums = over_processes(sums, loop.processes)
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
        remember(progress, total)
    norm = norm if math.isfinite(norm) else 0.0
    return total, {"learning_rate": lr, "grad_norm": norm, "skipped": float(skipped)}


def share_groups(
    loop: Loop, batch: Batch, advantages: Mapping[int, Tensor], objective: Objective
) -> tuple[list[tuple[Group, Tensor | None]], int]:
    """This process's groups with their advantages, and how many of the first go backward.

    As many forwards and backwards as the process with most of either; idle groups fill up.
    """
    owned: list[dict[bool, list[int]]] = [{True: [], False: []} for _ in range(loop.processes.size)]
    for item, advantages_G in advantages.items():
        kinds = owned[loop.processes.owner(item)]
        kinds[has_gradient(objective, advantages_G)].append(item)
    shares: list[tuple[Group, Tensor | None]] = []
    most = {kind: max(len(kinds[kind]) for kinds in owned) for kind in (True, False)}
    for kind in (True, False):  # those that go backward first
        mine = owned[loop.processes.rank][kind]
        shares += [(batch.groups[item], advantages[item]) for item in mine]
        if loop.idle is not None:
            shares += [(loop.idle, None)] * (most[kind] - len(mine))
    return shares, most[True]


def idle(loop: Loop, batch: Batch) -> list[Group]:
    """What this process passes beside its own groups, so that all pass equally many."""
    if loop.idle is None:
        return []
    counts = Counter(loop.processes.owner(row.item) for row in batch.scored)
    return [loop.idle] * (max(counts.values(), default=0) - len(batch.groups))


def move_to_reward(
    loop: Loop, bias: Bias, batch: Batch, objective: Objective
) -> tuple[Batch, Objective]:
    """The batch with repulsion * log ratio added to its rewards, and the objective without a push.

    The objective still measures its divergence, for the record and the controller.
    """
    begun = left_over(loop, batch)
    mine = [
        (item, log_ratios(loop.policy, bias, group, objective.temperature, begun).tolist())
        for item, group in batch.groups.items()
    ]
    for group in idle(loop, batch):
        log_ratios(loop.policy, bias, group, objective.temperature)
    found = dict(loop.processes.gather(mine))
    ratios_BG = torch.tensor(
        [found[row.item] for row in batch.scored], dtype=batch.rewards_BG.dtype
    )
    rewards_BG = batch.rewards_BG + objective.repulsion * ratios_BG
    return replace(batch, rewards_BG=rewards_BG), replace(objective, repulsion=0.0)


def advantages_of(batch: Batch, config: TrainConfig) -> dict[int, torch.Tensor]:
    """Item -> advantages [G], from the rewards of all processes' groups."""
    if not batch.scored:
        return {}
    advantages_BG = group_advantages(
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


def over_processes(sums: Sums, processes: Processes) -> Sums:
    """Everyone's sums added up."""
    if processes.size == 1:
        return sums
    named = asdict(sums)
    tensor = torch.tensor([*named.values()], dtype=torch.float64, device=processes.device)
    processes.add(tensor)
    return Sums(**dict(zip(named, tensor.tolist(), strict=True)))


def remember(progress: Progress, sums: Sums) -> None:
    """KL(policy || bias) and entropy a token, for the next step's schedule and guard."""
    progress.divergence, progress.entropy = sums.kl / sums.tokens, sums.entropy / sums.tokens


def checkpoint(loop: Loop, progress: Progress) -> None:
    """Save what a killed run needs to go on to the same end."""
    keep, main = loop.config.save_total_limit, loop.processes.main
    with loop.whole():
        save_checkpoint(
            loop.checkpoints, loop.policy, loop.optimizer, progress, keep=keep, main=main
        )
    loop.processes.wait()


def resume(loop: Loop) -> Progress:
    """Take up the last checkpoint; forget the records of later steps, they will come again."""
    found = loop.processes.say(last_checkpoint(loop.checkpoints))
    progress = load_checkpoint(found, loop.optimizer) if found else Progress()
    if loop.journal:
        prune(loop.checkpoints, loop.config.save_total_limit)
        loop.journal.keep(lambda record: record.step <= progress.step)
        if found:
            console.say(f"resumed from {found}")
    loop.processes.wait()
    return progress
