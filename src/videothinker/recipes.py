"""Recipes: YAML settings of one verb. They become flags, so that one parser checks both."""

import itertools
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from videothinker.errors import UserError

LARGEST = 1 << 18
"""Bytes of a recipe, and characters of it with its anchors written out; ours take up to 2^16."""


def read_recipe(path: Path) -> dict[str, Any]:
    """A YAML mapping of settings, hyphens read as underscores.

    Raises:
        UserError: the file is missing, not YAML, or not a mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise UserError(
                f"recipe {path}: has more than {LARGEST:,} bytes; settings need less: give a recipe"
            )
        found = _load(data.decode("utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path}: cannot be read ({error}); give a YAML file") from error
    except RecursionError as error:
        raise UserError(f"recipe {path}: is nested too deeply; write it flatter") from error
    except yaml.YAMLError as error:
        raise UserError(f"recipe {path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise UserError(f"recipe {path}: holds no `name: value` lines; see recipes/ for examples")
    return {str(key).replace("-", "_"): value for key, value in found.items()}


def _load(text: str, path: Path) -> Any:
    """The document's values, unless its anchors stand for more than it may hold written out."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        size = _written_out(node, {})
        if size > LARGEST:
            raise UserError(
                f"recipe {path}: its anchors (`*name`, `<<`) stand for more than {LARGEST:,} "
                "characters once they are written out; use fewer of them"
            )
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _written_out(node: yaml.Node, known: dict[int, float]) -> float:
    """Characters of a node with each anchor in its place; infinite where one holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1 + len(node.value)
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is counted
        inside = itertools.chain.from_iterable(
            one if isinstance(one, tuple) else (one,) for one in node.value
        )
        known[id(node)] = 1 + sum(_written_out(one, known) for one in inside)
    return known[id(node)]


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
