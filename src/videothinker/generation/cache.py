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
        return scaled_dot_product_attention(
            query_BHLd, key_BKLd, value_BKLd, is_causal=True, scale=scaling, enable_gqa=True
        ).transpose(1, 2)


class RowsPlan:
    """Attention of rows over trunk and own part; writes each new token's key and value.

    `slots_S` are the own places the current tokens take, the same for all rows. In the static form
    every step reads the whole allocation behind a mask, so that its shapes never change and a CUDA
    graph can replay it; in the other form it reads only the part in use.
    """

    def __init__(
        self,
        trunks: Sequence[TrunkPlan],
        trunk_of_R: Sequence[int],
        own_length: int,
        *,
        static: bool,
    ) -> None:
        lengths = [trunk.keys[0].shape[2] for trunk in trunks]
        self.trunk_keys = _stack([trunk.keys for trunk in trunks], max(lengths))
        self.trunk_values = _stack([trunk.values for trunk in trunks], max(lengths))
        device = self.trunk_keys[0].device
        self.trunk_lengths_B = torch.tensor(lengths, device=device)
        self.static = static
        self.own_length = own_length
        self.own_keys = [self._empty(keys, len(trunk_of_R)) for keys in self.trunk_keys]
        self.own_values = [self._empty(kept, len(trunk_of_R)) for kept in self.trunk_values]
        self.own_sees_RL = torch.zeros(len(trunk_of_R), own_length, dtype=torch.bool, device=device)
        self.slots_S = torch.zeros(1, dtype=torch.long, device=device)
        self.own_hidden: Tensor | None = None
        self.padded = False
        self.seen = 0
        self._place(torch.tensor(trunk_of_R, device=device))

    def _empty(self, like_BKPd: Tensor, rows: int) -> Tensor:
        _, heads, _, width = like_BKPd.shape
        return like_BKPd.new_zeros(rows, heads, self.own_length, width)

    def _place(self, trunk_of_R: Tensor) -> None:
        """Give every row a place in `[trunks, rows a trunk]`; empty places repeat row 0, unread."""
        device = trunk_of_R.device
        self.trunk_of_R = trunk_of_R
        trunks = len(self.trunk_lengths_B)
        counts_B = torch.bincount(trunk_of_R, minlength=trunks)
        self.width = int(counts_B.max())
        within = torch.empty_like(trunk_of_R)
        for trunk in range(trunks):
            mine = trunk_of_R == trunk
            within[mine] = torch.arange(int(mine.sum()), device=device)
        self.place_R = trunk_of_R * self.width + within
        rows = torch.arange(len(within), device=device)
        self.row_at_place: Tensor | None = None
        if trunks * self.width != len(rows) or not torch.equal(self.place_R, rows):
            empty = torch.zeros(trunks * self.width, dtype=torch.long, device=device)
            self.row_at_place = empty.scatter(0, self.place_R, rows)
        longest = self.trunk_keys[0].shape[2]
        hidden_BP = torch.arange(longest, device=device) >= self.trunk_lengths_B[:, None]
        self.trunk_hidden_R: Tensor | None = None
        if bool(hidden_BP.any()):
            self.trunk_hidden_R = hidden_BP[trunk_of_R][:, None, None]

    def start(self, lengths_R: Tensor) -> None:
        """The next forward writes own parts of these lengths, padded on the right."""
        longest = int(lengths_R.max())
        self.slots_S = torch.arange(longest, device=lengths_R.device)
        self.own_sees_RL[:, :longest] = self.slots_S < lengths_R[:, None]
        self.padded = bool((lengths_R < longest).any())
        self._look(longest)

    def repeat(self, times: int) -> None:
        """Every row becomes `times` rows, which go on independently."""
        self.own_keys = [keys.repeat_interleave(times, dim=0) for keys in self.own_keys]
        self.own_values = [values.repeat_interleave(times, dim=0) for values in self.own_values]
        self.own_sees_RL = self.own_sees_RL.repeat_interleave(times, dim=0)
        self.slots_S = self.slots_S[-1:].clone()
        self.own_hidden = None
        self._place(self.trunk_of_R.repeat_interleave(times))

    def advance(self) -> None:
        """The next forward writes one token a row; tensors change in place, for CUDA graphs."""
        self.slots_S.add_(1)
        self.own_sees_RL.index_fill_(1, self.slots_S, value=True)
        self._look(self.seen if self.static else self.seen + 1)

    def _look(self, written: int) -> None:
        """Set what the next forward reads, and hide from it what it must not see."""
        self.seen = self.own_length if self.static else written
        steps = len(self.slots_S)
        if steps == 1 and not self.static and not self.padded:
            self.own_hidden = None
            return
        places = torch.arange(self.seen, device=self.slots_S.device)
        later_SL = places > self.slots_S[:, None]
        hidden = (~self.own_sees_RL[:, None, : self.seen] | later_SL)[:, None, None]
        if self.own_hidden is not None and self.own_hidden.shape == hidden.shape:
            self.own_hidden.copy_(hidden)
        else:
            self.own_hidden = hidden

    def keep(self, rows: Tensor) -> None:
        """Finished rows leave; trunks without rows leave with them."""
        self.own_keys = [keys[rows] for keys in self.own_keys]
        self.own_values = [values[rows] for values in self.own_values]
        self.own_sees_RL = self.own_sees_RL[rows]
        self.own_hidden = None
        alive, trunk_of_R = self.trunk_of_R[rows].unique(return_inverse=True)
        if len(alive) < len(self.trunk_lengths_B):
            self.trunk_keys = [keys[alive] for keys in self.trunk_keys]
            self.trunk_values = [values[alive] for values in self.trunk_values]
            self.trunk_lengths_B = self.trunk_lengths_B[alive]
        self._place(trunk_of_R)

    def attend(
        self, layer: int, query_BHLd: Tensor, key_BKLd: Tensor, value_BKLd: Tensor, scaling: float
    ) -> Tensor:
        """One softmax over trunk and own scores; `[R, S, H, d]`."""
        rows, heads, steps, width = query_BHLd.shape
        shared = key_BKLd.shape[1]
        self.own_keys[layer].index_copy_(2, self.slots_S, key_BKLd)
        self.own_values[layer].index_copy_(2, self.slots_S, value_BKLd)
        own_keys = self.own_keys[layer][:, :, : self.seen]
        own_values = self.own_values[layer][:, :, : self.seen]

        query_RKqd = query_BHLd.reshape(rows, shared, heads // shared * steps, width)
        own_scores = query_RKqd @ own_keys.transpose(-1, -2)
        if self.own_hidden is not None:
            by_step = own_scores.view(rows, shared, -1, steps, self.seen)
            own_scores = by_step.masked_fill(self.own_hidden, float("-inf")).view_as(own_scores)
        trunk_keys = self.trunk_keys[layer].transpose(-1, -2)
        trunk_scores = self._unplace(self._place_rows(query_RKqd) @ trunk_keys)
        if self.trunk_hidden_R is not None:
            trunk_scores = trunk_scores.masked_fill(self.trunk_hidden_R, float("-inf"))

        scores = torch.cat([trunk_scores, own_scores], dim=-1).float().mul_(scaling)
        weights = scores.softmax(dim=-1).to(query_BHLd.dtype)
        trunk_weights, own_weights = weights.split([trunk_scores.shape[-1], self.seen], dim=-1)
        trunk_mixed = self._place_rows(trunk_weights) @ self.trunk_values[layer]
        mixed = own_weights @ own_values + self._unplace(trunk_mixed)
        return mixed.view(rows, heads, steps, width).transpose(1, 2)

    def _place_rows(self, states_RKqx: Tensor) -> Tensor:
        """Rows of one trunk side by side, `[trunks, K, rows a trunk * q, x]`: one matrix product
        reads the trunk's keys or values once for all of them.
        """
        _, shared, count, last = states_RKqx.shape
        placed = states_RKqx if self.row_at_place is None else states_RKqx[self.row_at_place]
        placed = placed.view(-1, self.width, shared, count, last).transpose(1, 2)
        return placed.reshape(-1, shared, self.width * count, last)

    def _unplace(self, placed: Tensor) -> Tensor:
        trunks, shared, _, last = placed.shape
        by_place = placed.view(trunks, shared, self.width, -1, last).transpose(1, 2)
        by_place = by_place.reshape(trunks * self.width, shared, -1, last)
        return by_place if self.row_at_place is None else by_place[self.place_R]


def _stack(states: Sequence[Sequence[Tensor]], longest: int) -> list[Tensor]:
    """Layer by layer, every trunk's `[1, K, P, d]` padded to the longest: `[B, K, longest, d]`."""
    return [
        torch.cat([pad(one, (0, 0, 0, longest - one.shape[2])) for one in layer])
        for layer in zip(*states, strict=True)
    ]
