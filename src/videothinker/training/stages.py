"""The training stages, `train bias`, `train grpo`, `train cdpo`: one function for every algorithm.

f(data, config) -> run folder with metrics.jsonl, checkpoints/ and model/.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from videothinker import console, hub
from videothinker.algorithms.base import READING, SAME_RESULT, TrainConfig
from videothinker.benchmarks import jsonl
from videothinker.errors import UserError
from videothinker.lists.table import files_of
from videothinker.models.catalog import place
from videothinker.models.folders import find_model
from videothinker.models.loaded import Policy, digest_weights
from videothinker.planning.dry_run import print_plan
from videothinker.planning.hardware import check_hardware, refuse_pieces_of_eight_bits, who_waits
from videothinker.planning.plan import Choice, make_plan
from videothinker.processes import Processes, find_processes
from videothinker.records import Step
from videothinker.runs import Run, by_name, open_run
from videothinker.training.closing import closing_table, failings
from videothinker.training.data import TrainingSet, leave_out, load_training_set
from videothinker.training.kept_videos import KeptVideos
from videothinker.training.loop import Loop, run_loop
from videothinker.training.metrics import open_tracker
from videothinker.training.models import load_bias, load_trainee, save_model
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.resuming import Past, check_unchanged, read_past, record, refusal
from videothinker.training.rewards import RewardFunc, load_rewards
from videothinker.training.rollouts import Prompts
from videothinker.training.sampling import open_stream
from videothinker.training.step import Bias
from videothinker.training.videos import check_videos


def train(data: Path, config: TrainConfig) -> Path:
    """Train by the algorithm that `config` belongs to.

    Args:
        data: a diagnose folder, one of its question files, or the address of such a set on a hub.
        config: the run's settings.

    Returns:
        The run folder.
    """
    data = hub.local(data)
    processes = find_processes()
    training_set = load_training_set(data, config)
    questions, root = training_set.train, training_set.data_root
    choice = check_hardware(config, questions, root, processes.device, ranks=processes.size)
    rewards = load_rewards(config.reward_funcs)
    with _open(config, training_set, processes) as run:
        if processes.say(run.done if run else None):
            if run and (past := read_past(run.path)).used:
                _taken_up(past, training_set, config)
            console.say(f"{config.out}: is done already; nothing to do")
            _warn(run.facts.get("warnings", []) if run else [])
            return config.out
        placed = place(config.model, str(processes.device), config.dtype)
        if processes.main:
            for line in placed.lines:
                console.say(line)
        policy = load_trainee(config, processes.device, recomputes=_recomputes(choice, processes))
        policy.merges = choice is None or choice.merges
        start = trained_digest(policy) if run else ""
        source = config.bias_source()
        bias = load_bias(source, policy, config) if source else None
        videos = KeptVideos(policy, training_set.data_root, config)
        training_set = _settle(training_set, config, run, processes, videos)
        if processes.main:
            console.say(_reading(training_set, policy, config, processes))
            waits = who_waits(config.prompts_per_step, processes.size)
            _warn([waits] if waits else [])
        prompts = Prompts(policy, training_set, config, videos)
        at_once = choice.at_once if choice else None
        loop = _make_loop(prompts, bias, rewards, run, processes, at_once=at_once)
        started = monotonic()
        if run:
            run.facts |= placed.facts | training_set.composition()
            run.facts["data_root"] = str(training_set.data_root)
            run.facts["processes"] = processes.size
            run.facts["sampling"] = config.sampling
        run_loop(loop)
        with loop.whole():
            if run:
                run.facts["training_seconds"] = round(monotonic() - started, 1)
                run.facts["video_seconds"] = round(videos.waited, 1)
                run.facts["weights_changed"] = trained_digest(policy) != start
                _judge(run, loop, training_set)
                kind = save_model(policy, config.out / "model")
                console.say(f"wrote {config.out / 'model'} ({kind}) and metrics.jsonl")
                if not run.failures:
                    console.say(f"next: videothinker {_following(data, config)}")
            processes.wait()
    return config.out


def _recomputes(choice: Choice | None, processes: Processes) -> bool:
    """Are activations made again? Processes that share layers do alike; without a plan they are."""
    return any(processes.gather([choice is None or choice.recomputes]))


def _following(data: Path, config: TrainConfig) -> str:
    """The next command, with what this run was given."""
    out = config.out
    told = {"out": out, "data": data, "model": config.model, "beside": out.parent, "name": out.name}
    return config.following.format(**{key: hub.as_given(v) for key, v in told.items()})


def dry_run(
    data: Path, config: TrainConfig, *, gpu_memory: str | None, gpus: int, as_json: bool
) -> None:
    """Print what `train` would cost, by data that need not be there yet; see `print_plan`."""
    refuse_pieces_of_eight_bits(config, gpus)
    there = hub.is_address(data) or data.exists()
    found = load_training_set(hub.local(data), config) if there else None
    questions, root = (found.train, found.data_root) if found else ((), None)
    plan = make_plan(config, questions, root, ranks=gpus)
    print_plan(plan, gpu_memory=gpu_memory, as_json=as_json)


def _make_loop(
    prompts: Prompts,
    bias: Bias | None,
    rewards: dict[str, RewardFunc],
    run: Run | None,
    processes: Processes,
    *,
    at_once: int | None,
) -> Loop:
    config, policy = prompts.config, prompts.policy
    # each process asks whole models
    draw = open_stream(prompts, bias, run, processes, at_once=at_once)
    given = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    whole, idle = contextlib.nullcontext, None
    if processes.size > 1:
        from videothinker.training import sharding  # noqa: PLC0415 (a second, for several alone)

        video = _are_of_videos(prompts.data, config)
        shards = sharding.share(policy, bias, processes, config, video=video)
        optimizer = sharding.ShardedAdamW(shards, processes, **given)
        idle = sharding.idle_group(policy, config.num_generations, video=video)
        whole = shards.whole
    else:
        optimizer = MasterAdamW(
            ((n, p) for n, p in policy.model.named_parameters() if p.requires_grad),
            **given,
            device=config.optimizer_device,
            moments=config.moments,
        )
    return Loop(
        config=config,
        policy=policy,
        bias=bias,
        prompts=prompts,
        draw=draw,
        rewards=rewards,
        optimizer=optimizer,
        processes=processes,
        journal=run.journal("metrics.jsonl", Step) if run else None,
        track=open_tracker(config, processes),
        whole=whole,
        idle=idle,
        at_once=at_once,
    )


def _are_of_videos(data: TrainingSet, config: TrainConfig) -> bool:
    """Are the questions about videos? Processes that train a tower need all to be, or none.

    Raises:
        UserError: one process's backward would meet the tower and another's not.
    """
    about = {question.video is not None for question in data.train}
    if len(about) > 1 and not config.freeze_vision and not config.lora_rank:
        raise UserError(
            f"{data.source} holds questions about videos and questions about none, and several "
            "processes train the vision tower together on one kind alone; add --freeze-vision, or "
            "give one kind"
        )
    return True in about


def _settle(
    data: TrainingSet,
    config: TrainConfig,
    run: Run | None,
    processes: Processes,
    videos: KeptVideos,
) -> TrainingSet:
    """The run's questions: without bad videos, and as the run used them where it is resumed."""
    past = processes.say(read_past(run.path) if run else Past())
    data = _taken_up(past, data, config)
    data = check_videos(
        data,
        config,
        processes,
        step=past.step,
        position=past.position,
        refusal=lambda rest: refusal(past, rest, config),
        keep=videos.offer,
    )
    if run:
        record(run.path, past, data)
    return data


def _taken_up(past: Past, data: TrainingSet, config: TrainConfig) -> TrainingSet:
    """The run's questions as an earlier process left them out or used them.

    Raises:
        UserError: something that it has used is not what it was.
    """
    if past.left_out:
        data = leave_out(data, past.left_out, config)
    check_unchanged(past, data, config)
    return data


def _judge(run: Run, loop: Loop, data: TrainingSet) -> None:
    """Say how the run went; what keeps it from being a success counts as its failures."""
    config, steps = loop.config, loop.journal.records if loop.journal else []
    found = failings(steps, config, changed=run.facts["weights_changed"])
    run.failures, run.facts["warnings"] = len(found), found
    ended = f"step {config.max_steps} in {run.facts['training_seconds']:.0f} s"
    if any(question.video for question in data.train):
        ended += f", {run.facts['video_seconds']:.1f} s of it waiting for videos"
    console.say(f"ended at {ended}" if found else f"trained to {ended}")
    for line in closing_table(steps):
        console.say(line)
    if data.bad:
        names = ", ".join(list(data.bad_names)[:3])
        more = ", ..." if len(data.bad) > 3 else ""
        console.say(
            f"left out {data.without_video} of {len(data.pool)} questions, whose videos cannot be "
            f"read: {names}{more} (all in run.json, bad_videos)"
        )
    _warn(found)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.say(f"warning: {warning}")


def trained_digest(policy: Policy) -> str:
    """What the weights in training are, as they are now."""
    named = policy.model.named_parameters()
    return digest_weights({name: p for name, p in named if p.requires_grad})


def _open(
    config: TrainConfig, data: TrainingSet, processes: Processes
) -> contextlib.AbstractContextManager[Run | None]:
    if not processes.main:
        return contextlib.nullcontext()
    files = files_of(data.source)
    inputs = {"data": files[0]} if len(files) == 1 else by_name(files)
    of_data = tuple(inputs)
    diagnosis = jsonl.labels_file(data.source)
    if diagnosis.exists():
        inputs["diagnosis"] = diagnosis
    if config.success is not None:
        inputs["success"] = config.success
    bias = config.bias_source()
    for name, source in (("model", config.model), ("bias", bias.model if bias else None)):
        if source and (folder := find_model(source).folder):
            inputs[name] = folder
    # what was used of the questions is compared by `resuming`, not the files' bytes
    may_change = (*of_data, "diagnosis", *SAME_RESULT, *READING)
    grows = "max_steps" if config.lr_scheduler_type == "constant" else None
    stage = f"train_{config.stage}"
    return open_run(config.out, stage, config, inputs, may_change=may_change, grows=grows)


def _reading(data: TrainingSet, policy: Policy, config: TrainConfig, processes: Processes) -> str:
    trained = sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    activations = "made again in the backward pass" if policy.recomputes else "kept"
    return (
        f"read {len(data.train)} questions from {data.source} {data.composition()['labels']}; "
        f"{trained:,} parameters in training, {config.dtype} on {processes.device}, "
        f"{processes.size} process{'es' if processes.size > 1 else ''}, activations {activations}"
    )
