"""Which of a row's keys is the question, which its choices, its answer, its video.

The names are those of public lists; case, spaces and hyphens do not matter. Of several names that
are there the first in these tuples is taken, but every key that may hold an answer is read.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NEEDED = ("id", "dataset", "split", "question", "choices", "answer", "type")
"""A row that has all of these is written in our own words, and held to them."""

KEY, LIST_KEY = "key_of_question", "key_of_list"
"""What stands before a question, and before a list of them, in an object of several."""
QUESTION = ("question", "problem", "query", "question_text", "prompt", "q")
CHOICES = (
    "choices", "options", "candidates", "option", "answer_choices", "multi_choice",
    "multiple_choice", "choice", "opts",
)  # fmt: skip
PLACES = (
    "answer_idx", "answer_index", "answer_id", "answer_number", "correct_choice", "correct_index",
    "correct_idx", "correct_answer_index", "correct_option_index",
)  # fmt: skip
"""Keys whose number is a place among the choices, even where a choice is a number too."""
ANSWER = (
    "answer", "solution", "correct_answer", "answer_choice", "answer_letter", "correct_option",
    "correct_answer_label", "truth", "ground_truth", "gt", "correct", "target", "ans", *PLACES,
    "label", "answer_text", "correct_answer_text",
)  # fmt: skip
PARTS = (
    *ANSWER, "letter", "letters", "option", "choice", "key", "text", "value", "content",
    *(ORDINALS := ("index", "idx", "place", "position", "number")),
)  # fmt: skip
"""Keys of an answer that is an object; under `ORDINALS` a number is a place."""
VIDEO = (
    "video", "path", "video_path", "video_file", "video_name", "vid_name", "video_filename",
    "filename", "file_name", "videos", "clip_name", "vid", "videoid", "video_id", "video_uid",
    "video_idx", "youtube_id", "q_uid", "video_url", "url", LIST_KEY, KEY,
)  # fmt: skip
ID = (
    "id", "question_id", "qid", "problem_id", "q_uid", "uid", "question_idx", "sample_id", "index",
    "idx", KEY,
)  # fmt: skip
TYPE = (
    "type", "question_type", "task_type", "original_question_type", "question_category",
    "category", "task", "problem_type",
)  # fmt: skip
DATASET = ("dataset", "data_source", "source")
CLIPS = (
    ("clip",), ("start", "end"), ("start_time", "end_time"), ("start_sec", "end_sec"),
    ("begin", "end"), ("ts",),
)  # fmt: skip
IMAGE = ("image", "images", "image_path")
"""Keys of a row that has no video and is about an image."""
TALK = ("conversations", "messages", "conversation")
KINDS = ("data_type", "question_type", "problem_type", "answer_type", "type")
"""Where a list says that a row is about an image, or has no choices."""
SPLITS = {
    **dict.fromkeys(("train", "training", "trainset", "train_set"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "validate", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tests", "testset", "test_set"), "test"),
}
"""What lists call a split, in lower case -> what it is called here."""
OWN = ("context", "question_struck", "groups")
COLUMN = re.compile(r"(?:a|c|opt|op|option|choice|answer|candidate)?_?([0-9]{1,2}|[a-z])")
"""Choices in columns of their own: a0, option_1, choice_b, A."""


@dataclass(frozen=True)
class Layout:
    """A row's keys, as the row spells them; None where it has no such key."""

    own: bool
    question: str | None
    other_question: str | None
    choices: str | None
    columns: tuple[str, ...]
    answers: tuple[tuple[str, bool], ...]
    """Each with whether a number under it is surely a place."""
    video: str | None
    image: str | None
    id: str | None
    split: str | None
    dataset: str | None
    types: tuple[str, ...]
    clip: tuple[str, ...]
    talk: str | None
    kinds: tuple[str, ...]
    renamed: tuple[str, ...]
    """`problem as question`, for each that is not in our words."""
    passed_over: tuple[str, ...]


def plain(key: str) -> str:
    """A key without case, spaces and hyphens."""
    return key.strip().lower().replace(" ", "_").replace("-", "_")


def split_of(name: str) -> str:
    """A split's name here; its own where it is none of those that lists have."""
    return SPLITS.get(plain(name), name)


def find(keys: Iterable[str], row: Mapping[str, Any]) -> Layout:
    """The layout of a row.

    Args:
        keys: those that are not null.
        row: with its nulls.
    """
    spelled = {plain(key): key for key in keys}

    def first(names: Iterable[str]) -> str | None:
        return next((spelled[name] for name in names if name in spelled), None)

    questions = [spelled[name] for name in QUESTION if name in spelled]
    choices, talk = first(CHOICES), first(TALK)
    columns = () if choices or talk else counted(spelled)
    answers = tuple((spelled[n], n in PLACES) for n in ANSWER if n in spelled)
    answers = tuple(pair for pair in answers if pair[0] not in columns)
    clip = next((names for names in CLIPS if all(name in spelled for name in names)), ())
    told = "context" in spelled  # who is told what happens is shown nothing
    video = first(name for name in VIDEO if name != KEY or not told)
    found: dict[str, str | None] = {
        "question": questions[0] if questions else None,
        "choices": choices,
        "answer": answers[0][0] if answers else None,
        "video": video,
        "id": None if talk else first(ID),
        "dataset": first(DATASET),
    }
    used = {*found.values(), *questions, *columns, *(key for key, _ in answers), talk, *clip}
    used |= {spelled.get(name) for name in (*clip, *KINDS, *TYPE, *ID, "split", *OWN)}
    renamed = [f"{key} as {name}" for name, key in found.items() if key and key != name]
    if columns:
        renamed.append(f"{columns[0]} to {columns[-1]} as choices")
    return Layout(
        own=all(name in row for name in NEEDED),
        question=found["question"],
        other_question=questions[1] if len(questions) > 1 else None,
        choices=choices,
        columns=columns,
        answers=answers,
        video=video,
        image=first(IMAGE),
        id=found["id"],
        split=first(("split",)),
        dataset=found["dataset"],
        types=tuple(spelled[name] for name in TYPE if name in spelled),
        clip=tuple(spelled[name] for name in clip),
        talk=talk,
        kinds=tuple(spelled[name] for name in KINDS if name in spelled),
        renamed=tuple(renamed),
        passed_over=tuple(key or "''" for key in spelled.values() if key not in used),
    )


def answers_in(row: Mapping[str, Any], how: Layout) -> list[tuple[Any, bool]]:
    """A row's answers, each with whether a number is surely a place; an object says several."""
    found: list[tuple[Any, bool]] = []
    for key, place in how.answers:
        value = row[key]
        inside = value.items() if isinstance(value, dict) else ()
        parts = [(plain(str(name)), part) for name, part in inside if part is not None]
        said = [(part, name in (*PLACES, *ORDINALS)) for name, part in parts if name in PARTS]
        found += said or [(value, place)]
    return found


def counted(spelled: Mapping[str, str]) -> tuple[str, ...]:
    """The longest family of columns that counts from 0, 1 or a without a gap."""
    families: dict[str, dict[str, str]] = {}
    for name, key in spelled.items():
        if match := COLUMN.fullmatch(name):
            families.setdefault(name[: match.start(1)], {})[match[1]] = key
    best: tuple[str, ...] = ()
    for members in families.values():
        for start in ("0", "1", "a"):
            first = int(start) if start.isdigit() else 0
            steps = (str(i) if start.isdigit() else chr(ord("a") + i) for i in range(first, 26))
            run: list[str] = []
            for step in steps:
                if step not in members:
                    break
                run.append(members[step])
            if len(run) > max(1, len(best)):
                best = tuple(run)
    return best
