"""What is still to be measured on a GPU, row by row, the most wanted first; one command does it.

    python benchmarks/gpu_rows.py --out benchmarks/results/h100 [--budget-seconds 540]
    python benchmarks/gpu_rows.py --out /tmp/x --scale tiny     # on a CPU, to try the script itself

Each row has a process of its own, so that none finds memory that another left, and one that fails
or hangs takes no other with it. What is in OUT already is not measured again: the same command goes
on where it was stopped. `gpu_step.py` makes the rows and `gpu_smoke.py` the comparison of ways to
decode; OUT/gpu_rows.json holds what they say, and names what is missing.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))  # where it is not installed

from gpu_shapes import Case, further, goals
from gpu_step import named

HERE = Path(__file__).resolve().parent
WANTED = (
    *("LoRA, activations kept", "3B LoRA  C 256  2", "full, optimizer on CPU"),
    *("3B full  C 768  1", "3B full  C 256  4", "7B LoRA", "Qwen2-VL-2B LoRA", "Qwen3-VL-2B full"),
    *("Qwen3-VL-4B LoRA", "3B full  C 256  2", "3B LoRA  C 256  4", "3B LoRA  C 768  1"),
)
"""Words of the rows' names; the first row that has them is meant."""
COMPARED = ("qwen3_vl, full", "qwen3_vl, LoRA")
"""Parts of `gpu_smoke`: do all ways to decode draw the same tokens?"""
COMPARE_AFTER = 3
"""Rows."""
MOST = 150.0
"""Seconds of one process: what hangs leaves time to the rest."""
LEAST = 20.0
"""Seconds below which nothing is begun: Python and torch alone take half of them."""


@dataclass(frozen=True)
class Job:
    """One process: its name, its script, and the file it leaves."""

    name: str
    script: str
    file: str

    @property
    def folder(self) -> str:
        """Its place in OUT."""
        kept = "".join(one if one.isalnum() else " " for one in self.name)
        return "-".join(kept.split())

    def found(self, out: Path) -> dict[str, Any] | None:
        """What it left that is whole; None else."""
        path = out / self.folder / self.file
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if self.script == "gpu_smoke.py":
            return content if self.name in content else None
        whole = [row for row in content.get("rows", []) if not missing(row)]
        return content if whole else None


def missing(row: dict[str, Any]) -> dict[str, str]:
    """Sides of a row that were begun too late or not at all; a failure is a finding."""
    sides = set(row["case"]["sides"]) - set(row["seconds"]) - set(row["failed"])
    return row["not_measured"] | dict.fromkeys(sides, "not begun")


def jobs(scale: str) -> list[Job]:
    """All, in their order."""
    cases = [*goals(scale), *further(scale)]
    rows = [Job(name, "gpu_step.py", "gpu_step.json") for name in names(cases)]
    others = [Job(name, "gpu_smoke.py", "gpu_smoke.json") for name in COMPARED]
    return [*rows[:COMPARE_AFTER], *others, *rows[COMPARE_AFTER:]]


def names(cases: Sequence[Case]) -> list[str]:
    """Of the rows wanted that there are."""
    every = [named(case) for case in cases]
    found = [next((name for name in every if words in name), None) for words in WANTED]
    return list(dict.fromkeys(name for name in found if name))


def run(job: Job, out: Path, arguments: argparse.Namespace, seconds: float) -> str:
    """Let it measure for at most so long; what went wrong, or nothing."""
    command = [sys.executable, str(HERE / job.script), "--out", str(out / job.folder)]
    command += ["--only", job.name, "--scale", arguments.scale]
    command += ["--budget-seconds", str(round(seconds - LEAST / 2, 1))]
    try:
        done = subprocess.run(command, timeout=seconds, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    sys.stdout.write(done.stdout)
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else f"exit code {done.returncode}: {lines[-1:] or ['']}"


def collected(every: Sequence[Job], out: Path, why: dict[str, str]) -> dict[str, Any]:
    """What lies in `out`, and what is missing, with the reason."""
    found = {job.name: job.found(out) for job in every}
    steps = [found[job.name] for job in every if job.script == "gpu_step.py"]
    return {
        "benchmark": "gpu_rows",
        "rows": [row | about(one) for one in steps if one for row in one["rows"]],
        "compared": {name: one[name] for name, one in found.items() if one and name in one},
        "missing": {
            name: why.get(name, "not measured") for name, one in found.items() if one is None
        },
    }


def keep(every: Sequence[Job], out: Path, why: dict[str, str]) -> dict[str, Any]:
    """Write it."""
    told = collected(every, out, why)
    (out / "gpu_rows.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


def about(result: dict[str, Any]) -> dict[str, Any]:
    """Of a row's process, what numbers depend on."""
    kept = ("device", "torch", "cuda", "transformers", "fused", "rates", "commit")
    return {name: result[name] for name in kept}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget-seconds", type=float, default=540.0)
    parser.add_argument("--scale", choices=("official", "tiny"), default="official")
    arguments = parser.parse_args(words)
    out, every, why = arguments.out, jobs(arguments.scale), dict[str, str]()
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + arguments.budget_seconds
    for job in every:
        left = deadline - time.monotonic()
        if job.found(out) is not None:
            continue
        if left < LEAST:
            why[job.name] = f"{max(left, 0):.0f} s of the budget are left; the same command goes on"
        else:
            why[job.name] = run(job, out, arguments, min(left, MOST)) or "see its folder"
        keep(every, out, why)
    told = keep(every, out, why)
    for name, reason in told["missing"].items():
        print(f"{name}: {reason}")
    print(json.dumps({"out": str(out), "rows": len(told["rows"]), "missing": len(told["missing"])}))


if __name__ == "__main__":
    main()
