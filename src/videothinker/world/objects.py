"""What lies on the table: CLEVRER's vocabulary and the description of one scene."""

import dataclasses
from dataclasses import dataclass

import numpy as np

SHAPES = ("cube", "sphere", "cylinder")

RADIUS = 0.2
"""CLEVRER's object radius in table units (its annotations give z = 0.2 for a resting object); a
cylinder is as high as it is wide, and so is a cube (measured on a real frame)."""

SHOWN_FRAMES = 128
"""Frames of CLEVRER's videos, 25 a second (5.12 s)."""
FRICTION = 0.3
"""The table's friction, per second (ours)."""


def frame_ids(frames: int, length: int = SHOWN_FRAMES) -> np.ndarray:
    """Indices of `frames` frames spread evenly over a video of `length`, ends included."""
    return np.linspace(0, length - 1, frames).round().astype(int)


@dataclass(frozen=True)
class SceneObject:
    """One object and how it is set in motion; nothing else acts on it but contacts and friction.

    Attributes:
        color: one of `clevrer.programs.COLORS`.
        material: one of `clevrer.programs.MATERIALS` (looks only: all objects weigh the same).
        shape: one of SHAPES.
        position: (x, y) in table units at frame 0, and until `launch_frame`.
        velocity: (vx, vy) in units per second, given to it at `launch_frame`.
        angle: radians about the vertical at the start.
        launch_frame: first frame at which it is on the table. Objects launched later than frame 0
            wait outside the camera's view, untouchable, until then.
        radius: of a sphere or cylinder, in table units; half the side of a cube.
    """

    color: str
    material: str
    shape: str
    position: tuple[float, float]
    velocity: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0
    launch_frame: int = 0
    radius: float = RADIUS

    @property
    def reach(self) -> float:
        """Radius of the circle, seen from above, that holds it at any angle."""
        return self.radius * float(np.sqrt(2.0)) if self.shape == "cube" else self.radius

    @property
    def looks(self) -> tuple[str, str, str]:
        """(color, material, shape): unique within a scene."""
        return self.color, self.material, self.shape


@dataclass(frozen=True)
class SceneSetup:
    """Objects in CLEVRER's `object_id` order. Positions hold for frame 0.

    Attributes:
        objects: at least one.
        length: of the video, in frames, 25 a second.
        friction: of the table, per second; a free object's speed falls as exp(-friction t).
    """

    objects: tuple[SceneObject, ...]
    length: int = SHOWN_FRAMES
    friction: float = FRICTION

    def jittered(self, rng: np.random.Generator, size: float) -> "SceneSetup":
        """The same scene with every start position moved by up to `size` units in x and y."""
        moves_N2 = rng.uniform(-size, size, (len(self.objects), 2))
        objects = tuple(
            dataclasses.replace(thing, position=(thing.position[0] + dx, thing.position[1] + dy))
            for thing, (dx, dy) in zip(self.objects, moves_N2.tolist(), strict=True)
        )
        return dataclasses.replace(self, objects=objects)
