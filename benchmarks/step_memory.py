"""Memory that one step of `step.py` adds, in a process of its own."""

import argparse
import os
import subprocess
import sys
from pathlib import Path


def memory(
    script: Path, arguments: argparse.Namespace, folders: list[Path], side: str, row: dict
) -> float:
    """Megabytes that one step of one side adds to a fresh process.

    Blocks from 1 MiB go back to the system when they are freed: glibc would keep many of them, on
    either side, and the high-water mark would count what no tensor needs.
    """
    command = [sys.executable, str(script), "--memory-of", side, "--frames", arguments.frames]
    command += ["--lengths", str(row["length"]), "--folders", *map(str, folders)]
    command += ["--frozen"] if row["frozen"] else []
    own = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=own).stdout
    return float(out.splitlines()[-1])


def resident(field: str) -> float:
    """Megabytes of this process in Linux's books: VmRSS now, VmHWM at its highest.

    Not `ru_maxrss`, which a child takes over from the process that started it.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{field} is not in /proc/self/status; memory is measured on Linux only")
