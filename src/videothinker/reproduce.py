"""Run a grid: commands in the file's order, each in its own process, within a time budget.

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
grid's own folder; `seed: null` leaves a setting out. Cells that are done are left alone, so the
same command resumes.

A grid is a program: its cells run the commands it says, with the files that it names. It writes in
its own folder alone and always ends: see docs/security.md.
"""

import itertools
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PosixPath
from typing import Any

from videothinker import console
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.files import UNSEEN, refuse_unseen
from videothinker.gridview import Row, shown
from videothinker.recipes import as_words, read_recipe
from videothinker.records import leftovers, write_atomic
from videothinker.runs import on_disk, prepare_out
from videothinker.shipped import shipped

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
KEYS = ("seed", "shared", "cells")
"""`shared` is only a place for YAML anchors (`<<: *name`)."""
AXES = ("each", "over")
"""What multiplies a cell: by the values of settings, and by words that only its texts hold."""
LEASH = "VIDEOTHINKER_GRID"
"""Names to a cell the pipe whose other end its grid holds."""
TAKEN = ("root", "logs", "grid.yaml")
"""Names in a grid's folder that are no cell's."""
WRITES_NOTHING = ("ask", "benchmarks", "models", "--version")
"""Commands that may go without an `out`: they have no folder of their own."""
MOST_CELLS, MOST_CHARACTERS, LONGEST_PATH, LONGEST_NAME = 1000, 100_000, 4000, 120
"""Cells of a grid, ten times our largest; characters of a command; bytes of a path and of a name:
file systems take 4,096 and 255."""


@dataclass(frozen=True)
class ReproduceConfig:
    """Run a grid of commands in the file's order."""

    out: Path = Path("runs/reproduce")
    """Folder under which every cell gets its own."""
    budget_minutes: float | None = None
    """Start no cell after this many minutes; None runs them all."""
    jobs: int = 2
    """Cells at a time."""
    threads: int = 1
    """Threads of each cell. More than there are idle cores slow everything down, and another number
    may change the last bits."""
    seed: int | None = None
    """Replaces the grid's own seed."""

    def __post_init__(self) -> None:
        for name in ("jobs", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.budget_minutes is not None and self.budget_minutes <= 0:
            raise UserError(f"budget_minutes is {self.budget_minutes}; give more than 0")


@dataclass(frozen=True)
class DemoConfig(ReproduceConfig):
    """Run the demo, the grid `recipes/demo.yaml`."""

    out: Path = Path("runs/demo")
    """Folder under which every cell gets its own."""


@dataclass
class Cell:
    """One command of the grid."""

    name: str
    words: list[str]
    needs: set[str]
    out: Path
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    ended: float | None = None
    code: int | None = field(default=None)


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


def plan(grid: Path, config: ReproduceConfig) -> list[Cell]:
    """The grid's cells, in order, placeholders filled.

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
    seed = config.seed if config.seed is not None else recipe.get("seed")
    root = config.out
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


def follow() -> None:
    """In a cell: end with its grid, however that ends.

    The grid holds the other end of a pipe and never writes, so reading returns when it is gone,
    killed or hung up on. A cell leads its own group of processes and takes them along; what it has
    written is resumed as after any kill.
    """
    pipe = int(os.environ.pop(LEASH))

    def watch() -> None:
        os.read(pipe, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


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
    if words[:1] == ["reproduce"]:
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
    refuse_unseen(out)
    longest = max((len(part.encode()) for part in out.parts), default=0)
    if len(str(out).encode()) > LONGEST_PATH or longest > 2 * LONGEST_NAME:
        raise UserError(f"{where}: its out is longer than a path can be; give a short one")
    if root.resolve() not in out.resolve().parents:
        raise UserError(f"{where}: writes to {out}; a grid writes inside its own folder {root}")
    return out


def _told(cell: Cell, root: Path) -> Path:
    """Where a cell writes how far it is."""
    return root / "logs" / f"{cell.name}.progress"


def _rows(cells: list[Cell], root: Path) -> list[Row]:
    """The cells for the table, in the grid's order."""
    rows = []
    for cell in cells:
        state = "waiting" if cell.process is None else "running"
        if cell.code is not None:
            state = "done" if cell.code in (0, 1) else "FAILED"
        seconds = (cell.ended or time.monotonic()) - cell.started
        log = root / "logs" / f"{cell.name}.log"
        rows.append(Row(cell.name, state, seconds, _told(cell, root), log))
    return rows


def _start(cell: Cell, root: Path, threads: int, leash: int) -> None:
    log = root / "logs" / f"{cell.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment[LEASH] = str(leash)
    environment[console.TOLD] = str(_told(cell, root))
    cell.started = time.monotonic()
    with log.open("ab") as file:
        file.write(f"$ videothinker {shlex.join(cell.words)}\n".encode())
        file.flush()
        cell.process = subprocess.Popen(
            [sys.executable, "-m", "videothinker.cli", *cell.words],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=(leash,),
            start_new_session=True,  # Ctrl-C reaches the cells once, through us
        )


def _finish(cell: Cell, root: Path, done: int, planned: int) -> None:
    seconds = time.monotonic() - cell.started
    if cell.code in (0, 1):
        failures = "" if cell.code == 0 else ", with recorded failures"
        say(f"[{done}/{planned}] {cell.name}: done in {seconds:.0f} s{failures}")
        return
    log = root / "logs" / f"{cell.name}.log"
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "no output"
    say(f"[{done}/{planned}] {cell.name}: FAILED with code {cell.code}: {last} (see {log})")


def _run_all(
    cells: list[Cell],
    config: ReproduceConfig,
    deadline: float,
    leash: int,
    draw: Callable[[], None],
) -> None:
    """Start cells in order, as many at a time as allowed, each after what it needs."""
    ended: dict[str, bool] = {}
    waiting, running = list(cells), list[Cell]()
    while waiting or running:
        draw()
        for cell in [c for c in running if c.process is not None and c.process.poll() is not None]:
            assert cell.process is not None
            cell.code, cell.ended = cell.process.returncode, time.monotonic()
            _told(cell, config.out).unlink(missing_ok=True)
            running.remove(cell)
            ended[cell.name] = cell.code in (0, 1)
            _finish(cell, config.out, sum(ended.values()), len(cells))
        waiting = [c for c in waiting if all(ended.get(need, True) for need in c.needs)]
        ready = [c for c in waiting if c.needs <= ended.keys()]
        if time.monotonic() > deadline:
            waiting, ready = [], []
        for cell in ready[: config.jobs - len(running)]:
            say(f"{cell.name}: {' '.join(cell.words[:2])} ...")
            _start(cell, config.out, config.threads, leash)
            waiting.remove(cell)
            running.append(cell)
        if running:
            time.sleep(0.05)


class Output(PosixPath):
    """Where a grid's last cell wrote, and how many cells recorded failures."""

    failures = 0


def reproduce(grid: Path, config: ReproduceConfig) -> Output:
    """Run the grid; return the output of its last cell.

    Raises:
        UserError: the grid cannot be planned, its folder is foreign, or a cell failed.
    """
    root = config.out
    cells = plan(grid, config)
    copy = root / "grid.yaml"
    with on_disk(root):
        prepare_out(root)
        killed = leftovers(copy)
        if set(root.iterdir()) - {*killed} and not copy.exists():
            raise UserError(f"{root}: is not empty and holds no grid.yaml; give a new --out")
        for left in killed:
            left.unlink()
        write_atomic(copy, shipped(grid).read_bytes())
    began = time.monotonic()
    deadline = began + 60 * config.budget_minutes if config.budget_minutes else float("inf")
    leash, held = os.pipe()
    try:
        with on_disk(root), shown(lambda: _rows(cells, root)) as draw:
            _run_all(cells, config, deadline, leash, draw)
    except BaseException:  # interrupted, or the disk is full: no cell is left at work
        running = [c.process for c in cells if c.process is not None and c.process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        raise
    finally:
        os.close(leash)
        os.close(held)
    done = [cell for cell in cells if cell.code in (0, 1)]
    say(f"{len(done)} of {len(cells)} cells done in {(time.monotonic() - began) / 60:.1f} minutes")
    failed = [cell.name for cell in cells if cell.code not in (0, 1, None)]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}; "
            f"see {root / 'logs'}, mend, and run the same command to resume"
        )
    left = [cell.name for cell in cells if cell.code is None]
    if left:
        say(f"not run within the budget: {', '.join(left)}; the same command resumes")
    last = Output(done[-1].out if done else root)
    last.failures = sum(cell.code == 1 for cell in done)
    sys.stdout.write(f"{last}\n")
    return last


def demo(config: DemoConfig) -> Output:
    """Run the whole line on a small simulated world; return where its report lies.

    Raises:
        UserError: as `reproduce`.
    """
    return reproduce(Path("recipes/demo.yaml"), config)
