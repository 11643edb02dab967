"""The table seen from above: discs and squares that slide, collide and leave (pymunk).

Removing an object makes it a ghost: it takes its course and nothing can feel it. The engine's
internal order is thereby that of the full world, so that removing what touches nothing leaves
every other trajectory bit-identical (docs/world.md, "Physics").
"""

import math
import threading
from dataclasses import dataclass

import numpy as np
import pymunk
from pymunk import batch

from videothinker.world import camera
from videothinker.world.objects import SHOWN_FRAMES, SceneObject, SceneSetup

FPS = 25
AFTER_FRAMES = 50
"""Frames simulated after the video: these two seconds give the predictive questions."""
STEPS_PER_FRAME = 4
ELASTICITY = 0.9
"""Coefficient of restitution of any two objects (ours: fewer pairs then meet twice)."""
CONTACT_FRICTION = 0.15
"""Coefficient of friction of any two objects (ours)."""
TABLE_MARGIN = 0.35
"""The table ends this far, in units, outside the view: what has been seen and leaves is gone."""
EDGE_FRAMES = 10
"""How often, in frames, the edge is watched."""
MOVING_SPEED = 0.1
"""Units per second above which an object counts as moving."""

_FIELDS = (
    batch.BodyFields.POSITION
    | batch.BodyFields.ANGLE
    | batch.BodyFields.VELOCITY
    | batch.BodyFields.ANGULAR_VELOCITY
)
_STATE = 6
"""Numbers the fields above take: x, y, angle, vx, vy, spin."""
_SLACK = 64
"""Room kept free, so that the engine never moves the memory it is given."""
_UNTOUCHABLE = pymunk.ShapeFilter(mask=0)
_TOUCHABLE = pymunk.ShapeFilter()


class _Local(threading.local):
    """The engine's read-out buffer, one a thread: the engine never frees one."""

    def __init__(self) -> None:
        self.buffer = batch.Buffer()


_LOCAL = _Local()


@dataclass(frozen=True)
class Contact:
    """Two objects begin to touch.

    Attributes:
        frame: first frame at or after the contact.
        i: smaller object index.
        j: larger object index.
        x: point of contact, table units.
        y: point of contact, table units.
        time: seconds since frame 0, to within one engine step (10 ms).
        speed: closing speed along the line of contact, units per second.
    """

    frame: int
    i: int
    j: int
    x: float
    y: float
    time: float
    speed: float

    @property
    def pair(self) -> tuple[int, int]:
        """(i, j)."""
        return self.i, self.j


@dataclass(frozen=True)
class Trajectory:
    """What happened in one world, sampled at 25 frames a second. T frames, N objects.

    The first `length` frames are the video; what follows is not seen.

    Attributes:
        positions_TN2: table units.
        angles_TN: radians about the vertical, counter-clockwise from above.
        velocities_TN2: units per second.
        angular_velocities_TN: radians per second.
        on_table_TN: launched, not removed, not yet gone off the table's edge.
        inside_TN: on the table with its centre in the camera's view (`inside_camera_view`).
        collisions: in order of time, all T frames.
        length: of the video, in frames.
        without: index of the removed object, or None. Its row in positions, angles and
            velocities is NaN and its flags are False.
    """

    positions_TN2: np.ndarray
    angles_TN: np.ndarray
    velocities_TN2: np.ndarray
    angular_velocities_TN: np.ndarray
    on_table_TN: np.ndarray
    inside_TN: np.ndarray
    collisions: tuple[Contact, ...]
    length: int = SHOWN_FRAMES
    without: int | None = None

    @property
    def moving_TN(self) -> np.ndarray:
        """In view and faster than MOVING_SPEED."""
        speeds_TN = np.linalg.norm(self.velocities_TN2, axis=-1)
        return self.inside_TN & (speeds_TN > MOVING_SPEED)

    def hiding(self, thing: int) -> "Trajectory":
        """This trajectory with one object's row blanked, as if `thing` had been removed.

        True to the physics only if the object touches nothing.
        """
        blank_N = np.arange(self.on_table_TN.shape[1]) == thing
        return Trajectory(
            positions_TN2=np.where(blank_N[:, None], np.nan, self.positions_TN2),
            angles_TN=np.where(blank_N, np.nan, self.angles_TN),
            velocities_TN2=np.where(blank_N[:, None], np.nan, self.velocities_TN2),
            angular_velocities_TN=np.where(blank_N, np.nan, self.angular_velocities_TN),
            on_table_TN=self.on_table_TN & ~blank_N,
            inside_TN=self.inside_TN & ~blank_N,
            collisions=self.collisions,
            length=self.length,
            without=thing,
        )


def _shape(body: pymunk.Body, thing: SceneObject) -> pymunk.Shape:
    if thing.shape == "cube":
        rounding = 0.1 * thing.radius
        side = 2 * (thing.radius - rounding)
        return pymunk.Poly.create_box(body, (side, side), rounding)
    return pymunk.Circle(body, thing.radius)


def _moment(thing: SceneObject) -> float:
    """Of a unit mass about the vertical: square plate, solid ball or solid cylinder."""
    if thing.shape == "cube":
        return (2 * thing.radius) ** 2 / 6
    return (0.4 if thing.shape == "sphere" else 0.5) * thing.radius**2


class _Table:
    """One pymunk space with the scene's objects in it, and what has been seen so far."""

    def __init__(self, scene: SceneSetup, without: int | None) -> None:
        self.without = without
        self.space = pymunk.Space()
        self.space.damping = math.exp(-scene.friction)
        self.space.collision_slop = 1e-3  # the engine's default is meant for pixels
        self.things = scene.objects
        self.bodies: list[pymunk.Body] = []
        self.shapes: list[pymunk.Shape] = []
        self.collisions: list[Contact] = []
        self.seen_N = np.zeros(len(scene.objects), bool)
        self.gone_N = np.zeros(len(scene.objects), bool)
        self.frame, self.step = 0, 0
        for index, thing in enumerate(scene.objects):
            body = pymunk.Body(1.0, _moment(thing))
            body.position, body.angle = thing.position, thing.angle
            shape = _shape(body, thing)
            # the engine multiplies the two objects' coefficients
            shape.elasticity, shape.friction = ELASTICITY**0.5, CONTACT_FRICTION**0.5
            shape.filter = _UNTOUCHABLE
            shape.collision_type = index + 1
            self.space.add(body, shape)
            self.bodies.append(body)
            self.shapes.append(shape)
        self.space.on_collision(begin=self._begin)

    def _begin(self, arbiter: pymunk.Arbiter, space: pymunk.Space, data: object) -> None:
        del space, data
        first, second = arbiter.shapes
        assert first.body is not None
        assert second.body is not None
        closing = (first.body.velocity - second.body.velocity).dot(arbiter.normal)
        contact = arbiter.contact_point_set.points[0]
        point = (contact.point_a + contact.point_b) / 2
        i, j = sorted((first.collision_type - 1, second.collision_type - 1))
        time = (self.frame + (self.step + 1) / STEPS_PER_FRAME) / FPS
        self.collisions.append(
            Contact(self.frame + 1, i, j, point.x, point.y, time, abs(float(closing)))
        )

    def launch(self, index: int) -> None:
        """Set one object in motion."""
        self.bodies[index].velocity = self.things[index].velocity
        if index != self.without:
            self.shapes[index].filter = _TOUCHABLE

    def leave(self, outside_KN: np.ndarray) -> np.ndarray:
        """Take off the table what has been seen and has passed its edge; returns which are gone.

        Args:
            outside_KN: how far outside the view each object was in the latest K frames.
        """
        self.seen_N |= outside_KN.min(axis=0) < 0
        fallen_N = self.seen_N & ~self.gone_N & (outside_KN[-1] > TABLE_MARGIN)
        for index in np.nonzero(fallen_N)[0]:
            self.shapes[index].filter = _UNTOUCHABLE
        self.gone_N |= fallen_N
        return self.gone_N


def simulate(
    scene: SceneSetup, *, without: int | None = None, frames: int | None = None
) -> Trajectory:
    """Run the world for `frames` frames, optionally with object `without` removed.

    By default for the video and the two seconds after it (CLEVRER's: 178 frames, 7.12 s).
    Deterministic: the same scene gives the same bits. An untouched object's removal leaves every
    other object's numbers bit-identical; until its first contact, so does a touched one's.
    """
    frames = scene.length + AFTER_FRAMES if frames is None else frames
    table = _Table(scene, without)
    count = len(scene.objects)
    launch_N = np.array([thing.launch_frame for thing in scene.objects])
    slopes_24, offsets_N4 = camera.edges(np.array([thing.radius for thing in scene.objects]))
    due = {frame: np.nonzero(launch_N == frame)[0].tolist() for frame in set(launch_N.tolist())}
    on_table_TN = np.arange(frames)[:, None] >= launch_N
    store_S = np.empty(frames * count * _STATE + _SLACK)
    states_TNF = store_S[: frames * count * _STATE].reshape(frames, count, _STATE)
    buffer = _LOCAL.buffer
    buffer.set_float_buf(store_S)
    buffer.clear()
    for frame in range(frames):
        table.frame = frame
        for index in due.get(frame, ()):
            table.launch(index)
        batch.get_space_bodies(table.space, _FIELDS, buffer)
        if frame % EDGE_FRAMES == 0:
            latest_KNF = states_TNF[max(0, frame + 1 - EDGE_FRAMES) : frame + 1]
            outside_KN = (latest_KNF[..., :2] @ slopes_24 + offsets_N4).max(axis=-1)
            on_table_TN[frame:] &= ~table.leave(outside_KN)
        if frame + 1 < frames:
            for table.step in range(STEPS_PER_FRAME):
                table.space.step(1 / (FPS * STEPS_PER_FRAME))
    outside_TN = (states_TNF[..., :2] @ slopes_24 + offsets_N4).max(axis=-1)
    run = Trajectory(
        positions_TN2=states_TNF[..., :2],
        angles_TN=states_TNF[..., 2],
        velocities_TN2=states_TNF[..., 3:5],
        angular_velocities_TN=states_TNF[..., 5],
        on_table_TN=on_table_TN,
        inside_TN=on_table_TN & (outside_TN < 0),
        collisions=tuple(table.collisions),
        length=scene.length,
    )
    return run if without is None else run.hiding(without)
