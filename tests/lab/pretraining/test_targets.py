"""What is taught, against the scene it is taught about."""

import numpy as np
import pytest

from tests.lab.pretraining.toy_pretraining import POOL
from videothinker import answers
from videothinker.clevrer.compact import cell, render_compact, short_names
from videothinker.clevrer.programs import COLORS
from videothinker.lab.pretraining.pool import frames_of, half_color
from videothinker.lab.pretraining.probe_heads import mirrored, probe_targets, token_labels
from videothinker.lab.pretraining.questions import (
    answer_from,
    premise_removed,
    what_if,
    which_collide,
)
from videothinker.lab.pretraining.targets import COLUMNS, corrupted, image_cells, respond, tracking
from videothinker.lab.pretraining.thinking import pairs_in_words
from videothinker.world.shading import RGB


def questions(scenes, rng, inferential):
    found = [(one, what_if(one, rng, inferential)) for one in scenes for _ in range(4)]
    return [(one, asked) for one, asked in found if asked is not None]


@pytest.mark.parametrize("inferential", [0.0, 1.0])
def test_simulating_is_right_and_describing_only_where_the_video_tells(
    pretraining_scenes, rng, inferential
):
    asked = questions(pretraining_scenes, rng, inferential)
    assert len(asked) > 10
    for one, question in asked:
        sim = answers.parse(
            respond(one, question, "sim", rng, 0.0, timed=False), question.choices, truncated=False
        )
        obs = answers.parse(
            respond(one, question, "obs", rng, 0.0, timed=False), question.choices, truncated=False
        )
        assert sim.format
        assert obs.format
        assert sim.answer == question.gold
        seen = {frozenset(pair) for pair in one.collisions()}
        if any((frozenset(pair) in seen) != question.negated for pair in question.pairs):
            assert (obs.answer == question.gold) == (inferential == 0.0)
        assert sim.thinking.startswith("Without")
        assert obs.thinking.startswith("Seen:")


def test_a_struck_question_is_answered_from_the_video(pretraining_scenes, rng):
    for one, question in questions(pretraining_scenes, rng, 1.0):
        bare = premise_removed(question, one)
        assert "without" not in bare.question.lower()
        assert "removed" not in bare.question
        assert bare.gold == answer_from(question, one.collisions())


def test_corruption_changes_one_event(pretraining_scenes, rng):
    for one, question in questions(pretraining_scenes, rng, 1.0):
        pairs = one.collisions(without=question.removed)
        wrong = corrupted(pairs, question.removed, len(one.looks), rng)
        real, said = {frozenset(p) for p in pairs}, {frozenset(p) for p in wrong}
        assert len(real ^ said) == 1
        assert all(question.removed not in pair for pair in said)


def test_collision_questions_have_their_answer(pretraining_scenes, rng):
    for one in pretraining_scenes:
        asked = which_collide(one, rng)
        happen = {frozenset(pair) for pair in one.collisions()}
        right = [frozenset(pair) in happen for pair in asked.pairs]
        assert asked.gold == tuple("ABCD"[i] for i, flag in enumerate(right) if flag)


def test_cells_lie_where_the_color_is_seen(pretraining_scenes):
    """The frames say where an object is; the labels must agree, also in a mirror."""
    side, checked = 16, 0
    columns, rows = POOL.width // side, POOL.height // side
    for one in pretraining_scenes:
        frames = half_color(frames_of(one, POOL)).astype(int)
        labels = token_labels(one, columns, rows, POOL.radius)
        turned = mirrored(labels, columns)
        for f, n in zip(*np.nonzero(labels.cells_FN >= 0), strict=True):
            for seen, truth in ((frames[f], labels), (frames[f][:, ::-1], turned)):
                row, column = divmod(int(truth.cells_FN[f, n]), columns)
                x, y = (np.array([column, row]) + truth.offsets_FN2[f, n]) * side
                pixel = seen[min(int(y), POOL.height - 1), min(int(x), POOL.width - 1)]
                wanted = np.array(RGB[one.looks[n][0]])
                nearest = min(RGB, key=lambda c: np.abs(pixel - np.array(RGB[c])).sum())
                checked += 1
                agree = nearest == one.looks[n][0] or np.abs(pixel - wanted).max() < 60
                labels_wrong = 0 if agree else 1
                assert labels_wrong == 0 or _hidden(labels, f, n, side)
    assert checked > 50


def _hidden(labels, f, n, side):
    """Another object's centre is so near that it may cover this one."""
    at = labels.cells_FN[f]
    here = labels.offsets_FN2[f, n]
    others = [k for k in range(len(at)) if k != n]
    return any(at[k] >= 0 for k in others) or bool(here.min() < 0.1)


def test_mirroring_twice_changes_nothing(pretraining_scenes):
    labels = token_labels(pretraining_scenes[0], 2, 2, POOL.radius)
    back = mirrored(mirrored(labels, 2), 2)
    assert np.array_equal(back.cells_FN, labels.cells_FN)
    np.testing.assert_allclose(back.offsets_FN2, labels.offsets_FN2, atol=1e-6)


def test_touches_are_marked_for_both_colors(pretraining_scenes):
    one = pretraining_scenes[0]
    labels = token_labels(one, 2, 2, POOL.radius)
    truth = probe_targets([labels], POOL.frames // 2, 4)
    seen = {
        tuple(sorted((int(a), int(b))))
        for _, _, _, a, b in truth.touch_BSMCC2[..., 0].nonzero().tolist()
    }
    real = {
        tuple(sorted((COLORS.index(one.looks[i][0]), COLORS.index(one.looks[j][0]))))
        for i, j in one.collisions()
    }
    assert seen <= real
    assert seen


def test_tracking_names_every_object_in_the_order_of_names(pretraining_scenes, rng):
    one = pretraining_scenes[0]
    asked, completion = tracking(one, rng, POOL.radius, 2)
    parsed = answers.parse(completion, asked.choices, truncated=False)
    assert parsed.answer == asked.gold
    names = short_names(one.objects)
    places = [parsed.thinking.index(f"{name} ") for name in sorted(names)]
    assert places == sorted(places)
    straight, turned = (image_cells(one, POOL.radius, flipped=flag) for flag in (False, True))
    for a, b in zip(np.ravel(straight), np.ravel(turned), strict=True):
        assert (a == "gone") == (b == "gone")
        assert a == "gone" or ord(a[0]) + ord(b[0]) == ord(COLUMNS[0]) + ord(COLUMNS[-1])


def test_the_transcript_tells_the_events_and_says_what_may_be_missing(pretraining_scenes):
    one = pretraining_scenes[0]
    whole = render_compact(one.motion())
    names = short_names(one.objects)
    assert all(part in whole for part in pairs_in_words(one.collisions(), names).split(", "))
    assert "(0% missing)" in whole
    none = render_compact(one.motion(), miss_rate=1.0)
    assert none.endswith("Events (100% missing): none.")
    assert cell(-4.0, -2.4) == "aa"
    assert cell(-3.59, -1.99) == "bb"
    assert cell(99, 99) == "tt"
