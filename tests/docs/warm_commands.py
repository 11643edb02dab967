"""A `videothinker` whose commands are forked from a process that has imported what they need.

A page has a dozen of them, and importing torch takes longer than most. Everything else is as in a
shell: words, folder, environment, what is read and printed, the exit code.

    python -m tests.docs.warm_commands SOCKET
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.conftest import REPO

IMPORTED = (
    "videothinker.training.stages",
    "videothinker.evaluation.stage",
    "videothinker.diagnosis.stage",
    "videothinker.report.stage",
    "videothinker.generation.shared_prefix",
    "videothinker.models.qwen2_5_vl.model",
)
COMMAND = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({at!r})
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [asked], [0, 1, 2])
sys.exit(int(server.recv(16)))
"""


@contextlib.contextmanager
def warm_commands() -> Iterator[dict[str, str]]:
    """Inside, an environment in whose PATH such a `videothinker` comes first."""
    with tempfile.TemporaryDirectory() as folder:
        at, command = f"{folder}/socket", Path(folder, "videothinker")
        command.write_text(COMMAND.format(python=sys.executable, at=at))
        command.chmod(0o755)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{REPO / 'src'}:{REPO}"}
        words = [sys.executable, "-m", "tests.docs.warm_commands", at]
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == b"ready\n"
                paths = (folder, str(Path(sys.executable).parent), environment["PATH"])
                yield environment | {"PATH": os.pathsep.join(paths)}
            finally:
                server.kill()


def serve(at: str) -> None:
    """A process for every command, until somebody ends this one."""
    for name in IMPORTED:
        import_module(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(at)
    listener.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        asks, _ = listener.accept()
        asked, streams, _, _ = socket.recv_fds(asks, 1 << 18, 3)
        if os.fork():
            asks.close()
            for one in streams:
                os.close(one)
            reap()
            continue
        pid = os.fork()
        if not pid:
            run(*json.loads(asked), streams)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        asks.send(str(code).encode())
        os._exit(0)


def reap() -> None:
    """Collect the processes of commands that have ended."""
    with contextlib.suppress(ChildProcessError):  # none is left
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """As the console script."""
    for place, one in enumerate(streams):
        os.dup2(one, place)
        os.close(one)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    import_module("videothinker.cli").entry()


if __name__ == "__main__":
    serve(sys.argv[1])
