"""The processes of one job: when one of them ends it, one of them says why.

torchrun stops all processes when one has died, and prints a table of exit codes. Left alone, each
of the others would first print the traceback of a connection that broke. Here the first process
that knows the cause claims it in torchrun's own store, and says it in one sentence; the others end
in silence. Who is killed cannot say so: a process on the same machine sees it gone.

Processes can be started without torchrun, by what sets `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and
`MASTER_PORT` for each. Then nobody stops those that are left, and the first holds the store.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

LOOK_EVERY, WAIT_FOR_CAUSE, GRACE = 1.0, 3.0, 5.0
"""Seconds: between checks on the other processes; to wait for the cause after a broken connection;
that the process with the store, when done, leaves the others to end."""
BY_HAND = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
"""What torch wants to know of a process that torchrun did not start."""
GONE = 130
"""Exit code of a process that ends because of another, as after Ctrl-C."""


def rank() -> int:
    """This process's number; 0 of one alone."""
    return int(os.environ.get("RANK", "0")) if size() > 1 else 0


def size() -> int:
    """How many processes the job has."""
    started = _by_torchrun() or os.environ.keys() >= BY_HAND
    return int(os.environ.get("WORLD_SIZE", "1")) if started else 1


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def cores() -> int:
    """How many cores this process may use, by its affinity and its container's share."""
    found = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):  # no such file, or no limit: "max"
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        found = min(found, max(1, int(quota) // int(period)))
    return found


class Job:
    """What a process knows of the others, outside of what they compute together.

    Args:
        store: torchrun's or the first process's, where every process can write and read.
        number: this process's rank.
        count: of all processes.
        held: the first process holds the store.
    """

    def __init__(self, store: Any, number: int, count: int, *, held: bool = False) -> None:
        self.store, self.number, self.held = store, number, held
        self.others = [other for other in range(count) if other != number]
        self.place = f"{socket.gethostname()} {os.getpid()}"
        self.ended = threading.Event()
        self.told = False
        store.set(f"at/{number}", self.place)

    def claim(self, cause: str) -> bool:
        """Say why the job ends, if nobody has said so before; did this process say it?"""
        cause = f"rank {self.number}: {cause}" if not cause.startswith("rank ") else cause
        mine = f"{self.number} {cause}"
        self.told = self.store.compare_set("cause", "", mine).decode() == mine
        if self.told:
            _say(cause)
        return self.told

    def over(self) -> bool:
        """Has another process ended the job, or died? Then that is said, if it was not yet."""
        try:
            return self._over()
        except Exception:  # who held the store has gone, and it with him
            if not self.held:
                raise
        return self._first_is_gone()

    def _over(self) -> bool:
        if self.store.check(["cause"]):
            return True
        for other in self.others:
            if not self._is_dead(other):
                continue
            if self.store.check(["cause"]) or self.store.check([f"done/{other}"]):
                continue
            pid = self.store.get(f"at/{other}").decode().rpartition(" ")[2]
            self.claim(
                f"rank {other} (process {pid}) was killed before it could say why, as the system "
                "does when main memory runs out; the same command resumes"
            )
            return True
        return self.store.check(["cause"])

    def wait_for_cause(self) -> bool:
        """After a broken connection or a stop: whether another process turns out to be why."""
        _stop_once()
        until = time.monotonic() + WAIT_FOR_CAUSE
        while time.monotonic() < until:
            if self.over():
                return True
            time.sleep(0.1)
        return False

    def _is_dead(self, other: int) -> bool:
        """Is it a process of this machine that has ended?"""
        if not self.store.check([f"at/{other}"]):
            return False
        host, _, pid = self.store.get(f"at/{other}").decode().rpartition(" ")
        return host == socket.gethostname() and not is_alive(int(pid))

    def watch(self) -> None:
        """Look at the others until this process has ended; end it where they have ended the job."""
        while not self.ended.wait(LOOK_EVERY):
            try:
                over = self.over()
            except Exception:  # noqa: BLE001 (torchrun has gone, and its store with it)
                return
            if over and not self.ended.wait(GRACE):  # else it waits for those that are gone
                os._exit(GONE)

    def _first_is_gone(self) -> bool:
        """Has the first process, which holds the store, gone before this one was done?"""
        if self.ended.wait(LOOK_EVERY):
            return False
        if self.number == 1 and not self.told:
            self.told = True
            _say(
                "rank 0 was killed before it could say why, as the system does when main memory "
                "runs out, or cannot be reached; the same command resumes"
            )
        return True

    def finish(self) -> None:
        """This process has done its part; who holds the store keeps it until the others have."""
        self.ended.set()
        with contextlib.suppress(Exception):
            self.store.set(f"done/{self.number}", "")
            until = time.monotonic() + GRACE + 2 * LOOK_EVERY
            while self.held and self.number == 0 and time.monotonic() < until:
                if all(self.store.check([f"done/{o}"]) or self._is_dead(o) for o in self.others):
                    return
                time.sleep(0.1)


def _say(cause: str) -> None:
    sys.stderr.write(f"videothinker: {cause}\n")
    sys.stderr.flush()


def _stop_once() -> None:
    """Hear no further signal on the way out: torchrun stops all that are left, and may insist."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def is_alive(pid: int) -> bool:
    """Does a process of this machine run? One that has ended may wait to be collected."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without such files
        return True
    return not state.startswith(("Z", "X"))


@contextlib.contextmanager
def one_job() -> Iterator[Job | None]:
    """Inside, this process hears of the others; null where there are none, or no store."""
    torchrun = _by_torchrun()
    if size() == 1 or (torchrun and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"):
        yield None
        return
    if not torchrun:  # else torch prints its stack each time the first has gone
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    dist: Any = import_module("torch.distributed")  # seconds, for several alone

    at = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    # the store that torch itself will use: whoever asks a second time gets the same
    holds = not torchrun and rank() == 0
    shared = dist.TCPStore(*at, is_master=holds, wait_for_workers=False, multi_tenant=True)
    store = dist.PrefixStore(f"videothinker/{attempt}/", shared)
    job = Job(store, rank(), size(), held=not torchrun)
    watching = threading.Thread(target=job.watch, daemon=True)
    watching.start()
    try:
        yield job
    finally:
        _stop_once()
        job.finish()
        # Python that ends while a thread is inside the store's C++ aborts: a done run would fail
        watching.join(GRACE)
