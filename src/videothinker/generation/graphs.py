"""One decoding step as a CUDA graph: recorded once, replayed without launching kernel by kernel.

Not measured here: written for a GPU, exercised on CPU by a recorder that replays the same tensor
operations on the same storages (tests/generation/recorded_graph.py).
"""

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 2
"""Runs before recording, so that libraries allocate their workspaces outside the graph."""


def can_record(device: torch.device) -> bool:
    """Are there graphs on this device?"""
    return device.type == "cuda"


class GraphedStep:
    """`step(tokens_A, places_A)` with the shapes of its first call, replayed for every later one.

    What the step reads beside its arguments (keys, values, masks, slots) must change in place. The
    warm-up writes the same keys and values at the same slots as the replay does.
    """

    def __init__(
        self, step: Callable[[Tensor, Tensor], Tensor], tokens_A: Tensor, places_A: Tensor
    ) -> None:
        self.tokens_A, self.places_A = tokens_A.clone(), places_A.clone()
        here = tokens_A.device
        stream = torch.cuda.Stream(here)
        stream.wait_stream(torch.cuda.current_stream(here))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(self.tokens_A, self.places_A)
        torch.cuda.current_stream(here).wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        # on the stream that has its workspaces since the warm-up
        with torch.cuda.graph(self.graph, stream=stream):
            self.logits_AV = step(self.tokens_A, self.places_A)

    def __call__(self, tokens_A: Tensor, places_A: Tensor) -> Tensor:
        """Logits `[A, V]`, overwritten by the next call."""
        self.tokens_A.copy_(tokens_A)
        self.places_A.copy_(places_A)
        self.graph.replay()
        return self.logits_AV
