"""Every benchmark's name, one line each; `<name>.py` beside this file is all else about it.

A file gives `BENCHMARK` (how it is asked, counted and scored) and `load` (its questions). Files are
imported when they are asked for, so that `--help` knows the names at no cost.
"""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

from videothinker.benchmarks import protocols
from videothinker.benchmarks.base import Benchmark
from videothinker.benchmarks.protocols import Protocol
from videothinker.errors import UserError

BenchmarkName = Literal[
    "clevrer",
    "mmvu",
    "video-holmes",
    "mvbench",
    "tempcompass",
    "videomme",
    "jsonl",
    "video-holmes-list",
    "mvbench-list",
]
NAMES: tuple[BenchmarkName, ...] = get_args(BenchmarkName)


def _file(name: str) -> ModuleType:
    if name not in NAMES:
        raise UserError(f"benchmark {name!r} is unknown; allowed are {', '.join(NAMES)}")
    return importlib.import_module(f"{__package__}.{name.replace('-', '_')}")


def about(name: str) -> Benchmark:
    """What is known of a benchmark without its files: no questions.

    Raises:
        UserError: an unknown name.
    """
    return _file(name).BENCHMARK


def load(
    name: str,
    data: Path,
    split: str | None = None,
    *,
    root: Path | None = None,
    accept_guesses: bool = False,
) -> Benchmark:
    """Read a benchmark.

    Args:
        name: one of NAMES; `-list` is the authors' format.
        data: its folder as downloaded, or the file where the format is one file.
        split: of CLEVRER and of lists of one's own; the other benchmarks have one.
        root: of a list of one's own, where its videos lie; None is the list's folder.
        accept_guesses: of a list of one's own, what had to be guessed is right.

    Raises:
        UserError: an unknown name, or files that are not the published ones.
    """
    file = _file(name)
    if name == "jsonl":
        return file.load(data, split, root=root, accept_guesses=accept_guesses)
    if split is None or not file.BENCHMARK.has_splits:
        return file.load(data)
    return file.load(data, split)


def resolve(protocol: str, name: str, **changes: Any) -> Protocol:
    """The protocol for a benchmark, with single values changed where they are not None.

    Raises:
        UserError: an unknown protocol or benchmark, or one without an official protocol.
    """
    allowed = get_args(protocols.ProtocolName)
    if protocol not in allowed:
        raise UserError(f"protocol {protocol!r} is unknown; allowed are {', '.join(allowed)}")
    asked = about(name)
    found = {
        "official": asked.official,
        "reference": protocols.reference(asked.authors_options),
        "videothinker": protocols.videothinker(several=asked.several),
        "demo": protocols.demo(several=asked.several),
    }[protocol]
    if found is None:
        raise UserError(f"{name!r} has no official protocol; use videothinker, reference or demo")
    changed = {key: value for key, value in changes.items() if value is not None}
    return replace(found, benchmark=asked.name, **changed)
