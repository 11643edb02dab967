"""The stages from Python: `from videothinker.api import world, diagnose, train, evaluate, report`.

Each is called with settings by name, or with its config, and returns a `Result` (`ask`, `check`,
`convert`, `models`, `benchmarks`, `push` and `pull` a record of their own). It is quiet unless
`quiet=False`. A stage is imported when it is called, so this module is light.
"""

import contextlib
import dataclasses
import os
import re
import reprlib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videothinker import console
from videothinker.errors import UserError
from videothinker.results import Result
from videothinker.verbs import SWITCHES, VERBS, load, setting_names

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
TRAINING = "videothinker.algorithms.base:TrainConfig"
FLAG = re.compile(r"--[a-z][a-z-]*[a-z]")

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
        UserError: a name that is no setting, one that is needed and missing, or a value of
            another type.
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
            given[field.name] = _as(field.name, annotation, settings[field.name])
        elif field.default is dataclasses.MISSING:
            raise UserError(f"{kind.__name__} needs {field.name!r}; give {field.name}=...")
    return kind(**given)


def _as(name: str, annotation: Any, value: Any) -> Any:
    """A value as its annotation wants it: a path or a result as `Path` or text, a list as a tuple.

    Raises:
        UserError: a value of another type.
    """
    import msgspec  # noqa: PLC0415 (only where something is called)

    try:
        return msgspec.convert(_plain(value), annotation, dec_hook=lambda kind, one: kind(one))
    except msgspec.ValidationError as error:
        raise UserError(
            f"{name}={reprlib.repr(value)}: allowed is {_in_words(annotation)}"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _in_words(annotation: Any) -> str:
    """What a setting takes: `int`, `path or None`, `'a' or 'b'`, `several of str`."""
    inside, origin = typing.get_args(annotation), typing.get_origin(annotation)
    if origin is typing.Literal:
        return " or ".join(map(repr, inside))
    if origin is tuple:
        return f"several of {_in_words(inside[0])}, in a list"
    if inside:
        return " or ".join(map(_in_words, inside))
    return {Path: "path", type(None): "None"}.get(annotation) or annotation.__name__


def _call(name: str, inputs: Sequence[Any], config: Any, *, quiet: bool, settings: Any) -> Any:
    """Run the stage of a verb; its path becomes a `Result`.

    Raises:
        UserError: a config and settings beside it, what is no config of the stage, a value of
            another type, or as the stage.
    """
    if config is not None and settings:
        raise UserError(f"{name}: give a config or settings by name, not both")
    verb = VERBS[name]
    kind = load(verb.config)
    if config is not None and not isinstance(config, (kind, load(TRAINING))):
        raise UserError(f"{name}: config={reprlib.repr(config)}: allowed is a {kind.__name__}")
    wanted = zip(verb.inputs.items(), inputs, strict=True)
    given = [_as(key, annotation, value) for (key, (annotation, *_)), value in wanted]
    stage = load(verb.stage)
    with contextlib.nullcontext([]) if not quiet else console.quiet() as said:
        try:
            found = stage(*given, _settled(kind, settings) if config is None else config)
        except UserError as error:
            raise UserError(_in_python(str(error), kind, said)) from error
    return _result(name, found, tuple(said))


def _in_python(sentence: str, kind: type, said: Sequence[str]) -> str:
    """What a stage refuses, with settings named as Python spells them.

    Where it is about what is named above, that stands above it, since nothing was printed.
    """
    names = {f"--{name.replace('_', '-')}": name for name in setting_names(kind)}
    switches = {name for name, hint in typing.get_type_hints(kind).items() if hint in SWITCHES}

    def spelled(flag: re.Match[str]) -> str:
        name = names.get(flag[0], flag[0])
        return f"{name}=True" if name in switches else name

    told = FLAG.sub(spelled, sentence)
    return "\n".join([*said, told]) if "named above" in sentence else told


def _result(name: str, found: Any, said: tuple[str, ...]) -> Any:
    return Result(name.split(maxsplit=1)[0], found, said) if isinstance(found, Path) else found


def world(config: "WorldConfig | None" = None, *, quiet: bool = True, **settings: Any) -> Result:
    """Make videos, annotations and questions in CLEVRER's own format."""
    return _call("world", (), config, quiet=quiet, settings=settings)


def check(
    path: PathLike, config: "CheckConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Checked":
    """Say all that is wrong with a list of questions."""
    return _call("check", (path,), config, quiet=quiet, settings=settings)


def convert(
    path: PathLike, config: "ConvertConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> "Checked":
    """Write a list of questions as our own records."""
    return _call("convert", (path,), config, quiet=quiet, settings=settings)


def diagnose(
    data: PathLike, config: "DiagnoseConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> Result:
    """Label which questions a description answers; write the bias set."""
    return _call("diagnose", (data,), config, quiet=quiet, settings=settings)


def pretrain(
    data: PathLike | None = None,
    config: "PretrainConfig | None" = None,
    *,
    quiet: bool = True,
    **settings: Any,
) -> Result:
    """Train a small video LLM from scratch."""
    return _call("pretrain", (data,), config, quiet=quiet, settings=settings)


def evaluate(
    data: PathLike, config: "EvaluateConfig | None" = None, *, quiet: bool = True, **settings: Any
) -> Result:
    """Answer a benchmark's questions and record every sample."""
    return _call("evaluate", (data,), config, quiet=quiet, settings=settings)


def report(
    runs: PathLike | Sequence[PathLike],
    config: "ReportConfig | None" = None,
    *,
    quiet: bool = True,
    **settings: Any,
) -> Result:
    """Write one self-contained HTML page from run folders."""
    given = [runs] if isinstance(runs, (str, os.PathLike)) else runs
    return _call("report", (given,), config, quiet=quiet, settings=settings)


def ask(
    video: PathLike,
    question: str,
    config: "AskConfig | None" = None,
    *,
    quiet: bool = True,
    **settings: Any,
) -> "AskResult":
    """Ask a model one question about one video."""
    return _call("ask", (video, question), config, quiet=quiet, settings=settings)


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
    return _call("push", (folder,), config, quiet=quiet, settings=settings)


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
    return _call("reproduce", (grid,), config, quiet=quiet, settings=settings)


def train(
    data: PathLike, algorithm: "str | TrainConfig", *, quiet: bool = True, **settings: Any
) -> Result:
    """Train by `bias`, `grpo` or `cdpo`, or by the algorithm that a config belongs to.

    Raises:
        UserError: another algorithm, or as the stage.
    """
    own = isinstance(algorithm, load(TRAINING))
    name = f"train {typing.cast('TrainConfig', algorithm).stage if own else algorithm}"
    if name not in VERBS and not own:
        known = ", ".join(verb.split()[1] for verb in VERBS if verb.startswith("train "))
        raise UserError(f"algorithm {algorithm!r} is unknown; allowed are {known}")
    if name not in VERBS:  # an algorithm of one's own goes the same way
        name = "train grpo"
    config = algorithm if own else None
    return _call(name, (data,), config, quiet=quiet, settings=settings)
