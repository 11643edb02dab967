"""Large folders: is a scene or a question as cheap where there are many times as many?

Three sizes of a stage, each four times the one before: a list of questions without videos is
diagnosed, an evaluation of it is resumed where four answers are missing, and a world is made
without frames. Of each process the CPU time and the most memory it held are counted. What the
largest takes beyond the middle one is held against what that takes beyond the smallest: the time
of an item may not grow. Nor may the memory of a world; lists are held in memory, theirs is told.
"""

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from soak_long import FREE, MOST, pace
from soak_record import Counts, Record
from soak_stages import TINY, Stage, import_all, start

from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.records import Question, Sample, read_jsonl, write_jsonl

LARGEST = {"scenes made": 8_000, "questions diagnosed": 200_000, "answers taken up": 200_000}
SMALLER = (16, 4, 1)
"""The sizes are the largest by these."""
ASK = "--variants full --protocol demo --max-new-tokens 1 --max-pixels 3136"


def soak(record: Record) -> None:
    """Do what the record does not have yet, the small sizes first, as far as there is time."""
    import_all()
    works: dict[str, Callable[[int, Path], Counts]] = {
        "questions diagnosed": _diagnose, "answers taken up": _resume, "scenes made": _make,
    }  # fmt: skip
    for smaller, what in itertools.product(SMALLER, record.wanted(works)):
        size = (record.goal or LARGEST[what]) // smaller
        name = f"{what}, {size:,}"
        if name in record.table or record.late:
            continue
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            fixed = {"CPU ms of a fixed work": round(1000 * pace(), 1)}
            record.table[name] = {"of": size, **works[what](size, Path(folder)), **fixed}
            record.save()
        if record.goal is None:  # a small one is no measurement
            hold(what, [row for other, row in record.table.items() if other.startswith(what)])


def hold(what: str, rows: list[Counts]) -> None:
    """Refuse growth from the smallest to the largest.

    Raises:
        AssertionError: with what grew.
    """
    if what == "scenes made" and rows[-1]["MB"] > MOST["MB"] * rows[0]["MB"]:
        raise AssertionError(f"{what}: memory grows: {rows}")
    if len(rows) < len(SMALLER):
        return
    early, late = (
        (more["CPU s"] - less["CPU s"]) / (more["of"] - less["of"])
        for less, more in itertools.pairwise(rows[-3:])
    )
    slower = max(1, rows[-1]["CPU ms of a fixed work"] / rows[0]["CPU ms of a fixed work"])
    if late > MOST["CPU ms each"] * slower * early:
        raise AssertionError(f"{what}: time grows: {rows}")


def _make(size: int, folder: Path) -> Counts:
    return _cost(Stage(["world", *FREE.split(), "--scenes", str(size)]), folder)


def _diagnose(size: int, folder: Path) -> Counts:
    return _cost(Stage(["diagnose", str(_questions(size, folder))]), folder)


def _resume(size: int, folder: Path) -> Counts:
    """Resume where an earlier process left all answers but four."""
    build_small(folder / "model", SmallConfig(**TINY), ["A, B"])
    asked = ["evaluate", "--data", str(_questions(size, folder)), *ASK.split()]
    stage = Stage([*asked, "--model", str(folder / "model")])
    run = start(stage, folder / "work" / "out")
    path = folder / "work" / "out" / "samples.jsonl"
    while not path.is_file() or b"\n" not in path.read_bytes():
        if run.wait(0.05) is not None:
            raise AssertionError(run.said())
    run.kill()
    run.wait()
    answered = read_jsonl(path, Sample)[0]
    questions = read_jsonl(folder / "questions.jsonl", Question)
    rows = [msgspec.structs.replace(answered, question_id=q.id) for q in questions]
    write_jsonl(path, rows[:-4])
    return _cost(stage, folder)


def _questions(size: int, folder: Path) -> Path:
    """A list without videos."""
    question = Question(
        id="", dataset="d", split="train", context="frame 1: the cube and the ball collide",
        question="What happens?", choices=("they collide", "nothing"), answer=("A",), type="t",
    )  # fmt: skip
    rows = (
        msgspec.structs.replace(question, id=f"q{i}", question=f"What happens at {i}?")
        for i in range(size)
    )
    return write_jsonl(folder / "questions.jsonl", rows)


def _cost(stage: Stage, folder: Path) -> Counts:
    """What a run of the stage takes."""
    run = start(stage, folder / "work" / "out")
    _, status, used = os.wait4(run.pids[0], 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise AssertionError(run.said()[-3000:])
    return {"MB": round(used.ru_maxrss / 1000), "CPU s": round(used.ru_utime + used.ru_stime, 2)}
