"""What a person sees while a stage runs: progress with ETA on a terminal, plain lines in a pipe."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table

from videothinker.files import plain
from videothinker.ranks import rank


class _Console(Console):
    """Rich's own ends the process with exit code 1 where nobody reads any more: that is a lie."""

    def render(self, *given: Any, **named: Any) -> Iterator[Segment]:
        """What names and answers hold acts on no terminal; what rich does to it itself, does."""
        for one in super().render(*given, **named):
            yield one if one.control else Segment(plain(one.text), one.style)

    def on_broken_pipe(self) -> None:
        """Let the command line hear of it."""
        raise  # noqa: PLE0704  (rich calls this while it handles the BrokenPipeError)


stderr = _Console(stderr=True, highlight=False, emoji=False, quiet=rank() > 0)
"""Of several processes the first speaks."""


_held: ContextVar[list[str] | None] = ContextVar("held", default=None)


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Inside, lines for a person are kept in the list and not printed, and there are no bars."""
    lines: list[str] = []
    token = _held.set(lines)
    try:
        yield lines
    finally:
        _held.reset(token)


def count(number: int, noun: str) -> str:
    """`1 video`, `2 videos`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def columns(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows as lines of text: the first `left` columns flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def say(told: str | Table) -> None:
    """A line or a table for a person, on stderr; stdout belongs to results."""
    held = _held.get()
    if isinstance(told, str) and held is not None:
        held.extend(told.splitlines())
    elif isinstance(told, str):
        stderr.print(told, markup=False, soft_wrap=True)
    elif held is None:
        stderr.print(told)
    else:
        with stderr.capture() as drawn:
            stderr.print(told)
        held.extend(drawn.get().splitlines())


PROGRESS_FILE = "VIDEOTHINKER_PROGRESS_FILE"
"""Names the file in which a process without a terminal writes how far it is."""


def read_progress(path: Path) -> tuple[int, int, str] | None:
    """What a process wrote of its progress: done, total, of what; None where it wrote nothing."""
    try:
        done, total, what = path.read_text(encoding="utf-8").split("\t", 2)
        return int(done), int(total), what
    except (OSError, ValueError):  # not there yet, or half written
        return None


class ProgressFile:
    """In the place of a bar: the same, for whoever reads the file."""

    def __init__(self, path: Path, what: str, total: int, done: int) -> None:
        self._path, self._what, self._total, self._done = path, what, total, done
        self._written = 0.0
        self.advance(0)

    def advance(self, count: int = 1) -> None:
        """Count `count` items as done."""
        self._done += count
        if time.monotonic() - self._written < 0.2 and self._done < self._total:
            return
        self._written = time.monotonic()
        with suppress(OSError):  # a full disk is told by what it hinders
            self._path.write_text(f"{self._done}\t{self._total}\t{self._what}", encoding="utf-8")

    def note(self, text: str) -> None:
        """Nothing: there is no place for it."""


class Bar:
    """A progress bar's handle: `advance(n)`, `note(text)`."""

    def __init__(self, progress: Progress | None, task: Any) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: int = 1) -> None:
        """Count `count` items as done."""
        if self._progress is not None:
            self._progress.advance(self._task, count)

    def note(self, text: str) -> None:
        """Show a live line of text beside the bar."""
        if self._progress is not None:
            self._progress.update(self._task, note=text)


@contextmanager
def progress(description: str, total: int, *, done: int = 0) -> Iterator[Bar | ProgressFile]:
    """A progress bar with ETA on a terminal; silent where stderr is not one."""
    if PROGRESS_FILE in os.environ:
        yield ProgressFile(Path(os.environ[PROGRESS_FILE]), description, total, done)
        return
    if not sys.stderr.isatty() or _held.get() is not None:
        yield Bar(None, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=stderr) as bars:
        task = bars.add_task(description, total=total, completed=done, note="")
        yield Bar(bars, task)
