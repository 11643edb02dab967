"""A table as the page shows it: lines of cells, every figure with what it counts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TableCell:
    """One figure: a number, its interval, and in words what it counts."""

    value: str
    interval: str = ""
    words: str = ""
    unparsed: str = ""
    """Of an accuracy: percent of the answers that could not be read."""


@dataclass(frozen=True)
class SheetLine:
    """One row: who, the figures, the runs they come from (none: published elsewhere)."""

    name: str
    cells: tuple[TableCell, ...]
    runs: tuple[int, ...] = ()
    published: str | None = None
    """Where it was published; null for our own rows."""


@dataclass(frozen=True)
class Sheet:
    """One table."""

    id: str
    title: str
    columns: tuple[str, ...]
    lines: tuple[SheetLine, ...]
    note: str


NOTHING = TableCell("\N{EN DASH}", words="not measured")
