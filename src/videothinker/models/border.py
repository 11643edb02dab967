"""The border to a model's files: JSON to typed structs.

What is read here becomes a struct whose fields have the types they say, or a `UserError`. Standard
library alone.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from videothinker.errors import UserError
from videothinker.files import border, content, load_json

T = TypeVar("T")
LARGEST = 1 << 28
"""Bytes of a JSON file that are read; published tokenizers take up to 2^25."""
KINDS: dict[Any, str] = {
    NoneType: "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}
AGAIN = "take the file from where the model was published"
RUNS_NOT = "take its config.json from where the model was published"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of UTF-8.

    Raises:
        UserError: unreadable, too large, not UTF-8, not JSON, or another value than an object.
    """
    with border(f"{path} is not readable JSON", AGAIN):
        if (size := path.stat().st_size) > LARGEST:
            raise UserError(f"{path} has {size:,} bytes; at most {LARGEST:,} are read: {AGAIN}")
        found = load_json(content(path).decode("utf-8"))
    if not isinstance(found, dict):
        raise UserError(f"{path} holds {_kind(found)}; a JSON object is allowed: {AGAIN}")
    return found


def parse(struct: type[T], content: object, where: Path | str, do: str = AGAIN) -> T:
    """A dataclass from the entries of its names; all other entries are left alone.

    Raises:
        UserError: no object, or an entry is missing or of another type; `where` and its name are
            told.
    """
    if not isinstance(content, Mapping):
        raise UserError(f"{where} is {_told(content)}; allowed is {KINDS[dict]}: {do}")
    hints = get_type_hints(struct)
    found: dict[str, Any] = {}
    for one in fields(struct):  # pyright: ignore[reportArgumentType]
        if one.name in content:
            value = content[one.name]
            if not _fits(value, hints[one.name]):
                raise UserError(
                    f"{where}: {one.name!r} is {_told(value)}; allowed is "
                    f"{_allowed(hints[one.name])}: {do}"
                )
            found[one.name] = value
        elif one.default is MISSING and one.default_factory is MISSING:
            raise UserError(f"{where} has no {one.name!r}; it is needed: {do}")
    return struct(**found)


@contextmanager
def unheard() -> Iterator[None]:
    """Inside, what a library of another language prints of its own failure is left out.

    Rust tells of a panic on the process's standard error before Python has the exception.
    """
    kept = nowhere = None
    with suppress(OSError):  # who has closed it hears nothing anyway
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
    try:
        yield
    finally:
        if kept is not None:
            os.dup2(kept, 2)
        for opened in (kept, nowhere):
            if opened is not None:
                os.close(opened)


def _fits(value: object, hint: Any) -> bool:
    """Is a JSON value of the type that the annotation says?"""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is list:
        return isinstance(value, list | tuple) and all(_fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, inner[1]) for one in value.values())
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, int | float if hint is float else hint)


def _allowed(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return " or ".join(_allowed(one) for one in inner)
    if origin in (list, dict):
        of = "" if inner[-1] is Any else f" of {_allowed(inner[-1]).partition(' ')[2]}s"
        return f"{KINDS[origin]}{of}"
    return KINDS[hint]


def _kind(value: object) -> str:
    return KINDS.get(type(value), type(value).__name__)


def _told(value: object) -> str:
    """The value where it is short, else its kind."""
    text = json.dumps(value)
    return text if len(text) <= 60 else _kind(value)
