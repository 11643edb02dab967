"""Video-Holmes in the list of VideoThinker's authors: one JSON list, options without letters.

`video` begins with a slash and is relative to the folder that holds all benchmarks.
"""

from pathlib import Path

import msgspec

from videothinker.benchmarks import video_holmes
from videothinker.benchmarks.base import Benchmark
from videothinker.benchmarks.rows import Place, read_rows, solution_letter
from videothinker.records import Question


class VideoHolmesListRow(msgspec.Struct, forbid_unknown_fields=True):
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


def _question(row: VideoHolmesListRow, where: Place) -> Question:
    choices = tuple(row.options)
    return Question(
        id=f"video-holmes/{row.question_id}",
        dataset="video-holmes",
        split="test",
        video=row.video.lstrip("/"),
        question=row.question,
        choices=choices,
        answer=solution_letter(row.solution, choices, where),
        type=row.question_type,
    )


BENCHMARK = video_holmes.BENCHMARK


def load(path: Path) -> Benchmark:
    """The 1,837 items, reported by question type.

    Raises:
        UserError: the file is missing or of another format.
    """
    return BENCHMARK.of(read_rows(path, VideoHolmesListRow, _question), path)
