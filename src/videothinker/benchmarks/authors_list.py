"""The list format in which the authors of VideoThinker keep MVBench and Video-Holmes.

A JSON list whose items have `problem`, `options`, `solution` and `video` (with a leading slash,
relative to the folder that holds all benchmarks). MVBench's items carry no task there.
"""

import re
from pathlib import Path

import msgspec

from videothinker.benchmarks import video_holmes
from videothinker.benchmarks.base import Benchmark, only_letter, read_json, without_labels
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


def _letter(solution: str, choices: tuple[str, ...], where: str) -> tuple[str]:
    match = SOLUTION.fullmatch(solution)
    if match is None:
        raise UserError(f"{where}: solution {solution!r} is not <answer>LETTER</answer>")
    return only_letter(match[1], choices, where)


def load_video_holmes(path: Path) -> Benchmark:
    """Video-Holmes from the authors' list.

    Raises:
        UserError: the file is missing or of another format.
    """
    questions = [
        Question(
            id=f"video-holmes/{row.question_id}",
            dataset="video-holmes",
            split="test",
            video=row.video.lstrip("/"),
            question=row.question,
            choices=tuple(row.options),
            answer=_letter(row.solution, tuple(row.options), f"{path}: item {i}"),
            type=row.question_type,
        )
        for i, row in enumerate(read_json(path, list[HolmesRow]))
    ]
    return Benchmark(
        name="video-holmes",
        questions=tuple(questions),
        files=(path,),
        groupings=("type",),
        expected=video_holmes.EXPECTED,
    )


def load_mvbench(path: Path) -> Benchmark:
    """MVBench from the authors' list, grouped by source; start and end are kept where given.

    Raises:
        UserError: the file is missing or of another format.
    """
    questions: list[Question] = []
    for i, row in enumerate(read_json(path, list[MvbenchRow])):
        where = f"{path}: item {i}"
        choices = without_labels(row.options, where)
        clip = None if row.start is None or row.end is None else (row.start, row.end)
        questions.append(
            Question(
                id=f"mvbench/{row.problem_id:04d}",
                dataset="mvbench",
                split="test",
                video=row.video.lstrip("/"),
                clip=clip,
                question=row.question,
                choices=choices,
                answer=_letter(row.solution, choices, where),
                type="multiple choice",
                groups={"source": row.video.lstrip("/").split("/")[1]},
            )
        )
    return Benchmark(
        name="mvbench",
        questions=tuple(questions),
        files=(path,),
        groupings=("source",),
        expected=EXPECTED,
    )
