"""What a stage called from Python returns: where it wrote, its summary, its records, a table."""

import html
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.errors import UserError
from videothinker.files import border

MAIN = {
    "diagnose": ("diagnosis.jsonl", "questions.jsonl"),
    "train": ("metrics.jsonl",),
    "pretrain": ("metrics.jsonl",),
    "evaluate": ("samples.jsonl",),
}
"""Stage -> its records, the first that is there."""
KINDS = {
    "questions.jsonl": "Question",
    "bias.jsonl": "Question",
    "bias_as_is.jsonl": "Question",
    "minimal_pairs.jsonl": "Question",
    "natural_pairs.jsonl": "Question",
    "diagnosis.jsonl": "Diagnosis",
    "samples.jsonl": "Sample",
    "metrics.jsonl": "Step",
}
"""File -> its type in `videothinker.records`; others are given as they stand, as dictionaries."""
SHOWN = 12
"""Lines of a summary that a notebook shows."""


@dataclass(frozen=True, repr=False)
class Result(os.PathLike[str]):
    """A finished stage. It can stand wherever a path is asked for."""

    stage: str
    """The function's name: `world`, `train` ..."""
    path: Path
    """The run folder, or the file that was written."""
    said: tuple[str, ...] = ()
    """What the stage would have printed, a line each."""

    def __repr__(self) -> str:
        """In a line: the path, how the run ended, and what its summary knows."""
        known = {"path": str(self.path), "status": self._run_file().get("status")}
        told = ", ".join(f"{key}={value!r}" for key, value in known.items() if value)
        return f"Result({self.stage}: {told}, summary={list(self.summary)})"

    def __fspath__(self) -> str:
        """The path, as text."""
        return str(self.path)

    @property
    def facts(self) -> dict[str, Any]:
        """What the run found out about itself, from run.json; empty for a file."""
        return dict(self._run_file().get("facts") or {})

    @property
    def failures(self) -> int:
        """Failures that the run recorded."""
        return int(self._run_file().get("failures") or 0)

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json where the stage writes one, else `facts`."""
        written = self.path / "summary.json"
        return json.loads(written.read_text()) if written.is_file() else self.facts

    def _run_file(self) -> dict[str, Any]:
        written = self.path / "run.json"
        return json.loads(written.read_text()) if written.is_file() else {}

    @property
    def files(self) -> list[str]:
        """Names of the record files."""
        return sorted(one.name for one in self.path.glob("*.jsonl")) if self.path.is_dir() else []

    def records(self, name: str | None = None) -> Iterator[Any]:
        """The records of one file, one after another, never all at once in memory.

        Args:
            name: one of `files`; by default the stage's own records.

        Raises:
            UserError: no such file, or a record that cannot be read.
        """
        from videothinker import records  # noqa: PLC0415  (msgspec, only where records are read)

        wanted = (name,) if name is not None else MAIN.get(self.stage, ())
        found = next((one for one in wanted if one in self.files), None)
        if found is None:
            what = repr(name) if name is not None else f"records of {self.stage!r}"
            raise UserError(
                f"{self.path} holds no {what}; allowed are {', '.join(self.files) or 'none'}"
            )
        if found not in KINDS:
            return _plain(self.path / found)
        return records.iter_jsonl(self.path / found, getattr(records, KINDS[found]))

    def to_dicts(self, name: str | None = None) -> list[dict[str, Any]]:
        """The same as dictionaries of plain values: `pandas.DataFrame(result.to_dicts())`.

        Raises:
            UserError: as `records`.
        """
        import msgspec  # noqa: PLC0415

        return [msgspec.to_builtins(one) for one in self.records(name)]

    def _repr_html_(self) -> str:
        """For a notebook: where it is, the summary's plain values, and what was said."""
        plain = {
            key: value
            for key, value in self.summary.items()
            if isinstance(value, (str, int, float)) and not isinstance(value, bool)
        }
        rows = [("stage", self.stage), ("path", self.path), ("failures", self.failures)]
        rows += list(plain.items())[:SHOWN]
        if self.files:
            rows.append(("records", ", ".join(self.files)))
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(str(key))}</th>"
            f"<td style='text-align:left'>{html.escape(str(value))}</td></tr>"
            for key, value in rows
        )
        lines = html.escape("\n".join(self.said))
        told = f"<pre style='overflow-x:auto'>{lines}</pre>" if self.said else ""
        return f"<table>{cells}</table>{told}"


def _plain(path: Path) -> Iterator[Any]:
    """Records of a kind that no stage reads again."""
    with path.open("rb") as lines:  # by bytes: a sign that ends a line elsewhere may stand in one
        for number, line in enumerate(lines, 1):
            with border(f"{path}:{number}: is no JSON", "mend that line, or run the stage again"):
                yield json.loads(line)
