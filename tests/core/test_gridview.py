"""The table of a grid on a terminal: bars from what cells write, and when each will be through."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from videothinker import console
from videothinker.gridview import CellRow, duration, last_line, remaining, table

GRID = """
cells:
  - {name: one, run: --version, out: null}
  - {name: two, run: --version, out: null}
"""


def test_times_are_read_off_a_clock() -> None:
    assert [duration(s) for s in (0.4, 65, 3661)] == ["0:00", "1:05", "1:01:01"]
    assert remaining(30, 1, 4) == "in 1:30"
    assert [remaining(30, done, 4) for done in (0, 4)] == ["", ""]


def test_a_process_without_a_terminal_writes_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    monkeypatch.setenv(console.PROGRESS_FILE, str(file))
    assert console.read_progress(file) is None
    with console.progress("train", 4, done=1) as bar:
        assert console.read_progress(file) == (1, 4, "train")
        bar.advance(3)
        bar.note("nothing")
        assert console.read_progress(file) == (4, 4, "train")
    file.write_text("half")
    assert console.read_progress(file) is None


def test_a_row_shows_bar_time_and_last_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1\t4\ttrain")
    (tmp_path / "log").write_bytes(b"first\nsecond\n")
    assert last_line(tmp_path / "none") == ""
    rows = [
        CellRow("a", "running", 30.0, tmp_path / "file", tmp_path / "log"),
        CellRow("b", "waiting", 0.0, tmp_path / "none", tmp_path / "none"),
    ]
    plain = Console(width=100, record=True, file=io.StringIO())
    plain.print(table(rows))
    head, first, second = plain.export_text().rstrip().splitlines()
    assert head.split()[0] == "cell"
    assert [word in first for word in ("running", "0:30", "in 1:30", "second")] == [True] * 4
    assert second.split() == ["b", "waiting"]


def test_a_terminal_sees_the_table_and_a_pipe_the_lines(tmp_path: Path) -> None:
    grid = tmp_path / "g.yaml"
    grid.write_text(GRID)
    words = [sys.executable, "-m", "videothinker.cli", "reproduce", str(grid), "--out"]
    piped = subprocess.run(
        [*words, str(tmp_path / "a")], capture_output=True, text=True, check=True
    )
    assert "what it said last" not in piped.stderr
    parent, child = pty.openpty()
    done = subprocess.Popen([*words, str(tmp_path / "b")], stdout=subprocess.DEVNULL, stderr=child)
    os.close(child)
    seen = b""
    while piece := _read(parent):
        seen += piece
    assert done.wait() == 0
    os.close(parent)
    assert b"what it said last" in seen
    assert b"2 of 2 cells done" in seen
    assert not list((tmp_path / "b" / "logs").glob("*.progress"))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # so a terminal says that nobody writes any more
        return b""
