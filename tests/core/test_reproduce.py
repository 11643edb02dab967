"""Grids: order, references, combinations, budget, and clear errors."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.live import Live

from videothinker import console
from videothinker.cell import finished
from videothinker.cli import main
from videothinker.errors import UserError
from videothinker.grids import plan
from videothinker.reproduce import ReproduceConfig, reproduce

GRID = """
seed: 7
cells:
  - {name: world, run: world, scenes: 3}
  - {name: diagnosis, run: "diagnose {world}"}
  - name: "grpo-{rate}-s{seed}"
    run: train grpo
    each: {seed: [0, 1], rate: [1e-6, 1e-5]}
    data: "{diagnosis}"
    learning_rate: "{rate}"
  - {name: page, run: "report {world} {grpo-1e-5-s1}", out: "{root}/page.html", seed: null}
"""


MANY = "{" + ", ".join(f"{key}: [{', '.join('0123456789')}]" for key in "abcde") + "}"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(text)
    return path


def test_a_grid_becomes_command_lines(tmp_path: Path) -> None:
    cells = plan(write(tmp_path, GRID), Path("r"))
    lines = {cell.name: " ".join(cell.words) for cell in cells}
    assert list(lines)[:3] == ["world", "diagnosis", "grpo-1e-6-s0"]
    assert lines["world"] == "world --out r/world --seed 7 --scenes 3"
    assert lines["diagnosis"] == "diagnose r/world --out r/diagnosis --seed 7"
    assert "--learning-rate 1e-5" in lines["grpo-1e-5-s1"]
    assert "--seed 1" in lines["grpo-1e-5-s1"]
    assert lines["page"] == "report r/world r/grpo-1e-5-s1 --out r/page.html"
    assert {cell.name: cell.needs for cell in cells}["page"] == {"world", "grpo-1e-5-s1"}


def test_words_multiply_a_cell_without_becoming_its_settings(tmp_path: Path) -> None:
    more = """
  - name: "test-{method}-s{seed}"
    run: evaluate
    over: {method: [grpo-1e-6, grpo-1e-5], seed: [0, 1]}
    model: "{{method}-s{seed}}"
    seed: null
"""
    cells = plan(write(tmp_path, GRID.rstrip() + more), Path("r"))
    tests = {cell.name: " ".join(cell.words) for cell in cells if cell.name.startswith("test-")}
    assert len(tests) == 4
    wanted = "evaluate --out r/test-grpo-1e-5-s1 --model r/grpo-1e-5-s1"
    assert tests["test-grpo-1e-5-s1"] == wanted
    assert {cell.name: cell.needs for cell in cells}["test-grpo-1e-6-s0"] == {"grpo-1e-6-s0"}


def test_a_seed_on_the_command_line_replaces_the_grids(tmp_path: Path) -> None:
    cells = plan(write(tmp_path, GRID), Path("r"), 9)
    assert "--seed 9" in " ".join(cells[0].words)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cells: []", "holds no cells"),
        ("cells: 3", "must be a list"),
        ("surprise: 1", "unknown key 'surprise'"),
        ("cells: [{name: a}]", "needs `name` and `run`"),
        ("cells: [{name: a, run: world}, {name: a, run: world}]", "the name is taken"),
        ('cells: [{name: a, run: "diagnose {b}"}, {name: b, run: world}]', "names no cell before"),
        ("cells: [{name: a, run: world, each: 3}]", "each"),
        ("cells: [{name: a, run: world, over: {seed: 3}}]", "`over` must map"),
        ("cells: [", "is not YAML"),
        ("cells: [{name: ../a, run: world}]", "without a slash"),
        ("cells: [{name: /tmp/a, run: world}]", "without a slash"),
        ("cells: [{name: .., run: world}]", "without a slash"),
        ('cells: [{name: ".", run: world}]', "without a slash"),
        ('cells: [{name: "{n}", over: {n: [../a]}, run: world}]', "without a slash"),
        ('cells: [{name: "a\\0b", run: world}]', "without a slash"),
        (f"cells: [{{name: {'a' * 400}, run: world}}]", "at most 120"),
        ("cells: [{name: logs, run: world}]", "the name is taken"),
        ("cells: [{name: grid.yaml, run: world}]", "the name is taken"),
        ("cells: [{name: 3, run: world}]", "must be texts"),
        ("cells: [{name: a, run: null}]", "must be texts"),
        ('cells: [{name: a, run: "world \'"}]', "No closing quotation"),
        ("cells: [{name: a, run: world, out: ../b}]", "writes inside its own folder"),
        ('cells: [{name: a, run: world, out: "{root}/../b"}]', "writes inside its own folder"),
        ('cells: [{name: a, run: world, out: "{root}"}]', "writes inside its own folder"),
        ("cells: [{name: a, run: world, out: /tmp/b}]", "writes inside its own folder"),
        ("cells: [{name: a, run: world --out /tmp/b}]", "--out among its words"),
        ("cells: [{name: a, run: world --out=/tmp/b}]", "--out among its words"),
        ('cells: [{name: a, run: world, "out=/tmp/b": 1}]', "--out among its words"),
        ("cells: [{name: a, run: world, size: [3, --out, /tmp/b]}]", "--out among its words"),
        ("cells: [{name: a, run: world, out: [b]}]", "give one path"),
        ("cells: [{name: a, run: world, out: null}]", "`out: null` would let it write outside"),
        ("cells: [{name: a, run: ask v q, config: r.yaml, out: null}]", "`out: null` would let"),
        (f"cells: [{{name: a, run: world, out: '{{root}}/{'a' * 400}'}}]", "a disk holds 255"),
        ("cells: [{name: a, run: reproduce grid.yaml}]", "a grid runs no grids"),
        ("cells: [{name: a, run: demo}]", "a grid runs no grids"),
        ("cells: [{name: a, run: '{v} g.yaml', over: {v: [reproduce]}}]", "runs no grids"),
        (f"cells: [{{name: a, run: world, each: {MANY}}}]", "makes 100,000 cells"),
        (f"cells: [{{name: a, run: world, x: '{'a' * 100_001}'}}]", "more than 100,000 char"),
    ],
)
def test_a_bad_grid_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        plan(write(tmp_path, text), Path("r"))


def test_a_link_does_not_lead_a_cell_out(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/a").symlink_to(tmp_path)
    with pytest.raises(UserError, match="writes inside its own folder"):
        plan(write(tmp_path, "cells: [{name: a, run: world}]"), tmp_path / "r")


def test_outputs_that_name_each_other_do_not_grow_without_end(tmp_path: Path) -> None:
    """Each names the one before it three times: 3^40 characters."""
    cells = ["{name: c0, run: world}"]
    cells += [
        f'{{name: c{i}, run: world, out: "{{c{i - 1}}}/{{c{i - 1}}}/{{c{i - 1}}}"}}'
        for i in range(1, 40)
    ]
    with pytest.raises(UserError, match="longer than a path"):
        plan(write(tmp_path, f"cells: [{', '.join(cells)}]"), Path("r"))


def test_a_cell_that_names_the_logs_runs_and_ends(tmp_path: Path) -> None:
    """It waited for a cell called `logs` for ever."""
    text = 'cells: [{name: a, run: "--version", out: null}, {name: b, run: "diagnose {logs}"}]'
    with pytest.raises(UserError, match="1 of 2 cells failed: b"):
        reproduce(write(tmp_path, text), ReproduceConfig(tmp_path / "out"))


def test_what_looks_like_a_name_is_not_waited_for(tmp_path: Path) -> None:
    text = "cells: [{name: a, run: models, out: null, x: [{b: 1}]}]"
    (cell,) = plan(write(tmp_path, text), Path("r"))
    assert cell.needs == set()


def test_a_kill_at_its_first_write_does_not_lock_a_grids_folder(tmp_path: Path) -> None:
    grid = write(tmp_path, 'cells: [{name: alone, run: "--version", out: null}]')
    (tmp_path / "out").mkdir()
    left = tmp_path / "out/.grid.yaml.12.tmp"
    left.write_text("half")
    reproduce(grid, ReproduceConfig(tmp_path / "out"))
    assert not left.exists()


def test_a_failed_cell_stops_what_needs_it_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = write(
        tmp_path,
        "cells:\n"
        '  - {name: bad, run: "diagnose nowhere"}\n'
        '  - {name: after, run: "report {bad}", seed: null}\n'
        '  - {name: alone, run: "--version", out: null}\n',
    )
    with pytest.raises(UserError, match="1 of 3 cells failed: bad"):
        reproduce(grid, ReproduceConfig(tmp_path / "out"))
    said = capsys.readouterr().err
    assert "bad: FAILED with code 2: " in said.replace("\n", " ")
    assert "nowhere" in said
    assert not (tmp_path / "out/logs/after.log").exists()


def test_a_grid_with_recorded_failures_does_not_end_as_if_it_had_none(tmp_path: Path) -> None:
    """`check` ends with 1 where it found something."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"question": "Which?", "choices": ["a", "b"], "answer": "C", "video": "v.mp4"}'
    )
    for code, words in enumerate(('"--version", out: null', f'"check {rows}", seed: null')):
        grid = write(tmp_path, f"cells: [{{name: a, run: {words}}}]")
        assert main(["reproduce", str(grid), "--out", str(tmp_path / f"{code}")]) == code


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("")
    with pytest.raises(UserError, match="holds no grid"):
        reproduce(write(tmp_path, GRID), ReproduceConfig(tmp_path / "out"))


def test_a_cell_gets_the_threads_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def start(words: list[str], env: dict[str, str], **rest: object) -> subprocess.Popen[bytes]:
        started.append(env["OMP_NUM_THREADS"] + env["MKL_NUM_THREADS"])
        return popen(words, env=env, **rest)

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    grid = write(tmp_path, 'cells:\n  - {name: alone, run: "--version", out: null}\n')
    reproduce(grid, ReproduceConfig(tmp_path / "one"))
    reproduce(grid, ReproduceConfig(tmp_path / "two", threads=2))
    assert started == ["11", "22"]


def test_a_finished_cell_is_held_against_its_inputs_without_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def start(words: list[str], **rest: object) -> subprocess.Popen[bytes]:
        if "videothinker.cli" in words:  # not git
            started.append(words[words.index("videothinker.cli") + 1])
        return popen(words, **rest)

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(console.stderr, "is_interactive", True)
    small = "scenes: 3, validation_scenes: 0, frames: 0, give_aways: allowed"
    cells = f"""
cells:
  - {{name: world, run: world, {small}}}
  - {{name: diagnosis, run: "diagnose {{world}}"}}
"""
    grid, config = write(tmp_path, cells), ReproduceConfig(tmp_path / "r")
    reproduce(grid, config)
    reproduce(grid, config)
    assert started == ["world", "diagnose"]
    with Live("the table", console=console.stderr, auto_refresh=False):
        assert finished(plan(grid, config.out)[0], config.out) == 0
    *_, again, said = (tmp_path / "r/logs/world.log").read_text().splitlines()
    assert again.startswith("$ videothinker world")
    assert "already made" in said  # and no table, which stands on the terminal alone
    questions = tmp_path / "r/world/train.json"
    questions.write_bytes(questions.read_bytes() + b"\n")
    with pytest.raises(UserError, match="1 of 2 cells failed: diagnosis"):
        reproduce(grid, config)
    assert (tmp_path / "r/logs/diagnosis.log").read_text().count("$ videothinker") == 3
    (tmp_path / "r/world/run.json").unlink()  # not done any more, whatever lies there
    with pytest.raises(UserError, match="cells failed: world"):
        reproduce(grid, config)
    assert started == ["world", "diagnose", "diagnose", "world"]


def test_a_terminated_grid_takes_its_cells_along_and_resumes(tmp_path: Path) -> None:
    """As a scheduler ends it: nobody is left at work, and the same command goes on."""
    made = "{name: world, run: world, scenes: 24, validation_scenes: 0, frames: 0, "
    grid = write(tmp_path, f"cells: [{made}give_aways: allowed}}]")  # the quick kind
    command = [sys.executable, "-m", "videothinker.cli", "reproduce", str(grid), "--out", "r"]
    run = subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *command],  # as a shell's `&` starts it
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    shards = tmp_path / "r/world/checkpoints/train.jsonl"
    deadline = time.monotonic() + 60
    while not (shards.exists() and shards.stat().st_size > 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    assert "interrupted; the same command resumes" in run.communicate(timeout=60)[1]
    assert run.returncode == 130
    run_json = tmp_path / "r/world/run.json"
    assert json.loads(run_json.read_text())["status"] == "interrupted"
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    assert json.loads(run_json.read_text())["status"] == "done"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_a_killed_grid_leaves_no_cell_at_work(tmp_path: Path, how: signal.Signals) -> None:
    """The cell holds its folder's lock as long as it lives."""
    made = "{name: world, run: world, scenes: 4000, frames: 0, give_aways: allowed}"
    write(tmp_path, f"cells: [{made}]")
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "  # nohup passes it by
    begun = "from videothinker.cli import main; main(['reproduce', 'grid.yaml', '--out', 'r'])"
    command = [sys.executable, "-c", heard + begun]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as run:
        lock = tmp_path / "r/world/.lock"
        await_(lambda: lock.exists() and lock.read_text() != "")
        cell = int(lock.read_text())
        run.send_signal(how)
        try:
            assert run.wait(timeout=60) == -how
        finally:
            run.kill()
    await_(lambda: not at_work(cell))


def await_(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def at_work(process: int) -> bool:
    """Is it there, and not only its exit code, which nobody may collect?"""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
