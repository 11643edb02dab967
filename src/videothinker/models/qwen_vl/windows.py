"""The vision tower's attention on a GPU: windows of one length together, not one by one.

The library's way without its flash kernels calls attention once a window: at 16 frames of 252x364
pixels that is 96 calls in each of 28 blocks, and a GPU waits for Python. Here a block calls it once
for each length that occurs, at most four times a video. The same numbers up to rounding.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface

NAME = "videothinker_flash_windows"
"""The library hands over all windows at once where the name has `flash` in it."""


@dataclass(frozen=True)
class Windows:
    """Tokens put in the order of their window's length."""

    counts: tuple[tuple[int, int], ...]
    """Length, and how many windows have it."""
    order_N: Tensor | None
    """Null where all have one length, and nothing need move."""
    back_N: Tensor | None


_KNOWN: Any = WeakTensorKeyDictionary()
"""By the tensor of boundaries (windows, whole frames): read back once a forward, not a block."""


def windows_of(boundaries_W: Tensor) -> Windows:
    """How to group the windows between `boundaries_W` (increasing, from 0)."""
    found = _KNOWN.get(boundaries_W)
    if found is None:
        found = _KNOWN[boundaries_W] = _group(boundaries_W)
    return found


def _group(boundaries_W: Tensor) -> Windows:
    starts: dict[int, list[int]] = {}
    for start, end in pairwise(boundaries_W.tolist()):
        starts.setdefault(end - start, []).append(start)
    counts = tuple((length, len(found)) for length, found in starts.items())
    if len(counts) == 1:
        return Windows(counts, None, None)
    order_N = torch.cat(
        [
            (torch.tensor(found)[:, None] + torch.arange(length)).flatten()
            for length, found in starts.items()
        ]
    )
    device = boundaries_W.device
    return Windows(counts, order_N.to(device), order_N.argsort().to(device))


class Reorder(torch.autograd.Function):
    """Tokens in another order. Their gradients are moved back, and not added to zeros one by one,
    as for an index that might name a token twice.
    """

    @staticmethod
    def forward(ctx: Any, states_NHd: Tensor, order_N: Tensor, back_N: Tensor) -> Tensor:
        """Token i is that at `order_N[i]`; `back_N` undoes it."""
        ctx.back_N = back_N
        return states_NHd.index_select(0, order_N)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The other way."""
        return gradients[0].index_select(0, ctx.back_N), None, None


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    cu_seq_lens_q: Tensor,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """`[1, N, H, d]` from query, key and value `[1, H, N, d]`; tokens see their own window.

    The signature is `AttentionInterface`'s for variable lengths.
    """
    del module, attention_mask, kwargs
    windows = windows_of(cu_seq_lens_q)
    states = [one[0].transpose(0, 1) for one in (query, key, value)]
    if windows.order_N is not None:
        states = [Reorder.apply(one, windows.order_N, windows.back_N) for one in states]
    parts = [length * count for length, count in windows.counts]
    mixed = []
    for (length, _), *qkv in zip(
        windows.counts, *(one.split(parts) for one in states), strict=True
    ):
        batches = (one.unflatten(0, (-1, length)).transpose(1, 2) for one in qkv)
        out_WHld = scaled_dot_product_attention(*batches, scale=scaling)
        mixed.append(out_WHld.transpose(1, 2).flatten(0, 1))
    out_NHd = torch.cat(mixed)
    if windows.back_N is not None:
        out_NHd = Reorder.apply(out_NHd, windows.back_N, windows.order_N)
    return out_NHd[None], None


AttentionInterface.register(NAME, attend)
