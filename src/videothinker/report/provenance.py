"""Where every number comes from: one entry a run, to which figures refer by number."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.report.sources import RunFolder


@dataclass(frozen=True)
class Entry:
    """One run, as a reader needs it to run it again."""

    run: RunFolder
    command: str
    commit: str
    hardware: str
    seconds: float | None
    """Wall time over all its sessions; None where it never ended one."""
    settings: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str], ...]
    versions: str


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    return "not set" if value is None else str(value)


def _pairs(table: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), _plain(value)) for key, value in (table or {}).items())


def _hardware(metadata: dict[str, Any]) -> str:
    found = metadata.get("hardware") or {}
    parts = [str(found.get("machine", "")), f"{found.get('cpus', '?')} CPUs"]
    if found.get("accelerator"):
        parts.append(str(found["accelerator"]))
    return ", ".join(part for part in parts if part)


def entry(run: RunFolder) -> Entry:
    """The story of one run, from its run.json."""
    metadata = run.metadata
    argv = [str(word) for word in metadata.get("argv") or []]
    command = shlex.join([Path(argv[0]).name, *argv[1:]]) if argv else "not recorded"
    times = [t for t in metadata.get("times") or [] if t.get("ended")]
    seconds = sum(float(t["ended"]) - float(t["started"]) for t in times) if times else None
    versions = ", ".join(f"{name} {version}" for name, version in _pairs(metadata.get("versions")))
    commit = str(metadata.get("commit") or "not recorded")
    return Entry(
        run, command, commit, _hardware(metadata), seconds, _pairs(run.config),
        _pairs(run.facts), _pairs(metadata.get("inputs")), versions,
    )  # fmt: skip


def entries(runs: Sequence[RunFolder]) -> list[Entry]:
    """All runs, in the order of their numbers."""
    return [entry(run) for run in runs]


def duration(seconds: float | None) -> str:
    """`2 h 03 min`, `4 min 10 s`, `12 s`."""
    if seconds is None:
        return "not finished"
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return time.strftime("%-M min %S s", time.gmtime(whole)) if whole >= 60 else f"{whole} s"
