"""Recipes: YAML settings of one verb. They become flags, so that one parser checks both."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from videothinker.errors import UserError


def read_recipe(path: Path) -> dict[str, Any]:
    """A YAML mapping of settings, hyphens read as underscores.

    Raises:
        UserError: the file is missing, not YAML, or not a mapping.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path}: cannot be read ({error}); give a YAML file") from error
    except yaml.YAMLError as error:
        raise UserError(f"recipe {path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise UserError(f"recipe {path}: holds no `name: value` lines; see recipes/ for examples")
    return {str(key).replace("-", "_"): value for key, value in found.items()}


def as_words(settings: Mapping[str, Any], where: str) -> list[str]:
    """Settings as command-line words: `{learning_rate: 1e-6}` -> `--learning-rate 1e-6`.

    Raises:
        UserError: a value that no flag can hold.
    """
    words: list[str] = []
    for key, value in settings.items():
        if isinstance(value, dict):
            raise UserError(f"{where}: {key} holds a mapping; give a value or a list of values")
        flag = key.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, list) else [value]
            words += [f"--{flag}", *(str(one) for one in values)]
    return words


def check_keys(recipe: Mapping[str, Any], names: Collection[str], where: str) -> None:
    """Refuse a key that is none of the verb's settings.

    Raises:
        UserError: an unknown key, or TRL's `beta`, whose sign is the opposite of ours.
    """
    for key, value in recipe.items():
        if key == "beta" and "repulsion" in names:
            raise UserError(
                f"{where}: `beta: {value}` is TRL's name with TRL's sign; "
                "write `repulsion`, which stands for -beta and must be > 0"
            )
        if key not in names:
            raise UserError(f"{where}: unknown key {key!r}; allowed are {', '.join(sorted(names))}")
