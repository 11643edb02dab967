"""`export --to ms-swift`: a run of `train` as ms-swift's data, plug-in and command.

For clusters that generate with vLLM. The data holds one line a prompt of the run, in its order: the
sampling's weights are in it already. The loss, schedule and guard are ours (`swift_plugin.py`);
rollouts, advantages, optimizer and processes are ms-swift's.
"""

import dataclasses
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tyro

from videothinker import prompts
from videothinker.algorithms.base import TrainConfig
from videothinker.algorithms.catalog import ALGORITHMS
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.export.config import INSTALL, ExportConfig
from videothinker.export.swift_settings import COLUMN, reward_name, to_settings
from videothinker.models.border import read_object
from videothinker.models.catalog import FAMILIES
from videothinker.models.folders import find_model, merging
from videothinker.recipes import (
    BadWords,
    as_words,
    check_keys,
    from_words,
    read_recipe,
    spell_switches,
)
from videothinker.records import Question, Sample, read_jsonl, write_atomic
from videothinker.run_file import RunFile, read_run_file
from videothinker.runs import Run, digest_path
from videothinker.training.data import TrainingSet, load_training_set
from videothinker.training.sampling import (
    label_weights,
    read_success,
    success_weights,
    uniform_stream,
    weighted,
)
from videothinker.video import locate

DENSE = 1000.0
"""Frames a second that ms-swift is asked for: more than any video has, so that `max_frames` counts
and shorter videos give all they have."""
PLUGIN = '''"""Our rewards and objective in ms-swift: give this file as --external_plugins."""

from pathlib import Path

from videothinker.export.swift_plugin import load

load(Path(__file__).with_name("settings.json"))
'''


def write_swift(data: Path, config: ExportConfig, run: Run) -> None:
    """Write train.jsonl, settings.json, plugin.py and run.sh.

    Args:
        data: a diagnose folder, or one of its question files.
        config: with the model, the algorithm and its recipe.
        run: the export's folder.

    Raises:
        UserError: settings that ms-swift cannot follow, or videos that are not there.
    """
    settings = training_settings(config)
    refuse_unlike(settings)
    found = load_training_set(data, settings)
    draw = stream(found, settings)
    count = settings.prompts_per_step * settings.max_steps
    rows = [_row(draw(position), found, settings) for position in range(count)]
    _write(run, "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    _write(run, "settings.json", json.dumps(to_settings(settings), indent=1) + "\n")
    _write(run, "plugin.py", PLUGIN)
    _write(run, "run.sh", script(settings))
    run.facts |= {"rows": count, "questions": len({row[COLUMN]["question_id"] for row in rows})}
    run.facts["held_out"] = [question.id for question in found.validation]
    say(f"wrote {count:,} prompts of {run.facts['questions']:,} questions to {config.out}")
    if held_out := len(found.validation):
        say(
            f"kept out of them, as `train` does to validate on (eval_questions): {held_out:,}, by "
            "their ids in run.json, held_out"
        )
    say(f"in ms-swift's environment: {INSTALL}")
    say(f"next: GPUS=2 bash {shlex.quote(str(config.out / 'run.sh'))}")


def training_settings(config: ExportConfig) -> TrainConfig:
    """The settings of the run that is exported, from its recipe and the flags.

    Raises:
        UserError: a recipe's key or value that `train` would refuse too.
    """
    kind = ALGORITHMS[config.algorithm]
    recipe = {} if config.recipe is None else read_recipe(config.recipe)
    recipe.pop("data", None)
    own = ("model", "bias", "success", "data_root")
    flags = {name: getattr(config, name) for name in own}
    given = {**recipe, **{key: str(value) for key, value in flags.items() if value is not None}}
    where = str(config.recipe or "the flags")
    given["out"] = str(config.out)
    fields = dataclasses.fields(kind)
    check_keys(given, [field.name for field in fields], where)
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in given:
            raise UserError(f"no --{field.name} came, which `train {kind.stage}` needs; give it")
    words = spell_switches(kind, as_words(given, where))
    try:
        return from_words(tyro.conf.OmitArgPrefixes[kind], words, where)
    except BadWords as error:
        bad = [key for key in given if f"--{key.replace('_', '-')}" in error.flags]
        what = f"{bad[0]} is {given[bad[0]]!r}, which is not allowed" if bad else ""
        what = what or " ".join(error.told.split())
        raise UserError(f"{where}: {what}; see videothinker help train {kind.stage}") from error
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def refuse_unlike(config: TrainConfig) -> None:
    """Refuse what ms-swift would do otherwise than `train`.

    Raises:
        UserError: with what to do instead.
    """
    objective = config.objective()
    odd = {
        "divergence_in 'reward' (its place is the loss)": objective.divergence_in == "reward",
        "scale_rewards 'type' (give group or none)": config.scale_rewards == "type",
        "the reward 'pair_consistency'": "pair_consistency" in config.reward_funcs,
        "moments '8bit'": config.moments != "float32",
        "lora_rank with a bias model, which it refuses as --ref_model": bool(
            config.lora_rank and objective.divergence
        ),
    }
    if found := [name for name, given in odd.items() if given]:
        raise UserError(f"ms-swift cannot follow: {'; '.join(found)}")
    for name in ("model", "bias"):
        source = getattr(config, name, None)
        if source and find_model(source).adapter is not None:
            raise UserError(f"{name} {source} is a LoRA adapter; merge it first: {merging(source)}")


def stream(data: TrainingSet, config: TrainConfig) -> Callable[[int], Question]:
    """Position -> question, as the run would draw it.

    Raises:
        UserError: a failure sampling without the successes of an earlier run.
    """
    questions = data.train
    if config.sampling == "uniform":
        return uniform_stream(questions, config.seed)
    if config.sampling == "label":
        assert config.inferential_share is not None
        labels = [data.labels.get(question.id, "unlabelled") for question in questions]
        weights = label_weights(labels, config.inferential_share)
    else:
        if config.success is None:
            raise UserError(
                f"sampling {config.sampling!r} needs how often each question was answered right; "
                "measure it with one step of the same recipe here (train ... --max-steps 1) and "
                "give its --success RUN/success.jsonl, or put `sampling: uniform` into --recipe"
            )
        success = read_success(config.success, questions, _answerer(config.success, config))
        weights = success_weights(success, questions, config)
    return weighted(questions, weights, config)


def _answerer(success: Path, config: TrainConfig) -> str:
    """The digest of the model whose answers a file holds; it must be the one that is to choose.

    Its weights are hashed, not loaded: the run beside the file says which folder answered.

    Raises:
        UserError: of another model, or no answers.
    """
    samples = read_jsonl(success, Sample)
    if not samples:
        raise UserError(f"{success}: holds no answers; give that of a run which measured them")
    bias = config.bias_source() if config.sampling == "bias-failure" else None
    name, judge = ("bias", bias.model) if bias else ("model", config.model)
    made, folder = success.parent / "run.json", find_model(judge).folder
    run = read_run_file(made) if made.is_file() else RunFile()
    by_bias = run.config.get("sampling") == "bias-failure"
    if folder is None or run.inputs.get(name) is None:
        say(f"warning: nothing says whose answers {success} holds; taken for those of {judge}")
    elif by_bias != (bias is not None) or digest_path(folder) != run.inputs[name]:
        raise UserError(
            f"{success}: holds answers of another model than {judge}; give that of a run with it"
        )
    return samples[0].model


def _row(question: Question, data: TrainingSet, config: TrainConfig) -> dict[str, Any]:
    words = prompts.render(question.question, question.choices, context=question.context)
    told = {
        "question_id": question.id,
        "choices": list(question.choices),
        "answer": list(question.answer),
        "type": question.type,
        "label": data.labels.get(question.id, "unlabelled"),
    }
    if question.video is None:
        return {"messages": [{"role": "user", "content": words}], COLUMN: told}
    video = locate(data.data_root, question.video, follow_links=config.follow_links)
    if video.is_dir():
        raise UserError(
            f"video {question.video!r} is a folder of images, which ms-swift does not read as a "
            "video; encode it as a file"
        )
    shown: dict[str, Any] = {
        "fps": DENSE,
        "min_frames": 2,
        "max_frames": config.frames,
        "min_pixels": config.min_pixels,
        "max_pixels": config.max_pixels,
    }
    if question.clip is not None:
        shown |= {"video_start": question.clip[0], "video_end": question.clip[1]}
    return {
        "messages": [{"role": "user", "content": f"<video>{words}"}],
        "videos": [str(video)],
        "chat_template_kwargs": shown,
        COLUMN: told,
    }


def script(config: TrainConfig) -> str:
    """The command; further flags can be given to it, and the last of a kind counts."""
    completions = config.prompts_per_step * config.num_generations
    lines = [f"  {' '.join(map(shlex.quote, words))}" for words in _flags(config)]
    return "\n".join(
        [
            "#!/usr/bin/env bash",
            f"# {config.stage} of VideoThinker in ms-swift 4.6. In front of it may be set: GPUS,",
            "# PER_DEVICE (completions at once on each), VLLM=server, or VLLM=no to do without.",
            "set -euo pipefail",
            'cd "$(dirname "$0")"',
            "GPUS=${GPUS:-1} PER_DEVICE=${PER_DEVICE:-1} VLLM=${VLLM:-colocate}",
            "if [[ $VLLM == no ]]; then GENERATE=(--use_vllm false)",
            'else GENERATE=(--use_vllm true --vllm_mode "$VLLM"); fi',
            f"STEPS=$(({completions} / (GPUS * PER_DEVICE)))",
            f"if ((STEPS * GPUS * PER_DEVICE != {completions})); then",
            f'  echo "a step has {completions} completions; GPUS * PER_DEVICE must divide them"',
            "  exit 2",
            "fi",
            "NPROC_PER_NODE=$GPUS swift rlhf \\",
            *(f"{line} \\" for line in lines),
            '  --per_device_train_batch_size "$PER_DEVICE" \\',
            '  --gradient_accumulation_steps "$STEPS" \\',
            '  "${GENERATE[@]}" "$@"',
            "",
        ]
    )


def _flags(config: TrainConfig) -> Iterator[Sequence[str]]:
    """`train`'s settings in ms-swift's words, those that belong together on a line."""
    model = find_model(config.model).name
    yield "--rlhf_type", "grpo", "--model", model
    at = Path(model) / "config.json"
    kind = str(read_object(at).get("model_type")) if at.is_file() else ""
    if kind in FAMILIES and FAMILIES[kind].in_swift:  # of a hub's name ms-swift knows it
        yield "--model_type", kind, "--template", kind
    objective, bias = config.objective(), config.bias_source()
    if bias and objective.divergence:
        # TRL's sign; ms-swift takes it as a sign that there is a reference, the plug-in weighs
        yield "--ref_model", find_model(bias.model).name, "--beta", f"{-objective.repulsion:g}"
    else:
        yield "--beta", "0"
    yield "--external_plugins", "plugin.py", "--dataset", "train.jsonl"
    yield ("--reward_funcs", *map(reward_name, config.reward_funcs))
    if config.reward_weights is not None:
        yield ("--reward_weights", *map(str, config.reward_weights))
    yield "--dataset_shuffle", "false", "--train_dataloader_shuffle", "false"
    yield "--split_dataset_ratio", "0", "--max_steps", str(config.max_steps)
    yield "--max_length", str(config.max_prompt_length)
    yield "--max_completion_length", str(config.max_completion_length)
    yield "--num_generations", str(config.num_generations), "--temperature", str(config.temperature)
    yield "--num_iterations", str(config.num_iterations), "--loss_type", config.loss_type
    yield "--epsilon", str(config.epsilon), "--epsilon_high", str(config.epsilon_high)
    yield "--scale_rewards", config.scale_rewards
    if config.refills():
        yield "--dynamic_sample", "true", "--max_resample_times", str(config.refills())
    yield "--learning_rate", str(config.learning_rate), "--warmup_ratio", "0"
    yield "--lr_scheduler_type", config.lr_scheduler_type
    yield "--weight_decay", str(config.weight_decay), "--max_grad_norm", str(config.max_grad_norm)
    yield "--adam_beta1", "0.9", "--adam_beta2", "0.999"
    frozen = str(config.freeze_vision).lower()
    yield "--tuner_type", "lora" if config.lora_rank else "full"
    if config.lora_rank:
        yield "--lora_rank", str(config.lora_rank), "--lora_alpha", str(config.lora_alpha)
    yield "--freeze_vit", frozen, "--freeze_aligner", frozen
    yield "--gradient_checkpointing", str(config.gradient_checkpointing is not False).lower()
    yield "--torch_dtype", config.dtype
    if config.dtype == "bfloat16":  # else its weights, too, are bfloat16, and small updates vanish
        yield "--deepspeed", "zero2"
    yield "--save_steps", str(config.save_steps), "--save_total_limit", str(config.save_total_limit)
    yield "--seed", str(config.seed), "--output_dir", "output", "--logging_steps", "1"


def _write(run: Run, name: str, text: str) -> None:
    write_atomic(run.path / name, text.encode())
