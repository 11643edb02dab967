"""The verbs of the command line, as a table: where each one's settings and function live.

Light: nothing of a stage is imported before `load` is asked for it.
"""

import dataclasses
import importlib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.algorithms.catalog import ALGORITHMS


@dataclass(frozen=True)
class Verb:
    """One stage: where its config and its function live, and what comes before the flags.

    Attributes:
        about: one line for `--help`.
        config: `module:Class` of a frozen dataclass; importing it must be light.
        stage: `module:function`, called as `stage(*inputs, config)`.
        inputs: argument name -> (annotation, flag?, help), in the order of the call.
        resumes: the same command goes on where it was interrupted; else it begins anew.
        shared: the processes of torchrun can do its work together.
    """

    about: str
    config: str
    stage: str
    inputs: dict[str, tuple[Any, bool, str]] = dataclasses.field(default_factory=dict)
    resumes: bool = True
    shared: bool = False


DATA = (Path, True, "the folder the stage before wrote, or a list of questions")
VERBS: dict[str, Verb] = {
    "world": Verb(
        "make videos, annotations and questions in CLEVRER's own format",
        "videothinker.world.config:WorldConfig",
        "videothinker.world.stage:world",
    ),
    "check": Verb(
        "read a list of questions in any common shape and say all that is wrong with it",
        "videothinker.checking.config:CheckConfig",
        "videothinker.checking.stage:check",
        {"list": (Path, False, "JSON lines, a JSON array, CSV, parquet, or a folder of datasets")},
        resumes=False,
    ),
    "convert": Verb(
        "write such a list as our own records, one JSON object a line",
        "videothinker.checking.config:ConvertConfig",
        "videothinker.checking.stage:convert",
        {"list": (Path, False, "JSON lines, a JSON array, CSV, parquet, or a folder of datasets")},
        resumes=False,
    ),
    "diagnose": Verb(
        "label which questions can be answered without reasoning; write the bias set",
        "videothinker.diagnosis.config:DiagnoseConfig",
        "videothinker.diagnosis.stage:diagnose",
        {"data": (Path, False, "a CLEVRER folder, or a list of questions")},
        shared=True,
    ),
    "pretrain": Verb(
        "train a small video LLM from scratch on simulated videos",
        "videothinker.lab.pretraining.config:PretrainConfig",
        "videothinker.lab.pretraining.stage:pretrain",
        {"data": (Path | None, False, "a world folder; without one, scenes are streamed")},
    ),
    **{
        f"train {name}": Verb(
            kind.about,
            f"{kind.__module__}:{kind.__name__}",
            "videothinker.training.stages:train",
            {"data": DATA},
            shared=True,
        )
        for name, kind in ALGORITHMS.items()
    },
    "evaluate": Verb(
        "answer a benchmark's questions, record every sample, print the tables",
        "videothinker.evaluation.config:EvaluateConfig",
        "videothinker.evaluation.stage:evaluate",
        {"data": DATA},
        shared=True,
    ),
    "report": Verb(
        "write one self-contained HTML page from run folders",
        "videothinker.report.config:ReportConfig",
        "videothinker.report.stage:report",
        {"runs": (tuple[Path, ...], False, "run folders of any stages and seeds")},
        resumes=False,
    ),
    "ask": Verb(
        "ask a model one question about one video",
        "videothinker.answering.config:AskConfig",
        "videothinker.answering.single:ask",
        {"video": (Path, False, "a video file"), "question": (str, False, "the question")},
        resumes=False,
    ),
    "chat": Verb(
        "ask a model question after question about one video",
        "videothinker.answering.config:ChatConfig",
        "videothinker.answering.single:chat",
        {"video": (Path, False, "a video file")},
        resumes=False,
    ),
    "benchmarks": Verb(
        "list the benchmarks that can be asked, and what each one holds",
        "videothinker.benchmarks.listing:BenchmarksConfig",
        "videothinker.benchmarks.listing:benchmarks",
        resumes=False,
    ),
    "models": Verb(
        "list the model families; or hold one model against plain transformers",
        "videothinker.answering.config:ModelsConfig",
        "videothinker.answering.families:models",
        resumes=False,
    ),
    "export": Verb(
        "a LoRA run as one complete model; a run for ms-swift; a task for lmms-eval",
        "videothinker.export.config:ExportConfig",
        "videothinker.export.stage:export",
    ),
    "push": Verb(
        "send a model or a diagnosed question set to a hub, with a card written from its records",
        "videothinker.publishing.config:PushConfig",
        "videothinker.publishing.stage:push",
        {"folder": (Path, False, "a run folder with model/, a model or a diagnose folder")},
    ),
    "pull": Verb(
        "fetch a model or a question set from a hub into a folder",
        "videothinker.publishing.config:PullConfig",
        "videothinker.publishing.stage:pull",
        {"address": (str, False, "hf://USER/NAME or hf://datasets/USER/NAME, each with @REVISION")},
    ),
    "demo": Verb(
        "run the whole line on a small simulated world; its last line is the report",
        "videothinker.reproduce:DemoConfig",
        "videothinker.reproduce:demo",
    ),
    "reproduce": Verb(
        "run a grid of commands in the file's order, within a time budget",
        "videothinker.reproduce:ReproduceConfig",
        "videothinker.reproduce:reproduce",
        {"grid": (Path, False, "a grid, e.g. recipes/demo.yaml")},
    ),
}


def load(path: str) -> Any:
    """Import `module:name`."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


SWITCHES = (bool, bool | None)
"""Annotations of what `--NAME` switches on and `--no-NAME` off."""


def setting_names(kind: type) -> list[str]:
    """Names of a config's fields; those of a config inside it stand flat beside them."""
    names, hints = list[str](), typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        annotation = hints[field.name]
        inner = dataclasses.is_dataclass(annotation)
        names += setting_names(typing.cast("type", annotation)) if inner else [field.name]
    return names
