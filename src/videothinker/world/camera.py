"""CLEVRER's camera: a pinhole that looks down on the table.

Axes: x to the right, y away from the camera, z up from the table, in table units (an object's
radius is 0.2). Focal length is CLEVR's (35 mm lens, 32 mm sensor); height and pitch were fitted to
the object sizes in a real CLEVRER frame. Every image size shows the same view, as if the 480x320
video had been resized.
"""

from dataclasses import dataclass

import numpy as np

PITCH = np.deg2rad(28.6)
"""Radians below the horizontal."""
EYE = np.array([0.0, -4.5, 2.4])
"""Where the camera stands, in table units."""
FOCAL_X = 35.0 / 32.0
"""Focal length over the image width."""
FOCAL_Y = FOCAL_X * 1.5
"""Focal length over the image height (CLEVRER's frames are 3:2)."""

FORWARD = np.array([0.0, np.cos(PITCH), -np.sin(PITCH)])
UP = np.array([0.0, np.sin(PITCH), np.cos(PITCH)])


@dataclass(frozen=True)
class Projection:
    """Where points land: pixels (column, row; the first pixel's centre is 0.5) and depth."""

    columns: np.ndarray
    rows: np.ndarray
    depths: np.ndarray


def project(points_3: np.ndarray, width: int, height: int) -> Projection:
    """Project points `(..., 3)` in table units into an image of `width` x `height` pixels."""
    relative = np.asarray(points_3) - EYE
    depths = relative @ FORWARD
    columns = (0.5 + FOCAL_X * relative[..., 0] / depths) * width
    rows = (0.5 - FOCAL_Y * (relative @ UP) / depths) * height
    return Projection(columns, rows, depths)


def rays(width: int, height: int) -> np.ndarray:
    """Directions (H, W, 3) through the pixel centres; one unit of length is one unit of depth."""
    across_W = ((np.arange(width) + 0.5) / width - 0.5) / FOCAL_X
    down_H = ((np.arange(height) + 0.5) / height - 0.5) / FOCAL_Y
    return (
        FORWARD + across_W[None, :, None] * np.array([1.0, 0.0, 0.0]) - down_H[:, None, None] * UP
    )


def _row_to_y(row: float, z: np.ndarray | float) -> np.ndarray | float:
    """The y at which the image row (-0.5 top, 0.5 bottom) meets the plane at height z."""
    direction = FORWARD - row / FOCAL_Y * UP
    return EYE[1] + direction[1] * (z - EYE[2]) / direction[2]


def edges(z: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """The view's four edges in the plane at height z, as `outside = xy @ slopes + offsets`.

    The largest of the four is how far, in units, a point lies outside the view (left and right
    measured along x, near and far along y); negative is inside.

    Args:
        z: heights, of any shape `...`.

    Returns:
        slopes (2, 4) and offsets (..., 4).
    """
    widening = FORWARD[1] * 0.5 / FOCAL_X
    start = (-EYE[1] * FORWARD[1] + (z - EYE[2]) * FORWARD[2]) * 0.5 / FOCAL_X
    slopes = np.array([[1.0, -1.0, 0.0, 0.0], [-widening, -widening, -1.0, 1.0]])
    return slopes, np.stack([-start, -start, _row_to_y(0.5, z), -_row_to_y(-0.5, z)], axis=-1)


def half_width_at(y: float, z: float) -> float:
    """Half the width of the view, in units, along the line y at height z."""
    return float(((y - EYE[1]) * FORWARD[1] + (z - EYE[2]) * FORWARD[2]) * 0.5 / FOCAL_X)
