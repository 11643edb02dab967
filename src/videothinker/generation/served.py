"""Generate by asking a server: one request a completion, several at once, tried again in patience.

A completion that is known is not asked for again, so a run that was stopped pays for nothing twice.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Protocol

import torch
from torch.nn.utils.rnn import pad_sequence

from videothinker.errors import UserError
from videothinker.generation.base import Sampling
from videothinker.generation.chat import Refused, Reply, Server, Trouble
from videothinker.models.base import Group, Prompt

SEEDS = 2**31
"""Some servers take no larger seeds."""
LONGEST = 600.0
"""Seconds a server may ask us to wait before the run stops instead."""
SLOWEST = 60.0
"""Seconds between two tries, at most, where the server does not say."""
Waiting = SimpleQueue[tuple[str, dict[str, Any]]]
Said = SimpleQueue[tuple[str, Reply | Exception | None]]


@dataclass(frozen=True, eq=False, kw_only=True)
class ChatPrompt(Prompt):
    """Messages, whose tokens the server alone can count: it tells them with its answer."""

    messages: tuple[Mapping[str, Any], ...]
    digest: str
    """The same where the same is shown."""
    tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """As the server counted them; 0 where it did not, or was not asked yet."""
        return self.tokens


@dataclass
class ServerPace:
    """What the threads of one process know of the server together."""

    pause: float = 1.0
    """Seconds before a request is made again; doubled at each further try."""
    answered: int = 0
    again: int = 0
    """Requests that were made again."""
    length: str = "max_tokens"
    """What the server calls the limit of a completion's tokens."""
    free: float = 0.0
    """The clock's time before which no request is made."""
    told: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> None:
        """One more answer."""
        with self.lock:
            self.answered += 1

    def hold(self, seconds: float) -> None:
        """Nobody asks for so long."""
        with self.lock:
            self.free = max(self.free, monotonic() + seconds)

    def first(self, words: str) -> bool:
        """Whether these words come for the first time; counts one more try."""
        with self.lock:
            self.again += 1
            new = words not in self.told
            self.told.add(words)
        return new


class ServedModel(Protocol):
    """What is asked: a `models.base.Model` that knows its server."""

    name: str
    server: Server
    pace: ServerPace
    requests: int
    """At once."""
    retries: int
    replies: Mapping[str, Reply]
    """Digest of a request -> its answer."""

    def keep(self, request: str, reply: Reply) -> None:
        """Put an answer among `replies`, for good."""
        ...

    def tell(self, line: str) -> None:
        """Show a line to a person."""
        ...


def generate(
    model: ServedModel, prompts: Sequence[ChatPrompt], sampling: Sampling, seeds: Sequence[int]
) -> list[Group]:
    """See `base.Generator`; what the server refuses stands among a group's `errors`.

    Raises:
        UserError: nothing can be asked now; the answers that came are kept.
    """
    bodies: dict[str, dict[str, Any]] = {}
    names: list[list[str]] = []
    for prompt, seed in zip(prompts, seeds, strict=True):
        rows = [_body(model, prompt, sampling, seed + g) for g in range(sampling.num_generations)]
        names.append([_digest(body, prompt) for body in rows])
        bodies |= zip(names[-1], rows, strict=True)
    refused: dict[str, str] = {}
    asked = {name: body for name, body in bodies.items() if name not in model.replies}
    for name, outcome in _ask_all(model, asked):
        if isinstance(outcome, Reply):
            model.keep(name, outcome)
        else:
            refused[name] = str(outcome)
    groups: list[Group] = []
    for prompt, mine in zip(prompts, names, strict=True):
        errors = {g: refused[name] for g, name in enumerate(mine) if name in refused}
        groups.append(_group(prompt, [model.replies.get(name) for name in mine], errors))
    return groups


def _body(model: ServedModel, prompt: ChatPrompt, sampling: Sampling, seed: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model.name,
        "messages": prompt.messages,
        "max_tokens": sampling.max_completion_length,
        "temperature": sampling.temperature,
        "seed": seed % SEEDS,
    }
    if sampling.top_p != 1:
        body["top_p"] = sampling.top_p
    return body


def _digest(body: Mapping[str, Any], prompt: ChatPrompt) -> str:
    """Sha256 of everything that is asked, frames by their own digest."""
    told = json.dumps({**body, "messages": prompt.digest}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _group(prompt: ChatPrompt, replies: Sequence[Reply | None], errors: dict[int, str]) -> Group:
    rows = [torch.tensor(list((r.text if r else "").encode()), dtype=torch.int64) for r in replies]
    counted = [r.prompt_tokens for r in replies if r is not None and r.prompt_tokens is not None]
    ids_GC = pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return Group(
        prompt=replace(prompt, tokens=max(counted, default=0)),
        completion_ids_GC=ids_GC,
        mask_GC=torch.arange(ids_GC.shape[1]) < lengths[:, None],
        truncated_G=torch.tensor([r is not None and r.truncated for r in replies]),
        errors=errors,
    )


def _ask_all(
    model: ServedModel, bodies: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, Reply | Refused]]:
    """Answers as they come, each with its request's digest.

    The first error that concerns every request stops the others: those on their way are awaited,
    and their answers given, before it is raised. Threads are daemons, so that an interrupted
    process ends at once and does not wait for them.
    """
    waiting: Waiting = SimpleQueue()
    for item in bodies.items():
        waiting.put(item)
    said: Said = SimpleQueue()
    stop = threading.Event()
    working = min(model.requests, len(bodies))
    for _ in range(working):
        threading.Thread(target=_work, args=(model, waiting, said, stop), daemon=True).start()
    stopped: Exception | None = None
    try:
        while working:
            name, outcome = said.get()
            if outcome is None:
                working -= 1
            elif isinstance(outcome, Reply | Refused):
                yield name, outcome
            else:
                stopped = stopped or outcome
    finally:
        stop.set()
    if stopped is not None:
        raise stopped


def _work(model: ServedModel, waiting: Waiting, said: Said, stop: threading.Event) -> None:
    """Ask what is waiting until nothing is; ends with an outcome of None."""
    while not stop.is_set():
        try:
            name, body = waiting.get_nowait()
        except Empty:
            break
        try:
            outcome = _patiently(model, body, stop)
        except Refused as refused:
            outcome = refused
        except Exception as error:  # noqa: BLE001  raised again where the outcomes are taken
            outcome = error
            stop.set()
        said.put((name, outcome))
    said.put(("", None))


def _patiently(model: ServedModel, body: Mapping[str, Any], stop: threading.Event) -> Reply:
    """One completion, tried again while there is hope.

    Requests over a rate limit are not given up while the server goes on answering others.

    Raises:
        Refused: the server is there and does not answer this request.
        UserError: it does not answer at all.
    """
    pace, tries, before = model.pace, 0, model.pace.answered
    while True:
        stop.wait(max(0.0, pace.free - monotonic()))
        if stop.is_set():
            raise Refused("not asked any more")
        length = pace.length
        try:
            reply = model.server.complete(_named(body, length))
        except Refused as refused:
            newer = "max_completion_tokens"
            if length != newer and newer in str(refused):
                pace.length = newer
                continue
            raise
        except Trouble as trouble:
            if trouble.limited and pace.answered > before:
                tries, before = 0, pace.answered
            tries += 1
            if tries > model.retries:
                raise _given_up(model, trouble, tries) from None
            _wait(model, trouble, tries, stop)
        else:
            pace.count()
            return reply


def _named(body: Mapping[str, Any], length: str) -> dict[str, Any]:
    """The request with the limit of its tokens under the name the server takes."""
    return {length if key == "max_tokens" else key: value for key, value in body.items()}


def _wait(model: ServedModel, trouble: Trouble, tries: int, stop: threading.Event) -> None:
    delay = min(SLOWEST, model.pace.pause * 2 ** (tries - 1))
    if trouble.after is not None:
        delay = trouble.after
    if delay > LONGEST:
        raise UserError(
            f"{model.server.url}: {trouble}: it asks to wait {delay:,.0f} s; run the same command "
            "then: it goes on from here"
        )
    if model.pace.first(str(trouble).partition(":")[0]):  # the rest may differ from time to time
        model.tell(f"{model.server.url}: {trouble}; trying again in {delay:g} s")
    if trouble.after is not None:
        model.pace.hold(delay)
    stop.wait(delay)


def _given_up(model: ServedModel, trouble: Trouble, tries: int) -> Exception:
    """The one request's fault, where the server answers another; else the server's."""
    asked = f"asked {'once' if tries == 1 else f'{tries} times'}"
    if not trouble.limited and _answers(model):
        return Refused(f"{trouble} ({asked}, though it answers other requests)")
    return UserError(
        f"{model.server.url}: {trouble} ({asked}); {trouble.do}, then run the same command "
        "again: it goes on from here"
    )


def _answers(model: ServedModel) -> bool:
    """Whether the server says anything at all to one word."""
    body = {"model": model.name, "messages": [{"role": "user", "content": "Yes?"}]}
    try:
        model.server.complete(_named({**body, "max_tokens": 16}, model.pace.length))
    except Refused:
        return True
    except Trouble:
        return False
    return True
