"""What reading a list found: problems with their mending, and what was read, made or guessed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

NoteKind = Literal["read", "made", "guessed", "left out", "not read"]
"""`read`: there is one way to take it. `made`: a name that was missing and decides no answer.
`guessed`: another reading is possible and would change answers, questions or videos."""


@dataclass(frozen=True)
class Problem:
    """Why a row is no question."""

    number: int
    """Its line, item or row."""
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"


@dataclass
class Notes:
    """Each thing noted once, with how often and where first."""

    found: dict[tuple[NoteKind, str], list[int]] = field(
        default_factory=dict[tuple[NoteKind, str], list[int]]
    )

    def add(self, kind: NoteKind, what: str, number: int, count: int = 1) -> None:
        """Note it of a row."""
        known = self.found.setdefault((kind, what), [0, number])
        known[0] += count

    def of(self, kind: NoteKind) -> dict[str, tuple[int, int]]:
        """What was noted of a kind -> in how many rows, and the first of them."""
        return {
            what: (count, first)
            for (one, what), (count, first) in self.found.items()
            if one == kind
        }

    def lines(self, unit: str, *kinds: NoteKind) -> Iterator[str]:
        """`guessed: ... (12 rows, first line 3)`."""
        for kind in kinds:
            for what, (count, first) in self.of(kind).items():
                rows = f"{count:,} rows, first {unit} {first}" if count > 1 else f"{unit} {first}"
                yield f"{kind}: {what} ({rows})"


def kind(value: Any) -> str:
    """What a value is, for someone who does not program."""
    kinds = {str: "text", bytes: "bytes", bool: "true or false", dict: "an object", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "a number")
