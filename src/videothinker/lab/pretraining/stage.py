"""The stage `pretrain`: scenes, a fresh small model, training, measurements, a model folder."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from videothinker import hub
from videothinker.clevrer.compact import render_compact
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.files import border
from videothinker.lab.pretraining.batches import Batches
from videothinker.lab.pretraining.config import PoolConfig, PretrainConfig
from videothinker.lab.pretraining.curriculum import draw
from videothinker.lab.pretraining.loop import in_bfloat16, train
from videothinker.lab.pretraining.measure import HeldOutScenes, Measured, measure, summary
from videothinker.lab.pretraining.pool import CHUNK, keep_apart, read_chunk, read_frames
from videothinker.lab.pretraining.segments import SegmentTokenizer, text_tokenizer, video_tokenizer
from videothinker.models.catalog import load_policy
from videothinker.models.placement import resolve_device
from videothinker.models.qwen_vl.policy import QwenVL
from videothinker.models.qwen_vl.small import SmallConfig, build_small
from videothinker.records import Step
from videothinker.run_file import read_run_file
from videothinker.runs import Run, open_run
from videothinker.seeds import derive, numpy_generator
from videothinker.world.config import GiveAways
from videothinker.world.objects import SHOWN_FRAMES, frame_ids
from videothinker.world.physics import FPS
from videothinker.world.scenes import DIALS, SceneConfig, scene_config

MAY_CHANGE = ("device", "pool_dir", "workers")
"""A run may go on elsewhere; its bytes are the same only on the same kind of device."""
SECONDS = SHOWN_FRAMES / FPS
"""Of a video."""
UNUSED_TOWER = {
    "vision_hidden": 32,
    "vision_layers": 1,
    "vision_heads": 2,
    "vision_intermediate": 32,
}
"""The vision tower of a model that reads transcripts: there, because the class has one."""
HEADROOM = 0.10
"""How much better the right video than another's must make the answers to count as seeing."""


def pretrain(data: Path | None, config: PretrainConfig) -> Path:
    """Train a small base model from scratch.

    Args:
        data: a world folder whose scene settings are taken over (its size, frames and objects);
            None keeps the config's. Its scenes themselves are not used: pretraining has its own.
        config: settings.

    Returns:
        The run folder; `model/` in it is a complete transformers folder.

    Raises:
        UserError: the folder is no world, a scene setting is out of bounds, or the run folder holds
            something else.
    """
    if data is not None:
        config = replace(config, pool=_like(data, config.pool))
    scene_config(config.pool)  # a bad dial is refused before anything is written
    config = replace(config, device=resolve_device(config.device))
    start = None if config.start is None else config.start / "model.safetensors"
    inputs = {"start": start}
    with open_run(config.out, "pretrain", config, inputs, may_change=MAY_CHANGE) as run:
        model = config.out / "model"
        if run.done:
            say(f"{config.out}: already done; the model is in {model}")
            return config.out
        _run(run, config)
    world = hub.as_given(data or "WORLD")
    say(f"wrote {model}; next: videothinker diagnose {world}, then train bias")
    return config.out


def _run(run: Run, config: PretrainConfig) -> None:
    work = config.out / "checkpoints"
    pool = config.pool_dir or work / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    keep_apart(pool, config.seed, config.pool)
    say(
        f"reading {config.pool.scenes} + {config.pool.held_out} simulated scenes "
        f"({config.tier} tier; made where missing)"
    )
    policy = _fresh(config, pool, work / "start")
    policy.model.to(config.device)
    tokenizer = _tokenizer(policy, config)
    tokenizer = replace(
        tokenizer,
        layout=tokenizer.layout.to(policy.device),
        multiple=32 if config.device == "cuda" else 8,
    )
    held_out = _held_out(config, pool)
    measured = run.journal("measured.jsonl", Measured)
    curve = run.journal("metrics.jsonl", Step)

    def validate(step: int, share: int = 4) -> dict[str, float]:
        """Measure on a part of the held-out scenes, unless a killed run already did."""
        if not any(record.step == step for record in measured.records):
            part = held_out.first(max(1, config.pool.held_out // share))
            measured.append(*measure(policy, part, config, step))
        numbers = summary(record for record in measured.records if record.step == step)
        say(f"step {step}: {_line(numbers)}")
        return numbers

    batches = Batches(config, pool, tokenizer)
    train(
        policy,
        batches,
        config,
        checkpoints=work,
        journal=curve,
        measure=validate,
        held_out=held_out,
    )
    policy.save(config.out / "model")
    policy: Any = load_policy(
        config.out / "model", device="cpu"
    )  # what is measured is what is stored
    numbers = validate(config.steps, share=1)
    shutil.rmtree(work / "start", ignore_errors=True)
    precision = "bfloat16" if in_bfloat16(config.precision, config.device) else "float32"
    run.facts["parameters"] = sum(p.numel() for p in policy.model.parameters())
    run.facts |= {"tier": config.tier, "device": config.device, "precision": precision}
    run.facts["held_out"] = numbers
    run.facts["corrupted_share"] = config.corrupted_share
    warnings = _warnings(config, numbers)
    if warnings:
        run.facts["warnings"] = warnings


def _warnings(config: PretrainConfig, numbers: dict[str, float]) -> list[str]:
    """What a report has to say first about a base model."""
    found = []
    if config.tier == "video":
        gain = numbers["what_if_free_exact"] - numbers["what_if_swapped_exact"]
        if gain < HEADROOM:
            found.append(
                "Perception is at chance: the base answers held-out what-if questions "
                f"{numbers['what_if_free_exact']:.1%} right with the right video and "
                f"{numbers['what_if_swapped_exact']:.1%} with another's."
            )
    if numbers["format"] < 0.95:
        found.append(f"Only {numbers['format']:.1%} of the base's answers have a valid format.")
    return found


def _line(numbers: dict[str, float]) -> str:
    shown = (
        "format",
        "object_sets_exact",
        "cells_within_one",
        "pairs_precision",
        "pairs_recall",
        "descriptive_exact",
        "what_if_obs_observational",
        "what_if_obs_inferential",
        "what_if_sim_observational",
        "what_if_sim_inferential",
        "pair_sim_both",
        "what_if_free_observational",
        "what_if_free_inferential",
        "simulated_share_sampled",
        "what_if_swapped_exact",
    )
    return ", ".join(
        f"{key.replace('_', ' ')} {numbers[key]:.1%}" for key in shown if key in numbers
    )


class _Made(msgspec.Struct, kw_only=True):
    """The world's settings that matter here; older versions wrote folders without some of them."""

    size: str
    frames: int
    length: int = SHOWN_FRAMES
    give_aways: GiveAways = "allowed"
    jitter: float | None = None


def _like(data: Path, pool: PoolConfig) -> PoolConfig:
    """The pool's settings with what the world folder was made with."""
    file = data / "run.json"
    made = read_run_file(file)
    if made.stage != "world":
        raise UserError(f"{data}: was made by {made.stage!r}; give a world folder, or none")
    with border(f"{file}: its config is no world's", "make the world again, or give none"):
        world = msgspec.convert(made.config, _Made)
        said = {name: made.config.get(name, getattr(SceneConfig, name)) for name in DIALS}
        dials = msgspec.convert(said, dict[str, bool | int | float])
        width, _, height = world.size.partition("x")
        sides = int(width), int(height)
    if world.length != SHOWN_FRAMES:
        raise UserError(
            f"{data}: its videos have length={world.length}; pretraining simulates {SHOWN_FRAMES}; "
            "give a world of that length, or none"
        )
    return replace(
        pool,
        width=sides[0],
        height=sides[1],
        frames=world.frames or pool.frames,
        give_aways=world.give_aways,
        jitter=pool.jitter if world.jitter is None else world.jitter,
        **dials,
    )


def _fresh(config: PretrainConfig, pool: Path, folder: Path) -> QwenVL:
    """`start`, or a random model whose tokenizer knows the words of this training."""
    if config.start is not None:
        return _loaded(config.start)
    if not folder.is_dir():
        beside = folder.with_name(f".{folder.name}.tmp")  # a kill may leave half of one
        shutil.rmtree(beside, ignore_errors=True)
        build_small(beside, _small(config), _corpus(config, pool)).rename(folder)
    return _loaded(folder)


def _loaded(folder: Path) -> QwenVL:
    policy: Any = load_policy(folder, device="cpu")  # where this training runs
    return policy


def _small(config: PretrainConfig) -> SmallConfig:
    shape, pixels = config.shape, config.pool.width * config.pool.height
    if config.tier == "transcript":
        shape = replace(shape, **UNUSED_TOWER)
    return SmallConfig(
        family=shape.family,
        hidden=shape.hidden,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.heads,
        intermediate=shape.intermediate,
        vocab_size=shape.vocab_size,
        vision_hidden=shape.vision_hidden,
        vision_layers=shape.vision_layers,
        vision_heads=shape.vision_heads,
        vision_intermediate=shape.vision_intermediate,
        vision_full_attention=tuple(range(shape.vision_layers)),
        patch_size=shape.patch_size,
        window_size=8 * shape.patch_size,
        min_pixels=pixels,
        max_pixels=pixels,
        seed=derive(config.seed, "pretraining model") % 2**31,
    )


def _corpus(config: PretrainConfig, pool: Path) -> list[str]:
    """Prompts and completions of every stage on the first scenes."""
    facts = read_chunk(pool, 0, config.seed, config.pool)
    rng = numpy_generator(config.seed, "pretraining corpus")
    found: list[str] = []
    ends = np.cumsum(config.stages) * config.steps
    for step in (*ends[:-1].astype(int).tolist(), config.steps - 1):
        for words, completion in draw(facts, step, config, rng, [False] * len(facts)):
            found += [words, completion]
    if config.tier == "transcript":
        found += [
            render_compact(one.motion(), frames=config.pool.frames, miss_rate=config.miss_rate)
            for one in facts
        ]
    return found


def _tokenizer(policy: QwenVL, config: PretrainConfig) -> SegmentTokenizer:
    if config.tier == "transcript":
        return text_tokenizer(policy)
    pool = config.pool
    empty = np.zeros((pool.frames, pool.height, pool.width, 3), np.uint8)
    return video_tokenizer(policy, empty, SECONDS, _times(config.pool), config.shape.probe_layer)


def _times(pool: PoolConfig) -> list[float]:
    """When each sampled frame is shown, seconds, as a file of the video tells it."""
    return (frame_ids(pool.frames) / FPS).tolist()


def _held_out(config: PretrainConfig, pool: Path) -> HeldOutScenes:
    """The scenes after the pool's; none of them is trained on."""
    first = -(-config.pool.scenes // CHUNK)
    numbers = range(first, first + -(-config.pool.held_out // CHUNK))
    facts = [f for n in numbers for f in read_chunk(pool, n, config.seed, config.pool)]
    count = config.pool.held_out
    if config.tier == "transcript":
        return HeldOutScenes(facts[:count], None, SECONDS)
    frames: list[np.ndarray] = []
    for number in numbers:
        frames += list(read_frames(pool, number, config.seed, config.pool))
    return HeldOutScenes(facts[:count], frames[:count], SECONDS, _times(config.pool))
