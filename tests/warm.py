"""Python processes forked from one that has imported what they need, one server for a test run.

Importing torch and transformers takes longer than most commands do. A process here is as any other:
words as `python` takes them, folder, environment, what is read and printed, its pid and exit code.
The `warm` fixture is the server; it ends when the last worker of the run leaves it.

Two processes of one job, `warm.ranks`, are started as docs/scale.md says for processes without
torchrun; what that does is tested with it, in `core/test_ranks.py` and `answering/test_sharing.py`.

    python -m tests.warm FOLDER
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

REPO = Path(__file__).resolve().parents[1]
IMPORTED = (
    "accelerate.utils",
    "peft",
    "transformers.utils.chat_template_utils",
    "videothinker.training.sharding",
    "videothinker.training.stages",
    "videothinker.evaluation.stage",
    "videothinker.diagnosis.stage",
    "videothinker.report.stage",
    "videothinker.world.stage",
    "videothinker.generation.shared_prefix",
    "videothinker.models.qwen2_5_vl.model",
)
LONGEST = 1800
"""Seconds of a process, on a machine that much else runs on."""
STAYS = b"stays"
"""What a worker says that keeps the server for later."""
COMMAND = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({at!r})
words = ["-m", "videothinker.cli", *sys.argv[1:]]
asked = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [asked], [0, 1, 2])
server.recv(16)
sys.exit(int(server.recv(16)))
"""


RANK = """
import sys
from importlib import import_module
sys.exit(import_module(sys.argv[1]).main(sys.argv[2:]))
"""


class Process:
    """One that is at work."""

    def __init__(self, asked: socket.socket) -> None:
        asked.settimeout(LONGEST)
        self.asked, self.pid = asked, int(asked.recv(16))
        self.returncode: int | None = None

    def wait(self) -> int:
        """Its exit code, that of a signal negative."""
        if self.returncode is None:
            self.returncode = int(self.asked.recv(16))
            self.asked.close()
        return self.returncode

    def kill(self) -> int:
        """As the system does when memory ends."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()


@dataclass(frozen=True)
class Ended:
    """A job's exit codes, by rank, and what its processes printed."""

    codes: list[int]
    said: str


class Warm:
    """Starts processes."""

    def __init__(self, at: str, commands: Path) -> None:
        self.at = at
        self.command = command = commands / "videothinker"
        """A program that is `videothinker`."""
        command.write_text(COMMAND.format(python=sys.executable, at=at))
        command.chmod(0o755)
        path = (str(commands), str(Path(sys.executable).parent), os.environ["PATH"])
        self.environment = surroundings() | {"PATH": os.pathsep.join(path)}
        """For shells, whose `videothinker` is such a process."""

    def start(
        self,
        *words: str,
        cwd: Path = REPO,
        env: Mapping[str, str] | None = None,
        given: IO[Any] | None = None,
        out: IO[Any] | None = None,
        err: IO[Any] | None = None,
    ) -> Process:
        """`python WORDS`; what it prints is dropped where no file is given, and nothing is read."""
        with Path(os.devnull).open("r+b") as nothing:
            asked = connected(self.at)
            streams = [(one or nothing).fileno() for one in (given, out, err)]
            return ask(asked, words, cwd, self.environment | dict(env or {}), streams)

    def run(
        self, *words: str, cwd: Path = REPO, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` of the words, with what was printed."""
        with ThreadPoolExecutor(2) as reading:
            ends = [os.pipe(), os.pipe()]
            told = [reading.submit(_all, read) for read, _ in ends]
            with os.fdopen(ends[0][1], "w") as out, os.fdopen(ends[1][1], "w") as err:
                process = self.start(*words, cwd=cwd, env=env, out=out, err=err)
            code = process.wait()
            return subprocess.CompletedProcess(list(words), code, *(one.result() for one in told))

    def ranks(self, module: str, *words: str) -> Ended:
        """`MODULE.main(words)` in two processes of one job, with this process's environment."""
        port, one = str(free_port()), {"OMP_NUM_THREADS": "1"}
        job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            both = []
            for rank in ("0", "1"):
                given = os.environ | one | job | {"RANK": rank, "LOCAL_RANK": rank}
                both.append(self.start("-c", RANK, module, *words, env=given, out=said, err=said))
            codes = [process.wait() for process in both]
            said.seek(0)
            return Ended(codes, said.read())


def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _all(end: int) -> str:
    with os.fdopen(end, encoding="utf-8") as file:
        return file.read()


def anew(root: Path) -> str:
    """Code after which the package, not imported yet, is the one that lies in `root`."""
    ours = [str(REPO), str(REPO / "src")]
    return f"""
import sys
for name in [one for one in sys.modules if one.partition(".")[0] == "videothinker"]:
    del sys.modules[name]
sys.path[:] = [{str(root)!r}, *(one for one in sys.path if one not in {ours!r})]
import videothinker
assert videothinker.__file__.startswith({str(root)!r})
"""


def surroundings() -> dict[str, str]:
    """The environment of a process."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{REPO / 'src'}:{REPO}"}


def connected(at: str) -> socket.socket:
    """To the server."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        server.connect(at)
    except OSError:
        server.close()
        raise
    return server


def ask(
    server: socket.socket,
    words: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    streams: list[int],
) -> Process:
    """A process of the server."""
    asked = json.dumps([words, str(cwd), dict(environment)]).encode()
    socket.send_fds(server, [asked], streams)
    return Process(server)


@dataclass(frozen=True)
class Rendering:
    """In the place of `subprocess` where a chat template is rendered apart: see `models/templates`.

    Its Python takes half a second to import what renders. The same module runs as a process of the
    server, within the same limits; where there is no server, as a Python of its own.
    """

    at: str
    TimeoutExpired = subprocess.TimeoutExpired

    def run(
        self, words: list[str], *, check: bool, **asked: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """As `subprocess.run`."""
        try:
            server = connected(self.at)
        except OSError:
            return subprocess.run(words, check=check, **asked)
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out:
            given.write(asked["input"])
            given.seek(0)
            streams = [given.fileno(), out.fileno(), out.fileno()]
            code = ask(server, words[1:], REPO, asked["env"], streams).wait()
            out.seek(0)
            said = out.read()
        return subprocess.CompletedProcess(words, code, said, said)


def address(folder: Path) -> str:
    """Where the server of a test run is asked."""
    return str(folder / "socket")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Warm]:
    """Inside, the server of `folder`: started by who comes first, ended by who leaves last."""
    at = address(folder)
    words = [sys.executable, "-m", "tests.warm", at]
    quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # as `ranks` asks, which comes too late for a fork
    os.posix_spawn(sys.executable, words, surroundings() | quiet)  # nobody waits for it
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            stays = connected(at)
            break
        assert time.monotonic() < deadline, "no server of warm processes"
        time.sleep(0.02)
    stays.send(STAYS)
    with stays, tempfile.TemporaryDirectory() as commands:
        yield Warm(at, Path(commands))


def serve(at: str) -> None:
    """A process for every one asked for, until the last worker has left."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(at)
    except OSError:  # another worker's server is there
        return
    listener.listen()
    for name in IMPORTED:
        import_module(name)
    templates: Any = import_module("videothinker.models.templates")
    templates.subprocess = Rendering(at)
    gc.freeze()  # what is there is neither looked through nor copied for it
    stay: set[socket.socket] = set()
    with selectors.DefaultSelector() as ready:
        ready.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                one = key.fileobj
                if one is not listener:
                    ready.unregister(one)
                    stay.remove(one)
                    one.close()
                    continue
                asks, _ = listener.accept()
                asked, streams, _, _ = socket.recv_fds(asks, 1 << 18, 3)
                if asked == STAYS:
                    stay.add(asks)
                    ready.register(asks, selectors.EVENT_READ)
                else:
                    begin(asks, asked, streams, [ready, listener, *stay])
            if not stay:
                return


def begin(asks: socket.socket, asked: bytes, streams: list[int], others: list[Any]) -> None:
    """Fork the process, and one that waits for it."""
    if not os.fork():
        for one in others:
            one.close()
        pid = os.fork()
        if not pid:
            asks.close()
            run(*json.loads(asked), streams)
        for one in streams:
            os.close(one)
        asks.send(str(pid).encode())
        asks.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        os._exit(0)
    asks.close()
    for one in streams:
        os.close(one)
    with contextlib.suppress(ChildProcessError):  # none is left
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """As `python WORDS`; ends as the interpreter does, but for taking modules apart one by one."""
    for place, one in enumerate(streams):
        os.dup2(one, place)
        os.close(one)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    try:
        execute(words)
        code: Any = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (as the interpreter does)
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code or 0)


def execute(words: list[str]) -> None:
    """Code, module or script; after `-P` without its folder on the path."""
    if words[0] == "-P":
        words = words[1:]
        del sys.path[0]
    else:
        sys.path[0] = "" if words[0] in ("-c", "-m") else str(Path(words[0]).parent)
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.modules.pop(words[1], None)
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    is_code = words[0] == "-c"
    sys.argv = [words[0], *words[1 + is_code :]]
    code = words[1] if is_code else Path(words[0]).read_text(encoding="utf-8")
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    if not is_code:
        main.__file__ = words[0]
    exec(compile(code, words[0], "exec"), vars(main))


if __name__ == "__main__":
    serve(sys.argv[1])
