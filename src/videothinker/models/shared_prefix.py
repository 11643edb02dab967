"""The training forward of one group, in which the prompt and its video are computed once.

The sequence is `[prompt without its last token, segment 1, ..., segment G]`; every segment is the
last prompt token followed by one completion without its last token, so the hidden state at place j
of a segment predicts completion token j and the shift is the ordinary one. Segment g sees the
prompt and its own past, nothing else; its rotary positions are those of the naive sequence. The
result, gradients included, equals that of G repeated forwards; see tests/models.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import scaled_dot_product_attention

from videothinker.models.base import Group
from videothinker.models.loaded import PrefixPolicy
from videothinker.models.positions import continued


@dataclass(frozen=True)
class SharedPrefix:
    """The attention plan: `prefix` shared tokens, then `groups` segments of `segment` tokens."""

    prefix: int
    groups: int
    segment: int
    device: torch.device
    remake: bool = False
    """Make the prefix's copies again in the backward instead of keeping one a segment; pointless
    where gradient checkpointing keeps nothing of a layer."""

    @property
    def sees(self) -> Tensor:
        """Bool `[segment, prefix + segment]`: the whole prefix, and causally its own segment."""
        size = (self.segment, self.prefix + self.segment)
        return torch.ones(size, dtype=torch.bool, device=self.device).tril(self.prefix)

    @cached_property
    def hides(self) -> dict[tuple[int, torch.dtype], Tensor]:
        """What `hidden` made, for all layers."""
        return {}

    def hidden(self, repeats: int, dtype: torch.dtype) -> Tensor:
        """`sees` as a summand of scores, 0 or -inf, once for each head that shares its keys."""
        if (repeats, dtype) not in self.hides:
            sees = self.sees
            summand = torch.zeros(sees.shape, dtype=dtype, device=self.device)
            summand.masked_fill_(~sees, float("-inf"))
            self.hides[repeats, dtype] = summand.repeat(repeats, 1)
        return self.hides[repeats, dtype]

    def attend(
        self, layer: int, query_BHLd: Tensor, key_BKLd: Tensor, value_BKLd: Tensor, scaling: float
    ) -> Tensor:
        """Causal over the prefix; the segments as a batch over prefix and own segment.

        Query heads that share a key head stand side by side along the length, so that no key or
        value is copied for each of them: the graph keeps one copy a segment. The prefix is copied
        out, because the graph would keep the whole of what a slice is cut from.
        """
        del layer
        repeats = query_BHLd.shape[1] // key_BKLd.shape[1]
        # not by slices, whose gradients are tensors of the whole length, added up
        parts = [self._parts(states) for states in (query_BHLd, key_BKLd, value_BKLd)]
        query, key, value = (prefix.clone() for prefix, _ in parts)
        shared_BHpd = scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=True
        )
        keys, values = (self._after_prefix(*part) for part in parts[1:])
        sources = {keys.data_ptr(): key_BKLd.detach(), values.data_ptr(): value_BKLd.detach()}
        with self._remaking(sources):
            suffix_GKNd = scaled_dot_product_attention(
                self._segments(parts[0][1]).unflatten(1, (-1, repeats)).flatten(2, 3),
                keys,
                values,
                attn_mask=self.hidden(repeats, query_BHLd.dtype),
                scale=scaling,
            )
        suffix_GSKrd = suffix_GKNd.unflatten(2, (repeats, self.segment)).permute(0, 3, 1, 2, 4)
        suffix_1LHd = suffix_GSKrd.flatten(2, 3).flatten(0, 1)[None]
        return torch.cat([shared_BHpd.transpose(1, 2), suffix_1LHd], dim=1)

    def _parts(self, states_1HLd: Tensor) -> Sequence[Tensor]:
        """The prefix, and the segments one after the other."""
        return states_1HLd.split([self.prefix, self.groups * self.segment], dim=2)

    def _segments(self, suffix_1HNd: Tensor) -> Tensor:
        """The segments as a batch `[G, H, segment, d]`."""
        return suffix_1HNd.squeeze(0).unflatten(1, (self.groups, self.segment)).transpose(0, 1)

    def _remaking(self, sources: dict[int, Tensor]) -> AbstractContextManager[object]:
        """Inside, the graph keeps a source where it would keep what `_after_prefix` made of it."""
        if not self.remake:
            return nullcontext()

        def pack(saved: Tensor) -> tuple[Tensor, bool]:
            source = sources.get(saved.data_ptr())
            return (saved, False) if source is None else (source, True)

        def unpack(kept: tuple[Tensor, bool]) -> Tensor:
            states, made = kept
            return self._after_prefix(*self._parts(states)) if made else states

        return saved_tensors_hooks(pack, unpack)

    def _after_prefix(self, prefix_1Kpd: Tensor, suffix_1KNd: Tensor) -> Tensor:
        """What each segment sees: `[G, K, prefix + segment, d]`."""
        prefix_GKpd = prefix_1Kpd.expand(self.groups, -1, -1, -1)
        return torch.cat([prefix_GKpd, self._segments(suffix_1KNd)], dim=2)


def group_hidden(policy: PrefixPolicy, group: Group) -> Tensor:
    """Last hidden states `[G, C, D]`; the one at (g, j) predicts completion token (g, j).

    Differentiable in every weight, the vision tower's included.
    """
    groups, length = group.completion_ids_GC.shape
    prefix = group.prompt.prompt_tokens - 1
    last_G1 = group.prompt.input_ids_P[-1].expand(groups, 1)
    segments_GS = torch.cat([last_G1, group.completion_ids_GC[:, :-1]], dim=1)

    places_XN = continued(policy.positions(group.prompt), length - 1)
    segment_XS = places_XN[:, prefix:].repeat(1, groups)
    places_XL = torch.cat([places_XN[:, :prefix], segment_XS], dim=1)

    hidden_1LD = policy.hidden_states(
        segments_GS.flatten()[None].to(policy.device),
        places_XL[:, None].to(policy.device),
        SharedPrefix(
            prefix=prefix,
            groups=groups,
            segment=length,
            device=policy.device,
            remake=not policy.recomputes,
        ),
        prompts=[group.prompt.beginning(prefix)],
    )
    return hidden_1LD[0, prefix:].unflatten(0, (groups, length))
