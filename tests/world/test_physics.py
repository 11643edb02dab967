"""Slides and collisions against closed forms; removal against bit-identity."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pymunk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videothinker.clevrer import annotations
from videothinker.clevrer import scenes as clevrer_scenes
from videothinker.world import physics
from videothinker.world.objects import FRICTION, SHOWN_FRAMES, SceneObject, SceneSetup
from videothinker.world.physics import (
    AFTER_FRAMES,
    FPS,
    STEPS_PER_FRAME,
    simulate,
)
from videothinker.world.worlds import labels, removed

FRAMES = SHOWN_FRAMES + AFTER_FRAMES
SHAPES = ("sphere", "cylinder", "cube")


def thing(shape="sphere", at=(0.0, 0.0), velocity=(0.0, 0.0), **rest):
    return SceneObject("red", "rubber", shape, at, velocity, **rest)


@st.composite
def tables(draw):
    """Objects on a grid, so that none overlap, most of them moving, some sent in late."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    cells = rng.permutation([(x, y) for x in (-1.4, -0.5, 0.4, 1.3) for y in (-1.0, 0.2, 1.4)])
    objects = [
        thing(
            SHAPES[rng.integers(3)],
            (float(x), float(y)),
            tuple(rng.normal(0, 0.9, 2).tolist()) if rng.random() < 0.7 else (0.0, 0.0),
            angle=float(rng.uniform(0, 1.5)),
            launch_frame=int(rng.integers(0, 90)) if rng.random() < 0.2 else 0,
        )
        for x, y in cells[: draw(st.integers(3, 7))]
    ]
    return SceneSetup(tuple(objects))


def assert_same_bits(first, second, but):
    keep = [k for k in range(first.angles_TN.shape[1]) if k != but]
    for name in ("positions_TN2", "angles_TN", "velocities_TN2", "angular_velocities_TN"):
        a, b = getattr(first, name)[:, keep], getattr(second, name)[:, keep]
        assert a.tobytes() == b.tobytes(), name
    assert (first.inside_TN[:, keep] == second.inside_TN[:, keep]).all()


@given(tables())
@settings(max_examples=25, deadline=None)
def test_removing_what_touches_nothing_changes_no_bit(scene):
    factual = simulate(scene)
    touched = {k for hit in factual.collisions for k in hit.pair}
    for k in set(range(len(scene.objects))) - touched:
        without = simulate(scene, without=k)
        assert_same_bits(without, factual, k)
        assert without.collisions == factual.collisions
        copied = removed(scene, factual, k)
        assert_same_bits(copied, without, None)
        assert labels(copied) == labels(without)
        assert np.isnan(without.positions_TN2[:, k]).all()
        assert not without.on_table_TN[:, k].any()


@given(tables())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_a_ghost_is_as_good_as_an_object_that_was_never_there(scene):
    """To the first contact exactly; after it, the engine may solve a contact in another order."""
    discs = SceneSetup(tuple(replace(o, shape="cylinder") for o in scene.objects))
    for table, k in itertools.product((scene, discs), range(len(scene.objects))):
        keep = [i for i in range(len(scene.objects)) if i != k]
        never = simulate(SceneSetup(tuple(table.objects[i] for i in keep)))
        ghost = simulate(table, without=k)
        first = min((hit.frame for hit in never.collisions), default=FRAMES)
        end = FRAMES if table is discs else first
        np.testing.assert_allclose(
            ghost.positions_TN2[:end, keep], never.positions_TN2[:end], atol=1e-9
        )
        if table is discs:
            assert [(keep[hit.i], keep[hit.j]) for hit in never.collisions] == [
                hit.pair for hit in ghost.collisions
            ]


@given(tables())
@settings(max_examples=25, deadline=None)
def test_before_its_first_contact_a_removed_object_changes_no_bit(scene):
    factual = simulate(scene)
    for k in {k for hit in factual.collisions for k in hit.pair}:
        first = min(hit.frame for hit in factual.collisions if k in hit.pair)
        without = simulate(scene, without=k)
        keep = [i for i in range(len(scene.objects)) if i != k]
        assert (
            without.positions_TN2[:first, keep].tobytes()
            == factual.positions_TN2[:first, keep].tobytes()
        )


def test_a_free_object_slides_as_the_friction_law_says():
    run = simulate(SceneSetup((thing(at=(-1.0, 0.5), velocity=(0.4, 0.1)),)))
    seconds_T = np.arange(FRAMES) / FPS
    speed_T = np.exp(-FRICTION * seconds_T)
    np.testing.assert_allclose(run.velocities_TN2[:, 0], np.outer(speed_T, (0.4, 0.1)), rtol=1e-9)
    way_T = (1 - speed_T) / FRICTION
    expected_T2 = np.array([-1.0, 0.5]) + np.outer(way_T, (0.4, 0.1))
    step = 1 / FPS / STEPS_PER_FRAME
    np.testing.assert_allclose(run.positions_TN2[:, 0], expected_T2, atol=0.4 * step)


def test_without_friction_a_free_object_keeps_its_speed():
    run = simulate(SceneSetup((thing(at=(-1.0, 0.5), velocity=(0.4, 0.1)),), friction=0.0))
    seconds_T = np.arange(FRAMES) / FPS
    expected_T2 = np.array([-1.0, 0.5]) + np.outer(seconds_T, (0.4, 0.1))
    np.testing.assert_allclose(run.positions_TN2[:, 0], expected_T2, atol=1e-9)


@pytest.mark.parametrize("shape", ["sphere", "cylinder"])
def test_head_on_two_equal_discs_share_speed_by_the_law_of_restitution(shape):
    run = simulate(SceneSetup((thing(shape, (-1.0, 0.0), (1.0, 0.0)), thing(shape, (0.2, 0.0)))))
    (hit,) = run.collisions
    reach = 1.2 - 0.4  # way to the contact: x = (1 - exp(-kt)) / k
    when = -math.log1p(-FRICTION * reach) / FRICTION
    assert abs(hit.time - when) <= 1.5 / FPS / STEPS_PER_FRAME
    assert hit.frame == math.ceil(hit.time * FPS - 1e-9)
    assert (hit.i, hit.j) == (0, 1)
    assert abs(hit.x) < 0.02
    assert abs(hit.y) < 1e-9
    assert hit.speed == pytest.approx(math.exp(-FRICTION * when), rel=0.01)
    later = FRAMES // 2
    total = math.exp(-FRICTION * later / FPS)
    expected = [(1 - physics.ELASTICITY) / 2 * total, (1 + physics.ELASTICITY) / 2 * total]
    np.testing.assert_allclose(run.velocities_TN2[later, :, 0], expected, atol=1e-3)


@given(tables())
@settings(max_examples=15, deadline=None)
def test_momentum_only_falls_by_friction_and_energy_never_grows(scene):
    scene = SceneSetup(tuple(replace(o, launch_frame=0) for o in scene.objects))
    run = simulate(scene)
    momentum_T2 = run.velocities_TN2.sum(axis=1)
    fall_T = np.exp(-FRICTION * np.arange(FRAMES) / FPS)
    np.testing.assert_allclose(momentum_T2, np.outer(fall_T, momentum_T2[0]), atol=1e-9)
    inertia_N = np.array([physics._moment(o) for o in scene.objects])
    energy_T = (run.velocities_TN2**2).sum(axis=(1, 2))
    energy_T += (run.angular_velocities_TN**2 * inertia_N).sum(axis=1)
    assert (np.diff(energy_T) <= 1e-9).all()


def test_the_states_are_those_the_engine_reports_one_body_at_a_time():
    scene = SceneSetup(
        (thing("cube", (-1.0, 0.0), (1.0, 0.1), angle=0.3), thing("cube", (0.0, 0.0)))
    )
    run = simulate(scene, frames=80)
    space = pymunk.Space()
    space.damping = math.exp(-FRICTION)
    space.collision_slop = 1e-3
    for item in scene.objects:
        body = pymunk.Body(1.0, (2 * item.radius) ** 2 / 6)
        body.position, body.angle, body.velocity = item.position, item.angle, item.velocity
        side = 1.8 * item.radius
        box = pymunk.Poly.create_box(body, (side, side), 0.1 * item.radius)
        box.elasticity, box.friction = physics.ELASTICITY**0.5, physics.CONTACT_FRICTION**0.5
        space.add(body, box)
    for frame in range(80):
        for k, body in enumerate(space.bodies):
            np.testing.assert_allclose(run.positions_TN2[frame, k], body.position, atol=1e-9)
            np.testing.assert_allclose(run.angles_TN[frame, k], body.angle, atol=1e-9)
        for _ in range(STEPS_PER_FRAME):
            space.step(1 / FPS / STEPS_PER_FRAME)
    assert len(run.collisions) == 1


def test_what_waits_is_untouchable_until_launched():
    waiting = thing(at=(0.0, 0.0), velocity=(0.0, 0.3), launch_frame=60)
    run = simulate(SceneSetup((thing(at=(-0.8, 0.0), velocity=(1.2, 0.0)), waiting)))
    assert not run.collisions  # the first passes where the second will be
    assert not run.on_table_TN[:60, 1].any()
    assert run.on_table_TN[60:, 1].all()
    assert (run.positions_TN2[:61, 1] == 0.0).all()
    assert run.positions_TN2[61, 1, 1] > 0.0


def test_what_leaves_the_view_is_gone_and_hits_nothing():
    leaving = thing(at=(1.0, 0.0), velocity=(2.5, 0.0))
    run = simulate(SceneSetup((leaving, thing(at=(4.5, 0.0)))))
    assert not run.collisions
    ((kind, frame, who),) = clevrer_scenes.crossings(run.inside_TN)
    assert (kind, who) == ("out", (0,))
    assert run.inside_TN[frame - 1, 0]
    assert not run.inside_TN[frame:, 0].any()
    assert not run.on_table_TN[-1, 0]
    assert not run.inside_TN[:, 1].any()


def test_an_object_sent_in_enters_once():
    run = simulate(SceneSetup((thing(at=(-3.5, 0.0), velocity=(1.2, 0.0), launch_frame=10),)))
    ((kind, frame, who),) = clevrer_scenes.crossings(run.inside_TN)
    assert (kind, who) == ("in", (0,))
    assert frame > 10
    assert run.moving_TN[frame, 0]
    assert not run.moving_TN[frame - 1, 0]


def test_moving_means_the_same_here_and_in_the_program_executor():
    assert clevrer_scenes.MOVING_SPEED == physics.MOVING_SPEED
    assert annotations.FRAMES == SHOWN_FRAMES
