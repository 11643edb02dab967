"""A training step's forward and backward as one recorded graph, where the device has graphs.

A model this small is launched longer than it computes: some 1,500 kernels a step. Recorded once for
every shape that comes, they are launched together, and a step takes what its arithmetic takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from videothinker.console import say
from videothinker.lab.pretraining.batches import StepBatch

Parts = dict[str, Tensor]
Backward = Callable[[StepBatch], Parts]
"""A batch to the parts of its loss; adds to the gradients."""
WARM_UP = 3
"""Runs before one is recorded: libraries allocate what they need."""


@dataclass(frozen=True)
class CapturedStep:
    """The graph of one shape: what it reads, and what it leaves behind."""

    graph: torch.cuda.CUDAGraph
    given: StepBatch
    parts: Parts
    grads: Sequence[Tensor | None]


def tensors_of(batch: StepBatch) -> list[Tensor]:
    """All tensors of a batch, in order."""
    held = [batch.inputs, *([] if batch.targets is None else [batch.targets])]
    found = [getattr(one, field.name) for one in held for field in fields(one)]
    return [one for one in found if one is not None]


class GraphedBackward:
    """`backward` on a GPU, recorded for each shape; gradients are replaced, not added to."""

    def __init__(self, backward: Backward, parameters: Sequence[nn.Parameter]) -> None:
        self.backward, self.parameters = backward, parameters
        self.found: dict[tuple, CapturedStep] = {}
        self.stream, self.fails = torch.cuda.Stream(), False

    def __call__(self, batch: StepBatch) -> Parts:
        """The parts of the loss, good until the next call; sets the gradients."""
        if self.fails:
            self._forget()
            return self.backward(batch)
        key = (batch.has_words, *(tuple(one.shape) for one in tensors_of(batch)))
        if key not in self.found:
            try:
                self.found[key] = self._record(batch)
            except RuntimeError as error:
                say(f"steps run operation by operation; they cannot be recorded here: {error}")
                self.fails = True
                return self(batch)
        one = self.found[key]
        for place, value in zip(tensors_of(one.given), tensors_of(batch), strict=True):
            place.copy_(value, non_blocking=True)
        one.graph.replay()
        for parameter, grad in zip(self.parameters, one.grads, strict=True):
            parameter.grad = grad
        return one.parts

    def _record(self, batch: StepBatch) -> CapturedStep:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                self._forget()
                self.backward(batch)
        torch.cuda.current_stream().wait_stream(self.stream)
        self._forget()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            parts = self.backward(batch)
        return CapturedStep(graph, batch, parts, [one.grad for one in self.parameters])

    def _forget(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None
