"""What the probe heads are asked and tell."""

import numpy as np
import pytest
import torch

from tests.lab.pretraining.toy_pretraining import POOL
from videothinker.clevrer.programs import COLORS
from videothinker.lab.pretraining.pool import SLOT
from videothinker.lab.pretraining.probe_heads import (
    ProbeHeads,
    probe_metrics,
    probe_targets,
    token_labels,
)
from videothinker.world.physics import MOVING_SPEED


def test_a_contact_is_asked_about_again_in_the_next_slot(pretraining_scenes):
    labels = [token_labels(one, 2, 2, POOL.radius) for one in pretraining_scenes]
    truth = probe_targets(labels, POOL.frames // SLOT, 4)
    checked = 0
    for scene, one in enumerate(labels):
        for slot, i, j in one.touches:
            pair = int(one.colors_N[i]), int(one.colors_N[j])
            now = truth.touch_BSMCC2[scene, slot, :, *pair, 0]
            assert now.any() == (one.cells_FN[slot * SLOT : (slot + 1) * SLOT, i] >= 0).any()
            if slot == 0:
                after = truth.touch_BSMCC2[scene, 1, :, *pair, 1]
                assert after.any() == (one.cells_FN[SLOT:, i] >= 0).any()
                checked += 1
        assert not truth.touch_BSMCC2[scene, 0, ..., 1].any()
    assert checked


def test_nearness_is_that_of_the_gap(pretraining_scenes):
    one = pretraining_scenes[0]
    labels = token_labels(one, 2, 2, POOL.radius)
    truth = probe_targets([labels], POOL.frames // SLOT, 4)
    frame, thing = next(zip(*np.nonzero(labels.cells_FN >= 0), strict=True))
    other = (thing + 1) % len(one.looks)
    gap = np.linalg.norm(np.subtract(*np.array(one.positions)[frame, [thing, other]]))
    said = truth.near_BSMFCC[0, frame // SLOT, labels.cells_FN[frame, thing], frame % SLOT]
    near = float(said[labels.colors_N[thing], labels.colors_N[other]])
    assert near == pytest.approx(np.exp(-max(0.0, gap - 2 * POOL.radius) / 0.4), abs=1e-5)


def test_motion_is_that_of_what_is_there(pretraining_scenes):
    """Nothing is learned about colors that are not in a cell."""
    one = pretraining_scenes[0]
    labels = token_labels(one, 2, 2, POOL.radius)
    truth = probe_targets([labels], POOL.frames // SLOT, 4)
    speeds_FN = np.linalg.norm(np.array(one.velocities), axis=-1)
    for frame, thing in zip(*np.nonzero(labels.cells_FN >= 0), strict=True):
        said = truth.moves_BSMFC[0, frame // SLOT, labels.cells_FN[frame, thing], frame % SLOT]
        assert bool(said[labels.colors_N[thing]]) == (speeds_FN[frame, thing] > MOVING_SPEED)
    held = truth.present_BSMFC
    assert float((truth.moves_BSMFC * (1 - held)).sum()) == 0
    heads = ProbeHeads(4)
    heads.moves.weight.data.zero_()
    tokens = torch.zeros(1, held.shape[1] * held.shape[2], 4)
    loss = heads.losses(tokens, tokens, truth)["moves"]
    heads.moves.bias.data += 9 * (1 - held.amax(dim=(0, 1, 2)).flatten())
    assert heads.losses(tokens, tokens, truth)["moves"] == loss


def test_heads_that_know_everything_score_everything(pretraining_scenes):
    """And heads that say the opposite score nothing."""
    colors = torch.full((len(pretraining_scenes), 8), -1.0)
    pairs = torch.full((len(pretraining_scenes), 8, 8), -1.0)
    for row, one in enumerate(pretraining_scenes):
        there = [COLORS.index(color) for color, _, _ in one.looks]
        colors[row, there] = 1.0
        for i, j in one.collisions():
            pairs[row, there[i], there[j]] = pairs[row, there[j], there[i]] = 1.0
    best = probe_metrics(colors, pairs, pretraining_scenes)
    assert best["color_sets_exact"] == 1.0
    assert best["contact_auc"] == 1.0
    assert best["contact_break_even"] == 1.0
    worst = probe_metrics(-colors, -pairs, pretraining_scenes)
    assert worst["color_sets_exact"] == 0.0
    assert worst["contact_auc"] == 0.0
