"""One whole CDPO step at published shapes, random weights: ours and the naive one.

    python benchmarks/gpu_step.py --out benchmarks/results/h200 [--budget-seconds 520]
    python benchmarks/gpu_step.py --out OUT --only "on CPU"         # rows so named alone
    python benchmarks/gpu_step.py --out /tmp/x --scale tiny     # on a CPU, to try the script itself

Needs torch and transformers (rows with LoRA also peft, and are named as left out without it).
Three sides of the same step: `naive` repeats prompt and video for every completion and decodes
with the library's `generate` (what TRL and the authors do); `eager` shares them and decodes
operation by operation; `ours` shares them and decodes with fixed shapes, on a GPU as CUDA graphs.
naive/eager is the gain of sharing at equal decode, eager/ours that of decoding at equal sharing.
Rows come in order of importance: the goals at the shape of Qwen2.5-VL-3B, longer completions and
more prompts, every other family of the engine, the optimizer on the CPU, 7B, other sizes. Those
that the budget does not reach are named, never guessed.
Every measurement is written when it is taken; what runs out of memory is recorded as such.
"""

import argparse
import json
import platform
import sys
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # where it is not installed

from gpu_agreement import agreement
from gpu_counts import bound, decoding_bytes, rates, summary, workload
from gpu_naive import GENERATIONS
from gpu_shapes import (
    HEIGHT,
    WIDTH,
    Case,
    configuration,
    further,
    goals,
    synthetic_prompt,
)
from gpu_sides import SIDES, Setting, release
from provenance import commit

from videothinker.errors import Slower
from videothinker.files import writing
from videothinker.generation.graphs import can_fuse
from videothinker.models.catalog import read_shape
from videothinker.models.shapes import Grid, Shape, parameters
from videothinker.planning.memory import moments
from videothinker.planning.workload import trained_parameters

ON_CPU = 16
"""Bytes of main memory a weight takes there: its float32 self, its gradient, AdamW's moments."""
SPARE = 4 << 30
"""Bytes of main memory for the process itself."""
SAFETY = 1.3
"""A side is begun where this many times its expected seconds are left."""


@dataclass
class Bench:
    """One run of the script: what it measures with, and what it has so far."""

    out: Path
    scale: str
    device: torch.device
    deadline: float
    result: dict[str, Any]
    setting: Setting | None = None
    kind: tuple[Any, ...] | None = None
    """Of the setting in memory: model, LoRA, optimizer on the CPU, activations kept."""
    held: int = 0
    """Bytes on the device before the setting's models: what earlier ones left behind."""
    pace: dict[tuple[str, bool], tuple[float, Case]] = field(default_factory=dict)
    """Side and optimizer on the CPU -> seconds and row of the last step."""

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.deadline - time.perf_counter()

    def config(self, case: Case) -> Any:
        """The row's model."""
        return configuration(self.scale, case.model)

    def shape(self, case: Case) -> Shape:
        """The sizes of it."""
        return read_shape(self.config(case).to_dict())

    def prompts(self, case: Case) -> list[Any]:
        """The row's, each about a video of its own."""
        config = self.config(case)
        return [synthetic_prompt(config, case.frames, seed) for seed in range(case.prompts)]

    def save(self) -> None:
        """Write what there is; a kill in the middle leaves the file before it."""
        with writing(self.out / "gpu_step.json") as file:
            file.write((json.dumps(self.result, indent=1) + "\n").encode())

    def measure(self, setting: Setting, case: Case, row: dict[str, Any], limit: float) -> None:
        """Each side once, then again in turns; `row` grows, and is written after every step."""
        prompts = self.prompts(case)
        for repeat in range(case.repeats):
            for side in case.sides:
                if side in row["failed"]:
                    continue
                reason = self.too_late(case, side)
                if reason:
                    row["not_measured"].setdefault(side, f"repeat {repeat + 1}: {reason}")
                    continue
                self.one(setting, case, prompts, side, row)
                row |= summary(row, case, limit, self.result["rates"])
                self.save()

    def one(
        self, setting: Setting, case: Case, prompts: list[Any], side: str, row: dict[str, Any]
    ) -> None:
        """One step of one side, or why it failed."""
        failure = ""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", Slower)
            try:
                setting.warm_up(side, prompts, case.length)
                if self.device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                clock = SIDES[side](setting, prompts, case.length)
            except RuntimeError as error:  # out of memory, or what no CPU could show
                failure = failure_of(error)
        row["slower"] += [str(one.message) for one in told if issubclass(one.category, Slower)]
        if failure:
            row["failed"][side] = failure
            self.save()
            setting.forget()  # outside of the handler, whose traceback holds the step's tensors
            return
        row["seconds"].setdefault(side, []).append(clock.seconds)
        if side == "ours" and clock.step is not None:
            row["step_milliseconds"].append(clock.step)
        if self.device.type == "cuda":
            row["peak_bytes"][side] = torch.cuda.max_memory_allocated()
        self.pace[side, case.optimizer_on_cpu] = (sum(clock.seconds.values()), case)

    def too_late(self, case: Case, side: str) -> str:
        """Why a side is not begun; empty where there is time.

        Decoding takes as long for one prompt as for four, so a smaller batch is not taken to be
        quicker than the last one.
        """
        expected = 0.0
        if (side, case.optimizer_on_cpu) in self.pace:
            seconds, last = self.pace[side, case.optimizer_on_cpu]
            more = max(1.0, case.prompts / last.prompts)
            if case.model != last.model:
                sizes = [sum(parameters(self.shape(one)).values()) for one in (case, last)]
                more *= sizes[0] / sizes[1]
            expected = seconds * case.length / last.length * more
        if self.left <= 0 or SAFETY * expected > self.left:
            return f"{self.left:.0f} s of the budget are left, about {expected:.0f} s are needed"
        return ""


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.scale == "official" and device.type == "cpu":
        sys.exit("no GPU here: nothing is measured; --scale tiny tries the script on a CPU")
    transformers.logging.set_verbosity_error()  # that -1 ends no completion is the intention
    result: dict[str, Any] = about(arguments, device)
    deadline = time.perf_counter() + arguments.budget_seconds
    bench = Bench(arguments.out, arguments.scale, device, deadline, result)
    result["rates"] = rates(device, 8192 if device.type == "cuda" else 256)
    result |= {"agreement": "not measured", "rows": [], "left_out": []}
    bench.save()
    first, others = (
        [
            replace(case, repeats=min(case.repeats, arguments.repeats))
            for case in rows(arguments.scale)
            if arguments.only in named(case)
        ]
        for rows in (goals, further)
    )
    for case in first:
        add_row(bench, case)
    bench.setting = bench.kind = None  # the agreement has models of its own
    release()
    if bench.left > 0 and not arguments.only:
        result["agreement"] = agree(bench, Case(256, 1, frames=first[0].frames if first else 16))
        bench.save()
    for case in others:
        add_row(bench, case)
    return result


def add_row(bench: Bench, case: Case) -> None:
    """Measure a row, or write why it is left out."""
    reason, kind = unfit(bench, case), (case.model, case.lora, case.optimizer_on_cpu, case.keeps)
    if not reason and bench.kind != kind:
        bench.setting, bench.kind = None, kind  # one in memory at a time
        release()
        if bench.device.type == "cuda":
            bench.held = torch.cuda.memory_allocated()
        bench.setting, reason = set_up(bench, case)
    if reason or bench.setting is None:
        why = reason or "no model: see above"
        bench.result["left_out"].append({"case": vars(case), "why": why})
        bench.save()
        print(f"{named(case)}: {why}", flush=True)
        return
    row, rate = begin(bench, case), bench.result["rates"]
    bench.result["rows"].append(row)
    shape, grid = bench.shape(case), grid_of(case)
    limit = bound(shape, grid, case, row["prompt_tokens"], rate)
    row["decoding_bytes"] = decoding_bytes(shape, grid, case, row["prompt_tokens"])
    bench.measure(bench.setting, case, row, limit)
    bench.save()
    show(row)


def set_up(bench: Bench, case: Case) -> tuple[Setting | None, str]:
    """Models and optimizer of the row's kind, or why there are none."""
    try:
        return Setting(case, bench.config(case), bench.device), ""
    except RuntimeError as error:
        return None, f"not measured: {failure_of(error)}"


def failure_of(error: RuntimeError) -> str:
    """Its kind and first line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def begin(bench: Bench, case: Case) -> dict[str, Any]:
    """A row before its first measurement."""
    tokens = bench.prompts(case)[0].prompt_tokens
    work = workload(bench.shape(case), grid_of(case), case, tokens)
    return {
        "case": vars(case),
        "prompt_tokens": tokens,
        "predicted_peak_bytes": max(sum(parts.values()) for parts in moments(work).values()),
        "seconds": {},
        "step_milliseconds": [],
        "held_bytes": bench.held,
        "peak_bytes": {},
        "failed": {},
        "not_measured": {},
        "slower": [],  # what was given up, in words
    }


def grid_of(case: Case) -> Grid:
    """The patches of the row's videos."""
    return Grid(case.frames // 2, HEIGHT, WIDTH)


def agree(bench: Bench, case: Case) -> Any:
    """The agreement of log-probabilities, or why there is none."""
    try:
        length = case.length if bench.scale == "official" else 6
        return agreement(bench.config(case), bench.device, bench.prompts(case)[0], length)
    except RuntimeError as error:
        return f"failed: {failure_of(error)}"


def unfit(bench: Bench, case: Case) -> str:
    """Why a row is left out; empty where it is not."""
    late = [bench.too_late(case, side) for side in case.sides]
    if all(late):
        return f"not measured: {late[0]}"
    if case.lora and not transformers.utils.is_peft_available():
        return "not measured: peft is not installed"
    if bench.device.type == "cuda":
        needed = begin(bench, case)["predicted_peak_bytes"]
        has = torch.cuda.get_device_properties(bench.device).total_memory
        if needed > 0.97 * has:
            return f"not measured: needs {needed / 2**30:.0f} GiB of {has / 2**30:.0f}"
    if case.optimizer_on_cpu:
        work = workload(bench.shape(case), grid_of(case), case, 0)
        needed, has = ON_CPU * trained_parameters(work), free_memory()
        if needed + SPARE > has:
            told = f"{needed / 2**30:.0f} GiB of main memory, {has / 2**30:.0f} are free"
            return f"not measured: needs {told}"
    return ""


def free_memory() -> int:
    """Bytes of main memory that no process has."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(kilobytes)


def about(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "benchmark": "gpu_step",
        "command": " ".join(sys.argv),
        "commit": commit(),
        "scale": arguments.scale,
        "device": gpu or f"CPU ({platform.machine()}); no GPU: not measured",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "generations": GENERATIONS,
        "fused": can_fuse(device),  # else what stands between products is launched one by one
    }


def show(row: dict[str, Any]) -> None:
    case = row["case"]
    sizes = [f"{side} {size / 2**30:.1f}" for side, size in row["peak_bytes"].items()]
    memory = f"{', '.join(sizes)} GiB" if sizes else "peak not measured"
    ratio = f"{row['whole_ratio']:.2f} x" if "whole_ratio" in row else "-"
    taken = row.get("seconds_a_step", {}).items()
    seconds = ", ".join(f"{side} {value:.2f}" for side, value in taken) or "nothing in"
    share = f"{row['share_of_bound']:.0%} of the bound" if "share_of_bound" in row else "-"
    lost = "".join(
        f"  {side}: {why}" for side, why in (row["failed"] | row["not_measured"]).items()
    )
    phases = row.get("phase_share", {}).items()
    parts = ", ".join(f"{phase} {part:.0%}" for phase, part in phases)
    token = ""
    if "milliseconds_a_token" in row:
        token = f"  {row['milliseconds_a_token']:.2f} ms a token"
        if "milliseconds_a_step" in row:
            token += f", {row['milliseconds_a_step']:.2f} a decoding step"
        token += f", at least {row['bound_milliseconds_a_token']:.2f}"
    print(
        f"{named(Case(**case))}  {seconds} s  {ratio}  {share}  {memory}{lost}\n    {parts}{token}",
        flush=True,
    )


def named(case: Case) -> str:
    """The row in words."""
    kind = f"{'LoRA' if case.lora else 'full'}{', optimizer on CPU' * case.optimizer_on_cpu}"
    kind += ", activations kept" * case.keeps
    model = case.model.partition("/")[2].removesuffix("-Instruct")
    return f"{model} {kind}  C {case.length}  {case.prompts} prompts"


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget-seconds", type=float, default=520.0)  # and the imports
    parser.add_argument("--repeats", type=int, default=3, help="a row's, at most")
    parser.add_argument("--scale", choices=("official", "tiny"), default="official")
    parser.add_argument("--only", default="", help="the rows whose name has this in it")
    arguments = parser.parse_args(words)
    result = run(arguments)
    print(json.dumps({"out": str(arguments.out), "rows": len(result["rows"])}))


if __name__ == "__main__":
    main()
