"""Run by each of two processes: what sharding computes, held against one process's numbers."""

import gc
import json
import os
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from tests.training.toy_training import make_question
from videothinker import prompts
from videothinker.algorithms.base import Objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group
from videothinker.models.catalog import find_shape, load_policy
from videothinker.models.loaded import Policy
from videothinker.models.shapes import Grid
from videothinker.planning import live_bytes, memory
from videothinker.planning.live_bytes import logit_bytes
from videothinker.planning.workload import Workload
from videothinker.processes import Processes, find_processes
from videothinker.training.loop import Loop, share_groups
from videothinker.training.models import load_trainee
from videothinker.training.optimizer import MasterAdamW
from videothinker.training.rollouts import Batch
from videothinker.training.sharding import ShardedAdamW, idle_group, share
from videothinker.training.step import Bias, accumulate_gradients

OBJECTIVE = Objective(divergence="exact", repulsion=0.3)
LR = 1e-4
for family in ("llava_onevision", "qwen3_5", "smolvlm"):  # before the fork
    import_module(f"videothinker.models.plain.{family}")


class LiveBytes(live_bytes.LiveBytes):
    """Sharding gives memory back, and takes it, by resizing: what lives counts at its size now."""

    def __enter__(self) -> Self:
        self.resize, live = torch.UntypedStorage.resize_, self

        def resized(storage: Any, size: int) -> Any:
            done = live.resize(storage, size)
            live.weigh_again(storage)
            return done

        torch.UntypedStorage.resize_ = resized
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        torch.UntypedStorage.resize_ = self.resize
        super().__exit__(*error)

    def weigh_again(self, storage: Any) -> None:
        """At its size now, if it was seen before."""
        key = storage._cdata
        if key in self.sizes:
            self.now += storage.nbytes() - self.sizes[key]
            self.sizes[key] = storage.nbytes()
            self.peak = max(self.peak, self.now)

    def _see(self, tensor: Tensor) -> None:
        local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        super()._see(local)
        self.weigh_again(local.untyped_storage())


torch.set_num_threads(1)


@cache
def frozen(folder: str, dtype: str = "float32") -> Policy:
    """A model that nobody changes or cuts."""
    policy = load_policy(folder, dtype=dtype)
    policy.model.requires_grad_(requires_grad=False)
    return policy


@cache
def roll(folder: str, number: int, *, video: bool) -> Group:
    """The same group in every process, of a length of its own."""
    policy, question = frozen(folder), make_question(number)
    words = prompts.render(question.question, question.choices, context=question.context)
    frames = np.random.default_rng(number).integers(0, 255, (4, 56, 84, 3), dtype=np.uint8)
    prompt = policy.encode(words, policy.to_video(frames, 1.0) if video else None)
    sampling = Sampling(num_generations=3, max_completion_length=4 + number)
    (group,) = generate(policy, [prompt], sampling, [number])
    return group


def advantages(count: int) -> dict[int, Tensor]:
    """The third group has no signal."""
    some = {item: torch.tensor([1.0, -0.4, -0.6]) * (1 + item) for item in range(count)}
    return some | ({2: torch.zeros(3)} if count > 2 else {})


def sizes(groups: list[Group]) -> dict[str, int]:
    return {"completions": 3 * len(groups), "tokens": sum(int(g.mask_GC.sum()) for g in groups)}


def passed(loop: Any, groups: list[Group], objective: Objective) -> None:
    """One step's gradients as the loop lets a process compute its part."""
    given = advantages(len(groups))
    mine = {i: group for i, group in enumerate(groups) if loop.processes.mine(i)}
    shares, backwards = share_groups(loop, Batch(groups=mine), given, objective)
    accumulate_gradients(
        *(loop.policy, loop.bias, [g for g, _ in shares], [a for _, a in shares], objective),
        **sizes(groups),
        backwards=backwards,
    )


def reference(
    config: CdpoConfig, bias: Bias, groups: list[Group], objective: Objective, steps: int
) -> Any:
    """Gradients of one process, and its parameters' moves after some steps on the same groups."""
    policy = load_trainee(config, torch.device("cpu"))
    named = {n: p for n, p in policy.model.named_parameters() if p.requires_grad}
    start = {name: param.detach().clone() for name, param in named.items()}
    optimizer = MasterAdamW(named.items(), lr=config.learning_rate, weight_decay=0.0)
    found: dict[str, Tensor] = {}
    for _ in range(steps):
        optimizer.zero()
        accumulate_gradients(
            *(policy, bias, groups, list(advantages(len(groups)).values()), objective),
            **sizes(groups),
        )
        masters = optimizer.masters
        found = found or {n: masters[n].grad.clone() for n in named if masters[n].grad is not None}
        optimizer.clip(20.0)
        optimizer.step(config.learning_rate)
    return found, {name: optimizer.masters[name].detach() - start[name] for name in named}, start


def distance(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """Of all tensors together, as a share of the wanted ones' norm."""
    apart = sum(float(((found[n] - wanted[n]).double() ** 2).sum()) for n in wanted)
    return (apart / sum(float((one.double() ** 2).sum()) for one in wanted.values())) ** 0.5


def check(case: dict[str, Any], base: str, other: str, processes: Processes) -> dict[str, float]:
    """Distances of gradients and moves in one case, from the first process's own numbers."""
    settings = {"lora_rank": case.get("lora", 0), "lora_alpha": 8, "shard": case["shard"]}
    settings |= {"gradient_checkpointing": case.get("checkpointing", False)}
    settings |= {"learning_rate": case.get("lr", LR)}
    dtype = case.get("dtype", "float32")
    base, other = case.get("models", (base, other))
    config = CdpoConfig(model=base, bias=other, out=Path("never"), dtype=dtype, **settings)
    video, steps = case.get("video", True), case.get("steps", 2)
    objective = Objective()
    if divergence := case.get("divergence", "exact"):
        objective = replace(OBJECTIVE, divergence=divergence)
    groups = [roll(base, number, video=video) for number in range(case["groups"])]
    policy, bias = load_trainee(config, processes.device), Bias(frozen(other, dtype))
    if case["shard"] == "layers":  # it is cut as well
        bias = Bias(load_policy(other, dtype=dtype))
        bias.policy.model.requires_grad_(requires_grad=False)
    shards = share(policy, bias, processes, config, video=video)
    optimizer = ShardedAdamW(shards, processes, lr=config.learning_rate, weight_decay=0.0)
    loop: Any = Loop.__new__(Loop)
    loop.policy, loop.bias, loop.processes = policy, bias, processes
    loop.idle = idle_group(policy, 3, video=video)
    found: dict[str, Tensor] = {}
    for step in range(steps):
        optimizer.zero()
        with shards.whole():  # lengths differ, and one process may draw nothing
            mine = [g.prompt for i, g in enumerate(groups) if processes.mine(i) and step < 2]
            generate(policy, mine, Sampling(2, 3), [0] * len(mine))
        passed(loop, groups, objective)
        found = found or {
            n: p.grad.full_tensor() for n, p in shards.pieces.items() if p.grad is not None
        }
        optimizer.clip(20.0)
        optimizer.step(config.learning_rate)
    flat = optimizer.state()
    now = {name: flat[f"{name}/master"].full_tensor() for name in shards.pieces}
    with shards.whole():
        saved = policy.model.state_dict()
        same = all(torch.equal(saved[n], now[n].to(saved[n].dtype)) for n in now)
    if not processes.main:
        return {}
    whole = Bias(frozen(other, dtype))
    gradients, moves, start = reference(config, whole, groups, objective, steps)
    return {
        "gradients": distance(found, gradients),
        "moves": distance({n: now[n] - start[n].float() for n in moves}, moves),
        "published": float(same),
        "held": sum(m.numel() for m in optimizer.masters.values())
        / sum(map(Tensor.numel, now.values())),
    }


def weigh(case: dict[str, Any], processes: Processes) -> dict[str, Any]:
    """Peaks of a rollout and of a step, and what the plan says of each moment."""
    folder, dtype, completion = case["folder"], case.get("dtype", "float32"), case["completion"]
    settings = {"lora_rank": case.get("lora", 0), "dtype": dtype, "shard": case["shard"]}
    config = CdpoConfig(model=folder, bias=folder, out=Path("never"), **settings)
    policy, bias = load_trainee(config, processes.device), Bias(load_policy(folder, dtype=dtype))
    policy.merges = False
    bias.policy.model.requires_grad_(requires_grad=False)
    weights = [*policy.model.parameters(), *bias.policy.model.parameters()]
    live = LiveBytes(weights)
    with live if processes.main else nullcontext():  # who weighs is slow
        del weights
        shards = share(policy, bias, processes, config, video=True)
        optimizer = ShardedAdamW(shards, processes, lr=LR, weight_decay=0.0)
        rng, frames = np.random.default_rng(0), case.get("frames", 8)
        pixels = rng.integers(0, 256, (frames, 112, 168, 3), np.uint8)
        prompt = policy.encode("Which one happens? " * 9, policy.to_video(pixels, frames / 3))
        ids_GC = torch.from_numpy(rng.integers(20, len(policy.head_VD) - 20, (4, completion)))
        full_GC, cut_G = torch.ones_like(ids_GC, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
        group = Group(prompt, ids_GC, full_GC, cut_G)
        measured = 0
        for _ in range(2):  # moments are there from the second on
            optimizer.zero()
            if processes.main:
                gc.collect()
            live.peak = live.now
            accumulate_gradients(
                *(policy, bias, [group], [torch.linspace(-1, 1, 4)], OBJECTIVE),
                completions=4 * processes.size,
                tokens=4 * completion * processes.size,
            )
            optimizer.clip(20.0)
            optimizer.step(LR)
            measured = live.peak
    work = Workload(
        shape=find_shape(folder),
        grid=Grid(*(int(n) for n in prompt.video.grid_thw[0])),
        prompt=prompt.prompt_tokens,
        generations=4,
        completion=completion,
        width=2 if dtype == "bfloat16" else 4,
        lora_rank=case.get("lora", 0),
        logit_bytes=logit_bytes("exact"),
        videos=1,
        fused_update=False,
        ranks=processes.size,
        by_layer=case["shard"] == "layers",
    )
    told = {name: sum(parts.values()) for name, parts in memory.moments(work).items()}
    return {"measured": measured, "told": told}


def main(words: list[str]) -> None:
    """Do what a plan asks for; the first process writes what was found."""
    plan, base, other, out = words
    alone = find_processes()
    wanted = json.loads(Path(plan).read_text())
    found = {
        "checked": [check(case, base, other, alone) for case in wanted["checked"]],
        "weighed": [weigh(case, alone) for case in wanted["weighed"]],
    }
    if alone.main:
        Path(out).write_text(json.dumps(found))
    alone.wait()
    os._exit(0)  # taking a dozen models apart takes seconds; `sharded_runs` ends as a command does
