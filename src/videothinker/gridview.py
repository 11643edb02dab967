"""A grid on a terminal: a line a cell with its bar and when it will be done, filled as cells end.

A cell's process has no terminal; it writes how far it is into a file that the grid names to it
(`console.PROGRESS_FILE`), and the grid reads that here. In a pipe there is no table, only lines.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from videothinker.console import read_progress, stderr

TAIL = 2000
"""Bytes of a log in which its last line is looked for."""


@dataclass(frozen=True)
class CellRow:
    """A cell, as it is shown."""

    name: str
    state: str
    """waiting, running, done, FAILED."""
    seconds: float
    """Since it began."""
    progress: Path
    log: Path


def duration(seconds: float) -> str:
    """`4:05`, or `1:02:03`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def remaining(seconds: float, done: int, total: int) -> str:
    """When a cell that has done so much in so long will be through: `in 2:10`, or nothing yet."""
    return f"in {duration(seconds * (total - done) / done)}" if 0 < done < total else ""


def last_line(log: Path) -> str:
    """The last line of a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def table(rows: Sequence[CellRow]) -> Table:
    """The grid as it stands."""
    found = Table(box=None, pad_edge=False, expand=True)
    for head in ("cell", "", "done", "time", "left"):
        found.add_column(head, no_wrap=True)
    found.add_column("what it said last", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        done, total, _ = read_progress(row.progress) or (0, 0, "")
        if row.state in ("done", "FAILED"):
            done = total = 1
        shown = ProgressBar(total=total or 1, completed=done, width=20)
        began = row.state != "waiting"
        found.add_row(
            row.name,
            row.state,
            shown if began else "",
            duration(row.seconds) if began else "",
            remaining(row.seconds, done, total) if row.state == "running" else "",
            last_line(row.log) if began else "",
        )
    return found


@contextmanager
def shown(rows: Callable[[], Sequence[CellRow]]) -> Iterator[Callable[[], None]]:
    """Show the table while inside, on a terminal; call what is given to draw it anew."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with Live(table(rows()), console=stderr, auto_refresh=False) as live:
        drawn = time.monotonic()

        def draw() -> None:
            nonlocal drawn
            if time.monotonic() - drawn >= 0.5:
                drawn = time.monotonic()
                live.update(table(rows()), refresh=True)

        yield draw
        live.update(table(rows()), refresh=True)
