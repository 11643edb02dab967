"""The three training stages: `train bias`, `train grpo`, `train cdpo`.

Each is f(data, config) -> run folder with metrics.jsonl, checkpoints/ and model/.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from videothinker import console
from videothinker.datasets import jsonl
from videothinker.errors import UserError
from videothinker.policy.folders import model_folder
from videothinker.policy.model import Policy
from videothinker.records import Question, Sample, Step
from videothinker.runs import Run, open_run
from videothinker.training.adapters import save_adapter
from videothinker.training.closing import closing_table
from videothinker.training.config import BiasConfig, CdpoConfig, GrpoConfig, TrainConfig
from videothinker.training.data import TrainingSet, load_training_set
from videothinker.training.dry_run import check_hardware
from videothinker.training.held_out import HeldOut
from videothinker.training.loop import Loop, train
from videothinker.training.models import load_bias, load_trainee, save_model
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.processes import Processes, find_processes
from videothinker.training.rewards import load_rewards
from videothinker.training.rollouts import Collector, Prompts
from videothinker.training.sampling import (
    drawn_shares,
    failure_weights,
    label_weights,
    measure_success,
    read_success,
    uniform_stream,
    weighted_stream,
)
from videothinker.training.step import Bias
from videothinker.training.trackers import open_tracker


def train_bias(data: Path, config: BiasConfig) -> Path:
    """Stage 1: make the bias model, by DAPO on observational questions without their premise.

    Args:
        data: a diagnose folder, or its bias.jsonl.
        config: the run's settings.

    Returns:
        The run folder.
    """
    return _stage("bias", data, config, "train cdpo --data DATA --model MODEL --bias {out}")


def train_grpo(data: Path, config: GrpoConfig) -> Path:
    """Plain GRPO on all questions: the baseline, and with a failure sampling our cure.

    Args and returns as `train_bias`, with questions.jsonl.
    """
    return _stage("grpo", data, config, "evaluate --model {out} --data DATA")


def train_cdpo(data: Path, config: CdpoConfig) -> Path:
    """Stage 2: GRPO with a repulsion from the frozen bias model.

    Args and returns as `train_bias`, with questions.jsonl.
    """
    return _stage("cdpo", data, config, "evaluate --model {out} --data DATA")


def _stage(stage: str, data: Path, config: TrainConfig, following: str) -> Path:
    processes = find_processes()
    training_set = load_training_set(data, config)
    check_hardware(stage, data, config, processes.device, processes=processes.size)
    rewards = load_rewards(config.reward_funcs)
    with _open(stage, config, training_set, processes) as run:
        if processes.say(run.done if run else None):
            console.say(f"{config.out}: is done already; nothing to do")
            return config.out
        track = open_tracker(config, processes)
        policy = load_trainee(config, processes.device)
        bias = _bias(config, policy)
        if processes.main:
            console.say(_reading(training_set, policy, config, processes))
        prompts = Prompts(policy, training_set, config)
        loop = Loop(
            config=config,
            policy=policy,
            bias=bias,
            collector=Collector(
                *(config, stage, policy, prompts, rewards, training_set, processes),
                max_refills=config.max_refills if isinstance(config, BiasConfig) else 0,
            ),
            draw=_stream(training_set, policy, bias, config=config, run=run, processes=processes),
            held_out=HeldOut(config, training_set, prompts, processes),
            optimizer=MasterAdamW(
                ((n, p) for n, p in policy.model.named_parameters() if p.requires_grad),
                lr=config.learning_rate,
                weight_decay=config.weight_decay,
                device=config.optimizer_device,
                moments=config.moments,
            ),
            processes=processes,
            journal=run.journal("metrics.jsonl", Step) if run else None,
            track=track,
        )
        started = monotonic()
        if run:
            run.facts |= training_set.composition() | {
                "data_root": str(training_set.data_root),
                "processes": processes.size,
                "sampling": config.sampling,
            }
        train(loop)
        if run:
            seconds = monotonic() - started
            run.facts["training_seconds"] = round(seconds, 1)
            console.say(f"trained to step {config.max_steps} in {seconds:.0f} s")
            for line in closing_table(loop.journal.records if loop.journal else []):
                console.say(line)
            save_model(policy, config.out / "model", config)
            if config.lora_rank:
                save_adapter(policy, config.out / "adapter")
            console.say(f"wrote {config.out / 'model'} and metrics.jsonl")
            console.say(f"next: videothinker {following.format(out=config.out)}")
        processes.wait()
    return config.out


def _open(
    stage: str, config: TrainConfig, data: TrainingSet, processes: Processes
) -> contextlib.AbstractContextManager[Run | None]:
    if not processes.main:
        return contextlib.nullcontext()
    inputs: dict[str, Path | None] = {"data": data.source}
    diagnosis = jsonl.labels_file(data.source)
    if diagnosis.exists():
        inputs["diagnosis"] = diagnosis
    if config.success is not None:
        inputs["success"] = config.success
    bias = getattr(config, "bias", None)
    for name, source in (("model", config.model), ("bias", bias)):
        if source and Path(model_folder(source)).is_dir():
            inputs[name] = Path(model_folder(source))
    levers = ("optimizer_device", "offload_bias", "follow_links")
    return open_run(config.out, f"train_{stage}", config, inputs, may_change=levers)


def _bias(config: TrainConfig, policy: Policy) -> Bias | None:
    """The frozen bias model where the stage needs one."""
    if isinstance(config, CdpoConfig):
        return load_bias(config.bias, policy, config, allow_self=config.allow_self_bias)
    if isinstance(config, GrpoConfig) and config.sampling == "bias-failure":
        assert config.bias is not None
        return load_bias(config.bias, policy, config, allow_self=False)
    return None


def _stream(
    data: TrainingSet,
    policy: Policy,
    bias: Bias | None,
    *,
    config: TrainConfig,
    run: Run | None,
    processes: Processes,
) -> Callable[[int], Question]:
    """Position -> question, by the sampling asked for."""
    questions = data.train
    if config.sampling == "uniform":
        return uniform_stream(questions, config.seed)
    if config.sampling == "label":
        assert config.inferential_share is not None
        labels = [data.labels.get(q.id, "unlabelled") for q in questions]
        return weighted_stream(
            questions, label_weights(labels, config.inferential_share), config.seed
        )
    if config.sampling == "bias-failure" and bias is None:
        raise UserError(
            "sampling 'bias-failure' needs a bias model, which `train bias` makes; "
            "allowed here are uniform, base-failure, label"
        )
    judge = bias.policy if config.sampling == "bias-failure" and bias else policy
    with bias.active() if config.sampling == "bias-failure" and bias else contextlib.nullcontext():
        if config.success is not None:
            success = read_success(config.success, questions, judge.digest)
        else:
            journal = run.journal("success.jsonl", Sample) if run else None
            success = measure_success(judge, data, config, journal, processes)
    ids = [question.id for question in questions]
    weights = failure_weights(success, ids, config.sampling_floor)
    if run and data.labels:
        labels = [data.labels.get(identity, "unlabelled") for identity in ids]
        run.facts["drawn_shares"] = shares = drawn_shares(weights, labels)
        told = ", ".join(f"{share:.0%} {label}" for label, share in shares.items())
        console.say(f"{config.sampling} sampling draws {told}; --sampling-floor moves it")
    return weighted_stream(questions, weights, config.seed)


def _reading(data: TrainingSet, policy: Policy, config: TrainConfig, processes: Processes) -> str:
    trained = sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    return (
        f"read {len(data.train)} questions from {data.source} {data.composition()['labels']}; "
        f"{trained:,} parameters in training, {config.dtype} on {processes.device}, "
        f"{processes.size} process{'es' if processes.size > 1 else ''}"
    )
