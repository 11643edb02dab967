"""Read a grid: a file of commands, with what multiplies them and what they need of each other.

A grid is YAML::

    seed: 0                       # added to every cell that does not set one
    cells:
      - {name: world, run: world, scenes: 40}
      - {name: diagnosis, run: "diagnose {world}"}
      - name: "grpo-s{seed}"
        run: train grpo
        each: {seed: [0, 1, 2]}   # one cell for each combination
        data: "{diagnosis}"
      - name: "test-{method}-s{seed}"
        run: evaluate
        over: {method: [grpo], seed: [0, 1, 2]}   # the same, but only names: no settings
        model: "{{method}-s{seed}}"

`{other}` stands for the folder of the cell called `other`, which is run first; `{root}` for the
grid's own folder; `seed: null` leaves a setting out.
"""

import itertools
import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videothinker.cell import Cell
from videothinker.errors import UserError
from videothinker.files import UNSEEN, refuse_name
from videothinker.recipes import as_words, read_recipe

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
KEYS = ("seed", "shared", "cells")
"""`shared` is only a place for YAML anchors (`<<: *name`)."""
AXES = ("each", "over")
"""What multiplies a cell: by the values of settings, and by words that only its texts hold."""
TAKEN = ("root", "logs", "grid.yaml")
"""Names in a grid's folder that are no cell's."""
WRITES_NOTHING = ("ask", "benchmarks", "models", "--version")
"""Commands that may go without an `out`: they have no folder of their own."""
MOST_CELLS, MOST_CHARACTERS, LONGEST_PATH, LONGEST_NAME = 1000, 100_000, 4000, 120
"""Cells of a grid, ten times our largest; characters of a command; bytes of a path and of a name:
file systems take 4,096 and 255."""


def plan(grid: Path, root: Path, own_seed: int | None = None) -> list[Cell]:
    """The grid's cells, in order, placeholders filled.

    Args:
        grid: the file, or the name of one that ships.
        root: the folder under which every cell gets its own.
        own_seed: in the place of the grid's.

    Raises:
        UserError: an unreadable grid, an unknown key, a reference to no cell or to a later one.
    """
    recipe = read_recipe(grid)
    for key in recipe:
        if key not in KEYS:
            raise UserError(f"{grid}: unknown key {key!r}; allowed are {', '.join(KEYS)}")
    entries = recipe.get("cells")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise UserError(f"{grid}: `cells` must be a list of mappings with `name` and `run`")
    seed = recipe.get("seed") if own_seed is None else own_seed
    names: dict[str, str] = {"root": str(root), "logs": str(root / "logs")}
    cells: list[Cell] = []
    for entry in entries:
        if not {"name", "run"} <= entry.keys():
            raise UserError(f"{grid}: a cell needs `name` and `run`; one has {sorted(entry)}")
        for one in _expand(entry, seed, str(grid)):
            cells.append(_cell(one, root, names, grid))
            names[cells[-1].name] = str(cells[-1].out)
            if len(cells) > MOST_CELLS:
                raise UserError(f"{grid}: holds more than {MOST_CELLS:,} cells; divide it")
    if not cells:
        raise UserError(f"{grid}: holds no cells; give at least one")
    return cells


def _fill(value: Any, names: Mapping[str, str], where: str | None = None) -> Any:
    """Replace `{name}` in strings, also inside lists; an unknown one is left, or refused."""
    if isinstance(value, list):
        return [_fill(one, names, where) for one in value]
    if not isinstance(value, str):
        return value

    def known(match: re.Match[str]) -> str:
        if where is not None and match[1] not in names:
            raise UserError(
                f"{where}: {{{match[1]}}} names no cell before it; "
                f"known are {', '.join(sorted(names))}"
            )
        return names.get(match[1], match[0])

    return PLACEHOLDER.sub(known, value)


def _expand(entry: Mapping[str, Any], seed: int | None, where: str) -> list[dict[str, Any]]:
    """One entry for each combination of its `each` and `over`."""
    settings, words = (entry.get(key, {}) for key in AXES)
    for key, axes in zip(AXES, (settings, words), strict=True):
        if not isinstance(axes, dict) or not all(isinstance(v, list) for v in axes.values()):
            raise UserError(f"{where}: `{key}` must map names to lists, e.g. {key}: {{seed: [0]}}")
    cells = math.prod(len(values) for values in (*settings.values(), *words.values()))
    if cells > MOST_CELLS:
        raise UserError(f"{where}: one entry makes {cells:,} cells; at most {MOST_CELLS:,} are run")
    plain = {key: value for key, value in entry.items() if key not in AXES}
    found: list[dict[str, Any]] = []
    for values in itertools.product(*words.values(), *settings.values()):
        point = dict(zip((*words, *settings), values, strict=True))
        names = {key: str(value) for key, value in point.items()}
        one: dict[str, Any] = {"seed": seed} if seed is not None else {}
        one |= plain | {key: point[key] for key in settings}
        # `{seed}` of an axis is filled here; `{other cell}` stays for later.
        found.append({key: _fill(value, names) for key, value in one.items()})
    return found


def _cell(one: dict[str, Any], root: Path, names: Mapping[str, str], grid: Path) -> Cell:
    """One cell; `names` holds the folders of those before it.

    Raises:
        UserError: a name or an output that leaves the grid's folder, a grid inside a grid, a
            reference to no cell before it.
    """
    name = one.pop("name")
    where = f"{grid}: cell {str(name)[:LONGEST_NAME]!r}"
    if not isinstance(name, str) or not isinstance(one["run"], str):
        raise UserError(f"{where}: `name` and `run` must be texts; put them in quotes")
    if name in (*names, *TAKEN):
        raise UserError(f"{where}: the name is taken; give each cell its own")
    foreign = name == ".." or Path(name).name != name or UNSEEN.search(name)
    if foreign or len(name.encode()) > LONGEST_NAME:
        raise UserError(
            f"{where}: the name is the cell's folder; give at most {LONGEST_NAME} characters "
            "that are seen, without a slash"
        )
    said = PLACEHOLDER.findall(" ".join(map(str, one.values())))
    needs = set(said) & names.keys() - {"root", "logs"}  # all are cells that end
    settings = {key: _fill(value, names, where) for key, value in one.items()}
    try:
        words = shlex.split(settings.pop("run"))
    except ValueError as error:
        raise UserError(f"{where}: `run` is no command ({error}); mend its quotes") from error
    if words[:1] in (["reproduce"], ["demo"]):
        raise UserError(f"{where}: runs a grid; a grid runs no grids: list that one's cells here")
    settings = {"out": str(root / name)} | settings
    given = {key: value for key, value in settings.items() if value is not None}
    words += as_words(given, where)
    if sum(map(len, words)) > MOST_CHARACTERS or "\0" in "".join(words):
        raise UserError(
            f"{where}: its command has more than {MOST_CHARACTERS:,} characters or a NUL; no "
            "program can be given that"
        )
    return Cell(name, words, needs, _out(given, words, root, where) or root / name)


def _out(given: Mapping[str, Any], words: list[str], root: Path, where: str) -> Path | None:
    """Where a cell writes: inside the grid's folder, whatever its words say; null for nowhere.

    Raises:
        UserError: it would write elsewhere.
    """
    flags = [word.partition("=")[0].replace("_", "-") for word in words]
    if flags.count("--out") != ("out" in given):
        raise UserError(f"{where}: says --out among its words; say where it writes as `out: ...`")
    if "out" not in given:
        if words[:1] and words[0] in WRITES_NOTHING and "--config" not in flags:
            return None
        raise UserError(f"{where}: `out: null` would let it write outside {root}; leave `out` away")
    if not isinstance(given["out"], str):
        raise UserError(f"{where}: `out` is {given['out']!r}; give one path")
    out = Path(given["out"])
    refuse_name(out)
    if len(str(out).encode()) > LONGEST_PATH:
        raise UserError(f"{where}: its out is longer than a path can be; give a short one")
    if root.resolve() not in out.resolve().parents:
        raise UserError(f"{where}: writes to {out}; a grid writes inside its own folder {root}")
    return out
