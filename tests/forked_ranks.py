"""Two processes of one job, forked from one that has imported torch: as quick to start as one.

    python -m tests.forked_ranks MODULE WORDS...

Each calls `MODULE.main(WORDS)` as a rank of its own. They are started as docs/scale.md says for
processes without torchrun; what torchrun itself does is tested with it (`core/test_ranks.py`, and
a job that ends well in `answering/test_sharing.py`).
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

from tests.conftest import REPO

RANKS = (0, 1)
IMPORTED = ("accelerate.utils", "videothinker.training.sharding")
"""By commands only when they come to it; here once for both."""


def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def fork(rank: int, port: int, work: Callable[[], object]) -> int:
    """A rank at work, its pid; it ends as a command does, through the interpreter's own end."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(len(RANKS))}
        sys.exit(work())  # pyright: ignore[reportArgumentType]
    return pid


def two_ranks(module: str, *words: str, torchrun: bool = False) -> str:
    """Run `MODULE.main(words)` in both, or the module under torchrun; what they said.

    Raises:
        AssertionError: with it, where one failed.
    """
    forked = ["tests.forked_ranks"]
    started = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    done = subprocess.run(
        [sys.executable, "-m", *(started if torchrun else forked), module, *words],
        cwd=REPO,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{REPO / 'src'}:{REPO}"},
        capture_output=True,
        text=True,
        timeout=1800,  # of a machine that much else runs on
        check=False,
    )
    assert done.returncode == 0, done.stderr[-9000:]
    return done.stderr


if __name__ == "__main__":
    for name in IMPORTED:
        import_module(name)
    main, port = import_module(sys.argv[1]).main, free_port()
    pids = [fork(rank, port, lambda: main(sys.argv[2:])) for rank in RANKS]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    sys.exit(next((code for code in codes if code), 0))
