"""A list of questions as rows: JSON lines, a JSON array, CSV, parquet or a `datasets` folder.

A file is told by what is in it.
"""

import contextlib
import csv
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from videothinker import files, hub
from videothinker.errors import UserError
from videothinker.lists.arrow import SHORT, dataset_files, is_dataset, read_dataset, read_parquet
from videothinker.lists.layout import KEY, LIST_KEY, SPLITS, TALK, VIDEO, plain
from videothinker.run_file import QUESTIONS, is_world

WANTED = "a list of questions: JSON lines, a JSON array, CSV, parquet or a datasets folder"
ALLOWED = f"allowed is {WANTED}"
QUESTION_WORDS = ("question", "problem", "query", "q", "question_text", *TALK)
"""A table, or an object, without any of these is no list of questions."""
OF_GROUP = ("id", "question_id", "qid", "uid", "index", "idx")
"""Keys beside several questions of one video that name the group, and no question."""
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


def refuse_absent(path: Path) -> None:
    """Say of a list that is not there what its folder is, which is what was given.

    Raises:
        UserError: it is a simulated world, none at all, or one without a list.
    """
    folder = path.parent
    if path.exists():
        return
    if not folder.exists():
        raise UserError(f"{files.not_there(folder)}; give {WANTED}")
    if is_world(folder):
        raise UserError(
            f"{folder}: is a simulated world, whose questions have no labels yet; label them "
            f"first: videothinker diagnose {hub.as_given(folder)}"
        )
    if path.name == QUESTIONS:
        raise UserError(f"{folder}: is a folder without {QUESTIONS}; give {WANTED}")


def read_table(path: Path) -> Table:
    """The rows of a list, in the file's order; blank lines are passed over.

    Raises:
        UserError: no such file, or one that is no list of rows; what it is and what is allowed.
    """
    refuse_absent(path)
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
        rows = [Row(i, one) for i, item in enumerate(items, 1) for one in _questions(item)]
        return Table(path, "item", rows)
    if files.is_spread(data) or b"\n" not in data.strip():
        return _object(path, data)
    return Table(path, "line", list(_lines(path, data)))


def _lines(path: Path, data: bytes) -> Iterator[Row]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            for row in _questions(_decode(line)):
                yield Row(number, row)
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


def _questions(value: Any) -> list[Any]:
    """A row's questions: itself, or those of a list in it, each with what stands beside the list.

    Several lists are the splits whose names they have.
    """
    if not isinstance(value, dict) or _asks(value):
        return [value]
    lists = {key: rows for key, rows in value.items() if _is_rows(rows)}
    beside = _beside(value, lists)
    splits = all(plain(str(key)) in SPLITS for key in lists)
    if not lists or (len(lists) > 1 and not splits):
        return [value]
    return [
        beside | ({"split": key} if splits else {}) | row if isinstance(row, dict) else row
        for key, rows in lists.items()
        for row in rows
    ]


def _beside(value: dict[str, Any], held: Collection[str]) -> dict[str, Any]:
    """What an object says of all the questions that it holds."""
    return {k: v for k, v in value.items() if k not in held and plain(str(k)) not in OF_GROUP}


def _object(path: Path, data: bytes) -> Table:
    """One JSON object: a single question, or what holds several.

    Raises:
        UserError: neither; its keys are named.
    """
    if not data.strip():
        return Table(path, "line", [])
    rows = [] if files.is_spread(data) else list(_lines(path, data))
    if rows and not isinstance(rows[0].value, dict):  # one line of JSON lines, cut off
        return Table(path, "line", rows)
    found: Any = _whole(path, data)
    items = _held(found)
    if not any(_asks(item) for item in items if isinstance(item, dict)):
        keys = f" ({', '.join(map(str, list(found)[:10]))})" if found else " without keys"
        raise UserError(
            f"{path}: is one JSON object{keys}, and holds neither a question nor one list of "
            f"them; {ALLOWED}: give its questions alone"
        )
    if rows and items[0] is found:
        return Table(path, "line", rows)
    return Table(path, "item", [Row(i, item) for i, item in enumerate(items, 1)])


def _held(value: dict[str, Any]) -> list[Any]:
    """The questions of an object: in columns or a list, or under names of their own or of videos.

    What names neither is itself.
    """
    if _asks(value):
        return _columns(value)
    listed = _questions(value)
    if listed[0] is not value:
        return listed
    held = {k: _held(v) if isinstance(v, dict) else v for k, v in value.items() if _is_held(v)}
    beside = _beside(value, held)
    splits = all(plain(key) in SPLITS for key in held)
    found: list[Any] = []
    for key, rows in held.items():
        name = KEY if rows[0] is value[key] else LIST_KEY
        added = {"split" if splits else name: key}
        if LIST_KEY in added and any(plain(str(one)) in VIDEO for one in rows[0] if one != KEY):
            if len(held) > 1:
                return [value]  # what do several lists say whose questions name their videos?
            added = {}
        found += [beside | added | row if isinstance(row, dict) else row for row in rows]
    return found or [value]


def _is_held(value: Any) -> bool:
    return isinstance(value, dict) or _is_rows(value)


def _columns(value: dict[str, Any]) -> list[Any]:
    """Rows of an object whose keys are columns, each a list or an object of all rows' values."""
    first = next(one for key, one in value.items() if plain(key) in QUESTION_WORDS)
    if isinstance(first, dict):
        names = list(first)
        whole = all(isinstance(one, dict) and list(one) == names for one in value.values())
    else:
        names = list(range(len(first))) if isinstance(first, list) else []
        whole = all(isinstance(one, list) and len(one) == len(names) for one in value.values())
    if not whole or not names or any(plain(key) in TALK for key in value):
        return [value]
    return [{key: one[name] for key, one in value.items()} for name in names]


def _is_rows(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and isinstance(value[0], dict) and _asks(value[0])
    )


def _asks(row: Mapping[str, Any]) -> bool:
    return any(plain(str(key)) in QUESTION_WORDS for key in row)


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
