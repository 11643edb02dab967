"""Every stage, killed by SIGKILL at random moments until it is done: the bytes of a run left alone.

Of two ranks one is killed, or both, and the other is ended as torchrun does it. After each kill
nothing that the stage started may be at work, and in the end nothing may lie beside what an
undisturbed run leaves.
"""

import shutil
from pathlib import Path
from random import Random

from soak_record import Record
from soak_stages import Stage, contents, differences, fresh_line, leave_alone, start

GOAL = 50
"""Kills of each stage."""
MOST = 25
"""Kills of one run; then it is left to end."""


def soak(record: Record) -> None:
    """Go on where the record stands, always with the stage that was killed least."""
    goal = record.goal or GOAL
    folder, line = fresh_line()
    undisturbed = {}
    while not record.late:
        name = min(record.wanted(line.stages), key=lambda one: record.came(one, "kills"))
        if record.came(name, "kills") >= goal:
            break
        stage = line.ready(name)
        if name not in undisturbed:
            undisturbed[name] = leave_alone(stage, folder / "whole")
        seconds, wanted = undisturbed[name]
        number = record.came(name, "runs")
        out = folder / "killed" / stage.out
        kills, alone = _killed(stage, out, seconds, Random(f"{name} {number}"))
        if other := differences(wanted, contents(out.parent)):
            raise AssertionError(f"{name}, run {number}, in {folder}: {other}")
        shutil.rmtree(out.parent)
        record.count(name, kills=kills, runs=1, **({"of one rank": alone} if alone else {}))
    shutil.rmtree(folder)


def _killed(stage: Stage, out: Path, seconds: float, random: Random) -> tuple[int, int]:
    """Kill a run until it ends by itself; how often it was killed, and how often one rank alone."""
    alone = 0
    for kills in range(MOST + 1):
        run = start(stage, out)
        moment = random.uniform(0, random.choice((0.3, 1.1)) * seconds)
        code = run.wait(moment if kills < MOST else 1200)
        if code is None:
            some = random.choice([run.pids, *([pid] for pid in run.pids)])
            run.kill(some)
            alone += len(some) < len(run.pids)
            run.end_as_torchrun()
        if left := run.orphans():
            raise AssertionError(f"{stage.words}: processes of {left} are left at work")
        if code in (0, 1):
            return kills, alone
        if code is not None:
            raise AssertionError(f"{stage.words}: ended with {code}: {run.said()}")
    raise AssertionError(f"{stage.words}: does not end: {run.said()}")
