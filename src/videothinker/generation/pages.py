"""Keys and values of a rollout in pages, for steps whose shapes never change.

A page holds 128 keys of one prefix or of one row, so that a GPU works on all pages at once however
long the prompt is, and every length is a multiple of 16, without which it takes kernels of older
cards. A step is two calls of one attention kernel, over the pages of prefixes, each read once for
all rows that hang on it, and over the rows' own. A page gives its own softmax's mean and the log of
its sum; the exact softmax over all pages is their mean weighted by those sums (as in
FlashDecoding, Dao et al. 2023).
"""

import math
from collections.abc import Hashable

import torch
from torch import Tensor
from torch.nn.functional import pad

from videothinker.generation.cache import RowsPlan, side_by_side
from videothinker.generation.decoder import Heads, rotated
from videothinker.generation.graphs import Fuse

LOG2_E = 1 / math.log(2)
PAGE = 128
"""Keys."""
HIDDEN = -3e4
"""Added to a score that is not seen: its weight is exactly 0, and a page without any seen key gives
no infinity."""


class Pages:
    """The rows of a `RowsPlan`, whose caches are taken over layer by layer.

    `slot` is the suffix place that the next token takes, the same for all rows; it counts up in
    place, as do the masks, so that a recorded step goes on.
    """

    def __init__(self, rows: RowsPlan, fuse: Fuse) -> None:
        self.fuse = fuse
        device, dtype = rows.slots_S.device, rows.prefix_values[0].dtype
        self.slot = rows.slots_S[-1:].clone()
        self.prefix_pages = _take_over(rows.prefix_keys, rows.prefix_values)
        self.own_pages = _take_over(rows.suffix_keys, rows.suffix_values)
        places_P = torch.arange(self.prefix_pages[0].shape[2] * PAGE, device=device)
        seen_BP = places_P < rows.prefix_lengths_B[:, None]
        self.prefix_mask_BP = _summand(seen_BP, dtype)
        seen_RL = pad(rows.suffix_sees_RL, (0, -rows.suffix_length % PAGE))
        self.own_mask_RL = _summand(seen_RL, dtype)
        self.width = int(torch.bincount(rows.prefix_of_R).max())
        self._place(rows.prefix_of_R)

    @property
    def kind(self) -> Hashable:
        """What decides a step's kernels; `width` how many rows share a prefix's pages."""
        pages = self.prefix_pages[0], self.own_pages[0]
        return *(one.shape for one in pages), pages[0].dtype, self.width

    def _place(self, prefix_of_R: Tensor) -> None:
        self.prefix_of_R = prefix_of_R
        places = side_by_side(prefix_of_R, len(self.prefix_mask_BP), self.width)
        self.place_R, self.row_at_place = places

    def keep(self, rows: Tensor) -> None:
        """Finished rows leave, the others move together.

        Shapes follow from the number of rows alone, whichever they are: a prefix without rows
        stays, and one may have as many rows as before.
        """
        for number, pages in enumerate(self.own_pages):
            self.own_pages[number] = pages.index_select(1, rows)
        self.own_mask_RL = self.own_mask_RL[rows]
        self.width = min(self.width, len(rows))
        self._place(self.prefix_of_R[rows])

    def advance(self) -> None:
        """The next step writes one token a row; tensors change in place, for CUDA graphs."""
        self.slot.add_(1)
        self.own_mask_RL.index_fill_(1, self.slot, 0.0)

    def step(self, layer: int, packed_AQ: Tensor, heads: Heads, rotation_2A2d: Tensor) -> Tensor:
        """See `decoder.Cache`."""
        shared, width = heads.shared, heads.width
        prefix, own = self.prefix_pages[layer], self.own_pages[layer]
        layout = prefix.shape[2], self.width
        query_NKqd, query_MKqd = self.fuse(_lay_out)(
            packed_AQ, heads, rotation_2A2d, (own, self.slot), (self.row_at_place, layout)
        )
        seen = _attend(
            query_NKqd, prefix.view(2, -1, shared, PAGE, width), self.prefix_mask_BP, heads.scaling
        )
        mine = _attend(
            query_MKqd, own.view(2, -1, shared, PAGE, width), self.own_mask_RL, heads.scaling
        )
        return self.fuse(_merge)(seen, mine, self.place_R, layout)


def _take_over(keys: list[Tensor], values: list[Tensor]) -> list[Tensor]:
    """A layer's keys and values `[B, K, L, d]` as `[2, B, n, K, PAGE, d]`; what was is let go."""
    found = []
    for number, (key_BKLd, value_BKLd) in enumerate(zip(keys, values, strict=True)):
        states_2BKLd = torch.stack([key_BKLd.to(value_BKLd.dtype), value_BKLd])
        padded = pad(states_2BKLd, (0, 0, 0, -key_BKLd.shape[2] % PAGE))
        found.append(padded.unflatten(3, (-1, PAGE)).transpose(2, 3).contiguous())
        keys[number] = values[number] = key_BKLd.new_empty(0)
    return found


def _summand(seen_BL: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a key is seen, else `HIDDEN`."""
    zeros = torch.zeros(seen_BL.shape, dtype=dtype, device=seen_BL.device)
    return zeros.masked_fill(~seen_BL, HIDDEN)


def _lay_out(
    packed_AQ: Tensor,
    heads: Heads,
    rotation_2A2d: Tensor,
    where: tuple[Tensor, Tensor],
    places: tuple[Tensor, tuple[int, int]],
) -> tuple[Tensor, Tensor]:
    """Write the new keys and values; queries for every page of a prefix and of a row.

    Query heads that share a key head stand side by side along the length, and so do the W rows of
    one prefix: `[B n, K, W H/K, d]` and `[A m, K, H/K, d]`. `where` is the rows' pages and the
    slot, `places` the row at each place of a prefix, n and W.
    """
    (own_2AmKTd, slot), (row_at_place, (prefix_pages, width)) = where, places
    query_AHd, both_A2Kd = rotated(packed_AQ, heads, rotation_2A2d)
    new_12AKd = both_A2Kd.transpose(0, 1)[None].to(own_2AmKTd.dtype)
    own_2AmKTd[:, :, slot // PAGE, :, slot % PAGE] = new_12AKd
    query_AKqd = query_AHd.unflatten(1, (heads.shared, -1)).to(own_2AmKTd.dtype)
    own_MKqd = query_AKqd[:, None].expand(-1, own_2AmKTd.shape[2], -1, -1, -1).flatten(0, 1)
    query_BWKqd = query_AKqd[row_at_place].unflatten(0, (-1, width))
    query_BKqd = query_BWKqd.transpose(1, 2).flatten(2, 3)
    return query_BKqd[:, None].expand(-1, prefix_pages, -1, -1, -1).flatten(0, 1), own_MKqd


def _attend(
    query_NKqd: Tensor, pages_2NKTd: Tensor, mask_BL: Tensor, scaling: float
) -> tuple[Tensor, Tensor]:
    """Attention within each page, and the logarithm of its softmax's sum `[N, K, q]`.

    These are the kernels behind `scaled_dot_product_attention`, which keeps that sum to itself.
    """
    keys, values = pages_2NKTd
    mask_N11T = mask_BL.view(-1, 1, 1, PAGE)
    if query_NKqd.is_cuda:
        mask = mask_N11T.expand(-1, *query_NKqd.shape[1:3], -1)
        mixed_NKqd, sums, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(  # noqa: SLF001
            query_NKqd, keys, values, mask, compute_log_sumexp=True, scale=scaling
        )
        return mixed_NKqd, sums[..., : query_NKqd.shape[2]]  # which it pads to a multiple of 32
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(  # noqa: SLF001
        query_NKqd, keys, values, attn_mask=mask_N11T, scale=scaling
    )


def _merge(
    prefixes: tuple[Tensor, Tensor],
    rows: tuple[Tensor, Tensor],
    place_R: Tensor,
    layout: tuple[int, int],
) -> Tensor:
    """The softmax over all pages of a row, `[A, H d]`, from what `_attend` gave of both kinds."""
    (seen_NKqd, sums_NKq), (own_MKqd, own_sums_MKq) = prefixes, rows
    own = own_MKqd.unflatten(0, (len(place_R), -1))
    own_sums = own_sums_MKq.unflatten(0, (len(place_R), -1))
    seen, sums = _of_rows(seen_NKqd, place_R, layout), _of_rows(sums_NKq, place_R, layout)
    mixed_AnKqd = _joined(seen, own)
    # every sum once for each of its head's d numbers: one loop for all that follows
    sums_AnKqd = _joined(sums, own_sums)[..., None].float().expand_as(mixed_AnKqd)
    weights_AnKqd = ((sums_AnKqd - sums_AnKqd.amax(dim=1, keepdim=True)) * LOG2_E).exp2()
    mixed_AKqd = (mixed_AnKqd * weights_AnKqd).sum(dim=1) / weights_AnKqd.sum(dim=1)
    return mixed_AKqd.flatten(1).to(own_MKqd.dtype)


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """Both along dimension 1: by reading, which the compiler fuses with what comes after."""
    if not torch.compiler.is_compiling():
        return torch.cat([first, second], dim=1)
    count = first.shape[1]
    places = torch.arange(count + second.shape[1], device=first.device)
    is_first = (places < count).view(1, -1, *[1] * (first.dim() - 2))
    before = first[:, places.clamp(max=count - 1)]
    return torch.where(is_first, before, second[:, (places - count).clamp(min=0)])


def _of_rows(states: Tensor, place_R: Tensor, layout: tuple[int, int]) -> Tensor:
    """From prefixes' pages `[B n, K, W H/K, ...]` to rows `[A, n, K, H/K, ...]`."""
    prefix_pages, width = layout
    by_page = states.unflatten(2, (width, -1)).unflatten(0, (-1, prefix_pages))
    return by_page.movedim(3, 1).flatten(0, 1)[place_R]
