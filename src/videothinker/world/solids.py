"""Where a camera ray first meets a sphere, an upright cylinder or a cube, and the surface there.

Rays of an upright camera separate: `dx` depends on the column alone, `dy` and `dz` on the row. All
arrays are float32; K counts the rays that hit. Upper edges are rounded in their normals
only, which is what catches the light.
"""

from dataclasses import dataclass

import numpy as np

from videothinker.world.objects import SceneObject

BEVEL = 0.22
"""Rounding of edges, as a share of the radius."""


@dataclass(frozen=True)
class Rays:
    """A rectangle of camera rays from `eye`: across dx (W,), down dy and dz (H,)."""

    eye: tuple[float, float, float]
    dx_W: np.ndarray
    dy_H: np.ndarray
    dz_H: np.ndarray


@dataclass(frozen=True)
class Hits:
    """Which rays hit (flat indices into H*W), and the surface there.

    Attributes:
        where_K: flat indices.
        ray_3K: unit directions of the rays.
        point_3K: points on the table's axes, relative to the object's foot.
        normal_3K: unit normals, edges rounded.
    """

    where_K: np.ndarray
    ray_3K: np.ndarray
    point_3K: np.ndarray
    normal_3K: np.ndarray


def _finish(rays: Rays, mask_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    where_K = np.flatnonzero(mask_HW)
    row_K, column_K = np.divmod(where_K, mask_HW.shape[1])
    ray_3K = np.stack([rays.dx_W[column_K], rays.dy_H[row_K], rays.dz_H[row_K]])
    return where_K, row_K, ray_3K


def _unit(vector_3K: np.ndarray) -> np.ndarray:
    x, y, z = vector_3K
    return vector_3K / np.sqrt(x * x + y * y + z * z)


def hit_sphere(rays: Rays, foot: tuple[float, float], thing: SceneObject) -> Hits:
    """The near root of |eye + t ray - centre| = radius."""
    radius = thing.radius
    mx, my, mz = foot[0] - rays.eye[0], foot[1] - rays.eye[1], radius - rays.eye[2]
    a_HW = rays.dx_W**2 + (rays.dy_H**2 + rays.dz_H**2)[:, None]
    b_HW = rays.dx_W * np.float32(mx) + (rays.dy_H * my + rays.dz_H * mz)[:, None]
    inside_HW = b_HW * b_HW - a_HW * np.float32(mx * mx + my * my + mz * mz - radius**2)
    where_K, _, ray_3K = _finish(rays, inside_HW > 0)
    a_K, b_K = a_HW.ravel()[where_K], b_HW.ravel()[where_K]
    t_K = (b_K - np.sqrt(inside_HW.ravel()[where_K])) / a_K
    centre_31 = np.array([[mx], [my], [mz]], np.float32)
    normal_3K = (ray_3K * t_K - centre_31) * np.float32(1 / radius)
    point_3K = normal_3K * np.float32(radius)
    point_3K[2] += np.float32(radius)
    return Hits(where_K, _unit(ray_3K), point_3K, normal_3K)


def hit_cylinder(rays: Rays, foot: tuple[float, float], thing: SceneObject) -> Hits:
    """The lid if the ray falls on it (the camera looks down), else the near side."""
    radius = half = thing.radius
    mx, my = np.float32(foot[0] - rays.eye[0]), np.float32(foot[1] - rays.eye[1])
    top = np.float32(2 * half - rays.eye[2])
    a_HW = rays.dx_W**2 + (rays.dy_H**2)[:, None]
    b_HW = rays.dx_W * mx + (rays.dy_H * my)[:, None]
    root_HW = b_HW * b_HW - a_HW * (mx * mx + my * my - np.float32(radius**2))
    side_HW = (b_HW - np.sqrt(np.maximum(root_HW, 0))) / a_HW
    height_HW = side_HW * rays.dz_H[:, None] - top  # above the lid, negative on the side
    lid_H = top / rays.dz_H
    lid_HW = (lid_H[:, None] * rays.dx_W - mx) ** 2 + ((lid_H * rays.dy_H - my) ** 2)[:, None]
    on_lid_HW = lid_HW < np.float32(radius**2)
    on_side_HW = (root_HW > 0) & (height_HW <= 0) & (height_HW >= np.float32(-2 * half))
    where_K, row_K, ray_3K = _finish(rays, on_lid_HW | on_side_HW)
    t_K = np.where(on_lid_HW.ravel()[where_K], lid_H[row_K], side_HW.ravel()[where_K])
    point_3K = ray_3K * t_K - np.array([[mx], [my], [-rays.eye[2]]], np.float32)
    out_K = np.sqrt(point_3K[0] ** 2 + point_3K[1] ** 2)
    soft = np.float32(BEVEL * half)
    across_K = out_K - np.minimum(out_K, np.float32(radius) - soft)
    rise_K = point_3K[2] - np.float32(half)
    up_K = rise_K - np.minimum(rise_K, np.float32(half) - soft)
    outward_K = across_K / np.maximum(out_K, np.float32(1e-6))
    normal_3K = _unit(np.stack([point_3K[0] * outward_K, point_3K[1] * outward_K, up_K + 1e-7]))
    return Hits(where_K, _unit(ray_3K), point_3K, normal_3K)


def hit_cube(rays: Rays, foot: tuple[float, float], thing: SceneObject, angle: float) -> Hits:
    """Slabs in the cube's own axes."""
    half = np.float32(thing.radius)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    ex, ey = np.float32(rays.eye[0] - foot[0]), np.float32(rays.eye[1] - foot[1])
    ez = np.float32(rays.eye[2]) - half
    ox, oy = cos * ex + sin * ey, cos * ey - sin * ex
    along_HW = cos * rays.dx_W + (sin * rays.dy_H)[:, None]
    beside_HW = (cos * rays.dy_H)[:, None] - sin * rays.dx_W
    along_HW[along_HW == 0] = 1e-9
    beside_HW[beside_HW == 0] = 1e-9
    one_HW, two_HW = (-half - ox) / along_HW, (half - ox) / along_HW
    near_HW, far_HW = np.minimum(one_HW, two_HW), np.maximum(one_HW, two_HW)
    one_HW, two_HW = (-half - oy) / beside_HW, (half - oy) / beside_HW
    near_HW = np.maximum(near_HW, np.minimum(one_HW, two_HW))
    far_HW = np.minimum(far_HW, np.maximum(one_HW, two_HW))
    near_HW = np.maximum(near_HW, ((half - ez) / rays.dz_H)[:, None])
    far_HW = np.minimum(far_HW, ((-half - ez) / rays.dz_H)[:, None])
    where_K, _, ray_3K = _finish(rays, near_HW < far_HW)
    t_K = near_HW.ravel()[where_K]
    own_3K = np.stack(
        [
            ox + t_K * along_HW.ravel()[where_K],
            oy + t_K * beside_HW.ravel()[where_K],
            ez + t_K * ray_3K[2],
        ]
    )
    inner = half * np.float32(1 - BEVEL)
    core_3K = np.clip(own_3K, -inner, inner)
    core_3K[2] = np.minimum(own_3K[2], inner)
    x, y, z = _unit(own_3K - core_3K)
    normal_3K = np.stack([cos * x - sin * y, sin * x + cos * y, z])
    point_3K = np.stack(
        [cos * own_3K[0] - sin * own_3K[1], sin * own_3K[0] + cos * own_3K[1], own_3K[2] + half]
    )
    return Hits(where_K, _unit(ray_3K), point_3K, normal_3K)


def hit(rays: Rays, foot: tuple[float, float], thing: SceneObject, angle: float) -> Hits:
    """Rays that meet `thing`, standing on the table at `foot`, turned by `angle`."""
    if thing.shape == "sphere":
        return hit_sphere(rays, foot, thing)
    if thing.shape == "cylinder":
        return hit_cylinder(rays, foot, thing)
    return hit_cube(rays, foot, thing, angle)
