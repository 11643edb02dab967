"""TempCompass (Liu et al., Findings of ACL 2024): `questions/<format>.json`, `videos/<id>.mp4`.

Three of the four formats have one right choice; captioning needs a judge model and is counted.
The release as parquet holds the same rows; the files of the repository are read here.
"""

import re
from pathlib import Path
from typing import Literal

import msgspec

from videothinker.benchmarks.base import Benchmark, letter_of, read_json, without_labels
from videothinker.errors import UserError
from videothinker.records import Question

Aspect = Literal["action", "direction", "speed", "order", "attribute_change"]
FORMATS = {"multi-choice": 1_580, "yes_no": 2_453, "caption_matching": 1_503}
EXPECTED = {
    "questions": sum(FORMATS.values()),
    "needs a judge: captioning": 2_004,
    "videos": 410,
    **{f"type {name}": n for name, n in FORMATS.items()},
}
NAMED = re.compile(r"((?:Option|Caption|Sentence) [12AB]): (.+)")


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One question with its answer; the choices are lines of the question."""

    question: str
    answer: str


File = dict[str, dict[Aspect, list[Row]]]


def _parts(row: Row, kind: str, where: str) -> tuple[str, tuple[str, ...], tuple[str], str | None]:
    """Question, choices, answer, and the published names of the choices where they have any."""
    stem, *lines = row.question.split("\n")
    if kind == "yes_no":
        return row.question, ("yes", "no"), letter_of(row.answer, ("yes", "no"), where), None
    answer = letter_of(row.answer.strip(), [line.strip() for line in lines], where)
    if kind == "multi-choice":
        return stem, without_labels(lines, where), answer, None
    named = [NAMED.fullmatch(line.strip()) for line in lines]
    if not all(named):
        raise UserError(f"{where}: choices {lines} are not named Option, Caption or Sentence")
    found = [match for match in named if match is not None]
    return stem, tuple(match[2] for match in found), answer, "|".join(m[1] for m in found)


def _questions(path: Path, kind: str) -> list[Question]:
    found: list[Question] = []
    for video, aspects in read_json(path, File).items():
        for aspect, rows in aspects.items():
            for i, row in enumerate(rows):
                where = f"{path}: video {video}, {aspect}, item {i}"
                stem, choices, answer, names = _parts(row, kind, where)
                groups = {"aspect": str(aspect)} | ({"labels": names} if names else {})
                identity = f"tempcompass/{kind}/{video}/{aspect}-{i}"
                found.append(
                    Question(
                        id=identity,
                        dataset="tempcompass",
                        split="test",
                        video=f"videos/{video}.mp4",
                        question=stem,
                        choices=choices,
                        answer=answer,
                        type=kind,
                        groups=groups,
                    )
                )
    return found


def load(root: Path) -> Benchmark:
    """Multi-choice, yes/no and caption matching, reported by format and aspect.

    Raises:
        UserError: a file of `questions/` is missing or not the published one.
    """
    folder = root / "questions"
    captions = read_json(folder / "captioning.json", File)
    judged = sum(len(rows) for aspects in captions.values() for rows in aspects.values())
    return Benchmark(
        name="tempcompass",
        questions=tuple(q for kind in FORMATS for q in _questions(folder / f"{kind}.json", kind)),
        files=tuple(folder / f"{kind}.json" for kind in (*FORMATS, "captioning")),
        groupings=("type", "aspect"),
        expected=EXPECTED,
        needs_judge={"captioning": judged},
    )
