"""Where every number comes from: one entry a run, to which figures refer by number."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.report.sources import RunFolder, stage_of


@dataclass(frozen=True)
class Entry:
    """One run, as a reader needs it to run it again."""

    run: RunFolder
    command: str | None
    """To paste into a shell; None where it was called from Python."""
    called: str
    """How it was started where there is no command."""
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


def command_of(run: RunFolder) -> str | None:
    """The shell command that made a run, whatever file Python was given; None from Python."""
    words = [str(word) for word in (run.metadata.get("argv") or [])[1:]]
    verb = stage_of(run.metadata).split("-", 1)
    return shlex.join(["videothinker", *words]) if words[: len(verb)] == verb else None


def whole_script(runs: Sequence[RunFolder]) -> str:
    """The commands of all runs, in the order in which they began."""

    def began(run: RunFolder) -> float:
        return min((float(t["started"]) for t in run.metadata.get("times") or []), default=0.0)

    commands = (command_of(run) for run in sorted(runs, key=began))
    return "\n".join(command for command in commands if command is not None)


def entry(run: RunFolder) -> Entry:
    """The story of one run, from its run.json."""
    metadata = run.metadata
    argv = [str(word) for word in metadata.get("argv") or []]
    called = f"from Python, by {Path(argv[0]).name}" if argv else "not recorded"
    times = [t for t in metadata.get("times") or [] if t.get("ended")]
    seconds = sum(float(t["ended"]) - float(t["started"]) for t in times) if times else None
    versions = ", ".join(f"{name} {version}" for name, version in _pairs(metadata.get("versions")))
    commit = str(metadata.get("commit") or "not recorded")
    return Entry(
        run, command_of(run), called, commit, _hardware(metadata), seconds, _pairs(run.config),
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
