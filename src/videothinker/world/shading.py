"""How metal and rubber look under the table's two lamps: three numbers per ray.

Rubber scatters: soft shading, no highlight. Metal mirrors: the bright table below, the dark room
above, and two sharp lamps. Values are display intensities, 0 to 1.
"""

import numpy as np

from videothinker.world.solids import Hits

RGB: dict[str, tuple[int, int, int]] = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "cyan": (41, 208, 208),
    "purple": (129, 38, 192),
    "yellow": (255, 238, 51),
}
"""CLEVR's eight colors (properties.json), 0 to 255."""


def _unit(*direction: float) -> np.ndarray:
    return (np.array(direction) / np.linalg.norm(direction)).astype(np.float32)


KEY = _unit(-0.62, -0.42, 1.0)
"""Towards the strong lamp: left, in front, above. It casts the shadows."""
FILL = _unit(0.75, -0.45, 0.8)
"""Towards the weak lamp."""
WINDOW = _unit(-0.55, -0.84)
"""Towards a tall window, seen in metal alone: the upright stripe on a cylinder, a bright side."""


def _dot(vectors_3K: np.ndarray, direction_3: np.ndarray) -> np.ndarray:
    x, y, z = direction_3  # not BLAS: its threads would change last bits
    return x * vectors_3K[0] + y * vectors_3K[1] + z * vectors_3K[2]


def _step(value_K: np.ndarray, low: float, high: float) -> np.ndarray:
    share_K = np.clip((value_K - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return share_K * share_K * (3 - 2 * share_K)


def _rubber(hits: Hits, color_3: np.ndarray) -> np.ndarray:
    key_K = np.maximum(_dot(hits.normal_3K, KEY) * np.float32(0.8) + np.float32(0.2), 0)
    fill_K = np.maximum(_dot(hits.normal_3K, FILL), 0)
    light_K = np.float32(0.34) + np.float32(0.62) * key_K + np.float32(0.16) * fill_K
    light_K *= np.float32(0.72) + np.float32(0.28) * _step(hits.point_3K[2], 0.0, 0.12)
    return color_3[:, None] * light_K + np.float32(0.025)


def _metal(hits: Hits, color_3: np.ndarray) -> np.ndarray:
    facing_K = (hits.ray_3K * hits.normal_3K).sum(axis=0)
    mirror_3K = hits.ray_3K - 2 * facing_K * hits.normal_3K
    rise_K = mirror_3K[2]
    below_K = _step(-rise_K, -0.02, 0.06)
    near_K = hits.point_3K[2] / np.maximum(-rise_K, np.float32(0.2))
    shade_K = _step(near_K, 0.0, 0.7)  # near its foot the table lies in the object's own shadow
    room_K = np.float32(0.27) + np.float32(0.5) * (1 - np.clip(rise_K, 0, 1)) ** 3
    seen_K = room_K + below_K * (np.float32(0.28) + np.float32(1.0) * shade_K - room_K)
    diffuse_K = np.maximum(_dot(hits.normal_3K, KEY), 0)
    body_K = np.float32(0.08) + np.float32(0.24) * diffuse_K + np.float32(0.58) * seen_K
    rim_K = (1 + facing_K) ** 4
    lamp_K = np.float32(0.95) * _step(_dot(mirror_3K, KEY), 0.955, 0.985)
    lamp_K += np.float32(0.55) * _step(_dot(mirror_3K, FILL), 0.975, 0.992)
    level_K = np.maximum(np.sqrt(mirror_3K[0] ** 2 + mirror_3K[1] ** 2), np.float32(1e-6))
    window_K = _step((mirror_3K[0] * WINDOW[0] + mirror_3K[1] * WINDOW[1]) / level_K, 0.80, 1.0)
    window_K *= np.float32(0.36) * _step(rise_K, -0.75, -0.3) * (1 - _step(rise_K, 0.5, 0.9))
    glow_K = np.float32(0.22) * np.maximum(_dot(mirror_3K, KEY), 0) ** 8
    white_K = lamp_K + np.float32(0.2) * rim_K * seen_K
    white_K += np.float32(0.35) * window_K
    return color_3[:, None] * (body_K + glow_K + window_K) + white_K + np.float32(0.3) * glow_K


def shade(hits: Hits, rgb: tuple[int, int, int], material: str) -> np.ndarray:
    """Display intensities (3, K), at least 0; above 1 is over-exposed. `rgb` is 0 to 255."""
    color_3 = np.array(rgb, np.float32) / 255
    if material == "rubber":
        return _rubber(hits, color_3)
    return _metal(hits, np.float32(0.85) * color_3 + np.float32(0.04))
