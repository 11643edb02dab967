"""Encoded videos that stay valid: a frozen vision tower need see each video only once."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

KEPT = 32
"""Videos kept: at the 3B shape and 936 tokens each, 245 MB in float32."""


@dataclass(eq=False)
class FrozenVideos:
    """The last videos a frozen tower encoded, by digest; emptied when a weight has changed."""

    tower: Any
    entries: OrderedDict[str, Tensor] = field(default_factory=OrderedDict)
    stamp: tuple[int, ...] = ()

    def get(
        self, videos: Mapping[str, Any], encode: Callable[[list[Any]], Sequence[Tensor]]
    ) -> dict[str, Tensor]:
        """Each video's embeddings `[N, D]`, by digest: those not kept are encoded together, and
        all where the tower trains.
        """
        if not is_frozen(self.tower):
            return dict(zip(videos, encode(list(videos.values())), strict=True))
        stamp = _stamp(self.tower)
        if stamp != self.stamp:
            self.entries.clear()
            self.stamp = stamp
        new = {digest: video for digest, video in videos.items() if digest not in self.entries}
        if new:
            with torch.no_grad():
                seen = encode(list(new.values()))
            # of several each is a part of one tensor, which it would keep
            own = seen if len(new) == 1 else [one.clone() for one in seen]
            self.entries.update(zip(new, own, strict=True))
        for digest in videos:
            self.entries.move_to_end(digest)
        found = {digest: self.entries[digest] for digest in videos}
        while len(self.entries) > KEPT:
            self.entries.popitem(last=False)
        return found


def is_frozen(tower: Any) -> bool:
    """Does no weight of the tower take a gradient?"""
    return not any(weight.requires_grad for weight in tower.parameters())


def same_frozen_tower(one: Any, other: Any) -> bool:
    """Are both towers frozen, and equal bit by bit?"""
    if not (is_frozen(one) and is_frozen(other)):
        return False
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def _stamp(tower: Any) -> tuple[int, ...]:
    """Changes with every write to a weight: torch counts them."""
    return tuple(number for w in tower.parameters() for number in (w.data_ptr(), w._version))  # noqa: SLF001
