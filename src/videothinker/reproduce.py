"""Run a grid: commands in the file's order, each in its own process, within a time budget.

What a grid is, `grids` says. Cells that are done are left alone, so the same command resumes: their
commands look at their settings and inputs in the grid's own process.

A grid is a program: its cells run the commands it says, with the files that it names. It writes in
its own folder alone and always ends: see docs/security.md.
"""

import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PosixPath

from videothinker.cell import Cell, finish, finished, progress_path, start
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.files import on_disk
from videothinker.grids import plan
from videothinker.gridview import CellRow, shown
from videothinker.ranks import cores
from videothinker.records import leftovers, write_atomic
from videothinker.runs import prepare_out
from videothinker.shipped import shipped

GPU = Path("/dev/nvidiactl")
"""There where a GPU is."""


@dataclass(frozen=True)
class ReproduceConfig:
    """Run a grid of commands in the file's order."""

    out: Path = Path("runs/reproduce")
    """Folder under which every cell gets its own."""
    budget_minutes: float | None = None
    """Start no cell after this many minutes; None runs them all."""
    jobs: int = 0
    """Cells at a time; 0 is one for each core that there is, and two where there is a GPU."""
    threads: int = 1
    """Threads of each cell. More than there are idle cores slow everything down, and another number
    may change the last bits."""
    seed: int | None = None
    """Replaces the grid's own seed."""

    def __post_init__(self) -> None:
        for name, least in (("jobs", 0), ("threads", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; give {least} or more")
        if self.budget_minutes is not None and not 0 < self.budget_minutes < math.inf:
            raise UserError(f"budget_minutes is {self.budget_minutes}; give a number above 0")


@dataclass(frozen=True)
class DemoConfig(ReproduceConfig):
    """Run the demo, the grid `recipes/demo.yaml`."""

    out: Path = Path("runs/demo")
    """Folder under which every cell gets its own."""


def _rows(cells: list[Cell], root: Path) -> list[CellRow]:
    """The cells for the table, in the grid's order."""
    rows = []
    for cell in cells:
        state = "waiting" if cell.process is None else "running"
        if cell.code is not None:
            state = "done" if cell.code in (0, 1) else "FAILED"
        seconds = (cell.ended or time.monotonic()) - cell.started
        log = root / "logs" / f"{cell.name}.log"
        rows.append(CellRow(cell.name, state, seconds, progress_path(cell, root), log))
    return rows


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
    jobs = config.jobs or (2 if GPU.exists() else cores())  # cells on a GPU share its memory
    while waiting or running:
        draw()
        for cell in [c for c in running if c.process is not None and c.process.poll() is not None]:
            assert cell.process is not None
            cell.code, cell.ended = cell.process.returncode, time.monotonic()
            progress_path(cell, config.out).unlink(missing_ok=True)
            running.remove(cell)
            ended[cell.name] = cell.code in (0, 1)
            finish(cell, config.out, sum(ended.values()), len(cells))
        waiting = [c for c in waiting if all(ended.get(need, True) for need in c.needs)]
        ready = [c for c in waiting if c.needs <= ended.keys()]
        if time.monotonic() > deadline:
            waiting, ready = [], []
        for cell in ready[: jobs - len(running)]:
            cell.started = time.monotonic()
            cell.code = finished(cell, config.out)
            if cell.code is not None:
                waiting.remove(cell)
                cell.ended, ended[cell.name] = time.monotonic(), True
                finish(cell, config.out, sum(ended.values()), len(cells))
                continue
            say(f"{cell.name}: {' '.join(cell.words[:2])} ...")
            start(cell, config.out, config.threads, leash)
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
    cells = plan(grid, root, config.seed)
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
