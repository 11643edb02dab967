"""Where every number comes from: one entry a run, to which figures refer by number."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.report.sources import NEEDED, RunFolder, stage_of
from videothinker.run_file import Hardware


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


def _pairs(table: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((key, _plain(value)) for key, value in table.items())


def _hardware(found: Hardware) -> str:
    parts = (found.machine, f"{found.cpus or '?'} CPUs", found.accelerator)
    return ", ".join(part for part in parts if part)


def command_of(run: RunFolder) -> str | None:
    """The shell command that made a run, whatever file Python was given; None from Python."""
    words = run.metadata.argv[1:]
    verb = stage_of(run.metadata).split("-", 1)
    return shlex.join(["videothinker", *words]) if words[: len(verb)] == verb else None


def whole_script(runs: Sequence[RunFolder]) -> str:
    """The commands of all runs, in the order in which they began.

    Without those that came to no record: they would fail again.
    """

    def began(run: RunFolder) -> float:
        return min((one.started for one in run.metadata.times), default=0.0)

    kept = [run for run in runs if run.done or run.stage in NEEDED]
    commands = (command_of(run) for run in sorted(kept, key=began))
    return "\n".join(command for command in commands if command is not None)


def entry(run: RunFolder) -> Entry:
    """The story of one run, from its run.json."""
    told = run.metadata
    called = f"from Python, by {Path(told.argv[0]).name}" if told.argv else "not recorded"
    spans = [one.ended - one.started for one in told.times if one.ended]
    # a clock that was set back in between makes a session no shorter than nothing
    seconds = sum(max(0.0, span) for span in spans) if spans else None
    versions = ", ".join(f"{name} {version}" for name, version in _pairs(told.versions))
    return Entry(
        run, command_of(run), called, told.commit or "not recorded", _hardware(told.hardware),
        seconds, _pairs(run.config), _pairs(told.facts), _pairs(told.inputs), versions,
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
