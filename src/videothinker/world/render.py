"""Frames by analytic ray casting in NumPy: no GL, no system package.

The table is painted once; each object is cast inside its own rectangle with 2x2 rays a pixel, its
soft shadow is a closed form on the table, and objects at rest are kept from frame to frame.
Objects are laid over one another from far to near.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from videothinker.world import camera
from videothinker.world.objects import SceneObject, SceneSetup
from videothinker.world.physics import Trajectory
from videothinker.world.shading import KEY, RGB, shade
from videothinker.world.solids import Rays, hit

SAMPLES = 2
"""Rays along each side of a pixel."""
SHADOW = 0.42
"""Share of light a full shadow takes away."""
PENUMBRA = (0.04, 0.2)
"""Half width of a shadow's edge, in units, at the object's foot and at the shadow's tip."""
CONTACT = (0.45, 0.05)
"""Darkening at the foot of an object, and the distance, in units, at which it has faded to 1/e."""
HIDDEN = 0.6
"""An object further outside the view than this leaves no trace in the frame, in units."""

Palette = Mapping[str, tuple[int, int, int]]
"""Red, green and blue, 0 to 255, of each color name."""
Box = tuple[int, int, int, int]
"""Rows from, to and columns from, to."""


@dataclass(frozen=True)
class _View:
    """What depends on the image size alone."""

    table_HW3: np.ndarray
    x_HW: np.ndarray
    y_H: np.ndarray
    dx_S: np.ndarray
    dy_S: np.ndarray
    dz_S: np.ndarray


@lru_cache(maxsize=8)
def _view(width: int, height: int) -> _View:
    rays_HW3 = camera.rays(width, height)
    reach_H = -camera.EYE[2] / rays_HW3[:, 0, 2]
    fine_HW3 = camera.rays(width * SAMPLES, height * SAMPLES)
    return _View(
        table_HW3=_table(width, height),
        x_HW=(reach_H[:, None] * rays_HW3[..., 0]).astype(np.float32),
        y_H=(camera.EYE[1] + reach_H * rays_HW3[:, 0, 1]).astype(np.float32),
        dx_S=fine_HW3[0, :, 0].astype(np.float32),
        dy_S=fine_HW3[:, 0, 1].astype(np.float32),
        dz_S=fine_HW3[:, 0, 2].astype(np.float32),
    )


def _table(width: int, height: int) -> np.ndarray:
    """The empty table, 0 to 255: gray, darker far away and to one side, with a fine grain.

    The fall-off follows a real CLEVRER frame; it also tells a vision tower without absolute
    positions where a patch lies.
    """
    across_W = (np.arange(width) + 0.5) / width - 0.5
    down_H = ((np.arange(height) + 0.5) / height - 0.5)[:, None]
    far_H = np.clip(-down_H * 2 - 0.25, 0, 1) ** 1.5
    light_HW = 138 - 46 * far_H - 9 * across_W - 22 * (across_W - 0.05) ** 2 + 6 * down_H
    grain_HW = np.random.Generator(np.random.PCG64(0)).normal(0, 0.8, (height, width))
    tint_3 = np.array([1.0, 1.0, 0.985])
    return ((light_HW + grain_HW)[..., None] * tint_3).astype(np.float32)


_CUBE_83 = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (0, 2)], float)
"""Corners of what holds an object of reach and radius one, standing on the table."""


def _boxes(points_TP3: np.ndarray, width: int, height: int) -> list[Box | None]:
    """For each frame the smallest pixel rectangle around its points; None where it is empty."""
    seen = camera.project(points_TP3, width, height)
    left_T = np.floor(seen.columns.min(axis=1)).clip(0, width).astype(int).tolist()
    right_T = np.ceil(seen.columns.max(axis=1)).clip(0, width).astype(int).tolist()
    top_T = np.floor(seen.rows.min(axis=1)).clip(0, height).astype(int).tolist()
    bottom_T = np.ceil(seen.rows.max(axis=1)).clip(0, height).astype(int).tolist()
    return [
        box if box[0] < box[1] and box[2] < box[3] else None
        for box in zip(top_T, bottom_T, left_T, right_T, strict=True)
    ]


def _rectangles(
    thing: SceneObject, feet_T2: np.ndarray, width: int, height: int
) -> list[tuple[Box | None, Box | None]]:
    """For each frame the rectangles of the object and of its shadow."""
    feet_T13 = np.pad(feet_T2, ((0, 0), (0, 1)))[:, None]
    body_TP3 = feet_T13 + _CUBE_83 * (thing.reach, thing.reach, thing.radius)
    spread = thing.reach + PENUMBRA[1]
    flat_83 = _CUBE_83 * (spread, spread, 0)
    flat_83[1::2, :2] -= KEY[:2] / KEY[2] * 2 * thing.radius
    return list(
        zip(
            _boxes(body_TP3, width, height),
            _boxes(feet_T13 + flat_83, width, height),
            strict=True,
        )
    )


@dataclass(frozen=True)
class _Layer:
    """One object in one place: its picture and its shadow."""

    box: Box | None
    color_HW3: np.ndarray
    cover_HW1: np.ndarray
    shadow_box: Box | None
    shadow_HW1: np.ndarray


_NOTHING = np.zeros((0, 0, 1), np.float32)


def _picture(
    view: _View,
    box: Box,
    foot: tuple[float, float],
    thing: SceneObject,
    angle: float,
    *,
    palette: Palette,
) -> tuple[np.ndarray, np.ndarray]:
    """Color times cover (0 to 255), and cover (0 to 1), inside the box."""
    top, bottom, left, right = (edge * SAMPLES for edge in box)
    eye = (float(camera.EYE[0]), float(camera.EYE[1]), float(camera.EYE[2]))
    rays = Rays(eye, view.dx_S[left:right], view.dy_S[top:bottom], view.dz_S[top:bottom])
    hits = hit(rays, foot, thing, angle)
    fine = np.zeros((4, (bottom - top) * (right - left)), np.float32)
    fine[:3, hits.where_K] = np.minimum(shade(hits, palette[thing.color], thing.material), 1)
    fine[3, hits.where_K] = 1
    rows, columns = box[1] - box[0], box[3] - box[2]
    parts = fine.reshape(4, rows, SAMPLES, columns, SAMPLES)
    coarse = np.zeros((4, rows, columns), np.float32)
    for i in range(SAMPLES):
        for j in range(SAMPLES):
            coarse += parts[:, :, i, :, j]
    coarse *= np.float32(1 / SAMPLES**2)
    return np.moveaxis(coarse[:3], 0, 2) * np.float32(255), coarse[3][..., None]


def _shadow(
    view: _View, box: Box, foot: tuple[float, float], thing: SceneObject, angle: float
) -> np.ndarray:
    """Share of light left on the table inside the box.

    The shadow is the object's outline swept from its foot along the light, with an edge that
    softens on the way; around the foot the table darkens.
    """
    top, bottom, left, right = box
    x_HW = view.x_HW[top:bottom, left:right] - np.float32(foot[0])
    y_HW = np.broadcast_to((view.y_H[top:bottom] - np.float32(foot[1]))[:, None], x_HW.shape)
    slide = -KEY[:2] / KEY[2] * np.float32(2 * thing.radius)
    along_HW = np.clip((x_HW * slide[0] + y_HW * slide[1]) / (slide @ slide), 0, 1)
    if thing.shape == "sphere":  # widest half way up, a point at the foot and at the top
        along_HW = np.clip(along_HW, 0.35, 0.65)
    swept_x, swept_y = x_HW - along_HW * slide[0], y_HW - along_HW * slide[1]
    distance_HW = _outline(swept_x, swept_y, thing, angle)
    width_HW = np.float32(PENUMBRA[0]) + np.float32(PENUMBRA[1] - PENUMBRA[0]) * along_HW
    share_HW = np.clip(0.5 - 0.5 * distance_HW / width_HW, 0, 1)
    shadow_HW = np.float32(SHADOW) * share_HW * share_HW * (3 - 2 * share_HW)
    base_HW = np.maximum(_outline(x_HW, y_HW, thing, angle), 0)
    if thing.shape == "sphere":
        base_HW = np.maximum(np.hypot(x_HW, y_HW) - np.float32(0.45 * thing.radius), 0)
    foot_HW = np.float32(CONTACT[0]) * np.exp(base_HW * np.float32(-1 / CONTACT[1]))
    return ((1 - shadow_HW) * (1 - foot_HW))[..., None]


def _outline(x: np.ndarray, y: np.ndarray, thing: SceneObject, angle: float) -> np.ndarray:
    """Distance from the object's outline seen from above; negative inside."""
    if thing.shape != "cube":
        return np.sqrt(x * x + y * y) - np.float32(thing.radius)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    half = np.float32(thing.radius)
    out_x = np.abs(cos * x + sin * y) - half
    out_y = np.abs(cos * y - sin * x) - half
    beyond = np.sqrt(np.maximum(out_x, 0) ** 2 + np.maximum(out_y, 0) ** 2)
    return beyond + np.minimum(np.maximum(out_x, out_y), 0)


def _layer(
    view: _View,
    boxes: tuple[Box | None, Box | None],
    foot: tuple[float, float],
    thing: SceneObject,
    angle: float,
    *,
    palette: Palette,
) -> _Layer:
    box, shadow_box = boxes
    color_HW3, cover_HW1 = _NOTHING, _NOTHING
    if box:
        color_HW3, cover_HW1 = _picture(view, box, foot, thing, angle, palette=palette)
    shadow_HW1 = _shadow(view, shadow_box, foot, thing, angle) if shadow_box else _NOTHING
    return _Layer(box, color_HW3, cover_HW1, shadow_box, shadow_HW1)


def _layers(
    view: _View,
    thing: SceneObject,
    states_T3: np.ndarray,
    size: tuple[int, int],
    *,
    palette: Palette,
) -> Iterator[_Layer]:
    """One object's layer for each state (x, y, angle); the same layer while it rests."""
    rectangles = _rectangles(thing, states_T3[:, :2], *size)
    kept, before = _Layer(None, _NOTHING, _NOTHING, None, _NOTHING), None
    for (x, y, angle), boxes in zip(states_T3.tolist(), rectangles, strict=True):
        if (x, y, angle) != before:
            kept, before = _layer(view, boxes, (x, y), thing, angle, palette=palette), (x, y, angle)
        yield kept


def _compose(table_HW3: np.ndarray, layers: Sequence[_Layer]) -> np.ndarray:
    """Shadows on the table, then objects from far to near."""
    frame_HW3 = table_HW3.copy()
    for layer in layers:
        if layer.shadow_box:
            top, bottom, left, right = layer.shadow_box
            frame_HW3[top:bottom, left:right] *= layer.shadow_HW1
    for layer in layers:
        if layer.box:
            top, bottom, left, right = layer.box
            part = frame_HW3[top:bottom, left:right]
            part *= 1 - layer.cover_HW1
            part += layer.color_HW3
    return (frame_HW3 + np.float32(0.5)).astype(np.uint8)


def render(
    scene: SceneSetup,
    trajectory: Trajectory,
    frames: Sequence[int],
    width: int,
    height: int,
    *,
    palette: Palette = RGB,
) -> np.ndarray:
    """Frames of a world as uint8 (T, H, W, 3), sRGB.

    Args:
        scene: the objects.
        trajectory: where they are; a removed object is not drawn.
        frames: frame indices of the trajectory, in any order.
        width: pixels; every size shows the same view (CLEVRER: 480).
        height: pixels (CLEVRER: 320).
        palette: what the color names look like.
    """
    view = _view(width, height)
    slopes_24, offsets_N4 = camera.edges(np.array([thing.radius for thing in scene.objects]))
    positions_TN2 = trajectory.positions_TN2[frames]
    outside_TN = (positions_TN2 @ slopes_24 + offsets_N4).max(axis=-1)
    drawn_TN = trajectory.on_table_TN[frames] & (outside_TN < HIDDEN)
    states_TN3 = np.dstack([positions_TN2, trajectory.angles_TN[frames]])
    coming = [
        _layers(view, thing, states_TN3[drawn_TN[:, k], k], (width, height), palette=palette)
        for k, thing in enumerate(scene.objects)
    ]
    video_THW3 = np.empty((len(frames), height, width, 3), np.uint8)
    for t, y_N in enumerate(positions_TN2[..., 1]):
        far_to_near = [k for k in np.argsort(-y_N).tolist() if drawn_TN[t, k]]
        video_THW3[t] = _compose(view.table_HW3, [next(coming[k]) for k in far_to_near])
    return video_THW3
