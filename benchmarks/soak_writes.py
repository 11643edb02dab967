"""Every stage, each of its writes refused once: a disk that is full at just this moment.

A write is whatever asks the disk for room: to make a file or a folder, to write, to rename, to
bring to the disk. A small library in C stands before the system and counts them; the n-th is
refused alone, or with all that follow. What must come of it is what `soak_faults` asks of every
fault. The numbers are tried in an order drawn at random, until each was.
"""

import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from soak_faults import Trial, attempt
from soak_record import Record
from soak_stages import Running, Stage, fresh_line, leave_alone, start

SOURCE = Path(__file__).with_suffix(".c")
HEAD = struct.Struct("lll")
"""Writes so far, the first that is refused, the last; then the folder."""
EVER = 1 << 60
SHARED = "SOAK_WRITES"


class Counter:
    """What the library shares with us."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def begin(self, below: Path, first: int, last: int) -> None:
        """Count the writes below a folder from 1, and refuse some."""
        told = HEAD.pack(0, first, last) + os.fsencode(below)
        self._map[: len(told) + 1] = told + b"\0"

    def end(self) -> int:
        """Refuse and count no more; how many there were."""
        count = HEAD.unpack_from(self._map)[0]
        self._map[HEAD.size] = 0
        return count


def soak(record: Record) -> None:
    """Go on where the record stands, always with the stage of which the least is tried."""
    if SHARED not in os.environ:
        _again_with_library(record)
        return
    counter = Counter(Path(os.environ[SHARED]))
    folder, line = fresh_line(short=True)
    known: dict[str, tuple[float, int, dict[str, str]]] = {}
    every = record.wanted(line.stages)
    while not record.late:
        name = min(every, key=lambda one: _share(record, one))
        if _share(record, name) >= 1:
            break
        if name not in known:
            known[name] = _alone(line.ready(name), folder / "whole", counter)
        seconds, writes, wanted = known[name]
        number = _tried(record, name)
        record.table.setdefault(name, {})["writes"] = writes
        first = Random(name).sample(range(1, writes + 1), writes)[number]
        random = Random(f"{name} {number}")
        last = random.choice((first, EVER))
        stage = line.stages[name]
        out = folder / "harmed" / stage.out
        trial = Trial(stage, out, line.folder, seconds, 0, random)

        def refuse(trial: Trial, first: int = first, last: int = last) -> Running:
            counter.begin(trial.out.parent, first, last)
            run = start(trial.stage, trial.out)
            run.wait(600)
            counter.end()
            return run

        try:
            outcome = attempt(trial, refuse, wanted)
        except AssertionError as error:
            told = f"{name}, its write {first} of {writes} refused, up to {last}: {error}"
            raise AssertionError(told) from error
        record.count(name, **{outcome: 1})
    shutil.rmtree(folder)


def _tried(record: Record, name: str) -> int:
    return record.tried(name) - record.came(name, "writes")


def _share(record: Record, name: str) -> float:
    """Of the writes that are to be tried, those that were."""
    writes = record.came(name, "writes")
    return _tried(record, name) / min(writes, record.goal or writes) if writes else 0


def _alone(stage: Stage, folder: Path, counter: Counter) -> tuple[float, int, dict[str, str]]:
    """Seconds, writes and files of an undisturbed run."""
    counter.begin(folder, EVER, EVER)
    seconds, wanted = leave_alone(stage, folder)
    return seconds, counter.end(), wanted


def _again_with_library(record: Record) -> None:
    """Do the part in a process that has the library before the system's."""
    compiler = shutil.which("cc")
    if compiler is None:
        sys.stdout.write("writes: left out, there is no C compiler (cc)\n")
        return
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        library, shared = Path(name) / "writes.so", Path(name) / "shared"
        shared.write_bytes(bytes(HEAD.size + 4096))
        build = [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
        subprocess.run(build, check=True)
        words = [sys.executable, str(SOURCE.with_name("soak.py")), record.part]
        words += ["--minutes", str((record.ends - time.monotonic()) / 60)]
        words += ["--only", *record.only] if record.only else []
        words += ["--record", str(record.path)]
        words += ["--goal", str(record.goal)] if record.goal else []
        there = os.environ | {"LD_PRELOAD": str(library), SHARED: str(shared)}
        done = subprocess.run(words, env=there, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(done.stderr)
    record.read()
