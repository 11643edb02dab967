"""Video-Holmes (Cheng et al., 2025): `test_Video-Holmes.json` and `videos/<id>.mp4`."""

from pathlib import Path
from typing import Literal

import msgspec

from videothinker.benchmarks.base import Benchmark, only_letter, read_json
from videothinker.records import Question

Type = Literal["SR", "IMC", "TCI", "TA", "MHR", "PAR", "CTI"]
COUNTS = {"SR": 292, "IMC": 276, "TCI": 273, "TA": 200, "MHR": 332, "PAR": 194, "CTI": 270}
EXPECTED = {"questions": 1_837, "videos": 270, **{f"type {k}": n for k, n in COUNTS.items()}}


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One item as published."""

    video: str = msgspec.field(name="video ID")
    id: int | str = msgspec.field(name="Question ID")
    type: Type = msgspec.field(name="Question Type")
    question: str = msgspec.field(name="Question")
    options: dict[Literal["A", "B", "C", "D", "E", "F"], str] = msgspec.field(name="Options")
    answer: str = msgspec.field(name="Answer")
    explanation: str = msgspec.field(name="Explanation")


def _question(row: Row, where: str) -> Question:
    choices = tuple(row.options[letter] for letter in sorted(row.options))
    return Question(
        id=f"video-holmes/{row.id}",
        dataset="video-holmes",
        split="test",
        video=f"videos/{row.video}.mp4",
        question=row.question,
        choices=choices,
        answer=only_letter(row.answer, choices, where),
        type=row.type,
    )


def load(root: Path) -> Benchmark:
    """The 1,837 items, reported by question type.

    Raises:
        UserError: `test_Video-Holmes.json` is missing or not the published one.
    """
    path = root / "test_Video-Holmes.json"
    rows = read_json(path, list[Row])
    return Benchmark(
        name="video-holmes",
        questions=tuple(_question(row, f"{path}: item {i}") for i, row in enumerate(rows)),
        files=(path,),
        groupings=("type",),
        expected=EXPECTED,
    )
