"""What `gpu_step.py` holds its seconds against: this device's rates, operations, bytes."""

import statistics
from typing import Any

import torch
from gpu_naive import GENERATIONS
from gpu_shapes import Case
from gpu_sides import Clock

from videothinker.models.shapes import Grid, Shape, parameters, step_flops
from videothinker.planning.memory import resident
from videothinker.planning.workload import Workload


def rates(device: torch.device, size: int) -> dict[str, float]:
    """What this device reaches: operations a second in a product, bytes a second in a copy."""
    a = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    much = a.repeat(8, 1)  # launch and wait are a hundredth of its copy
    clock = Clock(device)
    best = {"flops": 0.0, "bytes": 0.0}
    for _ in range(5):
        clock.start()
        a @ a
        clock.lap("product")
        best["flops"] = max(best["flops"], 2 * size**3 / clock.seconds.pop("product"))
        clock.start()
        much.clone()
        clock.lap("copy")
        best["bytes"] = max(best["bytes"], 2 * much.nbytes / clock.seconds.pop("copy"))
    return best


def bound(shape: Shape, grid: Grid, case: Case, prompt: int, rate: dict[str, float]) -> float:
    """Seconds below which this device cannot make the shared step: by operations and by bytes."""
    flops = step_flops(
        *(shape, grid, prompt, GENERATIONS, case.length),
        shared=True,
        freeze_vision=case.lora,
        checkpointing=not case.keeps,
        adapters=case.lora,
    )
    computed = case.prompts * sum(flops.values()) / rate["flops"]
    read = decoding_bytes(shape, grid, case, prompt)
    decoded = case.prompts * flops["rollout"] / rate["flops"]
    return computed - decoded + max(decoded, case.length * read / rate["bytes"])


def decoding_bytes(shape: Shape, grid: Grid, case: Case, prompt: int) -> float:
    """Bytes a decoding step reads at least: the language model, keys and values half way."""
    work = workload(shape, grid, case, prompt)
    token = 4 * shape.layers * shape.kv_heads * shape.head_dim  # keys and values, two bytes each
    rows = case.prompts * GENERATIONS
    weights = resident(work)["weights"] - work.width * parameters(shape)["vision"]
    return weights + token * (case.prompts * prompt + rows * case.length / 2)


def workload(shape: Shape, grid: Grid, case: Case, prompt: int) -> Workload:
    """What decides the row's memory."""
    return Workload(
        shape=shape,
        grid=grid,
        prompt=prompt,
        generations=GENERATIONS,
        completion=case.length,
        prompts=case.prompts,
        lora_rank=64 if case.lora else 0,
        checkpointing=not case.keeps,
        bias="adapter" if case.lora else "model",
        optimizer_on_cpu=case.optimizer_on_cpu,
        videos=case.prompts,
    )


def summary(
    row: dict[str, Any], case: Case, limit: float, rate: dict[str, float]
) -> dict[str, Any]:
    """What follows from the seconds taken so far; medians over repeats.

    Milliseconds a token are of the whole rollout, its prompts included; those of a step are the
    device's own, where graphs are replayed.
    """
    totals = {
        side: [sum(laps.values()) for laps in taken] for side, taken in row["seconds"].items()
    }
    middle = {side: statistics.median(each) for side, each in totals.items() if each}
    found: dict[str, Any] = {"seconds_a_step": middle, "bound_seconds": limit}
    if "ours" in middle:
        phases = row["seconds"]["ours"]
        share = {p: statistics.median(r[p] for r in phases) / middle["ours"] for p in phases[0]}
        drawn = case.prompts * GENERATIONS * case.length
        rollout = statistics.median(r["rollout"] for r in phases)
        found |= {
            "phase_share": share,
            "tokens_a_second": drawn / middle["ours"],
            "decoded_a_second": drawn / rollout,
            "milliseconds_a_token": 1000 * rollout / case.length,
            "bound_milliseconds_a_token": 1000 * row["decoding_bytes"] / rate["bytes"],
            "share_of_bound": limit / middle["ours"],
        }
    if row["step_milliseconds"]:
        found["milliseconds_a_step"] = statistics.median(row["step_milliseconds"])
    for name, slow, quick in (
        ("whole_ratio", "naive", "ours"),
        ("gain_of_sharing", "naive", "eager"),
        ("gain_of_decoding", "eager", "ours"),
    ):
        if slow in middle and quick in middle:
            found[name] = middle[slow] / middle[quick]
    return found
