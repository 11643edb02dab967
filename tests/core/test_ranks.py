"""A process that ends a job of several says why, and it alone."""

import signal
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed

from tests.answering_toys import build_tiny
from tests.training.toy_training import TINY, corpus, make_question
from tests.warm import Warm, free_port
from videothinker import cli, ranks
from videothinker.errors import UserError
from videothinker.processes import find_processes
from videothinker.ranks import Job, is_alive
from videothinker.records import write_jsonl


def store() -> Any:
    made: Any = torch.distributed.HashStore()  # pyright: ignore[reportPrivateImportUsage]
    return made


def test_the_first_to_say_it_says_it_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shared = store()
    first, second = Job(shared, 0, 2), Job(shared, 1, 2)
    assert not first.over()
    assert second.claim("data/questions.jsonl: is not there")
    assert first.over()
    assert not first.claim("Connection closed by peer")
    said = capsys.readouterr().err
    assert said == "videothinker: rank 1: data/questions.jsonl: is not there\n"


def test_who_was_killed_is_named_by_another(capsys: pytest.CaptureFixture[str]) -> None:
    shared = store()
    watching = Job(shared, 0, 3)
    Job(shared, 2, 3).finish()
    gone = subprocess.Popen(["sleep", "60"])
    shared.set("at/1", f"{watching.place.rpartition(' ')[0]} {gone.pid}")
    assert not watching.over()
    gone.kill()
    until = time.monotonic() + 5
    while is_alive(gone.pid) and time.monotonic() < until:  # and is not collected: a zombie
        time.sleep(0.01)
    assert watching.over()
    assert f"rank 1 (process {gone.pid}) was killed" in capsys.readouterr().err
    gone.wait()


def test_a_process_that_is_done_or_elsewhere_is_not_taken_for_dead() -> None:
    shared = store()
    job, other = Job(shared, 0, 3), subprocess.Popen(["true"])
    other.wait()
    shared.set("at/1", f"{job.place.rpartition(' ')[0]} {other.pid}")
    shared.set("at/2", f"another-machine {other.pid}")
    shared.set("done/1", "")
    assert not job.over()


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (UserError("a.mp4: is bad"), cli.USER_ERROR, "rank 1: a.mp4: is bad"),
        (MemoryError("9 GB"), cli.FAULT, "rank 1: out of memory (MemoryError: 9 GB); add"),
        (ValueError("odd"), cli.FAULT, "rank 1: ValueError: odd"),
    ],
)
def test_each_fault_is_one_sentence(
    fault: Exception,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stage(words: list[str]) -> int:
        raise fault

    monkeypatch.setattr(cli, "_stage", stage)
    monkeypatch.setattr(ranks, "WAIT_FOR_CAUSE", 0.2)
    monkeypatch.setattr(ranks, "_stop_once", lambda: None)
    shared = store()
    assert cli._run([], Job(shared, 1, 2)) == code
    told = capsys.readouterr().err
    assert f"videothinker: {said}" in told
    assert ("Traceback" in told) == isinstance(fault, ValueError)  # a fault of ours
    assert cli._run([], Job(shared, 0, 2)) == code  # who is torn along says nothing
    assert capsys.readouterr().err == ""


def test_nothing_asks_the_store_once_the_job_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python aborts when it ends while another thread is inside the store."""
    at = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name, value in (at | {"RANK": "0", "WORLD_SIZE": "2"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ranks, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(ranks, "_stop_once", lambda: None)
    asked = threading.Event()

    def slow(job: Job) -> bool:
        asked.set()
        time.sleep(0.3)
        return False

    monkeypatch.setattr(Job, "over", slow)
    before = threading.active_count()
    with ranks.one_job() as job:
        assert job is not None
        job.store.set("done/1", "")
        assert asked.wait(10)
    assert threading.active_count() == before


@pytest.mark.parametrize("victim", [0, 1])
def test_without_torchrun_the_others_end_as_soon(warm: Warm, victim: int) -> None:
    began = time.monotonic()
    done = warm.ranks("tests.core.mortal_ranks", str(victim))
    assert time.monotonic() - began < 30
    assert done.codes[victim] == -signal.SIGKILL
    assert done.codes[1 - victim] == ranks.GONE
    assert done.said.startswith(f"videothinker: rank {victim} ")
    assert "was killed before it could say why" in done.said
    assert done.said.count("\n") == 1


def test_who_dies_in_a_step_is_named_by_the_other(warm: Warm, tmp_path: Path) -> None:
    """Which waits for it in torch's own connection."""
    model = build_tiny(tmp_path / "base", corpus(), **TINY)
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "questions.jsonl", [make_question(n) for n in range(20)])
    words = ["train", "grpo", "--data", str(tmp_path / "data"), "--model", str(model)]
    words += ["--out", str(tmp_path / "run"), "--dtype", "float32", "--max-steps", "2"]
    words += ["--eval-steps", "0", "--num-generations", "2", "--max-completion-length", "4"]
    words += ["--reward-funcs", "tests.core.mortal_ranks:dies"]
    done = warm.ranks("tests.core.mortal_ranks", *words)
    assert done.codes[1] == -signal.SIGKILL
    assert done.codes[0] not in (cli.DONE, cli.WITH_FAILURES)
    assert_one_sentence(done.said)
    assert done.said.count("read 20 questions") == 1  # of several processes the first speaks


def assert_one_sentence(said: str) -> None:
    sentences = [line for line in said.splitlines() if line.startswith("videothinker: ")]
    assert len(sentences) == 1
    assert "rank 1 (process" in sentences[0]
    assert "was killed" in sentences[0]
    assert "Traceback" not in said


def test_processes_that_do_not_know_their_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU accelerate takes a process without LOCAL_RANK for one alone."""
    for name, value in zip(sorted(ranks.BY_HAND), ("127.0.0.1", "1", "1", "2"), strict=True):
        monkeypatch.setenv(name, value)
    alone = SimpleNamespace(num_processes=1, process_index=0, device="cuda")
    monkeypatch.setattr("accelerate.PartialState", lambda **_: alone)
    with pytest.raises(UserError, match="WORLD_SIZE is 2.* LOCAL_RANK"):
        find_processes()
    alone.num_processes = 2
    assert find_processes().size == 2


@pytest.mark.slow
def test_a_killed_process_ends_the_job_before_torchrun_says_so(warm: Warm) -> None:
    started = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    job = warm.run("-m", *started, "tests.core.mortal_ranks", "1")
    assert job.returncode != 0
    before, _, summary = job.stderr.partition("failed (exitcode: -9)")
    assert summary
    assert_one_sentence(before)
