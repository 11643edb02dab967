"""Where the model is that is asked: loaded here, or at an endpoint; and how it is come by."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from videothinker.answering.endpoint import KEY_VARIABLE, EndpointConfig
from videothinker.answering.served import REPLIES, EndpointModel, Kept
from videothinker.errors import UserError
from videothinker.generation.chat import Server
from videothinker.models import catalog
from videothinker.models.base import Model
from videothinker.models.placement import AUTO, Placement
from videothinker.ranks import size
from videothinker.runs import Run


@dataclass(frozen=True)
class Elsewhere:
    """In the place of a `Placement`: a name at an endpoint."""

    source: str
    endpoint: EndpointConfig
    key: str | None = field(repr=False)
    folder: None = None
    dtype: str = "unknown"

    @property
    def device(self) -> str:
        """Where it runs, and what else of the endpoint decides the answers."""
        return f"endpoint ({self.endpoint.endpoint_input})"

    @property
    def facts(self) -> dict[str, str]:
        """For run.json: a run begun with one of these goes on with no other."""
        return {"device": self.device, "dtype": self.dtype}

    @property
    def lines(self) -> list[str]:
        """For a person, before anything is asked; the second is a warning."""
        variable = self.endpoint.endpoint_key_variable
        told = [
            f"{self.source} at {self.endpoint.endpoint}: frames as {self.endpoint.endpoint_input}, "
            f"{self.endpoint.endpoint_requests} requests at once, "
            + (f"key from {variable}" if self.key else f"no key ({variable} is not set)")
        ]
        parts = urlsplit(self.endpoint.endpoint or "")
        if self.key and parts.scheme == "http" and not _local(parts.hostname or ""):
            told.append(f"warning: the key travels to {parts.hostname} unencrypted; give https://")
        return told


def place(source: str, device: str, dtype: str, endpoint: EndpointConfig) -> Placement | Elsewhere:
    """Where a model is: loaded here (see `catalog.place`), or at an endpoint.

    Raises:
        UserError: as `catalog.place`; or a device or dtype of a model that is not loaded here, or
            no usable key under the name that was given, or several processes to ask a server.
    """
    if endpoint.endpoint is None:
        return catalog.place(source, device, dtype)
    if size() > 1:
        raise UserError(
            f"{size()} processes came with an endpoint, which one process asks as often at once "
            "as --endpoint-requests says; start it without torchrun"
        )
    placed = Elsewhere(source, endpoint, read_key(endpoint.endpoint_key_variable))
    for name, value in (("device", device), ("dtype", dtype)):
        if value not in (AUTO, placed.facts[name]):
            raise UserError(
                f"{name} {value!r} came with an endpoint, whose server decides it; leave it out"
            )
    return placed


def read_key(variable: str) -> str | None:
    """The key in an environment variable; None where our own one is not set.

    Raises:
        UserError: a variable that was named and is not set, or what no header can hold.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        if variable != KEY_VARIABLE:
            raise UserError(
                f"the environment variable {variable} is not set; put the endpoint's key there"
            )
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(
            f"the environment variable {variable} holds characters that no key has; put the key "
            "alone there"
        )
    return key


def load(placed: Placement | Elsewhere, run: Run | None = None) -> Model:
    """The model, ready to be asked; the replies of a served one are kept in `run`."""
    if isinstance(placed, Placement):
        return catalog.load_model(placed.model, dtype=placed.dtype, device=placed.device)
    settings = placed.endpoint
    return EndpointModel(
        name=placed.source,
        server=Server(settings.url, placed.key, settings.endpoint_timeout),
        input=settings.endpoint_input,
        requests=settings.endpoint_requests,
        retries=settings.endpoint_retries,
        journal=None if run is None else run.journal(REPLIES, Kept),
    )


def batch_sizes(rows: int, endpoint: EndpointConfig) -> dict[str, int]:
    """How many rows and videos of `answer_questions` stand together.

    A batch waits for its slowest answer, so an endpoint's are many times what is asked at once.
    """
    if endpoint.endpoint is None:
        return {"rows": rows}
    at_once = endpoint.endpoint_requests
    return {"rows": max(rows, 16 * at_once), "videos": min(32, 4 * at_once)}


def _local(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
