"""Sampling, rejection and determinism of whole worlds."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from videothinker.clevrer.programs import COLORS
from videothinker.errors import UserError
from videothinker.seeds import numpy_generator
from videothinker.world import camera
from videothinker.world.objects import SHOWN_FRAMES, SceneObject, SceneSetup
from videothinker.world.physics import AFTER_FRAMES, simulate
from videothinker.world.scenes import SceneConfig, fair, sample_world
from videothinker.world.worlds import labels, make_world, rejection

CONFIG = SceneConfig()


@pytest.fixture(scope="module")
def worlds():
    return [make_world(0, index, CONFIG) for index in range(60)]


def thing(at, velocity=(0.0, 0.0), shape="sphere", color="red"):
    return SceneObject(color, "rubber", shape, at, velocity)


def fresh_rng():
    return np.random.default_rng(0)


def reason(*objects, config=None):
    """Why this factual world is dropped."""
    config = config or SceneConfig(objects_min=2, collisions_min=0)
    scene = SceneSetup(objects)
    return rejection(scene, [simulate(scene)], config, fresh_rng())


def test_scenes_are_as_asked(worlds):
    for world in worlds:
        assert 4 <= len(world.scene.objects) <= 6
        assert len({item.looks for item in world.scene.objects}) == len(world.scene.objects)
        shown = [hit for hit in world.factual.collisions if hit.frame < SHOWN_FRAMES]
        assert 2 <= len(shown) <= 4
        assert world.factual.positions_TN2.shape == (178, len(world.scene.objects), 2)
        assert fair(world.factual, CONFIG)
        sampled_F = np.linspace(0, SHOWN_FRAMES - 1, 16).round().astype(int)
        assert world.factual.inside_TN[sampled_F].any(axis=0).all()


def test_every_collision_can_be_seen_in_the_frame(worlds):
    for world in worlds:
        for hit in world.factual.collisions:
            seen = camera.project(np.array([hit.x, hit.y, 0.2]), 480, 320)
            assert 0 < seen.columns < 480
            assert 0 < seen.rows < 320
            apart = np.diff(world.factual.positions_TN2[hit.frame, [hit.i, hit.j]], axis=0)
            assert np.linalg.norm(apart) < 2 * 0.2 * 2**0.5 + 0.05


def test_enough_happens_after_the_video_for_predictive_questions(worlds):
    late = [any(hit.frame >= SHOWN_FRAMES for hit in w.factual.collisions) for w in worlds]
    assert np.mean(late) >= 0.7
    for world, has_late in zip(worlds, late, strict=True):
        for hit in world.factual.collisions if has_late else ():
            if hit.frame >= SHOWN_FRAMES:  # both were seen, so it can be predicted
                assert world.factual.inside_TN[:SHOWN_FRAMES, [hit.i, hit.j]].any(axis=0).all()


def test_the_worlds_without_each_object_are_the_simulated_ones(worlds):
    for world in worlds[:10]:
        assert [run.without for run in world.without] == list(range(len(world.scene.objects)))
        for run in world.without:
            again = simulate(world.scene, without=run.without)
            assert again.positions_TN2.tobytes() == run.positions_TN2.tobytes()
            assert labels(again) == labels(run)
            assert all(run.without not in hit.pair for hit in run.collisions)


def test_labels_hold_under_another_jitter(worlds):
    flipped = 0
    for world in worlds[:20]:
        moved = world.scene.jittered(numpy_generator(99, "other", world.scene_index), 1e-4)
        flipped += labels(simulate(moved)) != labels(world.factual)
    assert flipped <= 1  # one draw of the jitter was checked; another may still find an edge


def test_ids_do_not_tell_the_role(worlds):
    first_collides = Counter(any(0 in hit.pair for hit in w.factual.collisions) for w in worlds)
    last_collides = Counter(
        any(len(w.scene.objects) - 1 in hit.pair for hit in w.factual.collisions) for w in worlds
    )
    assert abs(first_collides[True] - last_collides[True]) < 20


def test_a_pair_that_collides_twice_is_dropped():
    pushed, hit = thing((-1.0, 0.0), (1.6, 0.0)), thing((-0.2, 0.0))
    wall = [thing((0.4, y), shape="cylinder") for y in (0.205, -0.205)]
    assert reason(pushed, hit, *wall) == "repeated_pair"  # the middle one bounces back
    assert reason(pushed, hit, wall[0]) is None


def test_a_collision_too_soft_to_see_is_dropped():
    assert reason(thing((-0.6, 0.0), (0.14, 0.0)), thing((-0.15, 0.0))) == "hidden"
    assert reason(thing((-0.6, 0.0), (0.5, 0.0)), thing((-0.15, 0.0))) is None


def test_a_collision_out_of_view_is_dropped():
    x = camera.half_width_at(0.0, 0.2)
    assert reason(thing((x - 0.5, 0.0), (1.0, 0.0)), thing((x + 0.31, 0.0))) == "hidden"


def test_a_near_miss_is_dropped():
    near = thing((0.0, 0.39998))
    assert reason(thing((-0.8, 0.0), (1.0, 0.0)), near) in ("jitter", "hidden")
    missed = [
        reason(thing((-0.8, 0.0), (1.0, 0.0)), thing((0.0, 0.4 + gap)))
        for gap in (2e-6, 4e-6, 8e-6, 1e-2)
    ]
    assert missed[-1] is None
    assert "jitter" in missed[:3]


def test_too_few_collisions_are_dropped():
    few = SceneConfig(objects_min=2, collisions_min=1)
    assert reason(thing((-0.8, 0.0)), thing((0.8, 0.0)), config=few) == "collisions"


def test_one_index_gives_the_same_bits_in_another_process_and_order():
    code = (
        "from videothinker.world.worlds import make_world\n"
        "from videothinker.world.scenes import SceneConfig\n"
        "import hashlib\n"
        "w = make_world(3, 7, SceneConfig())\n"
        "bits = b''.join(r.positions_TN2.tobytes() for r in (w.factual, *w.without))\n"
        "print(w.scene, w.rejected, hashlib.sha256(bits).hexdigest())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    make_world(3, 6, CONFIG)
    make_world(3, 8, CONFIG)
    here = subprocess.run(
        [
            sys.executable,
            "-c",
            "from videothinker.world.worlds import make_world\n"
            "from videothinker.world.scenes import SceneConfig\nmake_world(3, 9, SceneConfig())\n"
            + code,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == here.stdout
    assert str(make_world(3, 7, CONFIG).scene) in done.stdout


def test_other_seeds_and_indices_give_other_scenes():
    scenes = {
        str(make_world(seed, i, CONFIG, removals=False).scene) for seed in (0, 1) for i in (5, 6)
    }
    assert len(scenes) == 4


def test_plain_looks_are_rubber_spheres_of_different_colors():
    scene, _ = sample_world(numpy_generator(0, "plain"), SceneConfig(plain_looks=True))
    assert {item.looks[1:] for item in scene.objects} == {("rubber", "sphere")}
    assert len({item.color for item in scene.objects}) == len(scene.objects) <= len(COLORS)


def nearest(run, radius):
    """The smallest gap of a pair that does not collide, pair by pair and frame by frame."""
    hits = {hit.pair for hit in run.collisions if hit.frame < SHOWN_FRAMES}
    seen = run.inside_TN & run.on_table_TN
    count = seen.shape[1]
    return min(
        float(np.hypot(*(run.positions_TN2[t, i] - run.positions_TN2[t, j]))) - 2 * radius
        for i in range(count)
        for j in range(i + 1, count)
        for t in range(SHOWN_FRAMES)
        if (i, j) not in hits and seen[t, i] and seen[t, j]
    )


def test_a_longer_video_goes_on_happening():
    """What happens is spread over the whole video, and the two seconds after it follow."""
    config = SceneConfig(length=256, plain_looks=True)
    longer = [make_world(0, index, config) for index in range(20)]
    frames = [hit.frame for world in longer for hit in world.factual.collisions]
    for world in longer:
        assert world.factual.positions_TN2.shape[0] == 256 + AFTER_FRAMES
        assert all(len(run.positions_TN2) == 256 + AFTER_FRAMES for run in world.without)
        assert 2 <= sum(hit.frame < 256 for hit in world.factual.collisions) <= 4
    assert sum(128 <= frame < 256 for frame in frames) > len(longer) / 2
    assert sum(frame >= 256 for frame in frames) > len(longer) / 2


def test_near_misses_and_soft_contacts_are_kept_out_on_request():
    plain = {"plain_looks": True, "radius": 0.3, "objects_max": 5}
    asked = SceneConfig(**plain, near_miss=0.4, softest=0.5)
    runs = [make_world(0, index, asked, removals=False).factual for index in range(8)]
    assert all(nearest(run, 0.3) >= 0.4 for run in runs)
    assert all(hit.speed >= 0.5 for run in runs for hit in run.collisions)
    free = [make_world(0, i, SceneConfig(**plain), removals=False).factual for i in range(8)]
    assert min(nearest(run, 0.3) for run in free) < 0.2
    assert any(hit.speed < 0.5 for run in free for hit in run.collisions)


def test_a_pair_that_collides_is_no_miss():
    apart = [thing((-0.5, 0.0), (1.5, 0.0)), thing((0.5, 0.0), color="blue")]
    miss = [thing((-0.5, 0.0), (1.5, 0.0)), thing((0.5, 0.5), color="blue")]
    asked = SceneConfig(objects_min=2, collisions_min=0, near_miss=0.3)
    assert reason(*apart, config=asked) is None
    assert reason(*miss, config=asked) == "hidden"
    assert reason(*miss) is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"objects_min": 0}, "2 to 12 objects"),
        ({"objects_min": 6, "objects_max": 5}, "objects_max"),
        ({"collisions_min": 3, "collisions_max": 2}, "collisions_min"),
        ({"collisions_min": 4, "objects_min": 4}, "one collision less"),
        ({"late_share": 1.5}, "late_share=1.5"),
        ({"bystander_share": -0.1}, "bystander_share"),
        ({"radius": 2.0}, "radius=2.0"),
        ({"near_miss": -0.1}, "near_miss=-0.1"),
        ({"softest": 3.0}, "softest=3.0"),
        ({"length": 95}, "length=95"),
        ({"plain_looks": True, "objects_max": 9}, "8 colors"),
    ],
)
def test_an_impossible_dial_is_refused(settings, says):
    with pytest.raises(UserError, match=says):
        SceneConfig(**settings)


def test_a_dial_out_of_reach_is_refused_rather_than_tried_forever():
    crowded = SceneConfig(
        objects_min=12,
        objects_max=12,
        collisions_min=11,
        collisions_max=11,
        radius=0.35,
        attempts=2,
    )
    with pytest.raises(UserError, match="2 growths.* near_miss=0.0 or softest=0.15"):
        sample_world(fresh_rng(), crowded)
