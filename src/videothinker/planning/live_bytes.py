"""Bytes of all tensor storages alive, and their peak: what `torch.cuda.max_memory_allocated` is."""

import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Inside, every operation's outputs count from their making until they are freed.

    A storage counts at the size it has: sharding gives memory back, and takes it, by resizing.
    """

    def __init__(self, present: Iterable[Tensor]) -> None:
        super().__init__()
        self.storages: dict[int, weakref.ref[Any]] = {}
        self.peak = 0
        for tensor in present:
            self._see(tensor)
        self.peak = self.now

    @property
    def now(self) -> int:
        """Bytes."""
        held = [storage() for storage in list(self.storages.values())]
        return sum(one.nbytes() for one in held if one is not None)

    def _see(self, tensor: Any) -> None:
        if is_traceable_wrapper_subclass(tensor):  # a piece of one
            parts = [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0]]
            for part in parts:
                if isinstance(part, Tensor):
                    self._see(part)
            return
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001
        if key not in self.storages:
            self.storages[key] = weakref.ref(storage, lambda _: self.storages.pop(key, None))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in tree_iter(out):
            if isinstance(one, Tensor):
                self._see(one)
        self.peak = max(self.peak, self.now)
        return out
