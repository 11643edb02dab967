"""The verb `benchmarks`: what can be asked, what a whole download holds, and how it is scored."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from videothinker.benchmarks import catalog
from videothinker.console import say
from videothinker.records import encode, write_alone


@dataclass(frozen=True, kw_only=True)
class BenchmarksConfig:
    """List the benchmarks."""

    out: Path | None = None
    """A file to write what is told to, as one JSON line."""


class BenchmarkLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A benchmark."""

    name: str
    expected: dict[str, int]
    """What a whole download holds; empty for a list of one's own."""
    official_prompt: bool
    several: bool
    """Several choices can be right."""
    own_rule: str | None
    """How its authors score, where they publish a way."""


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `benchmarks` tells, for `--json`."""

    benchmarks: tuple[BenchmarkLine, ...]


def benchmarks(config: BenchmarksConfig) -> Listing:
    """List the benchmarks that `evaluate` and `diagnose` can be given."""
    found = Listing(benchmarks=tuple(_line(name) for name in catalog.NAMES))
    width = max(map(len, catalog.NAMES))
    for line in found.benchmarks:
        say(f"{line.name:<{width}}  {_told(line)}")
    say(
        "\ncompare a download with these counts: videothinker evaluate --benchmark "
        f"{catalog.NAMES[0]} --data FOLDER --check"
    )
    if config.out is not None:
        write_alone(config.out, encode(found))
    return found


def _line(name: str) -> BenchmarkLine:
    known = catalog.about(name)
    return BenchmarkLine(
        name=name,
        expected=dict(known.expected),
        official_prompt=known.official is not None,
        several=known.several,
        own_rule=None if known.own is None else known.own.words,
    )


def _told(line: BenchmarkLine) -> str:
    counted = [
        f"{line.expected[key]:,} {key}" for key in ("questions", "videos") if key in line.expected
    ]
    parts = [
        ", ".join(counted) or "as many questions as the list holds",
        "its own prompt" if line.official_prompt else "no official prompt",
    ]
    if line.several:
        parts.append("several answers can be right")
    if line.own_rule is not None:
        parts.append("its authors' own rule")
    return "; ".join(parts)
