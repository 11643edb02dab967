"""An endpoint and a hub that go away, or talk nonsense, in the middle: what becomes of the command?

From a random request on the server misbehaves. The command must end with a sentence and a true
exit code, or unharmed; with a server that answers the same command gives the bytes of one that met
no trouble, and what was answered before is not asked again.
"""

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from huggingface_hub import constants
from soak_faults import Trial, attempt
from soak_record import Record
from soak_stages import Line, Running, Stage, fresh_line, leave_alone, start

sys.path.append(str(Path(__file__).parents[1]))
from tests.chat_server import Body, ChatServer
from tests.hub_server import TOKEN, HubServer, Repository

GOAL = 60
"""Trials of each command."""
ASKED = (
    *("--limit", "4", "--frames", "4", "--protocol", "demo", "--max-new-tokens", "6"),
    *("--endpoint-retries", "0", "--endpoint-timeout", "5", "--endpoint-requests", "2"),
)
ACTS = ("down", "limit", "error", "close", "html", "no key", "unknown model", "redirect", "trickle")
"""What an endpoint does; `down` takes no further connection."""
HUB_ACTS = ("down", "cut", "error", "html")
"""What a hub does; `down` does not read what is sent, `cut` breaks off in its own answer."""
ADDRESS, REPOSITORY = "hf://someone/model", "models/someone/model"


class Hub(HubServer):
    """A hub that misbehaves from its request number `since` on."""

    def __init__(self, act: str = "", since: int = 1 << 30, most: int = 0) -> None:
        super().__init__()
        self.act, self.since, self.most = act, since, most

    def read(self, request: Any) -> bytes:
        """As the hub does, or nothing of it."""
        gone = self.act == "down" and len(self.requests) >= self.since
        return b"" if gone else super().read(request)

    def answer(self, request: Any, body: bytes | None) -> None:
        """As the hub does, or not."""
        if len(self.requests) < self.since:
            super().answer(request, body)
        elif self.act == "cut":
            request.wfile = _Cut(request.connection, self.most)
            with suppress(OSError):
                super().answer(request, body)
            request.close_connection = True
        elif self.act == "down":
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
        else:
            text = b"<html>sign in</html>"
            request.send_response(200 if self.act == "html" else 500)
            request.send_header("Content-Length", str(len(text)))
            request.end_headers()
            request.wfile.write(text)


class _Cut:
    """The way back to the client, which breaks after some bytes."""

    closed = False

    def __init__(self, connection: socket.socket, most: int) -> None:
        self.connection, self.left = connection, most

    def write(self, data: bytes) -> int:
        self.connection.sendall(data[: self.left])
        self.left -= len(data)
        if self.left <= 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    close = flush


def soak(record: Record) -> None:
    """Go on where the record stands, the commands in turn."""
    goal = record.goal or GOAL
    folder, line = fresh_line()
    line.ready("evaluate")
    works = {
        "evaluate by an endpoint": _endpoint, "probe by an endpoint": _endpoint,
        "pull": _pull, "push": _push,
    }  # fmt: skip
    for name, work in works.items():
        if name in record.wanted(works) and record.tried(name) < goal and not record.late:
            with work(name, line, folder) as one_trial:
                for number in range(record.tried(name), goal):
                    if record.late:
                        break
                    try:
                        outcome = one_trial(Random(f"{name} {number}"))
                    except AssertionError as error:
                        raise AssertionError(f"{name}, trial {number}: {error}") from error
                    record.count(name, **{outcome: 1})
    shutil.rmtree(folder)


@contextmanager
def _endpoint(name: str, line: Line, folder: Path) -> Iterator[Any]:
    def stage(url: str) -> Stage:
        served = [*ASKED, "--endpoint", url]
        if name.startswith("evaluate"):
            return Stage(["evaluate", "--data", str(line.folder / "seen"), "--model", "m", *served])
        return Stage(["diagnose", str(line.folder / "world"), "--probe", "m", *served])

    with ChatServer() as good:
        seconds, wanted = leave_alone(stage(good.url), folder / "whole")
        requests = len(good.bodies)

        def one_trial(random: Random) -> str:
            act, since = random.choice(ACTS), random.randrange(requests)

            def acts(body: Body, before: int) -> str:  # noqa: ARG001
                if before < since:
                    return "answer"
                return "close" if act == "down" else act

            def harm(trial: Trial) -> Running:
                with ChatServer(acts=acts) as bad:
                    run = start(stage(bad.url), trial.out)
                    while act == "down" and len(bad.bodies) <= since and run.wait(0.01) is None:
                        pass
                    if act == "down":
                        bad.stop()
                    run.wait(600)
                    return run

            out = folder / "harmed" / "out"
            trial = Trial(stage(good.url), out, line.folder, seconds, 0, random)
            before = len(good.bodies)
            outcome = attempt(trial, harm, wanted)
            if len(good.bodies) - before > requests - since:
                raise AssertionError(f"{act} from {since} of {requests}: asked again what it had")
            return outcome

        yield one_trial


@contextmanager
def _pull(name: str, line: Line, folder: Path) -> Iterator[Any]:
    files = {path.name: path.read_bytes() for path in (line.folder / "model").iterdir()}

    def stage(hub: Hub) -> Stage:
        hub.repositories[REPOSITORY] = repository = Repository(private=False)
        repository.commit(files)
        return _asking(hub, [name, ADDRESS], folder)

    with Hub() as good:
        seconds, wanted = leave_alone(stage(good), folder / "whole")
        requests, largest = len(good.requests), max(map(len, files.values()))

        def one_trial(random: Random) -> str:
            act, since = random.choice(HUB_ACTS), random.randrange(requests)
            most = random.randrange(200, largest)

            def harm(trial: Trial) -> Running:
                with Hub(act, since, most) as bad:
                    run = start(stage(bad), trial.out)
                    run.wait(600)
                    return run

            trial = Trial(stage(good), folder / "harmed/out", line.folder, seconds, 0, random)
            return attempt(trial, harm, wanted)

        yield one_trial


@contextmanager
def _push(name: str, line: Line, folder: Path) -> Iterator[Any]:
    """What counts is what lies on the hub in the end, which is one hub before and after."""
    words = [name, str(line.folder / "model"), "--to", ADDRESS]

    def stage(hub: Hub) -> Stage:
        return replace(_asking(hub, words, folder), names_out=False)

    with Hub() as good:
        seconds, _ = leave_alone(stage(good), folder / "sent")
        requests, wanted = len(good.requests), good.files(REPOSITORY)

        def one_trial(random: Random) -> str:
            act, since = random.choice(HUB_ACTS), random.randrange(requests)
            good.repositories = {}

            def harm(trial: Trial) -> Running:
                with Hub(act, since, random.randrange(200)) as bad:
                    bad.repositories = good.repositories
                    run = start(stage(bad), trial.out)
                    run.wait(600)
                    return run

            trial = Trial(stage(good), folder / "harmed/out", line.folder, seconds, 0, random)
            outcome = attempt(trial, harm, {})
            if good.files(REPOSITORY) != wanted:
                raise AssertionError(f"{act} from {since}: the hub holds something else")
            return outcome

        yield one_trial


def _asking(hub: Hub, words: Sequence[str], folder: Path) -> Stage:
    """A command whose client talks to this hub."""

    def before() -> None:
        constants.ENDPOINT = hub.url
        constants.HUGGINGFACE_CO_URL_TEMPLATE = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        constants.HF_HUB_CACHE = str(folder / "cache")
        os.environ["HF_TOKEN"] = TOKEN

    return Stage(words, before=before)
