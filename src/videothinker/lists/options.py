"""A question's choices, however they are written: list, object, text, or in the question itself."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from videothinker.prompts import LETTERS

OWN_LETTER = re.compile(r"\s*\(?([A-Za-z])(?:[.:)]|\s-)\s*(?=\S)")
LINE = re.compile(r"^[ \t]*\(?([A-Z])[.:)][ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
NUMBER = re.compile(r"\s*[0-9]{1,3}\s*")
TEXT_KEYS = ("text", "choice", "option", "content", "value")
HEAD = re.compile(r"\s*(?:options|choices|candidates)\s*:?\s*$", re.IGNORECASE)


def texts_of(value: Any) -> list[str] | None:
    """The choices as they are written, letters and all; None where that is not how one writes them.

    `value` is `decoded`.

    Read are a list of texts, numbers or objects with a text, an object of letters or places, an
    object of a list (`{"label": [...], "text": [...]}`), and a text that holds such a list or has
    a lettered choice on each line.
    """
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, dict):
        return _object(value)
    return _lines(value) if isinstance(value, str) else None


def numbers_of(value: Any) -> tuple[int, ...]:
    """The numbers that a `decoded` object of choices names them by, in order; else none."""
    if not isinstance(value, dict) or not all(_is_number(name) for name in value):
        return ()
    return tuple(sorted(int(name) for name in value))


def _list(items: list[Any]) -> list[str] | None:
    found: list[str] = []
    for item in items:
        if isinstance(item, dict):
            keys = [key for key in TEXT_KEYS if isinstance(item.get(key), str)]
            if not keys:
                return None
            found.append(item[keys[0]])
        elif isinstance(item, str):
            found.append(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            found.append(f"{item:g}" if isinstance(item, float) else str(item))
        else:
            return None
    return found


def _object(value: dict[Any, Any]) -> list[str] | None:
    for key in TEXT_KEYS:
        if isinstance(value.get(key), list):
            return _list(value[key])
    names = list(value)
    if all(_is_number(name) for name in names):
        order = sorted(names, key=int)
    else:
        order = sorted(names, key=_capital)
        if [_capital(name) for name in order] != list(LETTERS[: len(order)]):
            return None
    return _list(without_end([value[name] for name in order]))


def _is_number(name: Any) -> bool:
    return NUMBER.fullmatch(str(name)) is not None


def _capital(name: Any) -> str:
    return str(name).strip(" ().").upper()


def without_end(items: list[Any]) -> list[Any]:
    """Without the empty places at its end, which tables of a fixed width have."""
    while items and (items[-1] is None or (isinstance(items[-1], str) and not items[-1].strip())):
        items = items[:-1]
    return items


def decoded(value: Any) -> Any:
    """A text that holds a list or an object, as that; None if it begins like one and is none."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        try:
            return ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None


def _lines(value: str) -> list[str] | None:
    found = LINE.findall(value.strip())
    if len(found) > 1 and [letter for letter, _ in found] == list(LETTERS[: len(found)]):
        return [text for _, text in found]
    return None


def without_letters(choices: Sequence[str]) -> list[str] | None:
    """`A. left`, `B. right` -> left, right; None where not all begin with their own letter."""
    found = [OWN_LETTER.match(choice) for choice in choices]
    own = [match[1].upper() if match else "" for match in found]
    if not own or own != list(LETTERS[: len(choices)]):
        return None
    return [
        text[match.end() :].strip() for text, match in zip(choices, found, strict=True) if match
    ]


def in_question(question: str) -> tuple[str, list[str], str] | None:
    """A question with its lettered choices on lines below it.

    Returns:
        The question, the choices, and what stands below them (an instruction, say); None where
        there are no such lines.
    """
    lines = list(LINE.finditer(question))
    if len(lines) < 2 or [line[1] for line in lines] != list(LETTERS[: len(lines)]):
        return None
    asked = HEAD.sub("", question[: lines[0].start()]).strip()
    return asked, [line[2] for line in lines], question[lines[-1].end() :].strip()


def faults(choices: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What no choices can be: what, and how to mend it."""
    if not choices:
        yield "has no choices", "give at least two"
    if len(choices) > len(LETTERS):
        yield f"has {len(choices)} choices", "at most 26 have a letter: take some out"
    empty = [letter for letter, choice in zip(LETTERS, choices, strict=False) if not choice.strip()]
    if empty:
        yield f"choice {', '.join(empty)} is empty", "give its text or leave it out"
    if len({choice.strip() for choice in choices}) == len(choices) and not empty:
        return
    for text, count in Counter(choice.strip() for choice in choices).items():
        if text and count > 1:
            yield f"choice {text!r} comes {count} times", "each must be its own"
