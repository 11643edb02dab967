"""Where `make soak` counts: one section a part, a table that grows from run to run."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from videothinker.records import write_atomic

Counts = dict[str, float]
Table = dict[str, Counts]
"""What was tried -> outcome -> how often."""


@dataclass
class Record:
    """The section of one part in a record that several may write at once."""

    path: Path
    part: str
    ends: float
    """When its time is over, by the clock of `time.monotonic`."""
    goal: int | None = None
    """Trials of each kind; None is the part's own."""
    only: Sequence[str] = ()
    """Kinds whose names hold one of these; all where there is none."""

    def __post_init__(self) -> None:
        self.read()

    def read(self) -> None:
        """Take up what stands in the file."""
        self.table: Table = _read(self.path).get(self.part, {})

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Of the kinds, those that were asked for."""
        return [name for name in names if not self.only or any(one in name for one in self.only)]

    def tried(self, name: str) -> int:
        """What was counted under a name, outcomes together."""
        return int(sum(self.table.get(name, {}).values()))

    def came(self, name: str, outcome: str) -> int:
        """How often an outcome was counted under a name."""
        return int(self.table.get(name, {}).get(outcome, 0))

    @property
    def late(self) -> bool:
        """Is the time over?"""
        return time.monotonic() > self.ends

    def count(self, name: str, **counts: float) -> None:
        """Add to what is counted under a name, and keep it."""
        row = self.table.setdefault(name, {})
        for outcome, number in counts.items():
            row[outcome] = row.get(outcome, 0) + number
        self.save()

    def save(self) -> None:
        """Put the section into the record beside whatever the others have put there."""
        with _held(self.path.parent):
            sections = {**_read(self.path), self.part: self.table}
            write_atomic(self.path, (json.dumps(sections, indent=1) + "\n").encode())


def tables(path: Path) -> dict[str, str]:
    """Part -> its table in Markdown; what did not come up is 0."""
    return {part: _markdown(part, table) for part, table in _read(path).items()}


def _markdown(part: str, table: Table) -> str:
    outcomes = list(dict.fromkeys(outcome for row in table.values() for outcome in row))
    lines = [[part, *outcomes], ["---"] * (1 + len(outcomes))]
    lines += [[name, *(f"{row.get(one, 0):,}" for one in outcomes)] for name, row in table.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _read(path: Path) -> dict[str, Table]:
    return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """A folder can be locked itself: nothing is left in it."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)
