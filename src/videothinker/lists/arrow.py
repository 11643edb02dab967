"""Rows that pyarrow reads: a parquet file, and a folder of the library `datasets`.

Such a folder is what `save_to_disk` wrote (Arrow files, of one split or of several), or what a hub
holds of a data set (parquet files, in the folder or in its `data/`). The library is not needed.
"""

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.errors import UserError
from videothinker.files import border, load_json
from videothinker.lists.arrow_size import is_packed, unpacked_bytes

SHORT = "it ends in the middle; download it again"
INSTALL = "install it: pip install pyarrow"
SPLITS, STATE = "dataset_dict.json", "state.json"
"""What `save_to_disk` writes beside several splits, and beside the Arrow files of one."""
SPLIT = re.compile(r"(?:.*[-_])?(train|training|validation|valid|val|dev|test)(?:[-_.].*|$)")
"""The split in the name of a hub's file: `train-00000-of-00002.parquet`."""
AGAIN = "save or download the folder again"
ROOM, TIMES, ROW = 1 << 30, 64, 100
"""Bytes that the rows of a file may take in any case, and as a multiple of the file; what a row
takes beside its values."""


@dataclass(frozen=True)
class ArrowPart:
    """Files whose rows are of one split."""

    split: str | None
    files: tuple[Path, ...]


def is_dataset(folder: Path) -> bool:
    """Is it a folder that the library `datasets` reads as rows?"""
    saved = any((folder / name).is_file() for name in (SPLITS, STATE))
    return saved or bool(_parquets(folder))


def read_dataset(folder: Path) -> list[dict[str, Any]]:
    """The rows of all splits, each row with its `split` where it has no such column of its own.

    A video that stands in its row as a path with bytes is named by its path; the bytes are left.

    Raises:
        UserError: pyarrow is not there; a file is missing or cannot be read.
    """
    arrow = _pyarrow(folder)
    found: list[dict[str, Any]] = []
    for part in _parts(folder):
        for file in part.files:
            rows = [_plain(row) for row in _rows(arrow, file)]
            found += rows if part.split is None else [{"split": part.split} | row for row in rows]
    return found


def dataset_files(folder: Path) -> list[Path]:
    """The files that hold the rows.

    Raises:
        UserError: one is missing.
    """
    return [file for part in _parts(folder) for file in part.files]


def read_parquet(path: Path, wanted: str) -> list[Any]:
    """The rows of a parquet file.

    Raises:
        UserError: pyarrow is not there, and how to do without it; or the file is no parquet.
    """
    _pyarrow(
        path,
        'or make JSON beside it where it is: python -c "import pyarrow.parquet as p, json; '
        f"json.dump(p.read_table('{path.name}').to_pylist(), open('{path.stem}.json', 'w'))\"",
    )
    whole = path.stat().st_size > 12 and path.read_bytes()[-4:] == b"PAR1"
    with (
        border(f"{path}: cannot be read as parquet", f"give {wanted}" if whole else SHORT),
        importlib.import_module("pyarrow.parquet").ParquetFile(path) as file,
    ):
        return _unpacked(path, file.iter_batches(batch_size=1024))


def _unpacked(path: Path, batches: Iterable[Any]) -> list[Any]:
    """Their rows, as long as they stay in proportion to the file."""
    room, rows = max(ROOM, TIMES * path.stat().st_size), []
    for batch in batches:
        batch.validate(full=True)
        room -= ROW * batch.num_rows + sum(unpacked_bytes(column) for column in batch.columns)
        if room < 0:
            raise UserError(
                f"{path}: its rows are more than {TIMES} times the file, and more than "
                f"{ROOM >> 20:,} MiB; give a list without so many equal rows"
            )
        rows += batch.to_pylist()
    return rows


def _pyarrow(path: Path, otherwise: str = "") -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        kind = "a folder of the library datasets" if path.is_dir() else "parquet"
        rest = f", {otherwise}" if otherwise else ""
        raise UserError(
            f"{path}: is {kind}, which needs pyarrow to read: {INSTALL}{rest}"
        ) from error


def _parts(folder: Path) -> Iterator[ArrowPart]:
    """The folder's files by split, in the order in which the library has them."""
    if (folder / SPLITS).is_file():
        with border(f"{folder / SPLITS}: names no splits", AGAIN):
            told: list[str] = load_json((folder / SPLITS).read_bytes())["splits"]
            names = [Path(name).name for name in told]  # a split lies in the folder
        for name in names:
            yield ArrowPart(name, _saved(folder / name)[0])
    elif (folder / STATE).is_file():
        files, split = _saved(folder)
        yield ArrowPart(split, files)
    else:
        for path in _parquets(folder):
            named = SPLIT.fullmatch(path.name)
            yield ArrowPart(named[1] if named else None, (path,))


def _saved(folder: Path) -> tuple[tuple[Path, ...], str | None]:
    """The Arrow files of one split, and its name where it has one."""
    with border(f"{folder / STATE}: names no files", AGAIN):
        state = load_json((folder / STATE).read_bytes())
        files = tuple(folder / Path(one["filename"]).name for one in state["_data_files"])
        split: str | None = state.get("_split")
    if gone := [path.name for path in files if not path.is_file()]:
        raise UserError(f"{folder}: {gone[0]} is missing, which {STATE} names; {AGAIN}")
    return files, split


def _parquets(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def _rows(arrow: Any, path: Path) -> Sequence[dict[str, Any]]:
    if path.suffix == ".parquet":
        return read_parquet(path, "a whole one")
    with border(f"{path}: cannot be read as Arrow", AGAIN):
        if is_packed(path):
            raise UserError(
                f"{path}: its batches are compressed, which save_to_disk of datasets does not do; "
                f"save the folder with it, or give parquet"
            )
        with arrow.memory_map(str(path)) as file:
            return _unpacked(path, arrow.ipc.open_stream(file))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row, with a file in it (`bytes` and `path`) as its path."""
    files = [k for k, v in row.items() if isinstance(v, dict) and v.keys() == {"bytes", "path"}]
    return row | {key: row[key]["path"] or row[key]["bytes"] for key in files}
