"""A small server of chat completions on the loopback, which can misbehave.

In a test: `with ChatServer(says) as server: ... server.url`. By hand, to try a command on:
`python -m tests.chat_server --port 8000 --act slow --times 3`.
"""

import argparse
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Body = dict[str, Any]
Says = Callable[[Body], str | None]
CUT = " (cut)"
"""Ends a text that the limit of tokens cuts off."""
ACTS = (
    *("answer", "slow", "limit", "error", "refuse video", "nothing", "close", "html", "trickle"),
    *("no key", "unknown model", "redirect", "echo key"),
)


def words(body: Body) -> str:
    """The text of the user's message."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def parts(body: Body) -> list[str]:
    """The data: URLs of the user's message."""
    content = body["messages"][-1]["content"]
    shown = [part for part in content if isinstance(part, dict) and part["type"] != "text"]
    return [part[part["type"]]["url"] for part in shown]


def some_letter(body: Body) -> str:
    """An answer that depends on question and seed alone."""
    told = hashlib.sha256(f"{words(body)}{body.get('seed')}".encode()).digest()
    return f"<think>So.</think><answer>{'ABC'[told[0] % 3]}</answer>"


class ChatServer:
    """Answers `says(body)`; the requests of which `acts` says something are treated so instead.

    `acts` takes a body and how many requests came before, and gives a word of ACTS. `bodies` are
    the requests that came, `headers` theirs, `most` the most that were at work at once; an answer
    takes `delay` seconds. `reply` is sent in the place of a completion.
    """

    def __init__(
        self,
        says: Says = some_letter,
        acts: Callable[[Body, int], str] = lambda body, before: "answer",
        *,
        delay: float = 0.0,
        after: str | None = None,
        port: int = 0,
        reply: Any = None,
    ) -> None:
        self.reply = reply
        self.says, self.acts, self.delay, self.after = says, acts, delay, after
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.most = 0
        self.at_work: set[BaseHTTPRequestHandler] = set()
        self.elsewhere = ""
        self.refusal = "at most 0 image(s) are taken"
        self.lock = threading.Lock()
        self.closing = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """A client that went away is what some tests are about."""

        self.http = Quiet(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.stop()

    def stop(self) -> None:
        """Take no further connection; what is under way is answered."""
        self.http.shutdown()
        self.http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            act = self.acts(body, len(self.bodies))
            self.bodies.append(body)
            self.headers.append(dict(handler.headers))
            self.times.append(time.monotonic())
            self.at_work.add(handler)
            self.most = max(self.most, len(self.at_work))
        try:
            if handler.path != "/v1/chat/completions":
                act = "unknown model"
            self._act(handler, body, act)
        finally:
            self._leave(handler)

    def _leave(self, handler: BaseHTTPRequestHandler) -> None:
        """Before the last byte is sent: whoever has it may ask again at once."""
        with self.lock:
            self.at_work.discard(handler)

    def _act(self, handler: BaseHTTPRequestHandler, body: Body, act: str) -> None:
        key = handler.headers.get("Authorization", "")
        refusals: dict[str, tuple[int, Any]] = {
            "limit": (429, {"error": {"message": "too many requests"}}),
            "error": (500, {"error": "the engine is dead"}),
            "refuse video": (400, {"object": "error", "message": self.refusal}),
            "no key": (401, {"error": {"message": f"Incorrect API key: {key}"}}),
            "unknown model": (404, {"error": {"message": "The model does not exist."}}),
            "echo key": (400, {"error": {"message": f"odd header {key}"}}),
            "redirect": (307, ""),
        }
        if act == "slow":
            self.closing.wait(30)
        elif act == "close":
            handler.connection.shutdown(socket.SHUT_RDWR)
        elif act == "html":
            self._send(handler, 200, b"<html>sign in</html>")
        elif act == "trickle":
            self._trickle(handler)
        elif act in refusals:
            status, told = refusals[act]
            self._send(handler, status, json.dumps(told).encode())
        else:
            time.sleep(self.delay)
            text = None if act == "nothing" else self.says(body)
            told = completion(body, text) if self.reply is None else self.reply
            self._send(handler, 200, json.dumps(told).encode())

    def _send(self, handler: BaseHTTPRequestHandler, status: int, data: bytes) -> None:
        self._leave(handler)
        handler.send_response(status)
        if self.after is not None:
            handler.send_header("Retry-After", self.after)
        if self.elsewhere:
            handler.send_header("Location", self.elsewhere)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _trickle(self, handler: BaseHTTPRequestHandler) -> None:
        """Blanks, as some servers send them while they think."""
        handler.send_response(200)
        handler.end_headers()
        while not self.closing.wait(0.05):
            handler.wfile.write(b"\n")


def completion(body: Body, text: str | None) -> Body:
    """As servers answer; a token is a word, of the user's message and of the text."""
    told = (text or "").removesuffix(CUT)
    ending = "stop" if told == (text or "") else "length"
    usage = {"prompt_tokens": len(words(body).split()), "completion_tokens": len(told.split())}
    message = {"role": "assistant", "content": None if text is None else told}
    choice = {"index": 0, "message": message, "finish_reason": ending}
    return {"object": "chat.completion", "choices": [choice], "usage": usage}


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="a server of chat completions that misbehaves")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--act", choices=ACTS, default="answer")
    parser.add_argument("--times", type=int, default=10**9, help="misbehave so often, then answer")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    given = parser.parse_args()

    def acts(body: Body, before: int) -> str:
        return given.act if before < given.times else "answer"

    with ChatServer(acts=acts, delay=given.delay, port=given.port) as server:
        print(server.url, flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            print(f"{len(server.bodies)} requests, at most {server.most} at once")


if __name__ == "__main__":
    main()
