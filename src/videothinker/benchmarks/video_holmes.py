"""Video-Holmes (Cheng et al., 2025): `test_Video-Holmes.json` and `videos/<id>.mp4`."""

from pathlib import Path
from typing import Literal

import msgspec

from videothinker.answers import blocks
from videothinker.benchmarks.base import Benchmark, OwnMetric, OwnVerdict
from videothinker.benchmarks.protocols import Protocol
from videothinker.benchmarks.rows import Place, only_letter, read_rows
from videothinker.records import Question

Type = Literal["SR", "IMC", "TCI", "TA", "MHR", "PAR", "CTI"]
COUNTS = {"SR": 292, "IMC": 276, "TCI": 273, "TA": 200, "MHR": 332, "PAR": 194, "CTI": 270}


class VideoHolmesRow(msgspec.Struct, forbid_unknown_fields=True):
    """One item as published."""

    video: str = msgspec.field(name="video ID")
    id: int | str = msgspec.field(name="Question ID")
    type: Type = msgspec.field(name="Question Type")
    question: str = msgspec.field(name="Question")
    options: dict[Literal["A", "B", "C", "D", "E", "F"], str] = msgspec.field(name="Options")
    answer: str = msgspec.field(name="Answer")
    explanation: str = msgspec.field(name="Explanation")


def _question(row: VideoHolmesRow, where: Place) -> Question:
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


def own_rule(question: Question, text: str) -> OwnVerdict:
    """Right or wrong as Video-Holmes' `evaluate.py` matches it; in words in BENCHMARK."""
    found = blocks(text, "answer")
    said = found[-1].strip() if found else text
    marked = [x for x in "ABCDEF" if f"{x} " in said or f"{x}:" in said or f"[{x}" in said]
    letters = marked or [x for x in "ABCDEF" if x in said]
    return "right" if letters[:1] == list(question.answer) else "wrong"


BENCHMARK = Benchmark(
    name="video-holmes",
    groupings=("type",),
    expected={"questions": 1_837, "videos": 270, **{f"type {k}": n for k, n in COUNTS.items()}},
    official=Protocol(
        about="Video-Holmes' prompt with thinking and its sampling for Qwen models.",
        template="Based on the given video, reason and answer the single-choice question. Provide "
        "your reasoning between the <think> and </think> tags, and then give your final answer "
        "between the <answer> and </answer> tags. The question is: {question}. The options are: "
        "{choices}. Your answer:",
        choice="{letter}: {choice}",
        between=", ",
        temperature=0.1,
        top_p=0.001,
    ),
    own=OwnMetric(
        "of the last answer block, or else of the whole text, the first of A to F that stands "
        "before a space or a colon or behind a square bracket; without any, the first of A to F "
        "that occurs at all (TencentARC/Video-Holmes, evaluate.py)",
        own_rule,
    ),
    authors_options="{question} \n{choices}\n",
    published=(32.5, 33.0, 32.3, None, 34.3),
)


def load(root: Path) -> Benchmark:
    """The 1,837 items, reported by question type.

    Raises:
        UserError: `test_Video-Holmes.json` is missing or not the published one.
    """
    path = root / "test_Video-Holmes.json"
    return BENCHMARK.of(read_rows(path, VideoHolmesRow, _question), path)
