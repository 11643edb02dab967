"""The settings of a model that is served elsewhere: the same for every verb that asks."""

import re
from dataclasses import dataclass, fields
from typing import Literal
from urllib.parse import urlsplit

from videothinker.errors import UserError

KEY_VARIABLE = "VIDEOTHINKER_API_KEY"
MAY_CHANGE = ("served", "accept_guesses")
"""Settings that may change on resume. Address and pacing do not affect the answers: what does is
recorded under `device`, and the model under its name. Accepted guesses are read as before."""
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """Ask a model that a server has (OpenAI-compatible), in the place of one that is loaded."""

    endpoint: str | None = None
    """Base URL of an OpenAI-compatible server, such as http://localhost:8000/v1; the model is then
    the name that the server knows it by."""
    endpoint_input: Literal["images", "video"] = "images"
    """How a video is sent: its frames as JPEG images, or as one short mp4."""
    endpoint_requests: int = 8
    """Requests at once."""
    endpoint_timeout: float = 600.0
    """Seconds the server may take for one answer."""
    endpoint_retries: int = 5
    """Times a request is made again where the server is down, busy or slow: after 1, 2, 4 ... s, or
    as long as it asks."""
    endpoint_key_variable: str = KEY_VARIABLE
    """The environment variable that holds the key, if there is one. The key stands nowhere else."""

    def __post_init__(self) -> None:
        if self.endpoint_requests < 1:
            raise UserError(f"endpoint_requests is {self.endpoint_requests}; give 1 or more")
        if self.endpoint_retries < 0:
            raise UserError(f"endpoint_retries is {self.endpoint_retries}; give 0 or more")
        if not 0 < self.endpoint_timeout < float("inf"):
            raise UserError(f"endpoint_timeout is {self.endpoint_timeout}; give seconds above 0")
        if not VARIABLE.fullmatch(self.endpoint_key_variable):
            # what came is not shown: it may be the key itself
            raise UserError(
                "endpoint_key_variable is no name of an environment variable (capitals, digits and "
                "underscores); put the key into the environment and give the variable's name"
            )
        if self.endpoint is not None:
            check_url(self.endpoint)
            return
        idle = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        if idle:
            raise UserError(f"{idle[0]} came without an endpoint; give --endpoint URL, or leave it")

    @property
    def url(self) -> str:
        """Of the chat completions."""
        base = (self.endpoint or "").rstrip("/")
        return base if base.endswith("/chat/completions") else f"{base}/chat/completions"


def cannot_begin(words: str, flag: str) -> UserError:
    """Why an endpoint's answer is not made to begin with `words`, which came as `flag`."""
    return UserError(
        f"an answer cannot be made to begin with {words!r} through an endpoint: chat completions "
        f"have no place for it; leave {flag} out"
    )


NOT_SERVED = EndpointConfig()
"""No endpoint: the model is loaded here."""


def check_url(url: str) -> None:
    """Refuse what is no plain http(s) URL.

    Raises:
        UserError: another scheme, no host, a name or key inside it, or what is no URL.
    """
    allowed = "allowed is http:// or https://, a host and a path: http://localhost:8000/v1"
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UserError(f"endpoint {url!r} holds characters that no URL has; {allowed}")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"endpoint is no URL ({error}); {allowed}") from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        # not shown: it may hold a key
        raise UserError(
            f"endpoint {parts.scheme}://{host or ''} came with a name, key or query in it, which "
            f"would be recorded; {allowed}, and the key in the environment"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"endpoint {url!r} came; {allowed}")
    if any(not 0 < len(label) < 64 for label in host.rstrip(".").split(".")):
        raise UserError(f"endpoint {url!r} names no host; {allowed}")
