"""CLEVRER's question files (`train.json`, `validation.json`) and our `Question` records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from videothinker.clevrer.annotations import (
    Annotation,
    complain,
    decode_file,
    iter_annotations,
    outside,
    split_range,
    video_path,
)
from videothinker.clevrer.grammar import match_counterfactual, remove_premise
from videothinker.clevrer.programs import COLORS, MATERIALS, SHAPES
from videothinker.console import progress
from videothinker.errors import UserError
from videothinker.prompts import LETTERS
from videothinker.records import Question

LARGEST_COUNT = 5
"""The answers to "how many" go from 0 to 5 in CLEVRER (the paper's table of answers)."""
ANSWERS: dict[str, tuple[str, ...]] = {
    "exist": ("yes", "no"),
    "count": tuple(str(i) for i in range(LARGEST_COUNT + 1)),
    "query_color": COLORS,
    "query_material": MATERIALS,
    "query_shape": SHAPES,
}
"""Subtype of a descriptive question -> its closed set of answers."""


Change = Literal["none", "gone", "new", "both"]
"""What a removal does to the options of a question: collisions gone, new, both, or none."""


class RawChoice(msgspec.Struct, frozen=True):
    """One option of a multiple-choice question."""

    choice_id: int
    choice: str
    program: tuple[str, ...] = ()
    answer: Literal["correct", "wrong"] | None = None
    """Null in the published test split."""


class RawQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One question as the file has it."""

    question_id: int
    question: str
    question_type: Literal["descriptive", "explanatory", "predictive", "counterfactual"]
    program: tuple[str, ...] = ()
    question_subtype: str | None = None
    answer: str | None = None
    choices: tuple[RawChoice, ...] = ()
    role: Literal["irrelevant", "causal"] | None = None
    """In our minimal pairs alone: does the removed object matter to the options?"""
    change: Change | None = None
    """In our worlds without give-aways alone, of a counterfactual question."""
    family: int | None = None
    """The same: questions of a scene that share it differ in the removed object alone."""


class SceneQuestions(msgspec.Struct, frozen=True):
    """All questions about one video."""

    scene_index: int
    video_filename: str
    questions: tuple[RawQuestion, ...]


@dataclass(frozen=True)
class Split:
    """One split: annotations and questions that fit together, scene by scene."""

    name: str
    annotations: dict[int, Annotation]
    scenes: tuple[SceneQuestions, ...]


_FILE = msgspec.json.Decoder(list[SceneQuestions])


def question_file(root: Path, split: str) -> Path:
    """`{split}.json` in the data folder, or in its `questions/`."""
    split_range(split)
    beside = root / "questions" / f"{split}.json"
    return beside if beside.is_file() else root / f"{split}.json"


def read_questions(path: Path) -> list[SceneQuestions]:
    """Read a question file as it stands.

    Raises:
        UserError: see `annotations.decode_file`.
    """
    return decode_file(path, _FILE.decode, "a CLEVRER question file")


def read_split_questions(
    root: Path, split: str, *, problems: list[UserError] | None = None
) -> list[SceneQuestions]:
    """A split's question file, checked: ids inside the split, none twice, not empty.

    Args:
        root: the data folder.
        split: train | validation | test.
        problems: collect what is wrong (scenes at fault are left out); else the first is raised.
    """
    path = question_file(root, split)
    allowed = split_range(split)
    try:
        scenes = read_questions(path)
    except UserError as error:
        complain(problems, str(error))
        return []
    if not any(scene.questions for scene in scenes):
        complain(problems, f"{path}: holds no question; give a split that has some")
    seen: set[int] = set()
    good: list[SceneQuestions] = []
    for scene in scenes:
        index = scene.scene_index
        ids = [q.question_id for q in scene.questions]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if index not in allowed:
            complain(problems, outside(f"{path}: scene_index", index, split))
        elif index in seen:
            complain(problems, f"{path}: scene_index {index} comes twice; keep one entry a scene")
        elif twice:
            complain(
                problems,
                f"{path}: scene {index} has question_id {twice[0]} twice; each must be its own",
            )
        else:
            seen.add(index)
            good.append(scene)
    return sorted(good, key=lambda scene: scene.scene_index)


def load_split(
    root: Path,
    split: str,
    *,
    problems: list[UserError] | None = None,
) -> Split:
    """Annotations and questions of a split, each with the other.

    Args:
        root: the data folder, in CLEVRER's layout.
        split: train | validation | test.
        problems: collect what is wrong (scenes at fault are left out); else the first is raised.

    Raises:
        UserError: what the two readers refuse, or a scene with annotation and no questions, or
            with questions and no annotation.
    """
    scenes = read_split_questions(root, split, problems=problems)
    found: dict[int, Annotation] = {}
    with progress(f"reading {split} scenes", len(scenes)) as bar:
        for one in iter_annotations(root, split, problems=problems):
            found[one.scene_index] = one
            bar.advance()
    asked = {scene.scene_index for scene in scenes}
    for lone in sorted(found.keys() - asked):
        complain(
            problems, f"{root}: scene {lone} of split {split!r} has an annotation but no questions"
        )
    for lone in sorted(asked - found.keys()):
        complain(
            problems, f"{root}: scene {lone} of split {split!r} has questions but no annotation"
        )
    kept = tuple(scene for scene in scenes if scene.scene_index in found)
    return Split(split, {i: one for i, one in found.items() if i in asked}, kept)


def question_id(split: str, scene: int, number: int) -> str:
    """The record's id: `clevrer/train/00012-03`."""
    return f"clevrer/{split}/{scene:05d}-{number:02d}"


def _options(raw: RawQuestion, name: str, counts: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """A question's choices and the correct ones' letters."""
    if raw.question_type == "descriptive":
        subtype = raw.question_subtype or ""
        if subtype not in ANSWERS:
            allowed = ", ".join(ANSWERS)
            raise UserError(
                f"{name}: question_subtype {subtype!r} is unknown; allowed are {allowed}"
            )
        answers = counts if subtype == "count" else ANSWERS[subtype]
        if raw.answer not in answers:
            raise UserError(f"{name}: answer {raw.answer!r} is not one of {', '.join(answers)}")
        return list(answers), [LETTERS[answers.index(raw.answer)]]
    if not raw.choices:
        raise UserError(f"{name}: a {raw.question_type} question needs choices; it has none")
    if len(raw.choices) > len(LETTERS):
        raise UserError(f"{name}: has {len(raw.choices)} choices; at most {len(LETTERS)} can be")
    if any(choice.answer is None for choice in raw.choices):
        raise UserError(f"{name}: its choices have no answers; give train or validation, not test")
    right = [LETTERS[i] for i, choice in enumerate(raw.choices) if choice.answer == "correct"]
    return [choice.choice for choice in raw.choices], right


def _counts(scenes: Iterable[SceneQuestions]) -> tuple[str, ...]:
    numbers = [
        int(q.answer)
        for scene in scenes
        for q in scene.questions
        if q.question_subtype == "count" and q.answer is not None and q.answer.isdecimal()
    ]
    return tuple(str(i) for i in range(max([LARGEST_COUNT, *numbers]) + 1))


def to_records(
    scenes: Iterable[SceneQuestions],
    root: Path,
    split: str,
    *,
    problems: list[UserError] | None = None,
) -> Iterator[Question]:
    """Our records of raw questions; a descriptive one becomes multiple choice over its answers."""
    scenes = list(scenes)
    counts = _counts(scenes)
    for scene in scenes:
        for raw in scene.questions:
            name = question_id(split, scene.scene_index, raw.question_id)
            try:
                choices, right = _options(raw, name, counts)
            except UserError as error:
                complain(problems, str(error))
                continue
            premise = match_counterfactual(raw.question)
            negated = premise.negated if premise else "negate" in raw.program
            groups = {
                "subtype": raw.question_subtype or raw.question_type,
                "scene": str(scene.scene_index),
                "negated": "yes" if negated else "no",
            }
            if raw.change is not None:
                groups["change"] = raw.change
            if raw.family is not None:
                groups["family"] = f"{scene.scene_index}-{raw.family}"
            yield Question(
                id=name,
                dataset="clevrer",
                split=split,
                video=video_path(root, split, scene.scene_index),
                question=raw.question,
                question_struck=remove_premise(raw.question),
                choices=tuple(choices),
                answer=tuple(right),
                type=raw.question_type,
                groups=groups,
            )


MINIMAL_PAIRS = "minimal_pairs"


def load_minimal_pairs(root: Path) -> list[Question]:
    """Our minimal pairs as records, the two of a pair beside each other.

    Split "minimal_pairs", ids `clevrer/minimal_pairs/10003-00`; groups name the pair ("10003-0")
    and the role (irrelevant | causal) besides the usual ones. The videos are validation's.
    """
    scenes = read_questions(root / f"{MINIMAL_PAIRS}.json")
    roles = {
        question_id(MINIMAL_PAIRS, scene.scene_index, raw.question_id): raw.role or ""
        for scene in scenes
        for raw in scene.questions
    }
    records: list[Question] = []
    for record in to_records(scenes, root, "validation"):
        name = record.id.replace("/validation/", f"/{MINIMAL_PAIRS}/")
        pair = f"{record.groups['scene']}-{int(name[-2:]) // 2}"
        groups = {**record.groups, "pair": pair, "role": roles[name]}
        records.append(msgspec.structs.replace(record, id=name, split=MINIMAL_PAIRS, groups=groups))
    return records


def load(root: Path, split: str, *, problems: list[UserError] | None = None) -> list[Question]:
    """All questions of a split as records, by scene and question.

    Raises:
        UserError: see `read_split_questions`; or a question without choices or answers.
    """
    scenes = read_split_questions(root, split, problems=problems)
    return list(to_records(scenes, root, split, problems=problems))
