"""One chat completion over HTTP, as OpenAI-compatible servers give it; the standard library alone.

The key goes into one header and nowhere else: redirects are not followed, and whatever a server
says back is cleared of it.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from videothinker.errors import UserError

LARGEST = 16 << 20
"""Bytes of an answer; no completion comes near it."""
QUOTED = 200
"""Most characters of what a server said that are shown."""
SHOWN = 120
"""Most characters of an answer that cannot be read."""
SECRET = 8
"""Characters from which a key is a secret; a shorter one (`EMPTY`) is a placeholder, and words
that hold it are left as they are."""
PASSING = (408, 409, 425, 429)
"""Refusals that may be over when the request is made again; so may every 5xx."""

HOPELESS = {
    402: "the same command goes on when it is paid",
    404: "give the base URL with its version, such as http://HOST:8000/v1, and a model's name that "
    "the server lists under /models",
}
"""Refusals of every request, and what to do."""


@dataclass(frozen=True)
class Reply:
    """A completion; its tokens are null where the server does not count them."""

    text: str
    truncated: bool
    prompt_tokens: int | None
    completion_tokens: int | None


class Trouble(Exception):
    """No answer, which may be over on the next try; says in words what came and what to do."""

    def __init__(
        self, came: str, do: str, *, limited: bool = False, after: float | None = None
    ) -> None:
        super().__init__(came)
        self.do, self.limited = do, limited
        self.after = after
        """Seconds the server asks to wait."""


class Refused(Exception):
    """The server is there and does not answer this one request."""


@dataclass(frozen=True)
class Server:
    """Where and how to ask."""

    url: str
    """Of the chat completions themselves."""
    key: str | None = field(repr=False)
    timeout: float
    """Seconds a whole answer may take."""

    def complete(self, body: Mapping[str, Any]) -> Reply:
        """One completion.

        Raises:
            Trouble: the server is down, slow, busy, or answers with something else.
            Refused: it refuses this request, or answers it with nothing.
            UserError: it will refuse every request: its key, its address, its account.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "videothinker"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        ends = time.monotonic() + self.timeout
        data = json.dumps(body).encode()
        request = Request(self.url, data, headers, method="POST")  # noqa: S310 (http(s) alone)
        try:
            with _opener().open(request, timeout=self.timeout) as response:
                raw = _read(response, ends)
        except HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, HTTPException) as error:
            raise self._unanswered(error) from None
        return self._reply(raw)

    def _unanswered(self, error: Exception) -> Trouble:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, TimeoutError):
            return Trouble(
                f"no answer within {self.timeout:g} s",
                "raise --endpoint-timeout or lower --endpoint-requests",
            )
        if isinstance(reason, (ConnectionResetError, BrokenPipeError, HTTPException)):
            return Trouble("it closed the connection without an answer", "look at its log")
        words = self._clear(getattr(reason, "strerror", None) or str(reason))
        return Trouble(f"it cannot be reached ({words})", "check that it runs, and its URL")

    def _refusal(self, error: HTTPError) -> Exception:
        """What a status other than success means."""
        code = error.code
        told = f"{code} {self._clear(str(error.reason))}".strip()
        if code == 401 or 300 <= code < 400:
            return self._sent_away(error, told)
        said = self._said(error)
        words = f"{told}: {said}" if said else told
        if code in HOPELESS:
            return UserError(f"{self.url}: {words}; {HOPELESS[code]}")
        if code in PASSING or code >= 500:
            limited = code == 429
            do = "lower --endpoint-requests or wait" if limited else "look at its log"
            return Trouble(words, do, limited=limited, after=_seconds(error.headers))
        return Refused(words)

    def _sent_away(self, error: HTTPError, told: str) -> UserError:
        """A key that is not taken, whose refusal may quote parts of it; or a redirect."""
        if error.code == 401:
            sent = "not with the key that was sent" if self.key else "not without a key"
            return UserError(
                f"{self.url}: {told}: it answers, but {sent}; put a valid one into the environment "
                "variable that --endpoint-key-variable names"
            )
        there = urlsplit(error.headers.get("Location") or "").hostname or "another address"
        return UserError(
            f"{self.url}: {told}: it sends on to {self._clear(there)}, which is not followed "
            "because key and videos would go there; give the final URL as --endpoint"
        )

    def _said(self, error: HTTPError) -> str:
        """An error's own words, however the server wraps them."""
        try:
            raw = error.read(1 << 16).decode("utf-8", "replace")
        except (OSError, HTTPException):
            return ""
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            return self._clear(raw)
        while isinstance(found, dict):
            found = found.get("error") or found.get("message") or found.get("detail") or ""
        return self._clear(str(found))

    def _reply(self, raw: bytes) -> Reply:
        text = raw.decode("utf-8", "replace")
        do = "check that its URL is that of chat completions, such as http://HOST:8000/v1"
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise Trouble(f"its answer is not JSON ({self._clear(text)[:SHOWN]!r})", do) from None
        try:
            choice = found["choices"][0]
            message, ending = choice["message"], choice.get("finish_reason")
            content, thought = _words(message.get("content")), reasoning(message)
        except (LookupError, TypeError, AttributeError):
            words = self._clear(text)[:SHOWN]
            raise Trouble(f"its answer is no chat completion ({words!r})", do) from None
        truncated = ending == "length"
        if thought:  # a server's own parser took it out of the completion
            closing = "" if truncated and not content else "</think>"
            content = f"<think>{thought}{closing}{content}"
        elif not content.strip() and not truncated:
            raise Refused(f"answered with nothing (finish_reason {self._clear(str(ending))!r})")
        usage = found.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        return Reply(
            text=self._without_key(content.encode("utf-8", "replace").decode()),
            truncated=truncated,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
        )

    def _without_key(self, text: str) -> str:
        key = self.key or ""
        return text.replace(key, "***") if len(key) >= SECRET else text

    def _clear(self, text: str) -> str:
        """What a server says, fit to be shown: one short line, no control characters, no key."""
        plain = "".join(c if c.isprintable() else " " for c in self._without_key(text))
        return " ".join(plain.split())[:QUOTED]


def _words(content: Any) -> str:
    """A message's text, which some servers give in parts."""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part["type"] == "text")
    if not isinstance(content or "", str):
        raise TypeError(content)
    return content or ""


def reasoning(message: Mapping[str, Any]) -> str:
    """The thinking that some servers give apart from the content."""
    found = message.get("reasoning_content") or message.get("reasoning")
    return found.strip() if isinstance(found, str) else ""


@cache
def _opener() -> OpenerDirector:
    """HTTP and HTTPS through the environment's proxies, with no handler that follows a redirect.

    One for all requests: reading the system's certificates takes longer than many answers.
    """
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _read(response: HTTPResponse, ends: float) -> bytes:
    """The whole body; some servers send blanks while they think, so the clock is looked at too."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise Trouble(f"its answer is longer than {LARGEST >> 20} MB", "look at its log")
        if time.monotonic() > ends:
            raise TimeoutError
    if response.length:
        raise ConnectionResetError
    return b"".join(parts)


def _seconds(headers: Any) -> float | None:
    """`Retry-After` in seconds, as a number or a date; null where it is neither."""
    told = (headers.get("Retry-After") or "").strip()
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _count(number: Any) -> int | None:
    """Tokens, where it is a number of them."""
    good = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53
    return number if good else None
