"""The stages from Python: `from videothinker.api import world, diagnose, train, evaluate, report`.

Each is called with settings by name, or with its config, and returns a `Result` (`ask`, `check`,
`convert`, `models`, `benchmarks`, `push` and `pull` a record of their own). It is quiet unless
`quiet=False`. A stage is imported when it is called, so this module is light.
"""

import dataclasses
import os
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videothinker import console
from videothinker.errors import UserError
from videothinker.results import Result
from videothinker.verbs import VERBS, load, setting_names

if TYPE_CHECKING:
    from videothinker.algorithms.base import TrainConfig
    from videothinker.algorithms.bias import BiasConfig
    from videothinker.algorithms.cdpo import CdpoConfig
    from videothinker.algorithms.grpo import GrpoConfig
    from videothinker.answering.config import AskConfig, ModelsConfig
    from videothinker.answering.families import Families
    from videothinker.answering.single import AskResult
    from videothinker.benchmarks.listing import BenchmarksConfig, Listing
    from videothinker.checking.config import CheckConfig, ConvertConfig
    from videothinker.checking.stage import Checked
    from videothinker.diagnosis.config import DiagnoseConfig
    from videothinker.evaluation.config import EvaluateConfig
    from videothinker.export.config import ExportConfig
    from videothinker.lab.pretraining.config import PretrainConfig
    from videothinker.publishing.config import PullConfig, PushConfig
    from videothinker.publishing.stage import Published
    from videothinker.report.config import ReportConfig
    from videothinker.reproduce import DemoConfig, ReproduceConfig
    from videothinker.world.config import WorldConfig

PathLike = str | os.PathLike[str]
CONFIGS = {v.config.split(":")[1]: v.config for name, v in VERBS.items() if name != "chat"}
"""Of every verb but `chat`, which is for a person at a terminal."""

__all__ = [
    "AskConfig",
    "BenchmarksConfig",
    "BiasConfig",
    "CdpoConfig",
    "CheckConfig",
    "ConvertConfig",
    "DemoConfig",
    "DiagnoseConfig",
    "EvaluateConfig",
    "ExportConfig",
    "GrpoConfig",
    "ModelsConfig",
    "PretrainConfig",
    "PullConfig",
    "PushConfig",
    "ReportConfig",
    "ReproduceConfig",
    "Result",
    "WorldConfig",
    "ask",
    "benchmarks",
    "check",
    "convert",
    "demo",
    "diagnose",
    "evaluate",
    "export",
    "models",
    "pretrain",
    "pull",
    "push",
    "report",
    "reproduce",
    "train",
    "world",
]


def __getattr__(name: str) -> Any:
    """The config of a stage."""
    if name not in CONFIGS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = load(CONFIGS[name])
    return found


def _settled(kind: type, settings: dict[str, Any]) -> Any:
    """A config of `kind` from flat settings, as flags and recipes give them; text may be a path.

    Raises:
        UserError: a name that is no setting, or one that is needed and missing.
    """
    known = setting_names(kind)
    for name in settings:
        if name not in known:
            raise UserError(
                f"{name!r} is no setting of {kind.__name__}; allowed are {', '.join(known)}"
            )
    hints, given = typing.get_type_hints(kind), dict[str, Any]()
    for field in dataclasses.fields(kind):
        annotation = hints[field.name]
        if dataclasses.is_dataclass(annotation):
            inner = typing.cast("type", annotation)
            mine = {k: v for k, v in settings.items() if k in setting_names(inner)}
            given |= {field.name: _settled(inner, mine)} if mine else {}
        elif field.name in settings:
            given[field.name] = _as(annotation, settings[field.name])
        elif field.default is dataclasses.MISSING:
            raise UserError(f"{kind.__name__} needs {field.name!r}; give {field.name}=...")
    return kind(**given)


def _as(annotation: Any, value: Any) -> Any:
    """A path or a result as the setting wants it: a `Path`, or text."""
    paths = annotation is Path or Path in typing.get_args(annotation)
    if isinstance(value, (str, os.PathLike)):
        return Path(value) if paths else os.fspath(value)
    if isinstance(value, list):
        inside = typing.get_args(annotation)[:1]
        return tuple(_as(inside[0] if inside else Any, one) for one in value)
    return value


def _call(name: str, inputs: Sequence[Any], config: Any, *, quiet: bool, settings: Any) -> Any:
    """Run the stage of a verb; its path becomes a `Result`.

    Raises:
        UserError: a config and settings beside it, or as the stage.
    """
    if config is not None and settings:
        raise UserError(f"{name}: give a config or settings by name, not both")
    verb = VERBS[name]
    config = _settled(load(verb.config), settings) if config is None else config
    stage = load(verb.stage)
    if not quiet:
        return _result(name, stage(*inputs, config), ())
    with console.quiet() as said:
        found = stage(*inputs, config)
    return _result(name, found, tuple(said))


def _result(name: str, found: Any, said: tuple[str, ...]) -> Any:
    return Result(name.split(maxsplit=1)[0], found, said) if isinstance(found, Path) else found


def world(config: "WorldConfig | None" = None, *, quiet: bool = True, **settings: Any) -> Result:
    """Make videos, annotations and questions in CLEVRER's own format."""
    return _call("world", (), config, quiet=quiet, settings=settings)


def check(
    path: PathLike, config: "CheckConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Checked":
    """Say all that is wrong with a list of questions."""
    return _call("check", (Path(path),), config, quiet=quiet, settings=settings)


def convert(
    path: PathLike, config: "ConvertConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Checked":
    """Write a list of questions as our own records."""
    return _call("convert", (Path(path),), config, quiet=quiet, settings=settings)


def diagnose(
    data: PathLike, config: "DiagnoseConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> Result:
    """Label which questions a description answers; write the bias set."""
    return _call("diagnose", (Path(data),), config, quiet=quiet, settings=settings)


def pretrain(
    data: PathLike | None = None,
    config: "PretrainConfig | None" = None,
    *,
    quiet: bool = True,
    **settings: Any,
) -> Result:
    """Train a small video LLM from scratch."""
    return _call(
        "pretrain", (None if data is None else Path(data),), config, quiet=quiet, settings=settings
    )


def evaluate(
    data: PathLike, config: "EvaluateConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> Result:
    """Answer a benchmark's questions and record every sample."""
    return _call("evaluate", (Path(data),), config, quiet=quiet, settings=settings)


def report(
    runs: Sequence[PathLike],
    config: "ReportConfig | None" = None,
    *,
    quiet: bool = True,
    **settings: Any,
) -> Result:
    """Write one self-contained HTML page from run folders."""
    return _call("report", ([Path(run) for run in runs],), config, quiet=quiet, settings=settings)


def ask(
    video: PathLike,
    question: str,
    config: "AskConfig | None" = None,
    *,
    quiet: bool = True,
    **settings: Any,
) -> "AskResult":
    """Ask a model one question about one video."""
    return _call("ask", (Path(video), question), config, quiet=quiet, settings=settings)


def models(
    config: "ModelsConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Families":
    """List the model families; or hold one model against plain transformers."""
    return _call("models", (), config, quiet=quiet, settings=settings)


def benchmarks(
    config: "BenchmarksConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Listing":
    """List the benchmarks that can be asked."""
    return _call("benchmarks", (), config, quiet=quiet, settings=settings)


def export(config: "ExportConfig | None" = None, *, quiet: bool = True, **settings: Any) -> Result:
    """A LoRA run as one complete model, a run for ms-swift, or a task for lmms-eval."""
    return _call("export", (), config, quiet=quiet, settings=settings)


def push(
    folder: PathLike, config: "PushConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Published":
    """Send a model or a diagnosed question set to a hub, with its card."""
    return _call("push", (Path(folder),), config, quiet=quiet, settings=settings)


def pull(
    address: str, config: "PullConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Published":
    """Fetch a model or a question set from a hub into a folder."""
    return _call("pull", (address,), config, quiet=quiet, settings=settings)


def demo(config: "DemoConfig | None" = None, *, quiet: bool = True, **settings: Any) -> Result:
    """Run the whole line on a small simulated world."""
    return _call("demo", (), config, quiet=quiet, settings=settings)


def reproduce(
    grid: PathLike, config: "ReproduceConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> Result:
    """Run a grid of commands within a time budget."""
    return _call("reproduce", (Path(grid),), config, quiet=quiet, settings=settings)


def train(
    data: PathLike, algorithm: "str | TrainConfig" = "grpo", *, quiet: bool = True, **settings: Any
) -> Result:
    """Train by `bias`, `grpo` or `cdpo`, or by the algorithm that a config belongs to.

    Raises:
        UserError: another algorithm, or as the stage.
    """
    named = isinstance(algorithm, str)
    name = f"train {algorithm if named else algorithm.stage}"
    if named and name not in VERBS:
        known = ", ".join(verb.split()[1] for verb in VERBS if verb.startswith("train "))
        raise UserError(f"algorithm {algorithm!r} is unknown; allowed are {known}")
    if not named and name not in VERBS:  # an algorithm of one's own goes the same way
        name = "train grpo"
    config = None if named else algorithm
    return _call(name, (Path(data),), config, quiet=quiet, settings=settings)
