"""A training step's forward and backward as one recorded graph, where the device has graphs.

A model this small is launched longer than it computes: some 1,500 kernels a step. Recorded once for
every shape that comes, they are launched together, and a step takes what its arithmetic takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from videothinker.console import say
from videothinker.lab.pretraining.batches import Drawn

Parts = dict[str, Tensor]
Backward = Callable[[Drawn], Parts]
"""A batch to the parts of its loss; adds to the gradients."""
WARM_UP = 3
"""Runs before one is recorded: libraries allocate what they need."""


@dataclass(frozen=True)
class Recorded:
    """The graph of one shape: what it reads, and what it leaves behind."""

    graph: torch.cuda.CUDAGraph
    given: Drawn
    parts: Parts
    grads: Sequence[Tensor | None]


def tensors_of(drawn: Drawn) -> list[Tensor]:
    """All tensors of a batch, in order."""
    held = [drawn.batch, *([] if drawn.truth is None else [drawn.truth])]
    found = [getattr(one, field.name) for one in held for field in fields(one)]
    return [one for one in found if one is not None]


class RecordedBackward:
    """`backward` on a GPU, recorded for each shape; gradients are replaced, not added to."""

    def __init__(self, backward: Backward, parameters: Sequence[nn.Parameter]) -> None:
        self.backward, self.parameters = backward, parameters
        self.found: dict[tuple, Recorded] = {}
        self.stream, self.fails = torch.cuda.Stream(), False

    def __call__(self, drawn: Drawn) -> Parts:
        """The parts of the loss, good until the next call; sets the gradients."""
        if self.fails:
            self._forget()
            return self.backward(drawn)
        key = (drawn.speaks, *(tuple(one.shape) for one in tensors_of(drawn)))
        if key not in self.found:
            try:
                self.found[key] = self._record(drawn)
            except RuntimeError as error:
                say(f"steps run operation by operation; they cannot be recorded here: {error}")
                self.fails = True
                return self(drawn)
        one = self.found[key]
        for place, value in zip(tensors_of(one.given), tensors_of(drawn), strict=True):
            place.copy_(value, non_blocking=True)
        one.graph.replay()
        for parameter, grad in zip(self.parameters, one.grads, strict=True):
            parameter.grad = grad
        return one.parts

    def _record(self, drawn: Drawn) -> Recorded:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                self._forget()
                self.backward(drawn)
        torch.cuda.current_stream().wait_stream(self.stream)
        self._forget()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            parts = self.backward(drawn)
        return Recorded(graph, drawn, parts, [one.grad for one in self.parameters])

    def _forget(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
