"""The border to files: what is wrong with those that people have, in a sentence; ours, whole.

Standard library alone.
"""

import errno
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from videothinker.errors import UserError

NAMED = 20
"""Problems of one file named one by one; the rest is counted."""
HEAD = 4096
LONGEST_NAME = 255
"""Bytes of a file's name that every common disk holds."""
LONGEST = 200
"""Characters told of a library's error: as many whole sentences as there is room for."""
BOM = b"\xef\xbb\xbf"
"""Some editors put it before UTF-8; it is passed over."""
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What acts on a terminal or on the order of what is read: control characters, breaks of lines,
marks that turn the direction of writing; and bytes of a name that are no UTF-8."""
MAGIC = {
    b"PAR1": ("a parquet file", "write its rows as JSON, with pandas or pyarrow"),
    b"PK\x03\x04": (
        "a zip archive or a spreadsheet",
        "unpack it, or save the sheet's rows as JSON",
    ),
    b"\x1f\x8b": ("a gzip archive", "unpack it with gunzip"),
    b"\xff\xfe": ("text in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
    b"\xfe\xff": ("text in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8"),
    b"version https://git-lfs": ("a Git LFS pointer in the place of the file", "run git lfs pull"),
    b"<": ("a web page or XML", "save the file itself, not the page about it"),
}


def plain(text: str, keep: str = "\n\t") -> str:
    """The text with what is not seen written out as Python does it, but for what is kept."""
    return UNSEEN.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def refuse_name(path: str | Path) -> None:
    """Refuse a name that does not say what it is called, or that no disk holds.

    Raises:
        UserError: a character that is not seen, or a part of more than 255 bytes.
    """
    shown = plain(str(path), keep="")
    if shown != str(path):
        raise UserError(
            f"the name '{shown}' holds characters that are not seen, written out here; give it a "
            "name of letters, digits, signs and spaces"
        )
    for part in Path(path).parts:
        if (size := len(os.fsencode(part))) > LONGEST_NAME:
            raise UserError(
                f"the name '{part[:60]}...' is {size} bytes long; a disk holds {LONGEST_NAME}: "
                "give a path whose every part is shorter"
            )


def not_there(path: str | Path) -> str:
    """That nothing has this name, and where it was looked for."""
    return f"{path} is not there" if Path(path).is_absolute() else f"{path} is not in {Path.cwd()}"


def reason(error: BaseException) -> str:
    """A library's error on one line."""
    told = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if len(told) <= LONGEST:
        return told
    whole = told[:LONGEST].rpartition(". ")[0]
    return whole or f"{told[:LONGEST].rpartition(' ')[0]} ..."


@contextmanager
def border(
    subject: str, remedy: str, why: Callable[[BaseException], str] = reason
) -> Iterator[None]:
    """Inside, whatever a library raises over a stranger's file becomes one sentence.

    Only around calls that read such a file. The cause stays attached for whoever looks for it.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of tokenizers' or safetensors' Rust is no Exception
        raise UserError(f"{subject} ({why(error)}); {remedy}") from error


@contextmanager
def on_disk(out: Path) -> Iterator[None]:
    """Inside, a disk that is full, read-only or unplugged is one sentence and no fault of ours."""
    try:
        yield
    except (UserError, BrokenPipeError):  # the latter: whoever read what is printed has left
        raise
    except Exception as error:
        # so Rust prints what the system said: tokenizers are written by it
        if "(os error " not in str(error) and getattr(error, "errno", None) is None:
            raise
        at = getattr(error, "filename", None) or out
        told = getattr(error, "strerror", None) or error
        raise UserError(
            f"{at}: cannot be read or written ({told}); see to that disk, and give the same "
            "command again"
        ) from error


def load_json(text: str | bytes) -> Any:
    """JSON in which no object holds a key twice: readers would differ in which one counts.

    Raises:
        ValueError: a key that comes twice, or what `json.loads` raises.
    """
    return json.loads(text, object_pairs_hook=_entries)


def refuse_repeats(text: bytes) -> None:
    """The same of JSON that another reader has taken, without building it.

    Raises:
        ValueError: a key that comes twice.
    """
    json.loads(text, object_pairs_hook=lambda pairs: _entries(pairs) and None)


def _entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {name[:80]!r} comes {count} times in one object")
    return found


def opened(path: Path) -> IO[bytes]:
    """Open a file to be read: a pipe would be waited for, and a device has no end.

    Raises:
        OSError: it is one of these, or cannot be read.
    """
    return open(path, "rb", opener=_file_alone)


def content(path: Path) -> bytes:
    """All bytes of a file; see `opened`."""
    with opened(path) as file:
        return file.read()


def _file_alone(path: str, flags: int) -> int:
    number = os.open(path, flags | os.O_NONBLOCK)  # or a pipe without a writer holds us here
    kind = os.fstat(number).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # of a folder Python tells itself
        os.close(number)
        raise OSError(errno.EINVAL, "it is a pipe or a device", path)
    return number


def read_bytes(path: Path, wanted: str) -> bytes:
    """A JSON file's bytes, without a byte-order mark.

    Args:
        path: the file.
        wanted: what is allowed there and where to get it, for the message: "a .jsonl file".

    Raises:
        UserError: it cannot be read, or is plainly no JSON.
    """
    try:
        data = content(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give {wanted}") from error
    refuse_foreign(path, data[:HEAD], wanted)
    return data.removeprefix(BOM)


def refuse_foreign(path: Path, head: bytes, wanted: str) -> None:
    """Refuse what plainly begins like something else than JSON.

    Raises:
        UserError: what it is, what is allowed and how to get there.
    """
    start = head.removeprefix(BOM).lstrip()
    for magic, (kind, do) in MAGIC.items():
        if head.startswith(magic) or (magic == b"<" and start.startswith(magic)):
            raise UserError(f"{path}: is {kind}; allowed is {wanted}: {do}")
    if b"\0" in head:
        raise UserError(f"{path}: is a binary file; allowed is {wanted}: give that one")
    if start and start[:1] not in b"{[":
        line = start.split(b"\n")[0].decode("utf-8", "replace").strip()[:80]
        table = "," in line or "\t" in line or ";" in line
        kind = "a table in CSV" if table else "plain text"
        raise UserError(
            f"{path}: is {kind} (its first line is {line!r}); allowed is {wanted}: "
            f"write {'each row as a JSON object' if table else 'its items as JSON objects'}"
        )


def refuse_whole(path: Path, head: bytes, allowed: str) -> None:
    """Refuse JSON that is one value over many lines where each line is to be an object.

    Args:
        path: the file.
        head: its first bytes.
        allowed: what a line is to be.

    Raises:
        UserError: a JSON array, or an object written over several lines.
    """
    array = head.removeprefix(BOM).lstrip().startswith(b"[")
    if array or is_spread(head):
        kind = "a JSON array" if array else "one JSON object over several lines"
        raise UserError(f"{path}: is {kind}; write each item on a line of its own; {allowed}")


def is_spread(head: bytes) -> bool:
    """Is it a JSON object written over several lines?"""
    return head.removeprefix(BOM).lstrip().split(b"\n")[0].strip() == b"{"


def not_utf8(where: str, error: UnicodeDecodeError) -> UserError:
    """What to say of bytes that are no UTF-8."""
    return UserError(
        f"{where}: is not UTF-8 (byte {error.object[error.start]:#04x}); allowed is UTF-8: save it "
        "as that, for example with iconv -f WINDOWS-1252 -t UTF-8 (from GBK with -f GB18030)"
    )


def all_of(problems: Sequence[str], do: str) -> UserError:
    """One error with every problem of a file: the first 20 named, the rest counted.

    Args:
        problems: each with its file and place.
        do: what is allowed and what to do.
    """
    if len(problems) == 1:
        return UserError(f"{problems[0]}; {do}")
    more = len(problems) - NAMED
    rest = [f"and {more:,} more"] if more > 0 else []
    return UserError("\n".join([*problems[:NAMED], *rest, f"{len(problems):,} problems; {do}"]))


@contextmanager
def writing(path: Path) -> Generator[IO[bytes], None, None]:
    """A file beside `path`; after it fsync, rename: a reader sees the old or the new, never half.

    Where what is inside fails, nothing of it is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
