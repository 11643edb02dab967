"""What makes many small operations quick on a GPU: fused kernels, and a recorded graph."""

import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable, Hashable
from functools import cache, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch

Fuse = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A function to one that computes the same, if possible in one kernel."""
SHAPES = 200
"""For which one function is compiled: prompts at once, their pages, halvings of the rows."""
NOT_COMPILED = "could not be compiled"
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
                lost = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
                said = UserWarning(f"{function.__name__} {NOT_COMPILED} and is slower ({lost})")
                said.__cause__ = error
                warnings.warn(said, stacklevel=2)
        return function(*given)

    return run


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


_KNOWN: WeakKeyDictionary[Any, set[Hashable]] = WeakKeyDictionary()


def recorded_of(model: Any) -> set[Hashable]:
    """Kinds of steps of this model that were recorded, to which `GraphedStep` adds."""
    return _KNOWN.setdefault(model, set())


class GraphedStep:
    """`step()`, recorded when its shapes have been seen, and from then on replayed.

    What it reads and writes must stay where it is. The first steps run operation by operation, on
    the stream that records, and count like all others; there are none where a step of the same
    `kind`, which decides its kernels, was recorded before (`known`).
    """

    def __init__(
        self,
        step: Callable[[], None],
        device: torch.device,
        kind: Hashable = None,
        known: set[Hashable] | None = None,
    ) -> None:
        self.step, self.device, self.kind = step, device, kind
        self.known = set() if known is None else known
        self.stream = recording_stream(device)
        self.left = 0 if kind in self.known else WARM_UP
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """One step."""
        if self.left:
            self.left -= 1
            self.stream.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(self.stream):
                self.step()
            torch.cuda.current_stream(self.device).wait_stream(self.stream)
            return
        if self.graph is None:
            self.graph = self._record()
            self.known.add(self.kind)
        self.graph.replay()

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
            finally:
                graph.capture_end()
        return graph
