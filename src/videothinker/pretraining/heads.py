"""Training-time scaffolding of the video tier: what each video token is asked besides words.

A token covers one cell of the image during two frames. The tower's token says which colors have
their centre there and where in the cell; the language model's state at the token says which pairs
of colors touch there. The heads are thrown away: the saved model has only frames in and words out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from videothinker.clevrer.programs import COLORS
from videothinker.pretraining.pool import Facts
from videothinker.world import camera

SLOT = 2
"""Frames a video token covers (the temporal patch size)."""
TOUCH_WEIGHT = 8.0
"""Contacts are rare: a missed one weighs this much more than a false one."""


@dataclass(frozen=True)
class Labels:
    """Truth at the video tokens of one scene. S slots, M cells a slot, C colors."""

    cells_FN: np.ndarray
    """The image cell of each object's centre at each frame; -1 out of view."""
    offsets_FN2: np.ndarray
    """Where in the cell, 0 to 1, column and row."""
    colors_N: np.ndarray
    touches: tuple[tuple[int, int, int], ...]
    """(slot, i, j)"""


def labels_of(facts: Facts, columns: int, rows: int, radius: float) -> Labels:
    """Project the centres into a grid of `columns` x `rows` cells."""
    places = np.array(facts.positions)
    heights = np.full((*places.shape[:2], 1), radius)
    seen = camera.project(np.concatenate([places, heights], axis=-1), columns, rows)
    across, down = seen.columns, seen.rows
    inside = (across >= 0) & (across < columns) & (down >= 0) & (down < rows)
    inside &= np.array(facts.inside)
    cells = np.where(inside, np.floor(down) * columns + np.floor(across), -1).astype(np.int64)
    offsets = np.stack([across - np.floor(across), down - np.floor(down)], axis=-1)
    slots = np.array(facts.frames).reshape(-1, SLOT).mean(axis=1)
    touches = tuple(
        (int(np.abs(slots - event.frame).argmin()), event.objects[0], event.objects[1])
        for event in facts.events
        if event.type == "collision"
    )
    colors = np.array([COLORS.index(color) for color, _, _ in facts.looks])
    return Labels(cells, offsets.astype(np.float32), colors, touches)


def mirrored(labels: Labels, columns: int) -> Labels:
    """The labels of the same video, left and right exchanged."""
    row, column = np.divmod(labels.cells_FN, columns)
    cells = np.where(labels.cells_FN >= 0, row * columns + columns - 1 - column, -1)
    offsets = labels.offsets_FN2 * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    return Labels(cells, offsets, labels.colors_N, labels.touches)


@dataclass(frozen=True)
class Truth:
    """The labels of a batch, dense. B scenes, S slots, M cells."""

    present_BSMFC: Tensor
    offsets_BSMFC2: Tensor
    touch_BSMCC: Tensor


def dense_truth(labels: list[Labels], slots: int, cells: int) -> Truth:
    """Scatter the labels over the video tokens."""
    batch, colors = len(labels), len(COLORS)
    present = np.zeros((batch, slots, cells, SLOT, colors), np.float32)
    offsets = np.zeros((batch, slots, cells, SLOT, colors, 2), np.float32)
    touch = np.zeros((batch, slots, cells, colors, colors), np.float32)
    for b, one in enumerate(labels):
        frames, things = np.nonzero(one.cells_FN >= 0)
        where = (
            b,
            frames // SLOT,
            one.cells_FN[frames, things],
            frames % SLOT,
            one.colors_N[things],
        )
        present[where] = 1
        offsets[where] = one.offsets_FN2[frames, things]
        for slot, i, j in one.touches:
            for here, there in ((i, j), (j, i)):
                at = one.cells_FN[slot * SLOT : slot * SLOT + SLOT, here]
                touch[b, slot, at[at >= 0], one.colors_N[here], one.colors_N[there]] = 1
    return Truth(torch.from_numpy(present), torch.from_numpy(offsets), torch.from_numpy(touch))


class Heads(nn.Module):
    """Two linear maps from video tokens to their labels."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        colors = len(COLORS)
        self.look = nn.Linear(hidden, SLOT * colors * 3)
        self.touch = nn.Linear(hidden, colors * colors)

    def losses(self, seen_BMD: Tensor, state_BMD: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
        """Of looks (presence and place) and of contacts, each a mean over tokens in nats."""
        shape = truth.present_BSMFC.shape
        said = self.look(seen_BMD).float().view(*shape, 3)
        there = F.binary_cross_entropy_with_logits(said[..., 0], truth.present_BSMFC)
        error = (said[..., 1:] - truth.offsets_BSMFC2).square().sum(-1) * truth.present_BSMFC
        place = error.sum() / truth.present_BSMFC.sum().clamp(min=1)
        touch = F.binary_cross_entropy_with_logits(
            self.touch(state_BMD).float().view_as(truth.touch_BSMCC),
            truth.touch_BSMCC,
            pos_weight=torch.tensor(TOUCH_WEIGHT),
        )
        return 10 * there + place, 20 * touch
