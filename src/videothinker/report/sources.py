"""Run folders, as a report reads them: what each one is, and the records it must still have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videothinker.algorithms.catalog import ALGORITHMS
from videothinker.errors import UserError
from videothinker.files import refuse_name
from videothinker.run_file import RunFacts, RunFile, read_run_file
from videothinker.runs import digest_path

BASE = "Base"
"""The role of a model before any training of ours."""
ROLES = {"pretrain": BASE} | {f"train-{name}": kind.role for name, kind in ALGORITHMS.items()}
"""Stage that makes a model -> what the model is called, in the order of the tables."""
COMPARED = tuple(kind.role for kind in ALGORITHMS.values() if not kind.limit)
"""Roles of trained models that are to answer as well as they can."""
NEEDED = {
    "world": (),
    "diagnose": ("questions.jsonl", "diagnosis.jsonl"),
    "evaluate": ("samples.jsonl", "questions.jsonl"),
    **dict.fromkeys(ROLES, ("metrics.jsonl",)),
}
"""stage -> the records without which nothing can be said about it."""
DEPTH = 3
"""How far below a given folder runs are looked for."""


@dataclass(frozen=True)
class RunFolder:
    """One stage's folder: its records are files in `path`, its story is `metadata` (run.json)."""

    path: Path
    stage: str
    metadata: RunFile
    number: int
    """Its number on the page; every figure refers to its runs by it."""
    records: dict[str, str] = field(default_factory=dict)
    """file name -> SHA-256, for each JSONL file of the folder."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def config(self) -> dict[str, Any]:
        """Resolved settings."""
        return self.metadata.config

    @property
    def facts(self) -> RunFacts:
        """What only the run itself could know."""
        return self.metadata.known

    @property
    def seed(self) -> int:
        """The run's seed; 0 where the stage has none."""
        return self.metadata.seed or 0

    @property
    def data_root(self) -> Path:
        """Where the videos of its questions lie, as the run recorded it."""
        return Path(self.facts.data_root or self.path)

    @property
    def done(self) -> bool:
        """Did it finish?"""
        return self.metadata.status == "done"


def read_metadata(path: Path) -> RunFile:
    """The run.json of `path`.

    Raises:
        UserError: it is missing, or is no record of a run.
    """
    where = path / "run.json"
    if not where.exists():
        raise UserError(
            f"{path}: is not a run folder (it has no run.json); "
            "give folders that a stage of videothinker wrote"
        )
    found = read_run_file(where)
    if not found.stage:
        raise UserError(f"{where}: names no stage; give folders that a stage of videothinker wrote")
    return found


def stage_of(metadata: RunFile) -> str:
    """The stage a run.json names, hyphens for underscores, as on the command line."""
    return metadata.stage.replace("_", "-")


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders at or below `paths`, in the order given, each once.

    Raises:
        UserError: a path is no folder, or holds no run.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path}: is not a folder; give run folders, or one that holds them")
        hits = [path] if (path / "run.json").exists() else []
        for depth in range(1, DEPTH + 1):
            hits += [one.parent for one in sorted(path.glob("*/" * depth + "run.json"))]
        if not hits:
            raise UserError(f"{path}: holds no run (no run.json in it or below); give run folders")
        for hit in hits:
            refuse_name(hit)
            found.setdefault(hit.resolve(), hit)
    return list(found.values())


def _holds(path: Path) -> bool:
    """Is there at least one record?"""
    return path.is_file() and path.stat().st_size > 0


def read_runs(paths: Sequence[Path]) -> list[RunFolder]:
    """Open run folders; a run whose records are gone is refused, since nothing is kept elsewhere.

    An unfinished run that has not come to its first record is listed, and nothing is drawn of it.

    Raises:
        UserError: no run is given, a folder is none, or a run lacks its records.
    """
    if not paths:
        raise UserError("no run folder came; give at least one: videothinker report RUN...")
    folders = []
    for path in find_runs(paths):
        metadata = read_metadata(path)
        stage = stage_of(metadata)
        needed = NEEDED.get(stage, ())
        if stage == "diagnose" and metadata.known.labelled is False:
            needed = ("questions.jsonl", "audit.jsonl")  # a list that is only audited
        gone = [n for n in needed if not _holds(path / n)]
        if gone and metadata.status == "done":
            raise UserError(
                f"{path}: its {gone[0]} is gone, and a report is computed from records alone; "
                f"run {stage!r} again"
            )
        stage += ", without records" if gone else ""
        digests = {p.name: digest_path(p) for p in sorted(path.glob("*.jsonl"))}
        folders.append(RunFolder(path, stage, metadata, len(folders) + 1, digests))
    return folders
