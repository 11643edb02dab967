"""The stages from Python, each with its config: `from videothinker.api import world, WorldConfig`.

A stage is imported when its name is first asked for, so this module is light. Its names are those
of the command line's table; `videothinker.world` itself is a package, whatever is imported.
"""

from typing import TYPE_CHECKING, Any

from videothinker.cli import VERBS, load

if TYPE_CHECKING:
    from videothinker.algorithms.bias import BiasConfig
    from videothinker.algorithms.cdpo import CdpoConfig
    from videothinker.algorithms.grpo import GrpoConfig
    from videothinker.answering.config import AskConfig, ModelsConfig
    from videothinker.answering.families import models
    from videothinker.answering.single import ask
    from videothinker.checking.config import CheckConfig, ConvertConfig
    from videothinker.checking.stage import check, convert
    from videothinker.diagnosis.config import DiagnoseConfig
    from videothinker.diagnosis.stage import diagnose
    from videothinker.evaluation.config import EvaluateConfig
    from videothinker.evaluation.stage import evaluate
    from videothinker.export.config import ExportConfig
    from videothinker.export.stage import export
    from videothinker.lab.pretraining.config import PretrainConfig
    from videothinker.lab.pretraining.stage import pretrain
    from videothinker.publishing.config import PullConfig, PushConfig
    from videothinker.publishing.stage import pull, push
    from videothinker.report.config import ReportConfig
    from videothinker.report.stage import report
    from videothinker.reproduce import ReproduceConfig, reproduce
    from videothinker.training.stages import train
    from videothinker.world.config import WorldConfig
    from videothinker.world.stage import world

__all__ = [
    "AskConfig",
    "BiasConfig",
    "CdpoConfig",
    "CheckConfig",
    "ConvertConfig",
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
    "WorldConfig",
    "ask",
    "check",
    "convert",
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
_PATHS = {path.split(":")[1]: path for verb in VERBS.values() for path in (verb.config, verb.stage)}


def __getattr__(name: str) -> Any:
    """A stage, or the config of one."""
    if name not in _PATHS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = load(_PATHS[name])
    return found
