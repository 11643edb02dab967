"""Bytes of the tensors alive, measured from the code that runs: of a divergence, before a run."""

import weakref
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from videothinker.algorithms.choices import DIVERGENCES
from videothinker.models.logprobs import chunked_vocabulary

TOKENS, VOCABULARY = 64, 2048
"""Large enough that all but the logits is under a hundredth."""


class LiveBytes(TorchDispatchMode):
    """Inside, every operation's outputs count from their making until they are freed.

    All storages and their peak: what `torch.cuda.max_memory_allocated` is on a GPU.
    """

    def __init__(self, present: Iterable[Tensor]) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0
        for tensor in present:
            self._see(tensor)

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001
        if key in self.sizes:
            return
        self.sizes[key] = storage.nbytes()
        self.now += self.sizes[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self.sizes.pop(key, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_iter(out):
            if isinstance(one, Tensor):
                self._see(one)
        return out


@cache
def logit_bytes(divergence: str) -> int:
    """Bytes per logit, both models' together, at the peak of the divergence's forward and backward.

    0 if it uses sampled tokens only. Measured on one small chunk, about ten milliseconds, so a
    new divergence is planned as what it is.
    """
    chosen = DIVERGENCES[divergence]
    if not chosen.whole_vocabulary:
        return 0
    hidden_ND = torch.zeros(TOKENS, 1, requires_grad=True)
    head_VD = torch.zeros(VOCABULARY, 1, requires_grad=True)
    frozen_ND, frozen_VD = torch.zeros(TOKENS, 1), torch.zeros(VOCABULARY, 1)
    with LiveBytes([hidden_ND, head_VD, frozen_ND, frozen_VD]) as live:
        chunked_vocabulary(
            chosen.function, hidden_ND, head_VD, frozen_ND, frozen_VD, chunk=TOKENS
        ).sum().backward()
    return round(live.peak / (TOKENS * VOCABULARY))
