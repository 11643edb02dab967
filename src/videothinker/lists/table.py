"""A list of questions as rows: JSON lines, a JSON array, CSV, parquet or a `datasets` folder.

A file is told by what is in it.
"""

import contextlib
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from videothinker import files
from videothinker.errors import UserError
from videothinker.lists.arrow import SHORT, dataset_files, is_dataset, read_dataset, read_parquet
from videothinker.run_file import QUESTIONS

WANTED = "a list of questions: JSON lines, a JSON array, CSV, parquet or a datasets folder"
ALLOWED = f"allowed is {WANTED}"
QUESTION_WORDS = ("question", "problem", "query", "conversations")
"""A table, or an object, without any of these is no list of questions."""
SEPARATORS = ",\t;"
_DECODER = msgspec.json.Decoder()


@dataclass(frozen=True)
class Row:
    """One question as it stands in its file."""

    number: int
    """Line of a text file, else the item's or row's place; from 1."""
    value: Any
    """What was read: an object, if the file is right."""
    broken: str = ""
    """Why nothing could be read of it; empty where something was."""


@dataclass(frozen=True)
class Table:
    """All rows of a file."""

    path: Path
    unit: str
    """What `Row.number` counts: line, item or row."""
    rows: list[Row]
    notes: list[str] = field(default_factory=list[str])

    def place(self, number: int) -> str:
        """`path:3` for a line, `path: item 3` for the others."""
        if self.unit == "line":
            return f"{self.path}:{number}"
        return f"{self.path}: {self.unit} {number}"


def list_in(path: Path) -> Path:
    """The list itself, where its folder is given; a `datasets` folder is one as it stands."""
    inside = path / QUESTIONS
    held = path.is_dir() and (inside.is_file() or not is_dataset(path))
    return inside if held else path


def holds_list(folder: Path) -> bool:
    """Does the folder hold a list of questions, or is it one?"""
    return (folder / QUESTIONS).is_file() or is_dataset(folder)


def files_of(path: Path) -> list[Path]:
    """The files that a list is made of."""
    return dataset_files(path) if path.is_dir() else [path]


def read_table(path: Path) -> Table:
    """The rows of a list, in the file's order; blank lines are passed over.

    Raises:
        UserError: no such file, or one that is no list of rows; what it is and what is allowed.
    """
    if path.is_dir():
        if not is_dataset(path):
            raise UserError(f"{path}: is a folder; give {WANTED}")
        rows = read_dataset(path)
        return Table(path, "row", [Row(i, row) for i, row in enumerate(rows, 1)])
    try:
        data = files.content(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give {WANTED}") from error
    if data.startswith(b"PAR1"):
        rows = read_parquet(path, WANTED)
        return Table(path, "row", [Row(i, row) for i, row in enumerate(rows, 1)])
    if _is_csv(path, data):
        return _csv(path, data)
    files.refuse_foreign(path, data[: files.HEAD], WANTED)
    data = data.removeprefix(files.BOM)
    if data.lstrip().startswith(b"["):
        items = _whole(path, data)
        return Table(path, "item", [Row(i, item) for i, item in enumerate(items, 1)])
    if files.is_spread(data) or b"\n" not in data.strip():
        return _object(path, data)
    return Table(path, "line", list(_lines(path, data)))


def _lines(path: Path, data: bytes) -> Iterator[Row]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield Row(number, _decode(line))
        except UnicodeDecodeError as error:
            raise files.not_utf8(f"{path}:{number}", error) from error
        except msgspec.MsgspecError as error:
            yield Row(number, None, f"is no JSON ({error})")


def _decode(data: bytes) -> Any:
    """JSON, and what Python calls JSON: `NaN` and `Infinity` stand for a value that is missing.

    Raises:
        UnicodeDecodeError: it is no UTF-8.
        msgspec.MsgspecError: it is no JSON, or has a key twice.
    """
    try:
        found = _DECODER.decode(data)
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error
    except msgspec.MsgspecError:
        if b"NaN" not in data and b"Infinity" not in data:
            raise
        with contextlib.suppress(json.JSONDecodeError, RecursionError):  # then it is told as above
            return json.loads(data, parse_constant=lambda _: None)
        raise
    try:
        files.refuse_repeats(data)
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    return found


def _whole(path: Path, data: bytes) -> Any:
    try:
        return _decode(data)
    except UnicodeDecodeError as error:
        raise files.not_utf8(str(path), error) from error
    except msgspec.MsgspecError as error:
        do = SHORT if "truncated" in str(error) else ALLOWED
        raise UserError(f"{path}: is no JSON ({error}); {do}") from error


def _object(path: Path, data: bytes) -> Table:
    """One JSON object: a single question, or the list under its only key that holds one.

    Raises:
        UserError: neither; its keys are named.
    """
    if not data.strip():
        return Table(path, "line", [])
    if not files.is_spread(data):  # one line of JSON lines, perhaps cut off
        rows = list(_lines(path, data))
        if not isinstance(rows[0].value, dict) or _asks(rows[0].value):
            return Table(path, "line", rows)
    found: Any = _whole(path, data)
    lists = {key: value for key, value in found.items() if _is_rows(value)}
    if _asks(found):
        lists = {"": [found]}
    if len(lists) != 1:
        keys = ", ".join(list(found)[:10])
        raise UserError(
            f"{path}: is one JSON object ({keys}) and {len(lists)} of its values are lists of "
            f"questions; {ALLOWED}: give its questions alone"
        )
    ((key, items),) = lists.items()
    notes = [f"the list under {key!r}"] if key else []
    return Table(path, "item", [Row(i, item) for i, item in enumerate(items, 1)], notes=notes)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _asks(row: Mapping[str, Any]) -> bool:
    return any(str(key).strip().lower() in QUESTION_WORDS for key in row)


def _first_line(data: bytes) -> str:
    return data[: files.HEAD].removeprefix(files.BOM).split(b"\n")[0].decode("utf-8", "replace")


def _is_csv(path: Path, data: bytes) -> bool:
    """By its name or its header: columns, one of which is a question."""
    head = _first_line(data)
    if head.lstrip()[:1] in ("{", "[", "<") or b"\0" in data[: files.HEAD]:
        return False
    names = [name.strip(' "\r').lower() for name in re.split(f"[{SEPARATORS}]", head)]
    return len(names) > 1 and (
        path.suffix.lower() in (".csv", ".tsv") or bool(set(names) & set(QUESTION_WORDS))
    )


def _csv(path: Path, data: bytes) -> Table:
    """Rows of a CSV with a header; the separator is the one its header holds most of."""
    head = _first_line(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise files.not_utf8(str(path), error) from error
    separator = max(SEPARATORS, key=head.count)
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        names = next(reader, [])
        first = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(names):
                rows.append(Row(first, None, f"has not the {len(names)} columns of the header"))
            elif cells:
                rows.append(Row(first, dict(zip(names, cells, strict=True))))
            first = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}:{reader.line_num}: is no CSV ({error}); {ALLOWED}: quote texts that hold "
            "quotes or line breaks"
        ) from error
    return Table(path, "line", rows)
