"""What makes many small operations quick on a GPU: fused kernels, and a recorded graph."""

import math
import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import cache, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

from videothinker.errors import Slower

Fuse = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A function to one that computes the same, if possible in one kernel."""
SHAPES = 200
"""For which one function is compiled: prompts at once, their pages, halvings of the rows."""
NOT_COMPILED = "could not be compiled"
NOT_RECORDED = "could not be recorded as a CUDA graph"
WARM_UP = 2
"""Steps that run operation by operation before one is recorded: kernels are compiled and loaded,
and libraries allocate their workspaces outside the graph."""
ROOM = 1 << 30
"""Bytes free on the device, not cached, that a recording is sure to do with: a row's logits and
what is drawn from them take 2 MB."""


def can_record(device: torch.device) -> bool:
    """Are there graphs on this device?"""
    return device.type == "cuda"


def can_fuse(device: torch.device) -> bool:
    """Can `torch.compile` make kernels here?

    On a GPU it takes triton, which comes with torch, and a C compiler with Python's headers, which
    a bare container may lack. On a CPU rows are few and nothing is launched: not worth compiling.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return (
        device.type == "cuda"
        and find_spec("triton") is not None
        and bool(compiler)
        and headers.is_file()
    )


def fuse_on(device: torch.device) -> Fuse:
    """`compiled` where this device can, else nothing."""
    return compiled if can_fuse(device) else as_it_is


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function."""
    return function


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function by `torch.compile`, once for each of the few shapes that a rollout has.

    Should the compiler fail, a warning says so, and the function stays as it is from then on.
    """
    from torch._dynamo import config, exc  # noqa: PLC0415 (a second, which a CPU need not wait)

    config.recompile_limit = max(config.recompile_limit, SHAPES)
    failures = (exc.TorchDynamoException, exc.FailOnRecompileLimitHit)
    quick: Callable[..., Any] | None = torch.compile(function, fullgraph=True, dynamic=False)

    @wraps(function)
    def run(*given: Any) -> Any:
        nonlocal quick
        if quick is not None:
            try:
                return quick(*given)
            except failures as error:
                quick = None
                _warn(f"{function.__name__} {NOT_COMPILED} and is slower", error)
        return function(*given)

    return run


def _warn(what: str, error: Exception) -> None:
    """Say what was given up, and why: the first line of its error."""
    why = next(iter(str(error).strip().splitlines()), "")
    said = Slower(f"{what} ({type(error).__name__}: {why})")
    said.__cause__ = error
    warnings.warn(said, stacklevel=3)


@cache
def recording_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all graphs: libraries keep a workspace for every stream they meet."""
    return torch.cuda.Stream(device)


@cache
def recording_memory(device: torch.device) -> torch.cuda.CUDAGraph:
    """An empty recording, so that there is always one to hold the memory that all take in turn."""
    empty = torch.cuda.CUDAGraph()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*graph is empty.*")
        with torch.cuda.graph(empty, stream=recording_stream(device)):
            pass
    return empty


Known = dict[Hashable, float]
"""Kind of step -> how many run operation by operation before one is recorded; infinitely many
where it cannot be."""
_KNOWN: WeakKeyDictionary[Any, Known] = WeakKeyDictionary()


def recorded_of(model: Any) -> Known:
    """What is known of this model's steps, to which `GraphedStep` adds."""
    return _KNOWN.setdefault(model, {})


class GraphedStep:
    """`step()`, recorded when its shapes have been seen, and from then on replayed.

    What it reads and writes must stay where it is, and Python must keep nothing of a step: one that
    cannot be recorded is run again. The first steps, the warm-up, run operation by operation, on
    the stream that records, and count like all others. There is no warm-up where a step of the same
    `kind`, which decides its kernels, was recorded before (`known`). If that recording fails, it is
    tried once more after a warm-up; if one after a warm-up fails, steps of this kind are never
    recorded again. Each failure warns.
    """

    def __init__(
        self,
        step: Callable[[], None],
        device: torch.device,
        kind: Hashable = None,
        known: Known | None = None,
    ) -> None:
        self.step, self.device, self.kind = step, device, kind
        self.known = {} if known is None else known
        self.stream = recording_stream(device)
        self.left = self.known.get(kind, WARM_UP)
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """One step."""
        if self.graph is None and not self.left:
            try:
                self.graph = self._record()
                self.known.setdefault(self.kind, 0)
            except RuntimeError as error:  # out of memory is one as well
                self._fall_back(error)
        if self.graph is not None:
            self.graph.replay()
            return
        self.left -= 1
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            self.step()
        torch.cuda.current_stream(self.device).wait_stream(self.stream)

    def _fall_back(self, error: RuntimeError) -> None:
        """To steps before a recording, or where there were some, to steps alone."""
        again = self.known.get(self.kind) == 0
        self.known[self.kind] = self.left = WARM_UP if again else math.inf
        recording_memory.cache_clear()  # the allocator may take the old one to be in use still
        torch.cuda.empty_cache()
        at_once = f" without steps before; {WARM_UP} come first from now on"
        then = at_once if again else "; decoding goes on without, and is slower"
        _warn(f"a decoding step {NOT_RECORDED}{then}", error)

    def _record(self) -> torch.cuda.CUDAGraph:
        """The step as a graph.

        Not by `torch.cuda.graph`, which gives all cached memory back first: training would ask for
        it again, piece by piece. A recording cannot have cached memory given back for itself.
        """
        if torch.cuda.mem_get_info(self.device)[0] < ROOM:
            torch.cuda.empty_cache()
        graph, memory = torch.cuda.CUDAGraph(), recording_memory(self.device).pool()
        # on the stream that has its workspaces since the warm-up
        with torch.cuda.stream(self.stream):
            graph.capture_begin(pool=memory)
            try:
                self.step()
            except BaseException:
                with suppress(RuntimeError):  # that it was broken off, which its cause says better
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph
