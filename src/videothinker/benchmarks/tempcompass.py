"""TempCompass (Liu et al., Findings of ACL 2024): `questions/<format>.json`, `videos/<id>.mp4`.

Three of the four formats have one right choice; captioning needs a judge model and is counted.
The release as parquet holds the same rows; the files of the repository are read here.
"""

import re
from pathlib import Path
from typing import Literal

import msgspec

from videothinker import files
from videothinker.benchmarks.base import Benchmark, OwnMetric, OwnVerdict
from videothinker.benchmarks.protocols import Protocol
from videothinker.benchmarks.rows import letter_of, read_json, without_labels
from videothinker.errors import UserError
from videothinker.prompts import LETTERS
from videothinker.records import Question

Aspect = Literal["action", "direction", "speed", "order", "attribute_change"]
FORMATS = {"multi-choice": 1_580, "yes_no": 2_453, "caption_matching": 1_503}
NAMED = re.compile(r"((?:Option|Caption|Sentence) [12AB]): (.+)")


class TempCompassRow(msgspec.Struct, forbid_unknown_fields=True):
    """One question with its answer; the choices are lines of the question."""

    question: str
    answer: str


File = dict[str, dict[Aspect, list[TempCompassRow]]]


def _parts(
    row: TempCompassRow, kind: str, where: str
) -> tuple[str, tuple[str, ...], tuple[str], str | None]:
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


def _question(row: TempCompassRow, kind: str, video: str, place: str, where: str) -> Question:
    stem, choices, answer, names = _parts(row, kind, where)
    return Question(
        id=f"tempcompass/{kind}/{video}/{place}",
        dataset="tempcompass",
        split="test",
        video=f"videos/{video}.mp4",
        question=stem,
        choices=choices,
        answer=answer,
        type=kind,
        groups={"aspect": place.partition("-")[0]} | ({"labels": names} if names else {}),
    )


def _questions(path: Path, kind: str) -> list[Question]:
    found: list[Question] = []
    problems: list[str] = []
    for video, aspects in read_json(path, File).items():
        for aspect, rows in aspects.items():
            for i, row in enumerate(rows):
                where = f"{path}: video {video}, {aspect}, item {i}"
                try:
                    found.append(_question(row, kind, video, f"{aspect}-{i}", where))
                except UserError as error:
                    problems.append(str(error))
    if problems:
        raise files.all_of(problems, "correct these items or take them out")
    return found


def own_rule(question: Question, text: str) -> OwnVerdict:
    """As TempCompass' `eval_<format>.py` matches; in words in BENCHMARK."""
    text = text.replace("</s>", "")
    letter = question.answer[0]
    right = LETTERS.index(letter)
    if question.type == "yes_no":
        said = next((word for word in ("yes", "no") if text.lower().startswith(word)), None)
        return _verdict(said, question.choices[right])
    if question.type == "multi-choice":
        if text == f"{letter}. {question.choices[right]}":
            return "right"
        alone = text in ("A", "B", "C", "D")
        return _verdict(text[:1] if alone or re.match(r"[A-D][.)]", text) else None, letter)
    names = question.groups["labels"].split("|")
    captions = [choice.split(": ")[0] for choice in question.choices]
    wholes = [f"{name}: {choice}" for name, choice in zip(names, question.choices, strict=True)]
    behind = text.split(") ")[1] if ") " in text else text
    said = next((x for x in names if x in (text, text.replace(".", ""))), None)
    said = said or next((x for x in captions if x in (text, behind)), None)
    said = said or (text if text in wholes else None)
    return _verdict(said, wholes[right], captions[right], names[right])


def _verdict(said: str | None, *right: str) -> OwnVerdict:
    return "judge" if said is None else "right" if said in right else "wrong"


BENCHMARK = Benchmark(
    name="tempcompass",
    groupings=("type", "aspect"),
    expected={
        "questions": sum(FORMATS.values()),
        "needs a judge: captioning": 2_004,
        "videos": 410,
        **{f"type {name}": n for name, n in FORMATS.items()},
    },
    official=Protocol(
        about="TempCompass' questions and answer prompts as published. It matches answers by rule "
        "and asks a judge model where no rule fits; here no judge is asked.",
        template="{question}\n{choices}\nPlease directly give the best option:",
        by_type=(("yes_no", "{question}\nPlease answer yes or no:"),),
        max_new_tokens=128,
        asked="letter",
    ),
    own=OwnMetric(
        "yes/no: the text begins with yes or no, in any case; multi-choice: it is the option, or a "
        "letter from A to D alone or before a dot or a bracket; caption matching: it is an option, "
        "its name or its caption. Any other answer goes to a judge (gpt-3.5-turbo) and counts as "
        "wrong here, as under the authors' --disable_llm (llyx97/TempCompass, eval_<format>.py)",
        own_rule,
    ),
    published=(30.0, 61.0, 41.4, 59.7, 63.5),
)


def load(root: Path) -> Benchmark:
    """Multi-choice, yes/no and caption matching, reported by format and aspect.

    Raises:
        UserError: a file of `questions/` is missing or not the published one.
    """
    folder = root / "questions"
    captions = read_json(folder / "captioning.json", File)
    judged = sum(len(rows) for aspects in captions.values() for rows in aspects.values())
    return BENCHMARK.of(
        [q for kind in FORMATS for q in _questions(folder / f"{kind}.json", kind)],
        *(folder / f"{kind}.json" for kind in (*FORMATS, "captioning")),
        needs_judge={"captioning": judged},
    )
