"""Where tokens stand on the rotary axes: what families have in common.

Defined here and not taken from transformers, whose releases differ: up to 5.2 the text after a
Qwen2.5-VL video began after all its positions, in 5.23 it begins inside the video's range of time.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def continued(places_3P: Tensor, count: int) -> Tensor:
    """A prompt's positions and those of `count` text tokens after it: `[3, P + count]`."""
    return torch.cat([places_3P, places_3P[:, -1:] + torch.arange(1, count + 1)], dim=1)


def lay_out(video_P: Tensor, grids: Sequence[Tensor]) -> Tensor:
    """Runs of text and of video one after the other: `[3, P]`.

    Each begins, on all three axes, one beyond the largest position of any axis before it; within a
    run of video the tokens have the next grid's positions `[3, N]`, within text they count up.
    """
    kinds, counts = torch.unique_consecutive(video_P, return_counts=True)
    waiting = iter(grids)
    parts, start = [], 0
    for video, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        part = next(waiting) if video else torch.arange(count).expand(3, -1)
        if part.shape[1] != count:
            raise ValueError(f"{count} video tokens came for a grid of {part.shape[1]}")
        parts.append(part + start)
        start = int(parts[-1].max()) + 1
    return torch.cat(parts, dim=1)
