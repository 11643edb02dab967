"""Two processes of one job, forked from one that has imported torch: as quick to start as one.

In a test: `done = run_ranks(MODULE, *WORDS)` calls `MODULE.main(WORDS)` in each as its own rank
(the fixture `run_ranks`, one process that forks for all tests of a session). They are started as
docs/scale.md says for processes without torchrun; what torchrun itself does is tested with it
(`core/test_ranks.py`, and a job that ends well in `answering/test_sharing.py`).
"""

import gc
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from tests.conftest import REPO

IMPORTED = (
    "accelerate.utils",
    "peft",
    "videothinker.models.qwen2_5_vl.model",
    "videothinker.training.sharding",
    "videothinker.training.stages",
)
"""By commands only when they come to it; here once for all."""
LONGEST = 1800
"""Seconds of a job, on a machine that much else runs on."""


@dataclass(frozen=True)
class Ended:
    """A job's exit codes, by rank, and what its processes printed."""

    codes: list[int]
    said: str


class Ranks(Protocol):
    """Of the fixture `run_ranks`."""

    def __call__(self, module: str, *words: str) -> Ended:
        """Run `MODULE.main(words)` in both, with this process's environment."""
        ...


@contextmanager
def forked_ranks() -> Iterator[Ranks]:
    """Inside, jobs are forked from one process, which starts with the first of them."""
    server: list[subprocess.Popen[str]] = []

    def run(module: str, *words: str) -> Ended:
        if not server:
            server.append(_server())
        asks, answers = server[0].stdin, server[0].stdout
        assert asks is not None
        assert answers is not None
        with tempfile.NamedTemporaryFile() as said:
            asked = {"module": module, "words": words, "said": said.name, "env": dict(os.environ)}
            asks.write(json.dumps(asked) + "\n")
            asks.flush()
            assert select.select([answers], [], [], LONGEST)[0], "a job does not end"
            codes = json.loads(answers.readline())
            return Ended(codes, said.read().decode(errors="replace"))

    try:
        yield run
    finally:
        for one in server:
            one.kill()
            one.communicate()


def _server() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.forked_ranks"],
        cwd=REPO,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{REPO / 'src'}:{REPO}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def fork(rank: int, port: int, asked: dict[str, Any]) -> int:
    """A rank at work, its pid; it ends as a command does, through the interpreter's own end."""
    pid = os.fork()
    if pid == 0:
        told = os.open(asked["said"], os.O_WRONLY | os.O_APPEND)
        for number in (1, 2):
            os.dup2(told, number)
        os.environ.clear()
        os.environ.update(asked["env"] | {"OMP_NUM_THREADS": "1"})
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
        sys.exit(import_module(asked["module"]).main(asked["words"]))
    return pid


def serve() -> None:
    """A job a line, until nobody asks."""
    for name in IMPORTED:
        import_module(name)
    for line in sys.stdin:
        asked, port = json.loads(line), free_port()
        import_module(asked["module"])
        gc.collect()
        gc.freeze()  # else each process goes through all that was imported, again and again
        pids = [fork(rank, port, asked) for rank in (0, 1)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
