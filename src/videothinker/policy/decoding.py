"""Keys and values of a rollout: every shared prefix (*trunk*) is stored once, whatever hangs on it.

A row (one completion) sees its trunk, then its own part: the rest of its prompt and what it has
drawn so far. Trunks are padded to the longest, own parts share one slot index, so that a step has
the same shapes whatever the prompts' lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention


@dataclass
class TrunkPlan:
    """Causal attention over one prefix that keeps each layer's keys and values `[1, K, P, d]`."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def attend(
        self, layer: int, query_BHLd: Tensor, key_BKLd: Tensor, value_BKLd: Tensor, scaling: float
    ) -> Tensor:
        """Plain causal attention; remembers what it saw."""
        del layer  # layers run in order
        self.keys.append(key_BKLd)
        self.values.append(value_BKLd)
        repeats = query_BHLd.shape[1] // key_BKLd.shape[1]
        return scaled_dot_product_attention(
            query_BHLd,
            key_BKLd.repeat_interleave(repeats, dim=1),
            value_BKLd.repeat_interleave(repeats, dim=1),
            is_causal=True,
            scale=scaling,
        ).transpose(1, 2)


class RowsPlan:
    """Attention of rows over trunk and own part; writes each new token's key and value.

    `slots_RS` below are the own places the current tokens take, the same for all rows. In the
    static form every step reads the whole allocation behind a mask, so that its shapes never
    change and a CUDA graph can replay it; in the other form it reads only the part in use.
    """

    def __init__(
        self,
        trunks: Sequence[TrunkPlan],
        trunk_of_R: Sequence[int],
        own_length: int,
        *,
        static: bool,
    ) -> None:
        longest = max(trunk.keys[0].shape[2] for trunk in trunks)
        self.trunk_keys = _stack([trunk.keys for trunk in trunks], longest)
        self.trunk_values = _stack([trunk.values for trunk in trunks], longest)
        device = self.trunk_keys[0].device
        lengths_B = torch.tensor([trunk.keys[0].shape[2] for trunk in trunks], device=device)
        self.trunk_sees_BP = torch.arange(longest, device=device) < lengths_B[:, None]
        self.static = static
        self.own_length = own_length
        self.own_keys = [self._empty(keys, len(trunk_of_R)) for keys in self.trunk_keys]
        self.own_values = [self._empty(keys, len(trunk_of_R)) for keys in self.trunk_keys]
        self.own_sees_RL = torch.zeros(len(trunk_of_R), own_length, dtype=torch.bool, device=device)
        self.slots_S = torch.zeros(1, dtype=torch.long, device=device)
        self.used = 0
        self._place(torch.tensor(trunk_of_R, device=device))

    def _empty(self, like_BKPd: Tensor, rows: int) -> Tensor:
        _, heads, _, width = like_BKPd.shape
        return like_BKPd.new_zeros(rows, heads, self.own_length, width)

    def _place(self, trunk_of_R: Tensor) -> None:
        """Lay the rows out as `[trunks, rows a trunk]`; empty places repeat row 0, unread."""
        self.trunk_of_R = trunk_of_R
        trunks = len(self.trunk_sees_BP)
        counts_B = torch.bincount(trunk_of_R, minlength=trunks)
        self.width = int(counts_B.max())
        within = torch.empty_like(trunk_of_R)
        for trunk in range(trunks):
            mine = trunk_of_R == trunk
            within[mine] = torch.arange(int(mine.sum()), device=within.device)
        self.place_R = trunk_of_R * self.width + within
        self.row_at_place = torch.zeros(
            trunks * self.width, dtype=torch.long, device=within.device
        ).scatter(0, self.place_R, torch.arange(len(within), device=within.device))

    def start(self, lengths_R: Tensor) -> None:
        """The next forward writes own parts of these lengths, padded on the right."""
        longest = int(lengths_R.max())
        self.slots_S = torch.arange(longest, device=lengths_R.device)
        self.used = longest
        self.own_sees_RL[:, :longest] = self.slots_S < lengths_R[:, None]

    def repeat(self, times: int) -> None:
        """Every row becomes `times` rows, which go on independently."""
        self.own_keys = [keys.repeat_interleave(times, dim=0) for keys in self.own_keys]
        self.own_values = [values.repeat_interleave(times, dim=0) for values in self.own_values]
        self.own_sees_RL = self.own_sees_RL.repeat_interleave(times, dim=0)
        self.slots_S = self.slots_S[-1:].clone()
        self._place(self.trunk_of_R.repeat_interleave(times))

    def advance(self) -> None:
        """The next forward writes one token a row; tensors change in place, for CUDA graphs."""
        self.slots_S.add_(1)
        self.used += 1
        self.own_sees_RL.index_fill_(1, self.slots_S, True)

    def keep(self, rows: Tensor) -> None:
        """Finished rows leave; trunks without rows leave with them."""
        self.own_keys = [keys[rows] for keys in self.own_keys]
        self.own_values = [values[rows] for values in self.own_values]
        self.own_sees_RL = self.own_sees_RL[rows]
        alive, trunk_of_R = self.trunk_of_R[rows].unique(return_inverse=True)
        if len(alive) < len(self.trunk_sees_BP):
            self.trunk_keys = [keys[alive] for keys in self.trunk_keys]
            self.trunk_values = [values[alive] for values in self.trunk_values]
            self.trunk_sees_BP = self.trunk_sees_BP[alive]
        self._place(trunk_of_R)

    def attend(
        self, layer: int, query_BHLd: Tensor, key_BKLd: Tensor, value_BKLd: Tensor, scaling: float
    ) -> Tensor:
        """One softmax over trunk and own scores; `[R, S, H, d]`."""
        rows, heads, steps, width = query_BHLd.shape
        shared = key_BKLd.shape[1]
        self.own_keys[layer].index_copy_(2, self.slots_S, key_BKLd)
        self.own_values[layer].index_copy_(2, self.slots_S, value_BKLd)
        seen = self.own_length if self.static else self.used
        own_keys = self.own_keys[layer][:, :, :seen]
        own_values = self.own_values[layer][:, :, :seen]

        query_RKqd = (query_BHLd * scaling).reshape(rows, shared, heads // shared * steps, width)
        own_scores = query_RKqd @ own_keys.transpose(-1, -2)
        own_scores = own_scores.view(rows, shared, -1, steps, seen)
        own_scores = own_scores.masked_fill(~self._own_mask(seen), float("-inf")).flatten(2, 3)
        trunk_scores = self._trunk_scores(layer, query_RKqd)

        scores = torch.cat([trunk_scores, own_scores], dim=-1)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(query_BHLd.dtype)
        trunk_weights, own_weights = weights.split([trunk_scores.shape[-1], seen], dim=-1)
        mixed = own_weights @ own_values + self._trunk_mix(layer, trunk_weights)
        return mixed.view(rows, heads, steps, width).transpose(1, 2)

    def _own_mask(self, seen: int) -> Tensor:
        """Bool, broadcast to `[R, K, repeats, S, seen]`: written, not padding, not later."""
        places = torch.arange(seen, device=self.slots_S.device)
        causal_SL = places <= self.slots_S[:, None]
        return (self.own_sees_RL[:, None, :seen] & causal_SL)[:, None, None]

    def _trunk_scores(self, layer: int, query_RKqd: Tensor) -> Tensor:
        """Every row against its trunk: the trunk's keys are read once for all its rows."""
        rows, shared, count, width = query_RKqd.shape
        trunks = len(self.trunk_sees_BP)
        placed = query_RKqd[self.row_at_place].view(trunks, self.width, shared, count, width)
        placed = placed.transpose(1, 2).reshape(trunks, shared, self.width * count, width)
        scores = placed @ self.trunk_keys[layer].transpose(-1, -2)
        scores = scores.masked_fill(~self.trunk_sees_BP[:, None, None], float("-inf"))
        return self._unplace(scores, rows, count)

    def _trunk_mix(self, layer: int, weights_RKqP: Tensor) -> Tensor:
        rows, shared, count, length = weights_RKqP.shape
        trunks = len(self.trunk_sees_BP)
        placed = weights_RKqP[self.row_at_place].view(trunks, self.width, shared, count, length)
        placed = placed.transpose(1, 2).reshape(trunks, shared, self.width * count, length)
        return self._unplace(placed @ self.trunk_values[layer], rows, count)

    def _unplace(self, placed: Tensor, rows: int, count: int) -> Tensor:
        trunks, shared, _, last = placed.shape
        by_place = placed.view(trunks, shared, self.width, count, last).transpose(1, 2)
        by_place = by_place.reshape(trunks * self.width, shared, count, last)
        return by_place if trunks == 1 and self.width == rows else by_place[self.place_R]


def _stack(states: Sequence[Sequence[Tensor]], longest: int) -> list[Tensor]:
    """Layer by layer, every trunk's `[1, K, P, d]` padded to the longest: `[B, K, longest, d]`."""
    return [
        torch.cat([pad(one, (0, 0, 0, longest - one.shape[2])) for one in layer])
        for layer in zip(*states, strict=True)
    ]
