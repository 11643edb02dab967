"""What makes many small operations quick on a GPU: fused kernels, and a recorded graph."""

import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

Fuse = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A function to one that computes the same, if possible in one kernel."""
SHAPES = 200
"""For which one function is compiled: prompts at once, their pages, halvings of the rows."""
NOT_COMPILED = "could not be compiled"
WARM_UP = 2
"""Steps that run operation by operation before one is recorded: kernels are compiled, and libraries
allocate their workspaces outside the graph."""


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


class GraphedStep:
    """`step()`, recorded when its shapes have been seen, and from then on replayed.

    What it reads and writes must stay where it is. The first steps run operation by operation, on
    the stream that records, and count like all others.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self.step, self.device = step, device
        self.stream = recording_stream(device)
        self.left = WARM_UP
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
            self.graph = torch.cuda.CUDAGraph()
            # on the stream that has its workspaces since the warm-up
            with torch.cuda.graph(self.graph, stream=self.stream):
                self.step()
        self.graph.replay()
