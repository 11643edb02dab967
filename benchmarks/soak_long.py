"""Ten thousand training steps and twenty thousand scenes: is the last as cheap as the first?

The process is watched from outside: its memory, its open files and threads, and the CPU time it
took for each tenth of its work. Of these the second tenth is held against the last, the time at the
pace that a fixed piece of work had beside it. A long run is one session, so it is begun where there
is time for it; one that is cut short counts for nothing.
"""

import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from soak_record import Counts, Record
from soak_stages import TINY, Line, Running, Stage, fresh_line, start

from videothinker import cli
from videothinker.models.catalog import load_policy
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small

STEPS, SCENES, CHUNK = 10_000, 20_000, 200
"""Training steps; scenes; scenes of the folder that is diagnosed again and again."""
MOST = {"MB": 1.05, "open files": 1.0, "threads": 1.0, "CPU ms each": 1.1}
"""What the last tenth may take of what the second took."""
FREE = "--frames 0 --give-aways allowed"


@dataclass(frozen=True)
class Look:
    """A process at one moment."""

    done: int
    megabytes: float
    handles: int
    threads: int
    cpu: float
    """Seconds, of the process and the children that it has waited for."""
    pace: float
    """CPU seconds that a fixed piece of work takes at this moment: other work slows both."""


def soak(record: Record) -> None:
    """Do what the record does not have yet, as far as there is time."""
    folder, line = fresh_line()
    works = {"training steps": _train, "scenes diagnosed": _diagnose, "scenes made": _make}
    for what in record.wanted(works):
        if f"{what}, last tenth" in record.table or record.late:
            continue
        looks = works[what](line, folder, record)
        if record.goal and not record.late:  # a short one is no measurement
            record.count(f"{what}, a short run", of=record.goal, looks=len(looks))
        elif looks:
            early, late = (summary(looks, low, low + 0.1) for low in (0.1, 0.9))
            hold(what, early, late)
            record.table |= {f"{what}, second tenth": early, f"{what}, last tenth": late}
            record.save()
    shutil.rmtree(folder)


def _train(line: Line, folder: Path, record: Record) -> list[Look]:
    goal = record.goal or STEPS
    words = [*line.ready("train cdpo").words, "--max-steps", str(goal)]
    # a rate at which the model stays as it is, so that steps are equally long
    words += ["--save-steps", "500", "--eval-steps", "500", "--learning-rate", "1e-6"]
    words += ["--prompts-per-step", "1"]
    out = folder / "trained" / "out"
    return _watch(start(Stage(words), out), lambda: _lines(out / "metrics.jsonl"), goal, record)


def _make(line: Line, folder: Path, record: Record) -> list[Look]:  # noqa: ARG001
    goal = min(record.goal or SCENES, 15_000)  # CLEVRER's numbers leave room for no more
    count = ["--scenes", str(goal * 2 // 3), "--validation-scenes", str(goal - goal * 2 // 3)]
    out = folder / "made" / "out"
    run = start(Stage(["world", *FREE.split(), *count]), out)
    made = [out / "checkpoints" / f"{split}.jsonl" for split in ("train", "validation")]
    looks = _watch(run, lambda: sum(map(_lines, made)), goal, record)
    shutil.rmtree(out.parent)
    return looks


def _diagnose(line: Line, folder: Path, record: Record) -> list[Look]:  # noqa: ARG001
    goal = record.goal or SCENES
    chunk = min(CHUNK, goal // 20)
    run = start(Stage(["world", *FREE.split(), "--scenes", str(chunk)]), folder / "w" / "out")
    if run.wait(3600) != 0:
        raise AssertionError(run.said())
    told = folder / "told"

    def again_and_again() -> None:
        for _ in range(goal // chunk - 1):
            cli.main(["diagnose", str(folder / "w" / "out"), "--out", str(folder / "d")])
            shutil.rmtree(folder / "d")
            with told.open("a") as file:
                file.write("\n" * chunk)

    stage = Stage(["diagnose", str(folder / "w" / "out")], before=again_and_again)
    return _watch(start(stage, folder / "last" / "out"), lambda: _lines(told), goal, record)


def _lines(path: Path) -> int:
    """Lines of a file that grows."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _watch(run: Running, done: Callable[[], int], goal: int, record: Record) -> list[Look]:
    """A look at each hundredth of the work; none where the time is over before its end."""
    looks: list[Look] = []
    while run.wait(0.2) is None:
        if record.late:
            os.killpg(run.pids[0], signal.SIGKILL)
            run.wait()
            return []
        at = done()
        if at and (not looks or at >= looks[-1].done + max(1, goal // 100)):
            with suppress(OSError, KeyError):  # it has ended in between
                looks.append(_look(run.pids[0], at))
        time.sleep(0.3)
    if run.codes[run.pids[0]] not in (0, 1):
        raise AssertionError(run.said()[-3000:])
    return looks


def _look(pid: int, done: int) -> Look:
    process = Path(f"/proc/{pid}")
    rows = dict(row.split(":", 1) for row in (process / "status").read_text().splitlines())
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:15]))  # user and system, own and of children
    handles = len(list((process / "fd").iterdir()))
    megabytes = int(rows["VmRSS"].split()[0]) / 1000
    cpu = ticks / os.sysconf("SC_CLK_TCK")
    return Look(done, megabytes, handles, int(rows["Threads"]), cpu, pace())


def pace() -> float:
    """CPU seconds of a fixed piece of work: answers of a tiny model, and their gradients.

    It is like the work that it is held against, and long enough to be interrupted as often: what
    else a machine does leaves less of its caches to both.
    """
    model, inputs = _fixed()
    began = time.process_time()
    for _ in range(10):
        model(**inputs).logits.sum().backward()
        model.zero_grad()
    return time.process_time() - began


@cache
def _fixed() -> tuple[Any, Any]:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        policy = load_policy(build_small(Path(folder), SmallConfig(**TINY), ["A, B"]), device="cpu")
    frames = np.zeros((4, 56, 56, 3), dtype=np.uint8)
    video = policy.to_video(frames, 1.0, min_pixels=784, max_pixels=3136)
    return policy.model, policy.inputs(policy.encode("Which of these? " * 20, video))


def summary(looks: list[Look], low: float, high: float) -> Counts:
    """What a part of the work took, from one share of it to another."""
    goal = looks[-1].done
    part = [one for one in looks if low * goal <= one.done <= high * goal]
    done, spent = part[-1].done - part[0].done, part[-1].cpu - part[0].cpu
    pace = statistics.median(one.pace for one in part)
    return {
        "of": goal,
        "MB": round(statistics.median(one.megabytes for one in part)),
        "open files": statistics.median_high(one.handles for one in part),
        "threads": statistics.median_high(one.threads for one in part),
        "CPU ms each": round(1000 * spent / done, 1),
        "CPU ms of a fixed work": round(1000 * pace, 1),
    }


def hold(what: str, early: Counts, late: Counts) -> None:
    """Refuse growth.

    Raises:
        AssertionError: with what grew.
    """
    pace = late["CPU ms of a fixed work"] / early["CPU ms of a fixed work"]
    for name, most in MOST.items():
        if late[name] > most * early[name] * (pace if name == "CPU ms each" else 1):
            raise AssertionError(f"{what}: {name} grows: {early}, then {late}")
