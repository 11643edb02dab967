"""One CDPO step over one prompt: ours, the naive repeated forward, the plain path, and TRL's.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/step.py [--repeats 5] [--trl] [--out FILE]

Prints, for every shape, seconds of CPU time on one thread, the measured ratio, the ratio that
counting floating-point operations allows, and the memory each side adds; the last line is JSON.
The plain path is what families outside the engine take: the trainer's step, nothing shared.
With `--trl` (in an environment that has TRL, see `trl_step`) each row also has TRL's own step.
The naive side is what TRL and the authors do: the prompt and its video repeated for each of the G
completions in the rollout (`generate`), the bias model's forward and the policy's forward and
backward. Both sides run the same objective and the same optimizer step.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import transformers
from gpu_naive import GENERATIONS, OBJECTIVE, naive_loss, repeated
from provenance import commit
from step_memory import memory, resident
from step_plain import PlainSide

from videothinker.generation.base import Sampling, generate
from videothinker.models.catalog import load_policy, read_shape
from videothinker.models.loaded import Policy
from videothinker.models.positions import continued
from videothinker.models.qwen_vl.small import SmallConfig, build_small
from videothinker.models.shapes import Grid, Shape, step_flops
from videothinker.training.step import Bias, accumulate_gradients

QUESTION = "Which of these will happen without the red cube? " * 4
SIZES = {
    # parameters about: the shape keeps Qwen2.5-VL-3B's share of vision in the whole
    "33m": SmallConfig(
        hidden=512,
        layers=8,
        heads=8,
        intermediate=1376,
        vocab_size=4096,
        vision_hidden=320,
        vision_layers=5,
        vision_heads=5,
        vision_intermediate=864,
        vision_full_attention=(4,),
    ),
    "13m": SmallConfig(
        hidden=384,
        layers=6,
        heads=6,
        intermediate=1024,
        vocab_size=4096,
        vision_hidden=256,
        vision_layers=4,
        vision_heads=4,
        vision_intermediate=688,
        vision_full_attention=(3,),
    ),
    "1m": SmallConfig(),
}
FAMILIES = ("qwen2_5_vl", "qwen3_vl", "qwen2_vl")
TOKENS = {"full": (16, 9, 13), "tiny": (4, 2, 3)}
"""Frames, and a frame's tokens along height and width; full: 8 x 9 x 13 = 936 video tokens."""


def config_of(family: str, size: str, seed: int) -> SmallConfig:
    """A size in another family: its patches, and the width of tower that its class allows."""
    config = replace(SIZES[size], family=family, seed=seed)
    if family == "qwen3_vl":
        return replace(config, patch_size=16, vision_deepstack=(0, config.vision_layers // 2))
    if family == "qwen2_vl":
        wide = round(config.vision_intermediate / config.vision_hidden)
        return replace(config, vision_intermediate=wide * config.vision_hidden)
    return config


class Setting:
    """A policy, a different bias model, one prompt, and an optimizer."""

    def __init__(self, folder: Path, bias: Path, frames: str, *, frozen: bool) -> None:
        torch.manual_seed(0)
        self.policy = load_policy(folder, freeze_vision=frozen)
        self.bias = load_policy(bias)
        self.bias.model.requires_grad_(requires_grad=False)
        if frozen:
            self.bias.model.model.visual.load_state_dict(
                self.policy.model.model.visual.state_dict()
            )
        self.folders, self.frozen = (folder, bias), frozen
        for one in (self.policy, self.bias):
            one.model.generation_config.eos_token_id = [-1]  # every completion has full length
        side = self.policy.vision.patch_size * self.policy.vision.merge_size
        count, height, width = TOKENS[frames]
        height, width = height * side, width * side
        pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
        self.prompt = self.policy.encode(
            QUESTION, self.policy.to_video(pixels, count / 4, max_pixels=height * width)
        )
        trained = [p for p in self.policy.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-6)
        self.advantages_G = torch.linspace(-1, 1, GENERATIONS)

    @cached_property
    def plain(self) -> PlainSide:
        """The same by the plain path."""
        return PlainSide(self, self.folders)


def our_step(setting: Setting, length: int, seed: int) -> dict[str, float]:
    """The trainer's step, to which the video is new."""
    for one in (setting.policy, setting.bias):
        one.videos.entries.clear()
    setting.policy.share_videos(setting.bias)
    return trainer_step(setting, length, seed)


def plain_step(setting: Setting, length: int, seed: int) -> dict[str, float]:
    """The trainer's step where it knows nothing of the family."""
    return trainer_step(setting.plain, length, seed)


def trainer_step(setting: Setting | PlainSide, length: int, seed: int) -> dict[str, float]:
    """Roll out, then the trainer's own accumulation of gradients."""
    clock = Clock()
    sampling = Sampling(num_generations=GENERATIONS, max_completion_length=length)
    (group,) = generate(setting.policy, [setting.prompt], sampling, [seed])
    clock.lap("rollout")
    accumulate_gradients(
        setting.policy,
        Bias(setting.bias),
        [group],
        [setting.advantages_G],
        OBJECTIVE,
        completions=GENERATIONS,
        tokens=int(group.mask_GC.sum()),
    )
    clock.lap("gradients")
    setting.optimizer.step()
    setting.optimizer.zero_grad()
    clock.lap("update")
    return clock.seconds


def naive_step(setting: Setting, length: int, seed: int) -> dict[str, float]:
    """The same step with everything repeated G times, in the library's own code."""
    clock = Clock()
    given = repeated(setting.policy, [setting.prompt])
    torch.manual_seed(seed)
    with torch.no_grad():
        ids_GL = setting.policy.model.generate(
            **given,
            max_new_tokens=length,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
            # the library's forward takes a drawn one for a place that lacks its video
            suppress_tokens=[setting.policy.model.config.video_token_id],
        )
    clock.lap("rollout")
    given["input_ids"], given["attention_mask"] = ids_GL, torch.ones_like(ids_GL)
    places_3L = continued(given["position_ids"][:, 0], length)
    given["position_ids"] = places_3L[:, None].expand(-1, GENERATIONS, -1)

    def logps(one: Policy) -> torch.Tensor:
        logits = one.model(**given, use_cache=False, logits_to_keep=length + 1).logits[:, :-1]
        return logits.log_softmax(-1).gather(-1, ids_GL[:, -length:, None])[..., 0]

    with torch.no_grad():
        bias_GC = logps(setting.bias)
    logps_GC = logps(setting.policy)
    naive_loss(logps_GC, bias_GC, setting.advantages_G, GENERATIONS).backward()
    clock.lap("gradients")
    setting.optimizer.step()
    setting.optimizer.zero_grad()
    clock.lap("update")
    return clock.seconds


class Clock:
    """CPU seconds between laps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.process_time()

    def lap(self, name: str) -> None:
        """Name the time since the last lap."""
        now = time.process_time()
        self.seconds[name], self.last = now - self.last, now


SIDES = ("ours", "naive")
STEPS: dict[str, Callable[[Setting, int, int], dict[str, float]]] = {
    "ours": our_step,
    "naive": naive_step,
    "plain": plain_step,
}


def measure(
    setting: Setting, length: int, repeats: dict[str, int]
) -> dict[str, list[dict[str, float]]]:
    """Each side's laps, the sides taking turns so that all see the same machine."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in STEPS}
    for repeat in range(max(repeats.values())):
        for name, step in STEPS.items():
            if repeat < repeats[name]:
                taken[name].append(step(setting, length, repeat))
    return taken


def memory_of(arguments: argparse.Namespace) -> None:
    setting = Setting(*arguments.folders, arguments.frames, frozen=arguments.frozen)
    before = resident("VmRSS")
    STEPS[arguments.memory_of](setting, arguments.lengths[0], 0)
    print(resident("VmHWM") - before)


def ceiling(shape: Shape, setting: Setting, length: int, *, frozen: bool) -> float:
    """How many times fewer floating-point operations the shared step needs."""
    grid = Grid(*(int(n) for n in setting.prompt.video.grid_thw[0]))
    size = (shape, grid, setting.prompt.prompt_tokens, GENERATIONS, length)
    naive, ours = (
        sum(step_flops(*size, shared=shared, freeze_vision=frozen, checkpointing=False).values())
        for shared in (False, True)
    )
    return naive / ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plain-repeats", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=[96, 256])
    both = ["frozen", "trained"]
    parser.add_argument("--vision", choices=both, nargs="+", default=both)
    parser.add_argument("--size", choices=SIZES, default="13m")
    parser.add_argument("--frames", choices=TOKENS, default="full")
    parser.add_argument("--families", choices=FAMILIES, nargs="+", default=FAMILIES)
    parser.add_argument("--trl", action="store_true", help="also run TRL's GRPOTrainer on images")
    parser.add_argument("--out", type=Path, help="keep the result here")
    parser.add_argument("--memory-of", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folders", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--frozen", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory_of:
        memory_of(arguments)
        return
    with tempfile.TemporaryDirectory() as scratch:
        run(arguments, Path(scratch))


def run(arguments: argparse.Namespace, scratch: Path) -> None:
    rows = []
    for family in arguments.families:
        folders = [
            build_small(
                scratch / f"{family}-{name}", config_of(family, arguments.size, seed), [QUESTION]
            )
            for seed, name in enumerate(("policy", "bias"))
        ]
        shape = read_shape(json.loads((folders[0] / "config.json").read_text(encoding="utf-8")))
        for length in arguments.lengths:
            for frozen in [vision == "frozen" for vision in arguments.vision]:
                row = {"family": family, "length": length, "frozen": frozen}
                rows.append(measured(arguments, folders, shape, row))
    result = {
        "benchmark": "step",
        "command": " ".join(["python", *sys.argv]),
        "commit": commit(),
        "size": arguments.size,
        "generations": GENERATIONS,
        "repeats": arguments.repeats,
        "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


def measured(
    arguments: argparse.Namespace, folders: list[Path], shape: Shape, row: dict
) -> dict[str, object]:
    """One row: both sides' seconds and memory, and the ratio that operations allow."""
    length, frozen = row["length"], row["frozen"]
    setting = Setting(*folders, arguments.frames, frozen=frozen)
    repeats = dict.fromkeys(STEPS, arguments.repeats) | {"plain": arguments.plain_repeats}
    taken = measure(setting, length, repeats)
    totals = {side: [sum(laps.values()) for laps in taken[side]] for side in STEPS}
    ratios = [n / o for n, o in zip(totals["naive"], totals["ours"], strict=True)]
    plain = [n / p for n, p in zip(totals["naive"], totals["plain"], strict=False)]
    limit = ceiling(shape, setting, length, frozen=frozen)
    row |= {
        "parameters": sum(p.numel() for p in setting.policy.model.parameters()),
        "prompt_tokens": setting.prompt.prompt_tokens,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "plain_ratio": statistics.median(plain) if plain else None,
        "ceiling": limit,
        "share_of_ceiling": statistics.median(ratios) / limit,
        "seconds": taken,
        "megabytes": {
            side: memory(Path(__file__), arguments, folders, side, row) for side in SIDES
        },
    }
    if arguments.trl and row["family"] == FAMILIES[0]:
        row |= beside_trl(folders[0], row, statistics.median(totals["ours"]), arguments)
    show(row, totals)
    return row


def beside_trl(
    folder: Path, row: dict, ours: float, arguments: argparse.Namespace
) -> dict[str, object]:
    """TRL's steps, right after ours on the same machine, and how much longer they take."""
    import trl  # noqa: PLC0415 (another environment)
    from trl_step import train  # noqa: PLC0415

    taken = train(folder, row["length"], arguments.repeats, frozen=row["frozen"])
    return {
        "trl": trl.__version__,
        "trl_seconds": taken,
        "trl_ratio": statistics.median(taken) / ours,
    }


def show(row: dict, totals: dict[str, list[float]]) -> None:
    mega = row["megabytes"]
    print(
        f"{row['family']:<11}C {row['length']:4d}  "
        f"vision {'frozen ' if row['frozen'] else 'trained'}  "
        f"prompt {row['prompt_tokens']}  naive {statistics.median(totals['naive']):7.2f} s  "
        f"ours {statistics.median(totals['ours']):6.2f} s  ratio {row['ratio']:.2f}  "
        f"ceiling {row['ceiling']:.2f}  ({row['share_of_ceiling']:.0%})  "
        f"memory {mega['naive']:.0f} -> {mega['ours']:.0f} MB"
        + (f"  plain path {row['plain_ratio']:.2f}" if row["plain_ratio"] else "")
        + (f"  TRL {statistics.median(row['trl_seconds']):.2f} s" if "trl" in row else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
