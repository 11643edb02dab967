"""Other colors for a simulated scene, in frames and words."""

import numpy as np

from tests.lab.pretraining.toy_pretraining import POOL
from videothinker.clevrer.programs import COLORS
from videothinker.lab.pretraining.grounding import grounding
from videothinker.lab.pretraining.light_maps import light_maps, paint, recolored
from videothinker.lab.pretraining.pool import frames_of, half_color


def test_painted_light_maps_are_the_rendered_frames(pretraining_scenes, rng):
    """Also in other colors, which were never rendered when the maps were made."""
    lights = np.stack([light_maps(one, POOL) for one in pretraining_scenes])
    scenes = [recolored(one, rng.permutation(8)) for one in pretraining_scenes]
    assert [a.looks for a in scenes] != [a.looks for a in pretraining_scenes]
    painted = paint(lights, [[color for color, _, _ in one.looks] for one in scenes]).numpy()
    for one, frames in zip(scenes, painted, strict=True):
        rendered = half_color(frames_of(one, POOL)).astype(np.float32)
        assert np.abs(frames - rendered).mean() < 0.5
        assert np.abs(frames - rendered).max() < 16


def test_new_colors_are_exchanged_in_words_too(pretraining_scenes):
    one = pretraining_scenes[0]
    turned = recolored(one, np.roll(np.arange(8), 1))
    back = recolored(turned, np.roll(np.arange(8), -1))
    assert back == one
    for old, new in zip(one.descriptive, turned.descriptive, strict=True):
        before = [COLORS.index(w) for w in _words(old.question) if w in COLORS]
        after = [COLORS.index(w) for w in _words(new.question) if w in COLORS]
        assert after == [(place - 1) % 8 for place in before]
        about = [grounding(s, q.program, q.answer) for s, q in ((one, old), (turned, new))]
        assert (about[0] is None) == (about[1] is None)
        if old.answer in COLORS:
            assert new.answer == COLORS[COLORS.index(old.answer) - 1]


def _words(text):
    return text.replace("?", "").replace(",", "").split()
