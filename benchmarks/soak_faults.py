"""Every stage while its disk, its clock, its inputs or its reader fail, and then once more.

A fault ends the stage with a sentence and a true exit code, or does it no harm. When the fault is
gone the same command gives the bytes of an undisturbed run, and nothing lies beside them.
"""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from soak_record import Record
from soak_stages import (
    Running,
    Stage,
    contents,
    differences,
    fresh_line,
    leave_alone,
    start,
)

from videothinker.run_file import read_run_file

GOAL = 60
"""Trials of each fault, on one stage after another."""
ENDED = {0: "unharmed", 1: "unharmed", 2: "refused in a sentence", 141: "ended with its reader"}
"""Exit code -> what is counted."""
OVERRIDES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root reads and writes what nobody may."""


@dataclass(frozen=True)
class Trial:
    """A stage, where it writes, and how long it takes undisturbed."""

    stage: Stage
    out: Path
    inputs: Path
    seconds: float
    size: int
    """Bytes of what it writes."""
    random: Random


def writes_refused(trial: Trial) -> Running:
    """From a random moment on the system refuses every write beyond a few bytes of a file."""
    run = start(trial.stage, trial.out)
    if run.wait(trial.random.uniform(0, trial.seconds)) is None:
        limit = trial.random.choice((0, 100, 4096, 100_000))
        for pid in run.pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))
    return run


def handles_refused(trial: Trial) -> Running:
    """From a random moment on the system opens no further file."""
    run = start(trial.stage, trial.out)
    if run.wait(trial.random.uniform(0, trial.seconds)) is None:
        for pid in run.pids:
            opened = len(list(Path(f"/proc/{pid}/fd").iterdir())) if pid not in run.codes else 9
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened, opened))
    return run


def disk_full(trial: Trial) -> Running:
    """The disk has room for a random part of what is written."""
    room = int(trial.size * trial.random.random())
    _mount("-t", "tmpfs", "-o", f"size={max(room, 4096)}", "tmpfs", trial.out.parent)
    return start(trial.stage, trial.out)


def disk_read_only(trial: Trial) -> Running:
    """A run that was killed goes on where nothing can be written."""
    run = start(trial.stage, trial.out)
    if run.wait(trial.random.uniform(0, trial.seconds)) is None:
        run.kill()
        run.wait()
        run.orphans()
    if status(trial.out) == "done":  # before the kill: it would have nothing to write
        shutil.rmtree(trial.out)
    _mount("--bind", trial.out.parent, trial.out.parent)
    _mount("-o", "remount,bind,ro", trial.out.parent)
    return start(trial.stage, trial.out)


def clock_set_back(trial: Trial) -> Running:
    """The clock jumps by up to a day, either way, whenever it is read."""

    def jumps() -> None:
        true, random = time.time, Random(os.getpid())
        time.time = lambda: true() + random.uniform(-86_400, 86_400)

    return start(replace(trial.stage, before=jumps), trial.out)


def input_locked(trial: Trial) -> Running:
    """One file below what the stage is given, drawn at random, may not be read any more."""
    given = [Path(word) for word in trial.stage.words if Path(word).is_relative_to(trial.inputs)]
    files = sorted(path for one in given for path in (one, *one.rglob("*")) if path.is_file())
    if files:  # a world is made of nothing
        trial.random.choice(files).chmod(0)
    return start(replace(trial.stage, before=be_bound_by_permissions), trial.out)


def be_bound_by_permissions() -> None:
    """Of root: give up the right to read and write what permissions forbid."""
    libc = ctypes.CDLL(None, use_errno=True)
    for right in OVERRIDES:
        libc.prctl(24, right, 0, 0, 0)  # PR_CAPBSET_DROP: for the programs it starts
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    rights = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    libc.capget(header, rights)
    for half in (0, 1):
        rights[half] &= ~sum(1 << right for right in OVERRIDES)
    libc.capset(header, rights)


def reader_gone(trial: Trial) -> Running:
    """Whoever reads what is printed goes away after a random number of bytes."""
    read, write = os.pipe()

    def into_pipe() -> None:
        os.dup2(write, 1)
        if trial.random.random() < 0.5:
            os.dup2(write, 2)
        os.close(read)

    run = start(replace(trial.stage, before=into_pipe), trial.out)
    os.close(write)
    os.read(read, trial.random.choice((1, 100)))
    os.close(read)
    return run


def output_closed(trial: Trial) -> Running:
    """Started without standard output, or without standard error."""
    number = trial.random.choice((1, 2))

    def close() -> None:
        os.close(number)
        setattr(sys, {1: "stdout", 2: "stderr"}[number], None)

    return start(replace(trial.stage, before=close), trial.out)


MOUNTING = {"disk full": disk_full, "disk read-only": disk_read_only}
"""Faults that need the right to mount."""
FAULTS: dict[str, Callable[[Trial], Running]] = {
    "writes refused from a moment on": writes_refused,
    "handles refused from a moment on": handles_refused,
    **MOUNTING,
    "clock set back": clock_set_back,
    "an input that may not be read": input_locked,
    "reader of the output gone": reader_gone,
    "output closed": output_closed,
}


def soak(record: Record) -> None:
    """Go on where the record stands, a trial of each fault in turn, each on the next stage."""
    goal = record.goal or GOAL
    folder, line = fresh_line()
    undisturbed: dict[str, tuple[float, int, dict[str, str]]] = {}
    faults = {name: fault for name, fault in FAULTS.items() if may_mount() or name not in MOUNTING}
    for name in FAULTS.keys() - faults.keys():
        sys.stdout.write(f"faults: {name}: left out, only root may mount\n")
    asked = record.wanted(faults)
    while not record.late and any(record.tried(fault) < goal for fault in asked):
        for fault in asked:
            number = record.tried(fault)
            if record.late or number >= goal:
                continue
            name = list(line.stages)[number % len(line.stages)]
            stage = line.ready(name)
            if name not in undisturbed:
                seconds, wanted = leave_alone(stage, folder / "whole")
                undisturbed[name] = seconds, _size(folder / "whole"), wanted
            seconds, size, wanted = undisturbed[name]
            out, random = folder / "harmed" / stage.out, Random(f"{fault} {number}")
            trial = Trial(stage, out, line.folder, seconds, size, random)
            try:
                outcome = attempt(trial, FAULTS[fault], wanted)
            except AssertionError as error:
                raise AssertionError(f"{fault}, trial {number}, on {name}: {error}") from error
            record.count(fault, **{outcome: 1})
    shutil.rmtree(folder)


def attempt(trial: Trial, harm: Callable[[Trial], Running], wanted: dict[str, str]) -> str:
    """Do the harm, take it away, run once more; what the harm did.

    Raises:
        AssertionError: a fault of ours, a false exit code, or other bytes in the end.
    """
    trial.out.parent.mkdir()
    try:
        run = harm(trial)
        code = None if run.wait(600) is None else run.codes[run.pids[0]]
        said = run.said()
        if code not in ENDED or ("Traceback" in said and trial.stage.ranks == 1):
            raise AssertionError(f"ended with {code}: {said[-3000:]}")
        if ENDED[code] != "unharmed" and status(trial.out) == "done":
            raise AssertionError(f"ended with {code}, and run.json says done: {said[-3000:]}")
        if left := run.orphans():
            raise AssertionError(f"processes of {left} are left at work")
        _lift(trial)
        whole = trial.stage.words[0] == "pull" and ENDED[code] == "unharmed"  # it writes once
        again = run if whole else start(trial.stage, trial.out)
        if again.wait() not in (0, 1):
            raise AssertionError(f"after {said[-2000:]} it does not resume: {again.said()[-3000:]}")
        if other := differences(wanted, contents(trial.out.parent)):
            raise AssertionError(f"after {said[-2000:]} there is {other}")
    finally:
        _lift(trial)
        _unmount(trial.out.parent)
    shutil.rmtree(trial.out.parent)
    return ENDED[code]


def status(out: Path) -> str | None:
    """Of a run folder; None where there is none."""
    path = out / "run.json"
    return read_run_file(path).status if path.is_file() else None


def _lift(trial: Trial) -> None:
    """Take the fault away, and leave what was written."""
    for path in trial.inputs.rglob("*"):
        if path.is_file() and not path.stat().st_mode & 0o400:
            path.chmod(0o644)
    found = _mounts(trial.out.parent)
    if found == ["tmpfs"]:
        _mount("-o", "remount,size=1g", trial.out.parent)
    elif found:
        _unmount(trial.out.parent)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def may_mount() -> bool:
    """May this process mount a disk?"""
    with tempfile.TemporaryDirectory() as folder:
        try:
            _mount("-t", "tmpfs", "tmpfs", folder)
        except (OSError, subprocess.CalledProcessError):
            return False
        _unmount(Path(folder))
    return True


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def _mounts(folder: Path) -> list[str]:
    """Kinds of what is mounted there."""
    rows = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [row[2] for row in rows if row[1] == str(folder)]


def _unmount(folder: Path) -> None:
    for _ in _mounts(folder):
        subprocess.run(["umount", folder], check=True, capture_output=True)
