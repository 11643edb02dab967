"""A cell of a grid: one command, found finished by its folder or run in a process of its own."""

import io
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from videothinker import console
from videothinker.console import quiet, say
from videothinker.errors import UserError
from videothinker.files import plain
from videothinker.run_file import read_run_file
from videothinker.runs import NotFinished, finished_alone

INTERRUPTED = 130
"""Exit code of a command after Ctrl-C."""
LEASH = "VIDEOTHINKER_GRID"
"""Names to a cell the pipe whose other end its grid holds."""


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


def progress_path(cell: Cell, root: Path) -> Path:
    """Where a cell writes how far it is."""
    return root / "logs" / f"{cell.name}.progress"


def _log(cell: Cell, root: Path) -> Path:
    """Where a cell's output goes, behind its command."""
    log = root / "logs" / f"{cell.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        file.write(f"$ videothinker {shlex.join(cell.words)}\n".encode())
    return log


def finished(cell: Cell, root: Path) -> int | None:
    """The exit code of a cell that was done before, by its own command; null for any other.

    Settings that differ, or inputs that are not what they were, are told by a process as ever.
    """
    try:
        if read_run_file(cell.out / "run.json").status != "done":
            return None
    except (OSError, UserError):
        return None
    command: Callable[[list[str]], int] = import_module("videothinker.cli").run
    printed = io.StringIO()
    with (  # what is said reaches no terminal, where the grid's table stands
        redirect_stdout(printed),
        redirect_stderr(printed),
        quiet() as lines,
        finished_alone(),
    ):
        try:
            code = command(list(cell.words))
        except NotFinished:
            return None
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (0, 1):
        return None
    with _log(cell, root).open("a", encoding="utf-8", errors="replace") as log:
        log.write("".join(f"{plain(line)}\n" for line in lines) + printed.getvalue())
    return code


def start(cell: Cell, root: Path, threads: int, leash: int) -> None:
    """Run a cell in a process of its own, which leads its own group and ends with the grid.

    Args:
        cell: gets its process.
        root: the grid's folder.
        threads: of the process.
        leash: the end of the pipe that `follow` reads.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment[LEASH] = str(leash)
    environment[console.PROGRESS_FILE] = str(progress_path(cell, root))
    cell.started = time.monotonic()
    with _log(cell, root).open("ab") as file:
        cell.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "videothinker.cli", *cell.words],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=(leash,),
            start_new_session=True,  # Ctrl-C reaches the cells once, through us
        )


def finish(cell: Cell, root: Path, done: int, planned: int) -> None:
    """Say how a cell ended, the `done`th of all `planned` ones."""
    seconds = time.monotonic() - cell.started
    if cell.code in (0, 1):
        failures = "" if cell.code == 0 else ", with recorded failures"
        say(f"[{done}/{planned}] {cell.name}: done in {seconds:.0f} s{failures}")
        return
    log = root / "logs" / f"{cell.name}.log"
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "no output"
    say(f"[{done}/{planned}] {cell.name}: FAILED with code {cell.code}: {last} (see {log})")
