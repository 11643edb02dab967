"""One whole CDPO step at the true shape of Qwen2.5-VL-3B, random weights: ours and the naive one.

    python benchmarks/gpu_step.py --out benchmarks/results/h200 [--budget-seconds 520]
    python benchmarks/gpu_step.py --out /tmp/x --scale tiny     # on a CPU, to try the script itself

Needs torch and transformers (rows with LoRA also peft, and are named as left out without it).
Three sides of the same step: `naive` repeats prompt and video for every completion and decodes
with the library's `generate` (what TRL and the authors do); `eager` shares them and decodes
operation by operation; `ours` shares them and decodes with fixed shapes, on a GPU as CUDA graphs.
naive/eager is the gain of sharing at equal decode, eager/ours that of decoding at equal sharing.
Rows come in order of importance; those that the budget does not reach are named, never guessed.
Every measurement is written when it is taken; what runs out of memory is recorded as such.
"""

import argparse
import json
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # where it is not installed

from gpu_agreement import agreement
from gpu_counts import bound, decoding_bytes, rates, summary, workload
from gpu_naive import GENERATIONS
from gpu_shapes import HEIGHT, WIDTH, Case, cases, official, synthetic_prompt, tiny
from gpu_sides import SIDES, Setting, release

from videothinker.generation.graphs import can_fuse
from videothinker.models.catalog import read_shape
from videothinker.models.shapes import Grid
from videothinker.planning.memory import moments

AGREEMENT_TOKENS = 256
SAFETY = 1.3
"""A side is begun where this many times its expected seconds are left."""


@dataclass
class Bench:
    """One run of the script: what it measures with, and what it has so far."""

    out: Path
    config: Any
    device: torch.device
    deadline: float
    result: dict[str, Any]
    pace: dict[tuple[str, bool], tuple[float, Case]] = field(default_factory=dict)
    """Side and optimizer on the CPU -> seconds and row of the last step."""

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.deadline - time.perf_counter()

    def save(self) -> None:
        """Write what there is; a kill in the middle leaves the file before it."""
        self.out.mkdir(parents=True, exist_ok=True)
        beside = self.out / ".gpu_step.json"
        beside.write_text(json.dumps(self.result, indent=1) + "\n", encoding="utf-8")
        beside.replace(self.out / "gpu_step.json")

    def measure(self, setting: Setting, case: Case, row: dict[str, Any], limit: float) -> None:
        """Each side once, then again in turns; `row` grows, and is written after every step."""
        prompts = [synthetic_prompt(self.config, case.frames, seed) for seed in range(case.prompts)]
        for repeat in range(case.repeats):
            for side in case.sides:
                if side in row["failed"] or (repeat and side in case.once):
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
        try:
            if side not in setting.warm:  # libraries load and choose their kernels
                SIDES[side](setting, [synthetic_prompt(self.config, case.frames, 99)], 4)
                setting.warm.add(side)
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            laps = SIDES[side](setting, prompts, case.length).seconds
        except RuntimeError as error:  # out of memory, or what no CPU could show: the rest goes on
            failure = failure_of(error)
        if failure:
            row["failed"][side] = failure
            self.save()
            setting.forget()  # outside of the handler, whose traceback holds the step's tensors
            return
        row["seconds"].setdefault(side, []).append(laps)
        if self.device.type == "cuda":
            row["peak_bytes"][side] = torch.cuda.max_memory_allocated()
        self.pace[side, case.optimizer_on_cpu] = (sum(laps.values()), case)

    def too_late(self, case: Case, side: str) -> str:
        """Why a side is not begun; empty where there is time.

        Decoding takes as long for one prompt as for four, so a smaller batch is not taken to be
        quicker than the last one.
        """
        expected = 0.0
        if (side, case.optimizer_on_cpu) in self.pace:
            seconds, last = self.pace[side, case.optimizer_on_cpu]
            expected = seconds * case.length / last.length * max(1.0, case.prompts / last.prompts)
        if self.left <= 0 or SAFETY * expected > self.left:
            return f"{self.left:.0f} s of the budget are left, about {expected:.0f} s are needed"
        return ""


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.scale == "official" and device.type == "cpu":
        sys.exit("no GPU here: nothing is measured; --scale tiny tries the script on a CPU")
    transformers.logging.set_verbosity_error()  # that -1 ends no completion is the intention
    config = official() if arguments.scale == "official" else tiny()
    result: dict[str, Any] = about(arguments, device)
    deadline = time.perf_counter() + arguments.budget_seconds
    bench = Bench(arguments.out, config, device, deadline, result)
    rate = result["rates"] = rates(device, 8192 if device.type == "cuda" else 256)
    result |= {"agreement": "not measured", "rows": [], "left_out": []}
    bench.save()
    rows = cases(arguments.scale)
    if bench.left > 0:
        result["agreement"] = agree(bench, rows[0])
        bench.save()
    setting, kind = None, None
    for case in rows:
        reason = unfit(bench, case)
        if not reason and kind != (case.lora, case.optimizer_on_cpu):
            setting, kind = None, (case.lora, case.optimizer_on_cpu)  # one in memory at a time
            release()
            setting, reason = set_up(bench, case)
        if reason or setting is None:
            result["left_out"].append({"case": vars(case), "why": reason or "no model: see above"})
            bench.save()
            continue
        row = begin(bench, case)
        result["rows"].append(row)
        shape, grid = read_shape(config.to_dict()), grid_of(case)
        limit = bound(shape, grid, case, row["prompt_tokens"], rate)
        row["decoding_bytes"] = decoding_bytes(shape, grid, case, row["prompt_tokens"])
        bench.measure(setting, case, row, limit)
        bench.save()
        show(row)
    return result


def set_up(bench: Bench, case: Case) -> tuple[Setting | None, str]:
    """Models and optimizer of the row's kind, or why there are none."""
    try:
        return Setting(case, bench.config, bench.device), ""
    except RuntimeError as error:
        return None, f"not measured: {failure_of(error)}"


def failure_of(error: RuntimeError) -> str:
    """Its kind and first line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def begin(bench: Bench, case: Case) -> dict[str, Any]:
    """A row before its first measurement."""
    prompt = synthetic_prompt(bench.config, case.frames, 0)
    work = workload(read_shape(bench.config.to_dict()), grid_of(case), case, prompt.prompt_tokens)
    return {
        "case": vars(case),
        "prompt_tokens": prompt.prompt_tokens,
        "predicted_peak_bytes": max(sum(parts.values()) for parts in moments(work).values()),
        "seconds": {},
        "peak_bytes": {},
        "failed": {},
        "not_measured": {},
    }


def grid_of(case: Case) -> Grid:
    """The patches of the row's videos."""
    return Grid(case.frames // 2, HEIGHT, WIDTH)


def agree(bench: Bench, case: Case) -> Any:
    """The agreement of log-probabilities, or why there is none."""
    try:
        prompt = synthetic_prompt(bench.config, case.frames, 0)
        length = min(AGREEMENT_TOKENS, case.length)
        return agreement(bench.config, bench.device, prompt, length)
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
    return ""


def about(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "benchmark": "gpu_step",
        "command": " ".join(sys.argv),
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
    kind = f"{'LoRA' if case['lora'] else 'full'}{', optimizer on CPU' * case['optimizer_on_cpu']}"
    lost = "".join(
        f"  {side}: {why}" for side, why in (row["failed"] | row["not_measured"]).items()
    )
    phases = row.get("phase_share", {}).items()
    parts = ", ".join(f"{phase} {part:.0%}" for phase, part in phases)
    token = ""
    if "milliseconds_a_token" in row:
        token = f"  {row['milliseconds_a_token']:.2f} ms a token, at least "
        token += f"{row['bound_milliseconds_a_token']:.2f}"
    print(
        f"{kind}  C {case['length']}  {case['prompts']} prompts  {seconds} s  {ratio}  "
        f"{share}  {memory}{lost}\n    {parts}{token}",
        flush=True,
    )


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget-seconds", type=float, default=520.0)  # and the imports
    parser.add_argument("--scale", choices=("official", "tiny"), default="official")
    arguments = parser.parse_args(words)
    result = run(arguments)
    print(json.dumps({"out": str(arguments.out), "rows": len(result["rows"])}))


if __name__ == "__main__":
    main()
