"""What both sides of the ms-swift export agree on: the settings' file and the names in the data."""

from collections.abc import Mapping
from typing import Any

import msgspec

from videothinker.algorithms.base import TrainConfig
from videothinker.algorithms.catalog import ALGORITHMS

COLUMN = "videothinker"
"""The column of the data that holds what a reward function is told."""


def reward_name(name: str) -> str:
    """Ours in ms-swift's table, where `format` is another function."""
    return f"videothinker_{name.replace(':', '_').replace('.', '_')}"


def to_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings as JSON has them, with the stage."""
    return {"stage": config.stage, **msgspec.to_builtins(config, enc_hook=str)}


def to_config(settings: Mapping[str, Any]) -> TrainConfig:
    """The settings that `to_settings` wrote."""
    given = {name: value for name, value in settings.items() if name != "stage"}
    kind = ALGORITHMS[settings["stage"]]
    return msgspec.convert(given, kind, dec_hook=lambda path, text: path(text))
