"""`--dry-run`: print a plan, write nothing; and the look at the hardware before a real run."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from videothinker.algorithms.base import TrainConfig
from videothinker.errors import UserError
from videothinker.models.qwen2_5_vl.shapes import parameters
from videothinker.runs import to_plain
from videothinker.training import memory
from videothinker.training.levers import EIGHT_BIT, check_fits, parse_memory, pull, pulled
from videothinker.training.plan import CONTEXT, GAPS, GIB, Plan, make_plan

CARDS = ("24GB", "48GB", "80GB", "141GB")
"""What a plan without `--gpu-memory` is held against."""


def dry_run(
    stage: str, data: Path, config: TrainConfig, *, gpu_memory: str | None, as_json: bool
) -> None:
    """Print what `train <stage>` would cost.

    Args:
        stage: bias, grpo or cdpo.
        data: the data folder; it need not exist.
        config: the run's settings.
        gpu_memory: a size such as `48GB`; null shows the usual ones.
        as_json: print one JSON object on stdout instead of tables on stderr.

    Raises:
        UserError: the run does not fit `gpu_memory`; raised after printing.
    """
    limits = {card: parse_memory(card) for card in ([gpu_memory] if gpu_memory else CARDS)}
    plan = make_plan(stage, data, config)
    if as_json:
        sys.stdout.write(json.dumps(as_record(plan, limits)) + "\n")
    else:
        sys.stdout.write("\n".join(lines(plan, limits)) + "\n")
    if gpu_memory:
        check_fits(plan, limits[gpu_memory])


def as_record(plan: Plan, limits: dict[str, int]) -> dict[str, Any]:
    """The plan as JSON-ready values; sizes in bytes."""
    moment, parts = memory.peak(plan.work)
    return {
        "stage": plan.stage,
        "config": to_plain(plan.config),
        "parameters": sum(parameters(plan.shape).values()),
        "trained_parameters": memory.trained_parameters(plan.work),
        "prompt_tokens": plan.prompt_tokens,
        "video_tokens": plan.video_tokens,
        "prompt_source": plan.prompt.source,
        "steps": plan.config.max_steps,
        "step_flops": plan.flops(shared=True),
        "naive_step_flops": plan.flops(shared=False),
        "memory": {"peak": plan.peak, "needed": plan.needed, "moment": moment, "parts": parts},
        "moments": {name: sum(p.values()) for name, p in memory.moments(plan.work).items()},
        "host_memory": plan.host,
        "disk": plan.disk,
        "fits": {card: plan.needed <= limit for card, limit in limits.items()},
        "levers": {
            card: [
                {"flag": lever.flag, "cost": lever.cost, "saves": saved, "needed": after.needed}
                for lever, saved, after in pulled(plan, limit)
            ]
            for card, limit in limits.items()
        },
    }


def lines(plan: Plan, limits: dict[str, int]) -> list[str]:
    """The plan for a person."""
    text = [f"train {plan.stage}: a plan; nothing is written", "", "settings"]
    text += [f"  {key}: {value}" for key, value in to_plain(plan.config).items()]
    text += ["", *_tokens(plan), "", *_operations(plan), "", *_memory(plan)]
    for card, limit in limits.items():
        text += ["", *_fit(plan, card, limit)]
    return text


def _tokens(plan: Plan) -> list[str]:
    prompt, work, config = plan.prompt, plan.work, plan.config
    video = f"no video ({prompt.source})"
    if prompt.grid is not None:
        size = f"{config.frames} frames of {prompt.width}x{prompt.height}"
        video = f"{size} are {plan.video_tokens} video tokens ({prompt.source})"
    naive = work.generations * (work.prompt + work.completion)
    completions = f"{work.generations} x {work.completion}"
    drawn = config.max_steps * work.prompts * work.generations
    return [
        "tokens",
        f"  {video}",
        f"  longest prompt {plan.prompt_tokens}, up to {completions} completion tokens",
        f"  {work.packed} tokens in the shared forward, {naive} in the naive one",
        f"  {config.max_steps} steps of {work.prompts} prompts: {drawn} completions",
    ]


def _operations(plan: Plan) -> list[str]:
    ours, naive = plan.flops(shared=True), plan.flops(shared=False)
    total, other = sum(ours.values()), sum(naive.values())
    run = total * plan.config.max_steps
    return [
        f"{'10^12 operations a step, completions at full length':<52} {'ours':>8} {'naive':>8}",
        *(f"  {p:<50} {ours[p] / 1e12:8.1f} {naive[p] / 1e12:8.1f}" for p in ours),
        f"  {'all':<50} {total / 1e12:8.1f} {other / 1e12:8.1f}   {other / total:.1f} x",
        f"  the run: {run:.2e} operations; seconds: not measured",
    ]


def _memory(plan: Plan) -> list[str]:
    moment, parts = memory.peak(plan.work)
    every = ", ".join(
        f"{name} {sum(sizes.values()) / GIB:.1f}"
        for name, sizes in memory.moments(plan.work).items()
    )
    added = f"with {GAPS:.0%} for gaps and {CONTEXT / GIB:.0f} GiB for the context, both assumed"
    rows = [f"memory at the peak, which is the moment {moment!r} (GiB)"]
    rows += [f"  {part:<22} {size / GIB:8.2f}" for part, size in parts.items() if size]
    rows.append(f"  {'tensors':<22} {plan.peak / GIB:8.2f}")
    rows.append(f"  {'needed':<22} {plan.needed / GIB:8.2f}   {added}")
    rows.append(f"  every moment: {every}")
    kept = "adapter" if plan.config.lora_rank else "model"
    rows.append(f"disk: up to {plan.disk / 1e9:.0f} GB ({kept}, checkpoints with optimizer)")
    host = "for what lies on the CPU, and while saving"
    rows.append(f"main memory: {plan.host / GIB:.1f} GiB {host}")
    return rows


def _fit(plan: Plan, card: str, limit: int) -> list[str]:
    if plan.needed <= limit:
        return [f"{card}: fits, {(limit - plan.needed) / GIB:.1f} GiB to spare"]
    rows = [f"{card}: does not fit, {(plan.needed - limit) / GIB:.1f} GiB too much; in this order"]
    for lever, saved, after in pulled(plan, limit):
        host = f"{after.host / GIB:.0f} GiB of main memory"
        rows.append(
            f"  {lever.flag:<32} saves {saved / GIB:6.1f} -> {after.needed / GIB:6.1f} GiB, "
            f"{host}  ({lever.cost})"
        )
    eight = pull(plan, EIGHT_BIT) if plan.config.optimizer_device == "model" else None
    if eight is not None:
        saved = (plan.needed - eight.needed) / GIB
        rows.append(f"  or {EIGHT_BIT.flag:<29} saves {saved:6.1f} alone  ({EIGHT_BIT.cost})")
    return rows


def check_hardware(
    stage: str, data: Path, config: TrainConfig, device: torch.device, *, processes: int
) -> None:
    """Refuse a run that this GPU cannot hold or compute, before anything is loaded.

    Raises:
        UserError: too little memory, no bfloat16, or optimizer states on the CPU of several GPUs.
    """
    if device.type != "cuda":
        if config.moments == "8bit":
            raise UserError("moments '8bit' need a GPU; keep moments 'float32' on the CPU")
        return
    name = torch.cuda.get_device_name(device)
    if config.dtype == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(f"{name} does not compute in bfloat16; use --dtype float32 or another GPU")
    if processes > 1 and config.optimizer_device == "cpu":
        raise UserError(
            f"optimizer_device 'cpu' came with {processes} processes, which add up gradients on "
            "their GPUs; use one process, or optimizer_device 'model'"
        )
    mine = replace(config, prompts_per_step=-(-config.prompts_per_step // processes))
    has = torch.cuda.get_device_properties(device).total_memory
    check_fits(make_plan(stage, data, mine), has)
