"""The ray caster against marching along the same rays, and what must be told apart."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videothinker.clevrer.programs import MATERIALS
from videothinker.world import camera, render, shading, solids
from videothinker.world.objects import SHAPES, SceneObject, SceneSetup
from videothinker.world.physics import simulate

EYE = (float(camera.EYE[0]), float(camera.EYE[1]), float(camera.EYE[2]))


def picture(*objects, size=(168, 112), without=None):
    scene = SceneSetup(objects)
    run = simulate(scene, frames=2, without=without)
    return render.render(scene, run, [0], *size)[0].astype(int)


def thing(shape="sphere", at=(0.0, 0.0), color="red", material="rubber", **rest):
    return SceneObject(color, material, shape, at, **rest)


def inside(shape, points_K3, angle, radius=0.2):
    """Whether points, relative to the object's foot, lie in the solid: the definition."""
    x, y, z = points_K3.T
    if shape == "sphere":
        return x * x + y * y + (z - radius) ** 2 < radius**2
    level = (z > 0) & (z < 2 * radius)
    if shape == "cylinder":
        return level & (x * x + y * y < radius**2)
    own_x, own_y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return level & (abs(own_x) < radius) & (abs(own_y) < radius)


def march(shape, ray_3, foot, angle):
    """First point inside the solid along the ray, in steps of 1/400 of its width, or None."""
    t_K = np.arange(2.0, 9.0, 1e-3)
    points_K3 = np.array(EYE) + t_K[:, None] * ray_3 - np.array([*foot, 0.0])
    within_K = inside(shape, points_K3, angle)
    return points_K3[within_K.argmax()] if within_K.any() else None


@given(
    st.sampled_from(SHAPES),
    st.floats(-0.8, 0.8),
    st.floats(-1.0, 1.5),
    st.floats(0.0, 1.57),
    st.integers(0, 2**32),
)
@settings(max_examples=12, deadline=None)
def test_rays_meet_the_solid_where_marching_meets_it(shape, x, y, angle, seed):
    rng = np.random.default_rng(seed)
    rays_HW3 = camera.rays(96, 64).astype(np.float32)
    rays = solids.Rays(EYE, rays_HW3[0, :, 0], rays_HW3[:, 0, 1], rays_HW3[:, 0, 2])
    hits = solids.hit(rays, (x, y), thing(shape), angle)
    assert hits.where_K.size > 5
    found = dict(zip(hits.where_K.tolist(), hits.point_3K.T, strict=True))
    np.testing.assert_allclose(np.linalg.norm(hits.normal_3K, axis=0), 1.0, atol=1e-3)
    assert (hits.normal_3K * hits.ray_3K).sum(axis=0).mean() < -0.3
    near = rng.choice(hits.where_K, 6)
    around = near + rng.integers(-12, 13, 6) + 96 * rng.integers(-8, 9, 6)
    for flat in {int(k) for k in (*near, *around) if 0 <= k < 96 * 64}:
        ray_3 = rays_HW3[flat // 96, flat % 96].astype(float)
        marched = march(shape, ray_3, (x, y), angle)
        if marched is not None and flat in found:
            np.testing.assert_allclose(found[flat], marched, atol=4e-3)
        elif marched is not None or flat in found:  # allowed within a hair of the outline alone
            point_3 = marched if marched is not None else found[flat]
            assert not inside(shape, (point_3 + 0.01 * ray_3)[None], angle)[0]


def test_the_camera_projects_where_its_rays_go():
    rays_HW3 = camera.rays(96, 64)
    for row, column in ((0, 0), (10, 80), (63, 40)):
        seen = camera.project(camera.EYE + 3.5 * rays_HW3[row, column], 96, 64)
        assert seen.columns == pytest.approx(column + 0.5)
        assert seen.rows == pytest.approx(row + 0.5)
        assert seen.depths == pytest.approx(3.5)


@given(st.floats(-4, 4), st.floats(-3, 8))
@settings(max_examples=50, deadline=None)
def test_edges_of_the_view_are_the_edges_of_the_image(x, y):
    slopes_24, offsets_4 = camera.edges(0.2)
    seen = camera.project(np.array([x, y, 0.2]), 480, 320)
    in_image = 0 < seen.columns < 480 and 0 < seen.rows < 320 and seen.depths > 0
    assert ((np.array([x, y]) @ slopes_24 + offsets_4).max() < 0) == in_image


def test_a_sphere_covers_the_cone_it_should():
    sphere = picture(thing(at=(0.0, 0.0)), size=(480, 320))
    empty = picture(thing(at=(0.0, 0.0)), size=(480, 320), without=0)
    red = (sphere[..., 0] - sphere[..., 2] > 40) & (empty[..., 0] - empty[..., 2] < 40)
    distance = np.linalg.norm(camera.EYE - [0, 0, 0.2])
    across = 2 * 480 * camera.FOCAL_X * np.tan(np.arcsin(0.2 / distance))
    assert np.flatnonzero(red.any(axis=0)).size == pytest.approx(across, abs=2.5)


def test_a_removed_object_leaves_no_trace():
    empty = picture(thing(at=(5.0, 9.0)))
    assert (picture(thing(), without=0) == empty).all()
    assert np.abs(picture(thing()) - empty).max() > 50


def test_what_is_nearer_covers_what_is_farther():
    near, far = thing("cube", (0.0, -0.6), "red"), thing("cube", (0.0, -0.1), "blue")
    one, other = picture(near, far), picture(far, near)
    assert (one == other).all()
    seen = camera.project(np.array([0.0, -0.6, 0.2]), 168, 112)
    red, _, blue = one[int(seen.rows), int(seen.columns)]
    assert red > 2 * blue


def test_objects_at_rest_and_frame_order_change_no_pixel():
    scene = SceneSetup(
        (thing(at=(-1.0, 0.3), color="blue"), thing("cube", (-1.5, -0.4), velocity=(1.0, 0.1)))
    )
    run = simulate(scene, frames=40)
    whole = render.render(scene, run, range(0, 40, 8), 168, 112)
    for t, frame in enumerate(range(0, 40, 8)):
        assert (render.render(scene, run, [frame], 168, 112)[0] == whole[t]).all()


def test_every_size_shows_the_same_view():
    objects = (thing("cube", (-0.5, 0.2), angle=0.5), thing("cylinder", (0.6, -0.5), "green"))
    big = picture(*objects, size=(480, 320)).reshape(80, 4, 120, 4, 3).mean(axis=(1, 3))
    assert np.abs(big - picture(*objects, size=(120, 80))).mean() < 1.0


def _box(image, at):
    seen = camera.project(np.array([*at, 0.2]), 168, 112)
    row, column = int(seen.rows), int(seen.columns)
    return image[row - 5 : row + 6, column - 5 : column + 6].reshape(-1, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_metal_and_rubber_are_told_apart_by_contrast(shape):
    for color in shading.RGB:
        spread = {}
        for material in MATERIALS:
            light = _box(picture(thing(shape, color=color, material=material, angle=0.4)), (0, 0))
            luma = light @ (0.299, 0.587, 0.114)
            spread[material] = (np.percentile(luma, 98) - np.percentile(luma, 5)) / luma.mean()
        assert spread["metal"] > 1.25 * spread["rubber"], (color, spread)


@pytest.mark.parametrize("material", MATERIALS)
def test_the_eight_colors_are_told_apart(material):
    """The median pixel of each object is nearest, among the eight, to its own color."""

    def place(rgb):
        hue, saturation, value = colorsys.rgb_to_hsv(*(np.asarray(rgb) / 255))
        turn = 2 * np.pi * hue
        return np.array([saturation * np.cos(turn), saturation * np.sin(turn), 0.35 * value])

    medians = {
        color: place(
            np.median(_box(picture(thing("cube", color=color, material=material)), (0, 0)), axis=0)
        )
        for color in shading.RGB
    }
    for color, found in medians.items():
        gaps = {name: np.linalg.norm(found - place(rgb)) for name, rgb in shading.RGB.items()}
        assert min(gaps, key=gaps.__getitem__) == color, (color, gaps)


def test_shadows_are_soft_and_fall_away_from_the_lamp():
    lit = picture(thing(at=(0.0, 0.0)), size=(480, 320)).astype(float).mean(axis=-1)
    empty = picture(thing(), without=0, size=(480, 320)).astype(float).mean(axis=-1)
    share = lit / empty

    def at(x, y):
        seen = camera.project(np.array([x, y, 0.0]), 480, 320)
        return share[int(seen.rows), int(seen.columns)]

    assert at(0.36, 0.12) < 0.85  # right of it and behind: away from the lamp
    assert at(-0.5, -0.2) > 0.97
    steps = np.abs(np.diff([at(x, 0.12) for x in np.arange(0.36, 0.9, 0.02)]))
    assert steps.max() < 0.12


def test_the_table_tells_where_a_patch_lies():
    empty = picture(thing(at=(5.0, 9.0)), size=(64, 64)).astype(float).mean(axis=-1)
    blocks = empty.reshape(8, 8, 8, 8).mean(axis=(1, 3))
    assert blocks[0].mean() < blocks[4].mean() - 15
    assert np.ptp(blocks[4]) > 4
