"""Run folders: resumable at any byte, never shared, never foreign."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import torch

from tests.warm import Warm
from videothinker.errors import UserError
from videothinker.models.tensor_file import write_tensors
from videothinker.recipes import RENAMED
from videothinker.records import Step, write_alone, write_atomic
from videothinker.runs import digest_path, open_run


@dataclass(frozen=True)
class Config:
    out: str = "x"
    seed: int = 0
    rate: float = 1e-3


def steps(out: Path, total: int, stop_at: int | None = None, config: Config = Config()) -> None:
    with open_run(out, "count", config) as run:
        if run.done:
            return
        journal = run.journal("metrics.jsonl", Step)
        for step in range(len(journal.records), total):
            if step == stop_at:
                raise KeyboardInterrupt
            journal.append(Step(step=step, loss=step / 7))


def status(out: Path) -> str:
    return msgspec.json.decode((out / "run.json").read_bytes())["status"]


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    steps(tmp_path / "whole", 9)
    with pytest.raises(KeyboardInterrupt):
        steps(tmp_path / "cut", 9, stop_at=4)
    assert status(tmp_path / "cut") == "interrupted"
    with (tmp_path / "cut/metrics.jsonl").open("ab") as file:
        file.write(b'{"step":4,"lo')  # what kill -9 leaves
    steps(tmp_path / "cut", 9)
    assert status(tmp_path / "cut") == "done"
    assert digest_path(tmp_path / "cut") == digest_path(tmp_path / "whole")


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    steps(tmp_path / "a", 3)
    before = (tmp_path / "a/run.json").read_bytes()
    steps(tmp_path / "a", 99)
    assert (tmp_path / "a/run.json").read_bytes() == before


def test_another_config_is_refused(tmp_path: Path) -> None:
    steps(tmp_path / "a", 3)
    with pytest.raises(UserError, match=r"rate: 0\.001 there, 0\.1 here"):
        steps(tmp_path / "a", 3, config=Config(rate=0.1))


@dataclass(frozen=True)
class Optics:
    zoom: float = 1.0
    blur: float = 0.0


@dataclass(frozen=True)
class Grown(Config):
    """Config and what was added to it later."""

    optics: Optics = Optics()
    shift: tuple[int, ...] = (0, 1)


def test_a_setting_added_later_has_its_default_in_an_older_run(tmp_path: Path) -> None:
    steps(tmp_path / "a", 3, config=Grown())
    run_json = tmp_path / "a/run.json"
    told = msgspec.json.decode(run_json.read_bytes())
    del told["config"]["shift"], told["config"]["optics"]["blur"]
    run_json.write_bytes(msgspec.json.encode(told))
    steps(tmp_path / "a", 3, config=Grown())
    with pytest.raises(UserError, match=r"shift: \[0, 1\] there, \[0, 2\] here"):
        steps(tmp_path / "a", 3, config=Grown(shift=(0, 2)))
    with pytest.raises(UserError, match=r"optics: .*'blur': 0\.0.* there, .*'blur': 0\.5"):
        steps(tmp_path / "a", 3, config=Grown(optics=Optics(blur=0.5)))


@dataclass(frozen=True)
class Renamed(Config):
    """Config with a setting that had another name."""

    probe_layer: int = 3


def test_a_setting_is_known_by_its_earlier_name(tmp_path: Path) -> None:
    steps(tmp_path / "a", 3, config=Renamed())
    run_json = tmp_path / "a/run.json"
    told = msgspec.json.decode(run_json.read_bytes())
    (earlier,) = (name for name, now in RENAMED.items() if now == "probe_layer")
    told["config"][earlier] = told["config"].pop("probe_layer")
    run_json.write_bytes(msgspec.json.encode(told))
    steps(tmp_path / "a", 3, config=Renamed())
    with pytest.raises(UserError, match="another config"):
        steps(tmp_path / "a", 3, config=Config(rate=0.5))


def test_a_run_that_wrote_nothing_does_not_hold_its_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model"), open_run(tmp_path, "count", Config()):
        raise UserError("no such model")
    assert status(tmp_path) == "failed"
    steps(tmp_path, 3, config=Config(rate=0.1))
    assert status(tmp_path) == "done"


KILLED_AT_ITS_FIRST_WRITE = """
import os, signal, sys
from pathlib import Path
from videothinker.runs import open_run
from tests.core.test_runs import Config
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
with open_run(Path(sys.argv[1]), "count", Config()):
    pass
"""


def test_a_kill_before_run_json_has_its_name_does_not_lock_the_folder(
    warm: Warm, tmp_path: Path
) -> None:
    out = tmp_path / "a"
    done = warm.run("-c", KILLED_AT_ITS_FIRST_WRITE, str(out))
    assert done.returncode == -signal.SIGKILL
    (left,) = out.glob(".run.json.*.tmp")
    steps(out, 3)
    assert status(out) == "done"
    assert not left.exists()


def test_what_a_kill_left_of_a_write_is_gone_when_the_run_is_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        steps(tmp_path, 9, stop_at=4)
    (tmp_path / "checkpoints").mkdir()
    for name in (".summary.json.6512.tmp", "checkpoints/.facts-00000.json.12.tmp"):
        (tmp_path / name).write_text("half")
    steps(tmp_path, 9)
    assert not [*tmp_path.rglob("*.tmp")]


def test_what_a_kill_left_of_a_single_file_is_gone_with_the_next(tmp_path: Path) -> None:
    """Unless its process is at work: this one's is."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    for process in (ended.pid, os.getppid()):
        (tmp_path / f".page.html.{process}.tmp").write_text("half")
    write_alone(tmp_path / "page.html", b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f".page.html.{os.getppid()}.tmp",
        "page.html",
    ]


def test_only_what_we_wrote_counts_as_left_by_a_kill(tmp_path: Path) -> None:
    names = (".run.json.12.tmp", ".thesis.tex.12.tmp")
    for name in names:
        (tmp_path / name).write_text("half")
    with pytest.raises(UserError, match=r"found '\.thesis\.tex\.12\.tmp'"):
        steps(tmp_path, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_a_lock_that_is_a_link_is_refused_and_its_file_untouched(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.lock").symlink_to("../precious")
    with pytest.raises(UserError, match=r"\.lock: cannot be opened as a file"):
        steps(tmp_path / "a", 3)
    assert (tmp_path / "precious").read_text() == "precious"


def test_another_input_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one")
    with open_run(tmp_path / "a", "count", Config(), {"data": source}):
        pass
    source.write_text("two")
    with (
        pytest.raises(UserError, match="another input"),
        open_run(tmp_path / "a", "count", Config(), {"data": source}),
    ):
        pass


def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        steps(tmp_path, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_stage_is_refused(tmp_path: Path) -> None:
    steps(tmp_path / "a", 3)
    with (
        pytest.raises(UserError, match="holds a run of 'count', not 'other'"),
        open_run(tmp_path / "a", "other", Config()),
    ):
        pass


def test_an_unwritable_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        steps(tmp_path / "file" / "run", 3)


def test_the_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from videothinker.runs import open_run\n"
        "from dataclasses import make_dataclass; C = make_dataclass('C', [('seed', int, 0)])\n"
        f"with open_run(Path({str(tmp_path / 'a')!r}), 'count', C()):\n"
        "    print('in', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"in\n"
        try:
            with pytest.raises(UserError, match=f"pid {first.pid}"):
                steps(tmp_path / "a", 3)
        finally:
            first.kill()
    steps(tmp_path / "a", 3)  # the dead holder's lock is free again
    assert status(tmp_path / "a") == "done"


def test_the_digest_leaves_out_what_may_vary(tmp_path: Path) -> None:
    steps(tmp_path / "a", 3)
    before = digest_path(tmp_path / "a")
    (tmp_path / "a/run.json").write_text("{}")
    (tmp_path / "a/checkpoints").mkdir()
    (tmp_path / "a/checkpoints/x").write_text("x")
    assert digest_path(tmp_path / "a") == before
    (tmp_path / "a/.cache").mkdir()
    (tmp_path / "a/.cache/model.safetensors.metadata").write_text("downloaded on Monday")
    (tmp_path / "a/README.md").write_text("a card")
    assert digest_path(tmp_path / "a") == before
    (tmp_path / "a/metrics.jsonl").write_text("")
    assert digest_path(tmp_path / "a") != before


LIMITED = """
import resource, signal, sys
from pathlib import Path
from tests.core.test_runs import steps
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
steps(Path(sys.argv[1]), 40)
"""


def test_a_disk_that_takes_no_more_is_a_sentence_and_resumes_to_the_same_bytes(
    warm: Warm, tmp_path: Path
) -> None:
    """The kernel refuses what makes a file longer than 2,600 bytes: a part of a line goes in."""
    steps(tmp_path / "whole", 40)
    assert (tmp_path / "whole/metrics.jsonl").stat().st_size > 2600
    out, record = tmp_path / "cut", open_run.__module__
    for room in ("2600", "1700"):
        code = f"import {record}; {record}.ROOM = 1000\n{LIMITED}"
        done = warm.run("-c", code, str(out), room)
        assert "UserError" in done.stderr.splitlines()[-1]
        assert f"{out}" in done.stderr
        assert "File too large" in done.stderr
        assert status(out) == "failed"
        assert {path.name for path in out.iterdir()} == {".lock", "run.json", "metrics.jsonl"}
        assert (out / "metrics.jsonl").read_bytes().endswith(b"\n")
    steps(out, 40)
    assert digest_path(out) == digest_path(tmp_path / "whole")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()  # a file cannot be renamed onto a folder
    with pytest.raises(OSError, match="directory"):
        write_atomic(tmp_path / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(OSError, match="directory"):
        write_tensors(tmp_path / "a", {"w": torch.zeros(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_was_unplugged_is_not_done(tmp_path: Path) -> None:
    out = tmp_path / "a"
    with pytest.raises(UserError, match="unplugged"), open_run(out, "count", Config()):
        out.rename(tmp_path / "elsewhere")
    assert not out.exists()
    assert status(tmp_path / "elsewhere") == "running"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x/model"), "x/model: .*No space left"),
        (Exception("No space left on device (os error 28)"), "No space left"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only"),
    ],
)
def test_what_the_disk_says_inside_a_run_is_a_sentence(
    tmp_path: Path, error: Exception, says: str
) -> None:
    """The second is how tokenizers' Rust tells it."""
    with pytest.raises(UserError, match=says), open_run(tmp_path / "a", "count", Config()):
        raise error
    assert status(tmp_path / "a") == "failed"


def test_a_fault_of_ours_stays_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no errno"), open_run(tmp_path / "a", "count", Config()):
        raise OSError("no errno")
