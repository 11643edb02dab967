"""The list format in which the authors of VideoThinker keep MVBench and Video-Holmes.

A JSON list whose items have `problem`, `options`, `solution` and `video` (with a leading slash,
relative to the folder that holds all benchmarks). MVBench's items carry no task there.
"""

import re
from pathlib import Path

import msgspec

from videothinker.benchmarks import mvbench, video_holmes
from videothinker.benchmarks.base import Benchmark
from videothinker.benchmarks.rows import Place, only_letter, read_rows, without_labels
from videothinker.errors import UserError
from videothinker.records import Question

SOURCES = {
    "clevrer": 1_000,
    "perception": 800,
    "star": 600,
    **dict.fromkeys(
        (
            *("FunQA_test", "Moments_in_Time_Raw", "nturgbd", "scene_qa", "ssv2_video", "sta"),
            *("tvqa", "vlnqa"),
        ),
        200,
    ),
}
"""MVBench's sources and their items in the published list."""
EXPECTED = {"questions": 4_000, **{f"source {name}": n for name, n in SOURCES.items()}}
SOLUTION = re.compile(r"<answer>([A-Z])</answer>")


class HolmesRow(msgspec.Struct, forbid_unknown_fields=True):
    """An item of the Video-Holmes list; its options carry no letters."""

    video: str
    question_id: str
    question_type: str
    question: str
    problem: str
    solution: str
    options: list[str]
    source: str
    explanation: str


class MvbenchRow(msgspec.Struct, forbid_unknown_fields=True):
    """An item of the MVBench list; its options begin with their letters."""

    ori_video: str
    question: str
    options: list[str]
    answer: str
    problem: str
    data_type: str
    problem_type: str
    original_question_type: str
    solution: str
    video: str
    subtitle: str
    problem_id: int
    start: float | None = None
    end: float | None = None
    accurate_start: float | None = None
    accurate_end: float | None = None
    fps: float | None = None
    show_name: str | None = None


def _letter(solution: str, choices: tuple[str, ...], where: Place) -> tuple[str]:
    match = SOLUTION.fullmatch(solution)
    if match is None:
        raise UserError(f"{where}: solution {solution!r} is not <answer>LETTER</answer>")
    return only_letter(match[1], choices, where)


def _holmes(row: HolmesRow, where: Place) -> Question:
    choices = tuple(row.options)
    return Question(
        id=f"video-holmes/{row.question_id}",
        dataset="video-holmes",
        split="test",
        video=row.video.lstrip("/"),
        question=row.question,
        choices=choices,
        answer=_letter(row.solution, choices, where),
        type=row.question_type,
    )


def load_video_holmes(path: Path) -> Benchmark:
    """Video-Holmes from the authors' list.

    Raises:
        UserError: the file is missing or of another format.
    """
    return Benchmark(
        name="video-holmes",
        questions=tuple(read_rows(path, HolmesRow, _holmes)),
        files=(path,),
        groupings=("type",),
        expected=video_holmes.EXPECTED,
        own=video_holmes.OWN,
    )


def _mvbench(row: MvbenchRow, where: Place) -> Question:
    choices = without_labels(row.options, str(where))
    video = row.video.lstrip("/")
    return Question(
        id=f"mvbench/{row.problem_id:04d}",
        dataset="mvbench",
        split="test",
        video=video,
        clip=None if row.start is None or row.end is None else (row.start, row.end),
        question=row.question,
        choices=choices,
        answer=_letter(row.solution, choices, where),
        type="multiple choice",
        groups={"source": video.split("/")[1] if "/" in video else video},
    )


def load_mvbench(path: Path) -> Benchmark:
    """MVBench from the authors' list, grouped by source; start and end are kept where given.

    Raises:
        UserError: the file is missing or of another format.
    """
    return Benchmark(
        name="mvbench",
        questions=tuple(read_rows(path, MvbenchRow, _mvbench)),
        files=(path,),
        groupings=("source",),
        expected=EXPECTED,
        own=mvbench.OWN,
    )
