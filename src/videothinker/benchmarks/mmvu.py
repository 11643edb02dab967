"""MMVU (Zhao et al., CVPR 2025), validation: `validation.json`, `videos/<Subject>/<n>.mp4`."""

from pathlib import Path
from typing import Literal

import msgspec

from videothinker.benchmarks.base import Benchmark, OwnMetric
from videothinker.benchmarks.protocols import Protocol
from videothinker.benchmarks.rows import Place, only_letter, read_rows
from videothinker.errors import UserError
from videothinker.records import Question

DISCIPLINES = {
    "Science": "Astronomy, Biology, Chemistry, Electromagnetism, Geography, Mechanics, "
    "Modern Physics, Neurobiology, Thermodynamics",
    "Healthcare": "Basic Medicine, Clinical Medicine, Dentistry, Pharmacy, Preventive Medicine",
    "Humanities & Social Sciences": "Art, Economics, History, Law, Literature, Management",
    "Engineering": "Biomedical Engineering, Civil Engineering, Computer Science, "
    "Electrical Engineering, Electronics and Communication, Materials Science, "
    "Mechanical Engineering",
}
DISCIPLINE = {subject: d for d, subjects in DISCIPLINES.items() for subject in subjects.split(", ")}
PREFIX = "https://huggingface.co/datasets/yale-nlp/MMVU/resolve/main/"


class Metadata(msgspec.Struct, forbid_unknown_fields=True):
    """What an item is about."""

    subject: str
    textbook: str
    knowledge: list[str]
    rationale: str


class MMVURow(msgspec.Struct, forbid_unknown_fields=True):
    """One item as published."""

    id: str
    video: str
    youtube_url: str
    question_type: Literal["multiple-choice", "open-ended"]
    metadata: Metadata
    question: str
    choices: dict[Literal["A", "B", "C", "D", "E"], str]
    answer: str


def _question(row: MMVURow, where: Place) -> Question | None:
    if row.question_type == "open-ended":
        return None
    subject = row.metadata.subject
    if subject not in DISCIPLINE:
        raise UserError(f"{where}: subject {subject!r} is not one of MMVU's {len(DISCIPLINE)}")
    if not row.video.startswith(PREFIX):
        raise UserError(f"{where}: video {row.video!r} does not begin with {PREFIX}")
    choices = tuple(row.choices[letter] for letter in sorted(row.choices))
    return Question(
        id=f"mmvu/{row.id}",
        dataset="mmvu",
        split="validation",
        video=row.video.removeprefix(PREFIX),
        question=row.question,
        choices=choices,
        answer=only_letter(row.answer, choices, where),
        type="multiple-choice",
        groups={"discipline": DISCIPLINE[subject], "subject": subject},
    )


BENCHMARK = Benchmark(
    name="mmvu",
    groupings=("discipline", "subject"),
    expected={"questions": 625, "needs a judge: open-ended": 375, "videos": 379},
    official=Protocol(
        about="MMVU's chain-of-thought prompt. Its metric is GPT-4o as judge, also for multiple "
        "choice, which is not run here; the letter is read by rule. Frames are the model's choice "
        "there.",
        template="Question: {question}\n{choices}\n\nAnswer the given multiple-choice question "
        "step by step. Begin by explaining your reasoning process clearly. Conclude by stating the "
        "final answer using the following format: 'Therefore, the final answer is: $LETTER' "
        "(without quotes), where $LETTER is one of the options. Think step by step before "
        "answering.",
        choice="{letter}: {choice}",
        temperature=1.0,
        asked="sentence",
    ),
    own=OwnMetric(
        "GPT-4o is shown question, right answer and completion and says whether they agree, also "
        "for multiple choice (yale-nlp/MMVU, utils/eval_utils.py); no judge is asked here"
    ),
    published=(52.8, 55.1, 52.0, None, 56.8),
)


def load(root: Path) -> Benchmark:
    """The 625 multiple-choice items; the 375 open-ended ones need a judge and are counted.

    Raises:
        UserError: `validation.json` is missing or not the published one.
    """
    path = root / "validation.json"
    open_ended = 0

    def make(row: MMVURow, where: Place) -> Question | None:
        nonlocal open_ended
        open_ended += row.question_type == "open-ended"
        return _question(row, where)

    questions = read_rows(path, MMVURow, make)
    return BENCHMARK.of(questions, path, needs_judge={"open-ended": open_ended})
