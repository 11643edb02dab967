"""`--dry-run`: print a plan, write nothing."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from videothinker.models.shapes import parameters
from videothinker.planning import memory, workload
from videothinker.planning.hardware import check_fits, parse_memory, who_waits
from videothinker.planning.options import EIGHT_BIT, apply, make_fit
from videothinker.planning.plan import CONTEXT, GAPS, GIB, Plan
from videothinker.run_file import to_plain

CARDS = ("24GB", "48GB", "80GB", "141GB")
"""What a plan without `--gpu-memory` is held against."""
CARD = "one H200"
COMMIT = "20b3a42"
"""Where `benchmarks/results/gpu_step_h200.json` was measured."""


@dataclass(frozen=True)
class Pace:
    """Of the 3B shape in bfloat16, two prompts, 256 tokens."""

    token: float
    """Seconds a decoding step, the prompts' share included."""
    operations: float
    """Operations a second in everything but the rollout."""


FULL, LORA = Pace(0.004080, 2.080e14), Pace(0.004275, 1.311e14)


def expected_seconds(plan: Plan) -> float | None:
    """Seconds a step with completions at full length; None where nothing like it was measured.

    Decoding goes with the tokens of a completion, the rest with its operations.
    """
    shape, config = plan.shape, plan.config
    as_measured = (shape.layers, shape.hidden) == (36, 2048) and config.dtype == "bfloat16"
    if not as_measured or config.optimizer_device == "cpu" or plan.ranks > 1:
        return None
    pace = LORA if config.lora_rank else FULL
    flops = plan.flops(shared=True)
    computing = sum(flops.values()) - flops["rollout"]
    return config.max_completion_length * pace.token + computing / pace.operations


def measuring_seconds(plan: Plan) -> float | None:
    """Seconds before step 1, two prompts at a time as measured; None as `expected_seconds`."""
    if expected_seconds(plan) is None or plan.work.bias_shape not in (None, plan.shape):
        return None
    pace = LORA if plan.config.lora_rank else FULL
    return plan.measured / 2 * plan.config.max_completion_length * pace.token


def print_plan(plan: Plan, *, gpu_memory: str | None, as_json: bool) -> None:
    """Print what a run would cost.

    Args:
        plan: the run's.
        gpu_memory: a size such as `48GB`; null shows the usual ones.
        as_json: print one JSON object instead of tables.

    Raises:
        UserError: the run does not fit `gpu_memory`; raised after printing.
    """
    limits = {card: parse_memory(card) for card in ([gpu_memory] if gpu_memory else CARDS)}
    told = json.dumps(as_record(plan, limits)) if as_json else "\n".join(lines(plan, limits))
    sys.stdout.write(told + "\n")
    if gpu_memory:
        check_fits(plan, limits[gpu_memory])


def as_record(plan: Plan, limits: dict[str, int]) -> dict[str, Any]:
    """The plan as JSON-ready values; sizes in bytes."""
    moment, parts = memory.peak(plan.work)
    return {
        "stage": plan.config.stage,
        "config": to_plain(plan.config),
        "parameters": sum(parameters(plan.shape).values()),
        "trained_parameters": workload.trained_parameters(plan.work),
        "prompt_tokens": plan.prompt_tokens,
        "video_tokens": plan.video_tokens,
        "prompt_source": plan.prompt.source,
        "steps": plan.config.max_steps,
        "questions_measured_before": plan.measured,
        "flops_before": plan.measuring_flops,
        "expected_seconds_before": measuring_seconds(plan),
        "step_flops": plan.flops(shared=True),
        "naive_step_flops": plan.flops(shared=False),
        "expected_step_seconds": expected_seconds(plan),
        "memory": {"peak": plan.peak, "needed": plan.needed, "moment": moment, "parts": parts},
        "moments": {name: sum(p.values()) for name, p in memory.moments(plan.work).items()},
        "gpus": plan.ranks,
        "traffic": plan.traffic,
        "host_memory": plan.host,
        "disk": plan.disk,
        "fits": {card: plan.needed <= limit for card, limit in limits.items()},
        "options": {
            card: [
                {
                    "flag": step.option.flag,
                    "cost": step.option.cost,
                    "saves": step.saved,
                    "needed": step.plan.needed,
                }
                for step in make_fit(plan, limit)
            ]
            for card, limit in limits.items()
        },
    }


def lines(plan: Plan, limits: dict[str, int]) -> list[str]:
    """The plan for a person."""
    text = [f"train {plan.config.stage}: a plan; nothing is written", "", "settings"]
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
    drawn = config.max_steps * config.prompts_per_step * work.generations
    waits = who_waits(config.prompts_per_step, plan.ranks)
    told = [
        "tokens",
        f"  {video}",
        f"  longest prompt {plan.prompt_tokens}, up to {completions} completion tokens",
        f"  {work.packed} tokens in the shared forward, {naive} in the naive one",
        f"  {config.max_steps} steps of {config.prompts_per_step} prompts: {drawn} completions",
        *([f"  {waits}"] if waits else []),
    ]
    if plan.measured:
        who = "bias model" if config.sampling == "bias-failure" else "starting model"
        count = plan.measured * config.sampling_rollouts
        told.append(
            f"  before step 1, once: the {who} answers {plan.measured} questions "
            f"{config.sampling_rollouts} times, which is {count} completions more "
            f"(--sampling {config.sampling}; --success reuses them)"
        )
    return told


def _operations(plan: Plan) -> list[str]:
    ours, naive = plan.flops(shared=True), plan.flops(shared=False)
    total, other = sum(ours.values()), sum(naive.values())
    run = total * plan.config.max_steps + plan.measuring_flops
    before = f"  before step 1, once{'':<33} {plan.measuring_flops / 1e12:8.1f}"
    return [
        f"{'10^12 operations a step, completions at full length':<52} {'ours':>8} {'naive':>8}",
        *(f"  {p:<50} {ours[p] / 1e12:8.1f} {naive[p] / 1e12:8.1f}" for p in ours),
        f"  {'all':<50} {total / 1e12:8.1f} {other / 1e12:8.1f}   {other / total:.1f} x",
        *([before] if plan.measured else []),
        f"  the run: {run:.2e} operations; {in_words(plan)}",
    ]


def _memory(plan: Plan) -> list[str]:
    moment, parts = memory.peak(plan.work)
    every = ", ".join(
        f"{name} {sum(sizes.values()) / GIB:.1f}"
        for name, sizes in memory.moments(plan.work).items()
    )
    added = f"with {GAPS:.0%} for gaps and {CONTEXT / GIB:.0f} GiB for the context, both assumed"
    each = f" of each of {plan.ranks} GPUs" if plan.ranks > 1 else ""
    rows = [f"memory{each} at the peak, which is the moment {moment!r} (GiB)"]
    rows += [f"  {part:<22} {size / GIB:8.2f}" for part, size in parts.items() if size]
    rows.append(f"  {'tensors':<22} {plan.peak / GIB:8.2f}")
    rows.append(f"  {'needed':<22} {plan.needed / GIB:8.2f}   {added}")
    rows.append(f"  every moment: {every}")
    kept = "adapter" if plan.config.lora_rank else "model"
    rows.append(f"disk: up to {plan.disk / 1e9:.0f} GB ({kept}, checkpoints with optimizer)")
    host = "for what lies on the CPU, and while saving"
    if plan.ranks > 1:
        told = ", ".join(f"{what} {size / GIB:.1f}" for what, size in plan.traffic.items())
        rows.append(f"between {plan.ranks} GPUs, GiB that each receives a step: {told}")
    rows.append(f"main memory: {plan.host / GIB:.1f} GiB {host}")
    return rows


def _fit(plan: Plan, card: str, limit: int) -> list[str]:
    if plan.needed <= limit:
        choice = plan.choose(limit)
        how = f"{choice.at_once} of {plan.prompts} prompts decode together"
        if plan.config.lora_rank:
            how += ", the adapter merged" if choice.merges else ", the adapter apart"
        how += ", activations made again" if choice.recomputes else ", activations kept"
        return [f"{card}: fits, {(limit - plan.needed) / GIB:.1f} GiB to spare; {how}"]
    rows = [f"{card}: does not fit, {(plan.needed - limit) / GIB:.1f} GiB too much; in this order"]
    steps = make_fit(plan, limit)
    for step in steps:
        host = f"{step.plan.host / GIB:.0f} GiB of main memory"
        rows.append(
            f"  {step.option.flag:<32} saves {step.saved / GIB:6.1f} -> "
            f"{step.plan.needed / GIB:6.1f} GiB, {host}  ({step.option.cost})"
        )
    if not steps or steps[-1].plan.needed > limit:
        rows.append(
            "  none of these sets fits: more or larger GPUs, a smaller model, or fewer frames"
        )
    eight = apply(plan, EIGHT_BIT)
    if eight is not None:
        saved = (plan.needed - eight.needed) / GIB
        rows.append(f"  or {EIGHT_BIT.flag:<29} saves {saved:6.1f} alone  ({EIGHT_BIT.cost})")
    return rows


def in_words(plan: Plan) -> str:
    """The run's hours, and on what that stands."""
    seconds, before = expected_seconds(plan), measuring_seconds(plan)
    if seconds is None or before is None:
        return "seconds: not measured"
    hours = (seconds * plan.config.max_steps + before) / 3600
    told = f"about {hours:.1f} hours on {CARD}, by steps measured at {COMMIT}, completions full"
    return f"{told}; {before / 3600:.1f} of them before step 1" if before else told
