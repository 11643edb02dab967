"""CUDA graphs on a CPU: capture notes the tensor operations, replay repeats them where they were.

As on a GPU, Python does not run again in a replay, a captured operation computes nothing until the
replay, its tensors keep their places, and reading a value back in a capture is an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from videothinker.generation.graphs import ROOM

READS_BACK = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal")

BREAKS_AT = 20
"""Operations noted when a capture that is to break off does."""


class Graph:
    """Stands for `torch.cuda.CUDAGraph`."""

    made = 0

    def __init__(self) -> None:
        self.noted: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def capture_begin(self, pool: Any = None) -> None:
        """Note what follows."""
        assert pool is not None
        type(self).made += 1
        self.capturing = Capture(self)
        self.capturing.__enter__()

    def capture_end(self) -> None:
        """And no more."""
        self.capturing.__exit__(None, None, None)

    def pool(self) -> Any:
        """Its memory."""
        return "memory"

    def replay(self) -> None:
        """Repeat every operation on the tensors it had."""
        self.replays += 1
        for function, args, kwargs, out in self.noted:
            again = function(*args, **kwargs)
            for old, new in zip(tensors(out), tensors(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Capture(TorchDispatchMode):
    """Notes operations; what they make stays unset, what they would change stays as it was."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph, self.breaks = graph, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.breaks and len(self.graph.noted) == BREAKS_AT:
            raise RuntimeError("a kernel cannot be loaded while a graph is captured")
        if func._schema.name in READS_BACK:
            raise RuntimeError(f"{func} reads a value back while a graph is captured")
        if func._schema.is_mutable:
            self.graph.noted.append((func, args, kwargs, args[0]))
            return args[0]
        out = func(*args, **kwargs)
        self.graph.noted.append((func, args, kwargs, out))
        places = {one.data_ptr() for one in tensors((args, kwargs))}
        for one in tensors(out):
            if one.data_ptr() not in places and one.is_floating_point() and not is_view(func):
                one.fill_(float("nan"))
        return out


def is_view(func: Any) -> bool:
    """Does its output lie in its input?"""
    return any(arg.alias_info is not None for arg in func._schema.arguments)


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@contextmanager
def nothing(graph: Graph, stream: Any = None) -> Iterator[None]:
    """Stands for `torch.cuda.graph`, which gives all cached memory back: an empty graph alone."""
    assert stream is not None
    before = len(graph.noted)
    yield
    assert len(graph.noted) == before


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Graph]:
    """Put the recorder in CUDA's place."""
    done = SimpleNamespace(synchronize=lambda: None)
    stream = SimpleNamespace(wait_stream=lambda _: None, record_event=lambda: done)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", nothing)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (ROOM, ROOM))
    monkeypatch.setattr(Graph, "made", 0)
    return Graph
