"""What both sides of the ms-swift export agree on: the settings' file and the names in the data."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from videothinker.algorithms.base import TrainConfig
from videothinker.algorithms.catalog import ALGORITHMS

COLUMN = "videothinker"
"""The column of the data that holds what a reward function is told."""


def reward_name(name: str) -> str:
    """Ours in ms-swift's table, where `format` is another function."""
    return f"videothinker_{name.replace(':', '_').replace('.', '_')}"


def to_settings(config: TrainConfig) -> dict[str, Any]:
    """The settings as JSON has them, with the stage."""
    plain = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    told = {k: str(v) if isinstance(v, Path) else v for k, v in plain.items()}
    return {"stage": config.stage, **told}


def to_config(settings: Mapping[str, Any]) -> TrainConfig:
    """The settings that `to_settings` wrote."""
    kind = ALGORITHMS[settings["stage"]]
    types = {field.name: field.type for field in dataclasses.fields(kind)}
    given: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "stage":
            continue
        allowed = get_args(types[name]) or (types[name],)
        path = isinstance(value, str) and Path in allowed
        given[name] = Path(value) if path else tuple(value) if isinstance(value, list) else value
    return kind(**given)
