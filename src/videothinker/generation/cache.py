"""Keys and values of a rollout: every shared prefix is stored once, however many rows hang on it.

A row (one completion) sees its prefix, then its suffix: the rest of its prompt and what it has
drawn so far. Prefixes are padded to the longest, suffixes share one slot index. A step reads what
is in use, so its shapes grow; `pages` is the form in which they do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from videothinker.generation.decoder import Heads, rotated


@dataclass
class PrefixPlan:
    """Causal attention over prefixes, padded on the right, which no token before sees; keeps each
    layer's keys and values `[B, K, P, d]`.
    """

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
    """Attention of rows over prefix and suffix; writes each new token's key and value.

    `lengths` are those of all prefixes in turn. `slots_S` are the suffix places the current tokens
    take, the same for all rows.
    """

    def __init__(
        self,
        prefixes: Sequence[PrefixPlan],
        lengths: Sequence[int],
        prefix_of_R: Sequence[int],
        suffix_length: int,
    ) -> None:
        self.prefix_keys = _stack([prefix.keys for prefix in prefixes], max(lengths))
        self.prefix_values = _stack([prefix.values for prefix in prefixes], max(lengths))
        device = self.prefix_keys[0].device
        self.prefix_lengths_B = torch.tensor(lengths, device=device)
        self.suffix_length = suffix_length
        self.suffix_keys = [self._empty(keys, len(prefix_of_R)) for keys in self.prefix_keys]
        self.suffix_values = [self._empty(kept, len(prefix_of_R)) for kept in self.prefix_values]
        self.suffix_sees_RL = torch.zeros(
            len(prefix_of_R), suffix_length, dtype=torch.bool, device=device
        )
        self.slots_S = torch.full((1,), -1, device=device)
        self.suffix_hidden: Tensor | None = None
        self.padded = False
        self.seen = 0
        self._place(torch.tensor(prefix_of_R, device=device))

    def _empty(self, like_BKPd: Tensor, rows: int) -> Tensor:
        _, heads, _, width = like_BKPd.shape
        return like_BKPd.new_zeros(rows, heads, self.suffix_length, width)

    def _place(self, prefix_of_R: Tensor) -> None:
        """Which prefix every row hangs on, and so its place beside the others of that prefix."""
        self.prefix_of_R = prefix_of_R
        self.width = int(torch.bincount(prefix_of_R).max())
        prefixes, device = len(self.prefix_lengths_B), prefix_of_R.device
        self.place_R, row_at_place = side_by_side(prefix_of_R, prefixes, self.width)
        in_order = torch.equal(row_at_place, torch.arange(len(prefix_of_R), device=device))
        self.row_at_place = None if in_order else row_at_place
        places_P = torch.arange(self.prefix_keys[0].shape[2], device=device)
        hidden_BP = places_P >= self.prefix_lengths_B[:, None]
        self.prefix_hidden_R: Tensor | None = None
        if bool(hidden_BP.any()):
            self.prefix_hidden_R = hidden_BP[prefix_of_R][:, None, None]

    def start(self, lengths_R: Tensor) -> None:
        """The next forward writes suffixes of these lengths, padded on the right."""
        longest = int(lengths_R.max())
        self.slots_S = torch.arange(longest, device=lengths_R.device)
        self.suffix_sees_RL[:, :longest] = self.slots_S < lengths_R[:, None]
        self.padded = bool((lengths_R < longest).any())
        self._look(longest)

    def repeat(self, times: int) -> None:
        """Every row becomes `times` rows, which go on independently."""
        self.suffix_keys = [keys.repeat_interleave(times, dim=0) for keys in self.suffix_keys]
        self.suffix_values = [
            values.repeat_interleave(times, dim=0) for values in self.suffix_values
        ]
        self.suffix_sees_RL = self.suffix_sees_RL.repeat_interleave(times, dim=0)
        self.slots_S = self.slots_S[-1:].clone()
        self.suffix_hidden = None
        self._place(self.prefix_of_R.repeat_interleave(times))

    def advance(self) -> None:
        """The next forward writes one token a row."""
        self.slots_S.add_(1)
        self.suffix_sees_RL.index_fill_(1, self.slots_S, value=True)
        self._look(self.seen + 1)

    def _look(self, written: int) -> None:
        """Set what the next forward reads, and hide from it what it must not see."""
        self.seen = written
        if len(self.slots_S) == 1 and not self.padded:
            self.suffix_hidden = None
            return
        places = torch.arange(self.seen, device=self.slots_S.device)
        later_SL = places > self.slots_S[:, None]
        self.suffix_hidden = (~self.suffix_sees_RL[:, None, : self.seen] | later_SL)[:, None, None]

    def keep(self, rows: Tensor) -> None:
        """Finished rows leave; prefixes without rows leave with them."""
        self.suffix_keys = [keys[rows] for keys in self.suffix_keys]
        self.suffix_values = [values[rows] for values in self.suffix_values]
        self.suffix_sees_RL = self.suffix_sees_RL[rows]
        self.suffix_hidden = None
        alive, prefix_of_R = self.prefix_of_R[rows].unique(return_inverse=True)
        if len(alive) < len(self.prefix_lengths_B):
            self.prefix_keys = [keys[alive] for keys in self.prefix_keys]
            self.prefix_values = [values[alive] for values in self.prefix_values]
            self.prefix_lengths_B = self.prefix_lengths_B[alive]
        self._place(prefix_of_R)

    def step(self, layer: int, packed_AQ: Tensor, heads: Heads, rotation_2A2d: Tensor) -> Tensor:
        """See `decoder.Cache`."""
        query_AHd, both_A2Kd = rotated(packed_AQ, heads, rotation_2A2d)
        key, value = both_A2Kd[..., None, :].unbind(1)
        value = value.to(self.suffix_values[layer].dtype)
        return self.attend(layer, query_AHd[:, :, None], key, value, heads.scaling).flatten(1)

    def attend(
        self, layer: int, query_BHLd: Tensor, key_BKLd: Tensor, value_BKLd: Tensor, scaling: float
    ) -> Tensor:
        """One softmax over prefix and suffix scores; `[R, S, H, d]`."""
        rows, heads, steps, width = query_BHLd.shape
        shared = key_BKLd.shape[1]
        self.suffix_keys[layer].index_copy_(2, self.slots_S, key_BKLd)
        self.suffix_values[layer].index_copy_(2, self.slots_S, value_BKLd)
        suffix_keys = self.suffix_keys[layer][:, :, : self.seen]
        suffix_values = self.suffix_values[layer][:, :, : self.seen]

        query_RKqd = query_BHLd.reshape(rows, shared, heads // shared * steps, width)
        suffix_scores = query_RKqd @ suffix_keys.transpose(-1, -2)
        if self.suffix_hidden is not None:
            by_step = suffix_scores.view(rows, shared, -1, steps, self.seen)
            suffix_scores = by_step.masked_fill(self.suffix_hidden, float("-inf")).view_as(
                suffix_scores
            )
        prefix_keys = self.prefix_keys[layer].transpose(-1, -2)
        prefix_scores = self._unplace(self._place_rows(query_RKqd) @ prefix_keys)
        if self.prefix_hidden_R is not None:
            prefix_scores = prefix_scores.masked_fill(self.prefix_hidden_R, float("-inf"))

        scores = torch.cat([prefix_scores, suffix_scores], dim=-1).float().mul_(scaling)
        weights = scores.softmax(dim=-1).to(query_BHLd.dtype)
        prefix_weights, suffix_weights = weights.split([prefix_scores.shape[-1], self.seen], dim=-1)
        prefix_mixed = self._place_rows(prefix_weights) @ self.prefix_values[layer]
        mixed = suffix_weights @ suffix_values + self._unplace(prefix_mixed)
        return mixed.view(rows, heads, steps, width).transpose(1, 2)

    def _place_rows(self, states_RKqx: Tensor) -> Tensor:
        """Rows of one prefix side by side, `[prefixes, K, rows a prefix * q, x]`: one matrix
        product reads the prefix's keys or values once for all of them.
        """
        _, shared, count, last = states_RKqx.shape
        placed = states_RKqx if self.row_at_place is None else states_RKqx[self.row_at_place]
        placed = placed.view(-1, self.width, shared, count, last).transpose(1, 2)
        return placed.reshape(-1, shared, self.width * count, last)

    def _unplace(self, placed: Tensor) -> Tensor:
        prefixes, shared, _, last = placed.shape
        by_place = placed.view(prefixes, shared, self.width, -1, last).transpose(1, 2)
        by_place = by_place.reshape(prefixes * self.width, shared, -1, last)
        return by_place if self.row_at_place is None else by_place[self.place_R]


def side_by_side(prefix_of_R: Tensor, prefixes: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows of one prefix side by side in `prefixes * width` places.

    Returns:
        The place of every row, and the row at every place; empty ones repeat row 0, unread.
    """
    earlier_RR = (prefix_of_R == prefix_of_R[:, None]).tril(-1)
    place_R = prefix_of_R * width + earlier_RR.sum(dim=1)
    rows = torch.arange(len(place_R), device=place_R.device)
    return place_R, rows.new_zeros(prefixes * width).scatter(0, place_R, rows)


def _stack(states: Sequence[Sequence[Tensor]], longest: int) -> list[Tensor]:
    """Layer by layer, all prefixes `[b, K, P, d]` padded to the longest: `[B, K, longest, d]`."""
    return [
        torch.cat([pad(one, (0, 0, 0, longest - one.shape[2])) for one in layer])
        for layer in zip(*states, strict=True)
    ]
