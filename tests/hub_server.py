"""A small hub on the loopback, for the hub client's own calls: repositories, commits, files.

In a test: `with HubServer() as hub: ... hub.url`. What is committed is kept in memory, one commit
after the other; a repository can be private, and then wants the token.
"""

import base64
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
Files = dict[str, bytes]


class Repository:
    """Its commits, oldest first, each with all files."""

    def __init__(self, *, private: bool) -> None:
        self.private = private
        self.commits: list[tuple[str, Files]] = []

    def commit(self, changes: Files) -> str:
        """Add files; returns the commit's name."""
        files = {**(self.commits[-1][1] if self.commits else {}), **changes}
        told = repr((len(self.commits), sorted((k, v) for k, v in files.items()))).encode()
        name = hashlib.sha1(told).hexdigest()
        self.commits.append((name, files))
        return name

    def at(self, revision: str) -> tuple[str, Files] | None:
        """The commit behind `main` or a name."""
        if revision == "main":
            return self.commits[-1] if self.commits else None
        return next((one for one in self.commits if one[0] == revision), None)


class HubServer:
    """The hub. `repositories` by `models/user/name`; `requests` are the paths that were asked."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                hub.answer(self, None)

            def do_HEAD(self) -> None:
                hub.answer(self, None)

            def do_POST(self) -> None:
                hub.answer(self, hub.read(self))

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(sys.exception(), ConnectionError):  # a client may leave
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def files(self, name: str) -> Files:
        """The newest commit of `models/user/name`."""
        return self.repositories[name].commits[-1][1]

    def read(self, request: Any) -> bytes:
        """What a call brings."""
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))

    def answer(self, request: Any, body: bytes | None) -> None:
        """One call of the client."""
        path = unquote(urlsplit(request.path).path)
        self.requests.append(f"{request.command} {path}")
        known = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        parts = path.strip("/").split("/")
        if parts[:1] == ["api"]:
            self._api(request, parts[1:], body, known=known)
        else:
            self._file(request, parts, known=known)

    def _api(self, request: Any, parts: list[str], body: bytes | None, *, known: bool) -> None:
        if parts == ["validate-yaml"]:
            _send(request, 200, {"errors": [], "warnings": []})
        elif parts == ["repos", "create"]:
            self._create(request, json.loads(body or b"{}"), known=known)
        else:
            name, rest = "/".join(parts[:3]), parts[3:]
            repository = self.repositories.get(name)
            if repository is None or (repository.private and not known):
                _missing(request, "RepoNotFound")
            elif request.command == "POST" and not known:
                _send(request, 403, {"error": "may not write"})
            elif request.command == "POST":
                self._write(request, name, rest[0], body or b"{}")
            else:
                _tell(request, parts[1], repository.at(rest[1] if rest else "main"), rest[:1])

    def _create(self, request: Any, asked: dict[str, Any], *, known: bool) -> None:
        name = f"{asked.get('type') or 'model'}s/{asked['organization']}/{asked['name']}"
        if not known:
            _send(request, 401, {"error": "no token"})
        elif name in self.repositories:
            _send(request, 409, {"error": "there", "url": f"{self.url}/{name}"})
        else:
            self.repositories[name] = Repository(private=asked.get("visibility") == "private")
            self.repositories[name].commit({})
            _send(request, 200, {"url": f"{self.url}/{name.removeprefix('models/')}"})

    def _write(self, request: Any, name: str, what: str, body: bytes) -> None:
        if what == "preupload":
            plain = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            files = [{"path": one["path"], **plain} for one in json.loads(body)["files"]]
            _send(request, 200, {"files": files})
            return
        lines = [json.loads(line) for line in body.splitlines()]
        added = [line["value"] for line in lines if line["key"] == "file"]
        changes = {one["path"]: base64.b64decode(one["content"]) for one in added}
        oid = self.repositories[name].commit(changes)
        url = f"{self.url}/{name.removeprefix('models/')}/commit/{oid}"
        _send(request, 200, {"commitOid": oid, "commitUrl": url, "success": True})

    def _file(self, request: Any, parts: list[str], *, known: bool) -> None:
        kind = parts.pop(0) if parts[0] == "datasets" else "models"
        repository = self.repositories.get("/".join((kind, *parts[:2])))
        if repository is None or (repository.private and not known):
            return _missing(request, "RepoNotFound")
        found = repository.at(parts[3])
        if found is None:
            return _missing(request, "RevisionNotFound")
        data = found[1].get("/".join(parts[4:]))
        if data is None:
            return _missing(request, "EntryNotFound")
        headers = {"X-Repo-Commit": found[0], "ETag": f'"{_oid(data)}"'}
        return _send(request, 200, data, headers)


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def _tell(request: Any, user: str, found: tuple[str, Files] | None, what: list[str]) -> None:
    """A commit's files, or what is said of it."""
    if found is None:
        _missing(request, "RevisionNotFound")
        return
    oid, files = found
    tree = [
        {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}
        for path, data in files.items()
    ]
    siblings = [{"rfilename": path} for path in files]
    told = {"id": f"{user}/any", "sha": oid, "private": False, "siblings": siblings, "tags": []}
    _send(request, 200, tree if what == ["tree"] else told)


def _missing(request: Any, code: str) -> None:
    _send(request, 401 if code == "RepoNotFound" else 404, {"error": code}, {"X-Error-Code": code})


def _send(request: Any, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
    told = {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}
    request.send_response(status)
    for name, value in told.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
