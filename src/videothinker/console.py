"""What a person sees while a stage runs: progress with ETA on a terminal, plain lines in a pipe."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

from videothinker.ranks import rank


class _Console(Console):
    """Rich's own ends the process with exit code 1 where nobody reads any more: that is a lie."""

    def on_broken_pipe(self) -> None:
        """Let the command line hear of it."""
        raise  # noqa: PLE0704  (rich calls this while it handles the BrokenPipeError)


stderr = _Console(stderr=True, highlight=False, quiet=rank() > 0)
"""Of several processes the first speaks."""


def say(text: str) -> None:
    """One line for a person, on stderr; stdout belongs to results."""
    stderr.print(text, markup=False, soft_wrap=True)


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
def progress(description: str, total: int, *, done: int = 0) -> Iterator[Bar]:
    """A progress bar with ETA on a terminal; silent where stderr is not one."""
    if not sys.stderr.isatty():
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
