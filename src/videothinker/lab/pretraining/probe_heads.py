"""Training-time scaffolding of the video tier: what each video token is asked besides words.

A token covers one cell of the image during two frames. The tower's token says which colors have
their centre there and where in the cell. The language model's state at the token says, for each
color there, whether it moves, how near every other color is and whether the two touch now or did so
in the slot before: a contact shows in how the two move on, which the state at its own slot cannot
know yet. It is read below the model's last layers, so that words can look up what it knows. The
heads are thrown away: the saved model has only frames in and words out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from videothinker.clevrer.programs import COLORS
from videothinker.clevrer.scenes import moving
from videothinker.lab.pretraining.pool import SLOT, SceneFacts
from videothinker.world import camera

TOUCH_WEIGHT = 8.0
"""Contacts are rare: a missed one weighs this much more than a false one."""
MOVES_WEIGHT = 0.2
"""Against nearness; at 1 looks and contacts were learned more slowly (docs/LOG.md)."""
NEAR = 0.4
"""Gap, in table units, at which nearness has faded from 1 to 1/e."""


@dataclass(frozen=True)
class TokenLabels:
    """What is true at the video tokens of one scene. S slots, M cells a slot, C colors."""

    cells_FN: np.ndarray
    """The image cell of each object's centre at each frame; -1 out of view."""
    offsets_FN2: np.ndarray
    """Where in the cell, 0 to 1, column and row."""
    colors_N: np.ndarray
    touches: tuple[tuple[int, int, int], ...]
    """(slot, i, j)"""
    near_FNN: np.ndarray
    """exp(-gap / NEAR) of each pair at each frame."""
    moves_FN: np.ndarray
    """Is it faster than `MOVING_SPEED`?"""


def token_labels(facts: SceneFacts, columns: int, rows: int, radius: float) -> TokenLabels:
    """Project the centres into a grid of `columns` x `rows` cells."""
    places = np.array(facts.positions)
    heights = np.full((*places.shape[:2], 1), radius)
    seen = camera.project(np.concatenate([places, heights], axis=-1), columns, rows)
    across, down = seen.columns, seen.rows
    inside = (across >= 0) & (across < columns) & (down >= 0) & (down < rows)
    inside &= np.array(facts.inside)
    cells = np.where(inside, np.floor(down) * columns + np.floor(across), -1).astype(np.int64)
    offsets = np.stack([across - np.floor(across), down - np.floor(down)], axis=-1)
    touches = tuple(
        (slot, i, j) for slot, pairs in enumerate(facts.collisions_by_slot()) for i, j in pairs
    )
    colors = np.array([COLORS.index(color) for color, _, _ in facts.looks])
    apart_FNN = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1) - 2 * radius
    near = np.exp(-np.maximum(apart_FNN, 0) / NEAR).astype(np.float32)
    moves = moving(np.array(facts.velocities))
    return TokenLabels(cells, offsets.astype(np.float32), colors, touches, near, moves)


def mirrored(labels: TokenLabels, columns: int) -> TokenLabels:
    """The labels of the same video, left and right exchanged."""
    row, column = np.divmod(labels.cells_FN, columns)
    cells = np.where(labels.cells_FN >= 0, row * columns + columns - 1 - column, -1)
    offsets = labels.offsets_FN2 * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    return replace(labels, cells_FN=cells, offsets_FN2=offsets)


@dataclass(frozen=True)
class ProbeTargets:
    """The labels of a batch, dense. B scenes, S slots, M cells, C colors."""

    present_BSMFC: Tensor
    offsets_BSMFC2: Tensor
    touch_BSMCC2: Tensor
    """Touching in this slot; in the one before."""
    near_BSMFCC: Tensor
    """Nearness of the second color to the first, where the first is; 0 elsewhere."""
    moves_BSMFC: Tensor
    """Whether the color moves, where it is; 0 elsewhere."""


def probe_targets(labels: list[TokenLabels], slots: int, cells: int) -> ProbeTargets:
    """Scatter the labels over the video tokens."""
    batch, colors = len(labels), len(COLORS)
    present = np.zeros((batch, slots, cells, SLOT, colors), np.float32)
    offsets = np.zeros((batch, slots, cells, SLOT, colors, 2), np.float32)
    touch = np.zeros((batch, slots, cells, colors, colors, 2), np.float32)
    near = np.zeros((batch, slots, cells, SLOT, colors, colors), np.float32)
    moves = np.zeros_like(present)
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
        moves[where] = one.moves_FN[frames, things]
        near[(*(part[:, None] if isinstance(part, np.ndarray) else part for part in where),
              one.colors_N)] = one.near_FNN[frames, things]  # fmt: skip
        for slot, i, j in one.touches:
            for here, there in ((i, j), (j, i)):
                for late in range(min(2, slots - slot)):
                    first = (slot + late) * SLOT
                    at = one.cells_FN[first : first + SLOT, here]
                    pair = (one.colors_N[here], one.colors_N[there])
                    touch[b, slot + late, at[at >= 0], *pair, late] = 1
    return ProbeTargets(*map(torch.from_numpy, (present, offsets, touch, near, moves)))


class ProbeHeads(nn.Module):
    """Four linear maps from video tokens to their labels."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        colors = len(COLORS)
        self.look = nn.Linear(hidden, SLOT * colors * 3)
        self.touch = nn.Linear(hidden, colors * colors * 2)
        self.near = nn.Linear(hidden, SLOT * colors * colors)
        self.moves = nn.Linear(hidden, SLOT * colors)

    def losses(self, seen_BMD: Tensor, state_BMD: Tensor, truth: ProbeTargets) -> dict[str, Tensor]:
        """Of looks (presence and place), contacts, nearness and motion."""
        shape = truth.present_BSMFC.shape
        said = self.look(seen_BMD).float().view(*shape, 3)
        there = F.binary_cross_entropy_with_logits(said[..., 0], truth.present_BSMFC)
        held = truth.present_BSMFC
        error = (said[..., 1:] - truth.offsets_BSMFC2).square().sum(-1) * held
        count = held.sum().clamp(min=1)
        place = error.sum() / count
        touch = F.binary_cross_entropy_with_logits(
            self.touch(state_BMD).float().view_as(truth.touch_BSMCC2),
            truth.touch_BSMCC2,
            pos_weight=torch.full((), TOUCH_WEIGHT, device=state_BMD.device),
        )
        near = self.near(state_BMD).float().view_as(truth.near_BSMFCC) - truth.near_BSMFCC
        gaps = (near.square().sum(-1) * held).sum() / count
        moves = F.binary_cross_entropy_with_logits(
            self.moves(state_BMD).float().view(shape), truth.moves_BSMFC, held, reduction="sum"
        )
        return {
            "look": 10 * there + 5 * place,
            "touch": 20 * touch,
            "near": gaps,
            "moves": MOVES_WEIGHT * moves / count,
        }

    @torch.no_grad()
    def pairs(self, state_BMD: Tensor) -> Tensor:
        """How sure the contact of each pair of colors is: the largest logit, `B C C`."""
        batch, tokens, _ = state_BMD.shape
        said = self.touch(state_BMD).float().view(batch, tokens, len(COLORS), len(COLORS), 2)
        best = said.amax(dim=(1, 4))
        return torch.maximum(best, best.transpose(1, 2))

    @torch.no_grad()
    def colors(self, seen_BMD: Tensor) -> Tensor:
        """How sure each color is to be in the video: the largest logit, `B C`."""
        batch, tokens, _ = seen_BMD.shape
        said = self.look(seen_BMD).float().view(batch, tokens, SLOT, len(COLORS), 3)
        return said[..., 0].amax(dim=(1, 2))


def probe_metrics(
    colors_BC: Tensor, pairs_BCC: Tensor, facts: Sequence[SceneFacts]
) -> dict[str, float]:
    """Sets of colors, and contacts of the pairs that are there, told by the heads alone.

    `contact_break_even` is precision = recall: as many pairs are named as collide.
    """
    sets, scores, real = [], [], []
    for said, pairs, one in zip(colors_BC, pairs_BCC, facts, strict=True):
        there = [COLORS.index(color) for color, _, _ in one.looks]
        sets.append(set((said > 0).nonzero().flatten().tolist()) == set(there))
        happen = {frozenset(pair) for pair in one.collisions()}
        for i in range(len(there)):
            for j in range(i):
                scores.append(float(pairs[there[i], there[j]]))
                real.append(frozenset((i, j)) in happen)
    truth, order = np.array(real), np.argsort(scores)
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    yes = int(truth.sum())
    above = ranks[truth].sum() - yes * (yes + 1) / 2
    return {
        "color_sets_exact": float(np.mean(sets)),
        "contact_auc": float(above / max(1, yes * (len(truth) - yes))),
        "contact_break_even": float(truth[order[len(order) - yes :]].mean()),
        "contact_base_rate": float(truth.mean()),
    }
