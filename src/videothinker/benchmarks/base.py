"""What every benchmark's file gives: questions, official groups, counts, and what needs a judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from videothinker.errors import UserError
from videothinker.prompts import LETTERS
from videothinker.records import Question

R = TypeVar("R")


@dataclass(frozen=True)
class Benchmark:
    """One benchmark as it was downloaded."""

    name: str
    questions: tuple[Question, ...]
    files: tuple[Path, ...]
    """What was read."""
    groupings: tuple[str, ...] = ()
    """Keys of `Question.groups` (or `type`) by which it is officially reported, in order."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """What a whole download holds: a grouping's value, or `questions`, `videos`, -> how many."""
    needs_judge: Mapping[str, int] = field(default_factory=dict)
    """Kind -> questions whose official metric needs a judge model; never silently left out."""

    def counts(self) -> dict[str, int]:
        """What is there, under the names of `expected`; a question that comes twice counts once."""
        different = {q.id: q for q in self.questions}.values()
        found = {
            "questions": len(different),
            "videos": len({q.video for q in different if q.video is not None}),
            **{f"needs a judge: {kind}": n for kind, n in self.needs_judge.items()},
        }
        for question in different:
            for key in self.groupings:
                value = f"{key} {group_of(question, key)}"
                found[value] = found.get(value, 0) + 1
        return found

    def wrong_counts(self) -> list[str]:
        """One sentence for each count that is not the published one."""
        found = self.counts()
        return [
            f"{name}: {found.get(name, 0):,} found, {wanted:,} published, "
            f"{abs(wanted - found.get(name, 0)):,} "
            f"{'missing' if found.get(name, 0) < wanted else 'too many'}"
            for name, wanted in self.expected.items()
            if found.get(name, 0) != wanted
        ]


def group_of(question: Question, key: str) -> str:
    """A question's value under a grouping."""
    return question.type if key == "type" else question.groups.get(key, "?")


def read_json(path: Path, kind: type[R]) -> R:
    """A JSON file of exactly this shape.

    Raises:
        UserError: missing, cut off, or of another shape; file and place (`$[3].question`) named.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the folder as it was downloaded"
        ) from error
    except msgspec.MsgspecError as error:
        raise UserError(
            f"{path}: is not the published file ({error}); download it again, or name its format"
        ) from error


def letter_of(text: str, choices: Sequence[str], where: str) -> tuple[str]:
    """The letter of the one choice that is `text`.

    Raises:
        UserError: no choice is, or several are.
    """
    places = [i for i, choice in enumerate(choices) if choice == text]
    if len(places) != 1:
        raise UserError(
            f"{where}: answer {text!r} is {len(places)} of its {len(choices)} choices; "
            "exactly one is needed: download the file again"
        )
    return (LETTERS[places[0]],)


def only_letter(letter: str, choices: Sequence[str], where: str) -> tuple[str]:
    """The letter itself, if it names a choice.

    Raises:
        UserError: it does not.
    """
    allowed = LETTERS[: len(choices)]
    if len(letter) != 1 or letter not in allowed:
        raise UserError(
            f"{where}: answer {letter!r} names no choice; allowed are {', '.join(allowed)}"
        )
    return (letter,)


def without_labels(options: Sequence[str], where: str) -> tuple[str, ...]:
    """`A. first`, `B. second` -> the texts.

    Raises:
        UserError: an option does not begin with its own letter.
    """
    found = []
    for letter, option in zip(LETTERS, options, strict=False):
        label, dot, text = option.partition(".")
        if label.strip() != letter or not dot:
            raise UserError(f"{where}: option {option!r} does not begin with {letter + '.'!r}")
        found.append(text.strip())
    return tuple(found)
