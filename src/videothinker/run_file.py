"""What `run.json` holds: how a run was made, on what, and how far it got.

It is written by `runs.open_run`, and read by every stage that takes a run folder.
"""

import dataclasses
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from videothinker.errors import UserError
from videothinker.files import border, content, refuse_repeats
from videothinker.recipes import RENAMED

VERSIONS = ("videothinker", "torch", "transformers", "accelerate", "peft", "av", "pymunk", "numpy")
QUESTIONS = "questions.jsonl"
"""The list in a folder of ours."""
SIMULATED = "simulated world"
"""How questions about a world of ours are called, whatever their layout."""
NOT_RECORDED = ("out", "json")
"""Settings that run.json leaves out: where a run lies and how it speaks."""


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """What a run ran on."""

    machine: str = ""
    cpus: int | None = None
    threads: str | None = None
    """`OMP_NUM_THREADS`."""
    accelerator: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process's work on a run: seconds since 1970; null until it ends."""

    started: float
    ended: float | None = None
    status: str | None = None


class ProtocolFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of the protocol that a run asked by."""

    name: str = ""
    benchmark: str | None = None
    several: bool = False
    """May an answer hold several letters?"""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What later stages read of a run's facts; all the others are only shown."""

    data_root: str | None = None
    simulated: bool = False
    """Its questions are of a world of ours, which is laid out as CLEVRER and is not CLEVRER."""
    stamp: int | None = None
    """See `stamp_of`, when the run wrote this."""
    labelled: bool | None = None
    at_chance: bool = False
    """A diagnosis whose probed model was not shown to be better than a guess."""
    weights_changed: bool | None = None
    warnings: list[str] = []
    protocol: ProtocolFacts | None = None

    @property
    def of_world(self) -> bool:
        """As recorded; of older runs, as the folder of their videos says where it is still there.

        Raises:
            UserError: that folder's run.json cannot be read.
        """
        return self.simulated or (self.data_root is not None and is_world(Path(self.data_root)))


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """A `run.json`. Every entry may be absent: folders outlive the version that wrote them."""

    stage: str = ""
    argv: list[str] = []
    config: dict[str, Any] = {}
    seed: int | None = None
    inputs: dict[str, str | None] = {}
    versions: dict[str, str] = {}
    commit: str | None = None
    hardware: Hardware = Hardware()
    status: str = ""
    times: list[Session] = []
    facts: dict[str, Any] = {}
    failures: int = 0

    @property
    def known(self) -> RunFacts:
        """The facts that have a meaning elsewhere."""
        return msgspec.convert(self.facts, RunFacts)


def read_run_file(path: Path) -> RunFile:
    """A `run.json`.

    Raises:
        UserError: it cannot be read, or is none.
    """
    with border(f"{path}: is no record of a run", "give the folder as the run left it, or another"):
        data = content(path)
        found = msgspec.json.decode(data, type=RunFile)
        refuse_repeats(data)
        _ = found.known
    return found


def is_world(root: Path) -> bool:
    """Are these the files of stage `world`?

    Raises:
        UserError: there is a run.json that cannot be read.
    """
    path = root / "run.json"
    return path.is_file() and read_run_file(path).stage == "world"


def stamp_of(folder: Path) -> int | None:
    """When this disk took in a folder's questions, in nanoseconds; None where it has none.

    The system's own time of a file's last change, which nobody can set: a copy, an unpacked
    archive or a download has another. Moving the folder on its disk keeps it.
    """
    path = folder / QUESTIONS
    return path.stat().st_ctime_ns if path.is_file() else None


def to_plain(config: object) -> Any:
    """A dataclass (or a value inside one) as JSON-ready builtins."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    return msgspec.to_builtins(config, enc_hook=str)


@cache
def _commit() -> str | None:
    """Of the checkout that this file belongs to; None for an installed package, and without git."""
    git, here = shutil.which("git"), Path(__file__)
    if git is None:
        return None

    def said(*words: str) -> str | None:
        done = subprocess.run(
            [git, "-C", str(here.parent), *words], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    return said("rev-parse", "HEAD") if said("ls-files", "--error-unmatch", here.name) else None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _hardware() -> Hardware:
    device = None
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    return Hardware(
        machine=platform.machine(),
        cpus=os.cpu_count(),
        threads=os.environ.get("OMP_NUM_THREADS"),
        accelerator=device,
    )


def since_added(old: Mapping[str, Any], config: object) -> dict[str, Any]:
    """Recorded settings by their names of today, with the defaults of those added since."""
    filled = {RENAMED.get(name, name): value for name, value in old.items()}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and isinstance(filled.get(field.name), dict):
            filled[field.name] = since_added(filled[field.name], value)
        elif field.name not in NOT_RECORDED and field.default is not dataclasses.MISSING:
            filled.setdefault(field.name, to_plain(field.default))
    return filled


def compare(path: Path, old: RunFile, new: RunFile, config: object, free: Collection[str]) -> None:
    """Refuse to go on with a run in another stage, with other settings or other inputs.

    Args:
        path: the folder.
        old: what it holds.
        new: what is to go on there.
        config: of the latter; a setting added since `old` was written has its default there.
        free: settings and inputs that may differ.

    Raises:
        UserError: with the first difference.
    """
    if old.stage != new.stage:
        raise UserError(
            f"{path}: holds a run of {old.stage!r}, not {new.stage!r}; give another --out"
        )
    for name, there, here in (
        ("config", since_added(old.config, config), new.config),
        ("input", old.inputs, new.inputs),
    ):
        for key in sorted((there.keys() | here.keys()) - set(free)):
            was, now = (as_read(one.get(key)) for one in (there, here))
            if was != now:
                raise UserError(
                    f"{path}: holds a run with another {name} "
                    f"({key}: {was!r} there, {now!r} here); "
                    "give another --out, or the same settings to resume"
                )


def as_read(value: object) -> Any:
    """A value as it comes back from a file: tuples as lists."""
    return msgspec.json.decode(msgspec.json.encode(value))


def entry(stage: str, config: object, inputs: Mapping[str, str | None]) -> RunFile:
    """What run.json says of a run before it starts; `inputs` are digests."""
    plain = {k: v for k, v in to_plain(config).items() if k not in NOT_RECORDED}
    return RunFile(
        stage=stage,
        argv=sys.argv,
        config=plain,
        seed=plain.get("seed"),
        inputs=dict(inputs),
        versions=_versions(),
        commit=_commit(),
        hardware=_hardware(),
        status="running",
    )
