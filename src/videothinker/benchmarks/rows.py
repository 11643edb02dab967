"""Published rows, as downloaded or as other tools save them, each made into a question.

A JSON list is read, JSON lines, and parquet where pyarrow is installed. A row with an unknown or a
missing column is named, all of a file at once.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from videothinker import files
from videothinker.errors import UserError
from videothinker.lists.arrow import SHORT, read_parquet
from videothinker.prompts import LETTERS
from videothinker.records import Question

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")
WANTED = "the published file as it was downloaded"
OWN_LETTER = re.compile(r"\s*\(?([A-Z])[.:)]")
SOLUTION = re.compile(r"<answer>([A-Z])</answer>")


@dataclass(frozen=True)
class Place:
    """Where a row stands."""

    path: Path
    item: int

    def __str__(self) -> str:
        return f"{self.path}: item {self.item}"


def read_json(path: Path, kind: type[T]) -> T:
    """A JSON file of exactly this shape.

    Raises:
        UserError: missing, cut off, or of another shape; file and place (`$[3].question`) named.
    """
    data = files.read_bytes(path, WANTED)
    try:
        found = msgspec.json.decode(data, type=kind)
        files.refuse_repeats(data)
    except UnicodeDecodeError as error:
        raise files.not_utf8(str(path), error) from error
    except (ValueError, RecursionError) as error:
        raise _not_published(str(path), error, cut=True) from error
    return found


def read_rows(
    path: Path, kind: type[R], make: Callable[[R, Place], Question | None]
) -> list[Question]:
    """The questions of a file of rows.

    Args:
        path: a JSON list, JSON lines or parquet.
        kind: a row's exact columns.
        make: a row and its place -> its question; None where it has none.

    Raises:
        UserError: see `read_json`; every row that is no such row, that `make` refuses, or whose id
            came before.
    """
    questions: list[Question] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for i, raw in enumerate(_items(path)):
        where = Place(path, i)
        try:
            row = msgspec.convert(raw, kind)
            question = make(row, where)
        except (msgspec.MsgspecError, UserError) as error:
            known = isinstance(error, UserError)
            problems.append(str(error) if known else f"{where}: {error}")
            continue
        if question is None:
            continue
        if seen.setdefault(question.id, i) != i:
            problems.append(f"{where}: is {question.id} again, which item {seen[question.id]} is")
        questions.append(question)
    if problems:
        columns = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise files.all_of(
            problems, f"a published item has {columns}: correct these or take them out"
        )
    return questions


def _items(path: Path) -> list[Any]:
    """A list's items, of whatever shape."""
    if path.suffix == ".parquet":
        return read_parquet(path, WANTED)
    data = files.read_bytes(path, WANTED)
    if not data.lstrip().startswith(b"{"):
        return read_json(path, list[Any])
    if files.is_spread(data):
        raise UserError(f"{path}: is one JSON object and not a list; give {WANTED}")
    lines = [line for line in data.split(b"\n") if line.strip()]
    items: list[Any] = []
    for i, line in enumerate(lines):
        try:
            items.append(msgspec.json.decode(line))
            files.refuse_repeats(line)
        except UnicodeDecodeError as error:
            raise files.not_utf8(f"{path}: item {i}", error) from error
        except (ValueError, RecursionError) as error:
            raise _not_published(f"{path}: item {i}", error, cut=i == len(lines) - 1) from error
    return items


def _not_published(where: str, error: Exception, *, cut: bool) -> UserError:
    """A file that is cut off, or of another shape."""
    if cut and "truncated" in str(error):
        return UserError(f"{where}: is not whole JSON ({error}): {SHORT}")
    return UserError(f"{where}: is not the published file ({error}); give {WANTED}")


def letter_of(text: str, choices: Sequence[str], where: Place | str) -> tuple[str]:
    """The letter of the one choice that is `text`.

    Raises:
        UserError: no choice is, or several are.
    """
    places = [i for i, choice in enumerate(choices) if choice == text]
    if len(places) != 1:
        raise UserError(
            f"{where}: answer {text!r} is {len(places)} of its {len(choices)} choices; "
            "exactly one must be it"
        )
    return (LETTERS[places[0]],)


def only_letter(letter: str, choices: Sequence[str], where: Place | str) -> tuple[str]:
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


def solution_letter(solution: str, choices: Sequence[str], where: Place | str) -> tuple[str]:
    """The letter of `<answer>C</answer>`, as VideoThinker's authors write a right answer.

    Raises:
        UserError: it is written otherwise, or names no choice.
    """
    match = SOLUTION.fullmatch(solution)
    if match is None:
        raise UserError(f"{where}: solution {solution!r} is not <answer>LETTER</answer>")
    return only_letter(match[1], choices, where)


def without_labels(options: Sequence[str], where: Place | str) -> tuple[str, ...]:
    """`A. first`, `B. second` -> the texts; options of which none has a letter stay as they are.

    Raises:
        UserError: some options begin with their own letter and some do not.
    """
    found = [OWN_LETTER.match(option) for option in options]
    own = [match[1] if match else "" for match in found]
    wanted = LETTERS[: len(options)]
    if not set(own) & set(wanted):
        return tuple(option.strip() for option in options)
    for letter, option, label in zip(wanted, options, own, strict=False):
        if label != letter:
            raise UserError(
                f"{where}: option {option!r} does not begin with {letter + '.'!r} as others do"
            )
    return tuple(
        option[match.end() :].strip() for option, match in zip(options, found, strict=True) if match
    )
