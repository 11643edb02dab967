"""Scenes grown the way CLEVRER grows them: each object is placed with the earlier ones in view.

An object is aimed at where an earlier one will be, laid in an earlier one's way, sent late so that
its collision falls into the two seconds after the video, or placed where it touches nothing. Every
step is checked by simulating; what fails is drawn again.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from videothinker.errors import UserError
from videothinker.world import camera
from videothinker.world.objects import (
    COLORS,
    MATERIALS,
    RADIUS,
    SHAPES,
    SHOWN_FRAMES,
    Scene,
    SceneObject,
)
from videothinker.world.physics import DAMPING_RATE, FPS, Trajectory, simulate

__all__ = ["DIALS", "Scene", "SceneConfig", "SceneObject", "sample_world", "scene_config"]

START_OUTSIDE = 0.3
"""How far outside the view, in units, a launched object waits (inside the table's margin)."""
STAGE_Y = (-1.4, 1.7)
"""Near and far limits of where things are aimed or laid: far enough in to be seen well."""
STAGE_WIDTH = 0.75
"""Share of the view's width used for the same."""
CLEARANCE = 0.12
"""Smallest gap, in units, between objects at rest at the start."""
FASTEST = 3.2
"""Units per second; faster objects cross the view in under a second."""
AIMED = (12, 16)
"""Frames at the video's two ends at which nothing is aimed to hit."""
PASSING = (10, 18)
"""The same for what passes by."""
LATE_HITS = (3, 37)
"""Frames after the video at which late movers are aimed to hit."""
LATE_SEEN = 16
"""A late mover must be in view this many frames before the end, so that its collision can be
predicted."""

SEEN_FRAMES = 10
"""Every object is in view for this many frames: where one of eight is shown, it is seen."""
DIALS = (
    "objects_min",
    "objects_max",
    "collisions_min",
    "collisions_max",
    "plain_looks",
    "radius",
    "softest",
    "near_miss",
)
"""The settings of scenes that a world folder, and pretraining, may choose."""
_RANGES = {
    "softest": (0, 1, "table units a second"),
    "near_miss": (0, 1, "table units (0: as it comes)"),
    "radius": (0.1, 0.35, "table units (CLEVRER: 0.2)"),
    "length": (96, 384, "frames (CLEVRER: 128)"),
}
"""Setting -> smallest and largest allowed, and what it is counted in."""
DRAWS = {"first": 4, "hit": 10, "late": 40, "bystander": 16}
"""Draws for one object before the scene is begun anew (most late ones are refused for free)."""


@dataclass(frozen=True)
class SceneConfig:
    """What scenes are sampled.

    Attributes:
        objects_min: fewest objects (CLEVRER: 4).
        objects_max: most objects, at most 12 (CLEVRER: 6).
        collisions_min: fewest collisions in the video (CLEVRER: 2).
        collisions_max: most collisions in the video (CLEVRER: 4).
        late_share: share of scenes with an object sent to collide after the video (ours; 0.9
            leaves at least 0.7 predictive questions a scene).
        bystander_share: chance that an object not needed for a collision is placed to touch
            nothing (ours; the dial behind the share of observational questions).
        softest: smallest closing speed of a collision, units per second (ours: slower contacts
            cannot be seen).
        near_miss: objects that are in view together and do not collide in the video keep at least
            this far apart, table units (ours; 0: as near as they come. At few pixels a nearer miss
            looks like a contact).
        radius: object radius in table units (CLEVRER: 0.2).
        plain_looks: rubber spheres of different colors only (ours: a world small enough for a
            small model to learn to see; CLEVRER mixes materials, shapes and repeated colors).
        length: of the video, in frames, 25 a second (CLEVRER: 128).
        attempts: growths tried before giving up.
    """

    objects_min: int = 4
    objects_max: int = 6
    collisions_min: int = 2
    collisions_max: int = 4
    late_share: float = 0.9
    bystander_share: float = 0.5
    softest: float = 0.15
    near_miss: float = 0.0
    radius: float = RADIUS
    plain_looks: bool = False
    length: int = SHOWN_FRAMES
    attempts: int = 500

    def __post_init__(self) -> None:
        if not 2 <= self.objects_min <= self.objects_max <= 12:
            raise UserError(
                f"objects_min={self.objects_min}, objects_max={self.objects_max}: a scene holds 2 "
                "to 12 objects; give 2 <= objects_min <= objects_max <= 12"
            )
        if not 0 <= self.collisions_min <= self.collisions_max:
            raise UserError(
                f"collisions_min={self.collisions_min}, collisions_max={self.collisions_max}: "
                "give 0 <= collisions_min <= collisions_max"
            )
        if self.collisions_min > self.objects_min - 1:
            raise UserError(
                f"collisions_min={self.collisions_min} cannot be met with {self.objects_min} "
                "objects; give at most one collision less than objects_min"
            )
        for name in ("late_share", "bystander_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"{name}={getattr(self, name)}: is a share; give 0 to 1")
        if self.plain_looks and self.objects_max > len(COLORS):
            raise UserError(
                f"objects_max={self.objects_max} with plain_looks: there are {len(COLORS)} colors; "
                "ask for fewer objects"
            )
        for name, (low, high, unit) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name}={getattr(self, name)}: give {low} to {high} {unit}")


def scene_config(config: object) -> SceneConfig:
    """The part of a world's or a pool's settings that scenes are sampled by.

    Its `DIALS`, and its `length` where it has one (a pool's videos are as long as CLEVRER's).
    """
    length = getattr(config, "length", SHOWN_FRAMES)
    return SceneConfig(**{name: getattr(config, name) for name in DIALS}, length=length)


def _looks(rng: np.random.Generator, count: int, config: SceneConfig) -> list[tuple[str, str, str]]:
    if config.plain_looks:
        every = [(c, "rubber", "sphere") for c in COLORS]
    else:
        every = [(c, m, s) for c in COLORS for m in MATERIALS for s in SHAPES]
    return [every[k] for k in rng.permutation(len(every))[:count]]


def _stage_point(rng: np.random.Generator) -> tuple[float, float]:
    y = rng.uniform(*STAGE_Y)
    x = rng.uniform(-1, 1) * STAGE_WIDTH * camera.half_width_at(y, RADIUS)
    return float(x), float(y)


def _way_out(point: tuple[float, float], heading: float, z: float) -> float:
    """Distance from `point`, against `heading`, to where an object waits outside the view."""
    slopes_24, offsets_4 = camera.edges(z)
    outside_4 = np.array(point) @ slopes_24 + offsets_4
    approach_4 = np.array([math.cos(heading), math.sin(heading)]) @ slopes_24
    with np.errstate(divide="ignore"):
        distances_4 = (outside_4 - START_OUTSIDE) / approach_4
    return float(distances_4[approach_4 < 0].min())


def _sent_to(
    thing: SceneObject, point: tuple[float, float], frame: float, rng: np.random.Generator
) -> SceneObject | None:
    """`thing`, launched so that, undisturbed, it passes `point` at `frame`; None if too fast."""
    side = rng.choice(4, p=(0.38, 0.38, 0.14, 0.10))
    heading = (0.0, math.pi, -math.pi / 2, math.pi / 2)[side] + rng.uniform(-0.8, 0.8)
    speed = rng.uniform(0.5, 1.3)
    distance = _way_out(point, heading, thing.radius)
    seconds = math.log1p(DAMPING_RATE * distance / speed) / DAMPING_RATE
    launch = round(frame - seconds * FPS)
    if launch <= 0:
        seconds, launch = frame / FPS, 0
        distance = speed * math.expm1(DAMPING_RATE * seconds) / DAMPING_RATE
    start_speed = speed + DAMPING_RATE * distance
    if start_speed > FASTEST:
        return None
    ahead = np.array([math.cos(heading), math.sin(heading)])
    start = np.array(point) - distance * ahead
    return replace(
        thing,
        position=(float(start[0]), float(start[1])),
        velocity=(float(start_speed * ahead[0]), float(start_speed * ahead[1])),
        launch_frame=launch,
    )


def _clear(objects: list[SceneObject], new: SceneObject) -> bool:
    """Whether `new` starts apart from everything else on the table at frame 0."""
    if new.launch_frame > 0:
        return True
    return all(
        math.dist(new.position, other.position) > new.reach + other.reach + CLEARANCE
        for other in objects
        if other.launch_frame == 0
    )


def _undisturbed(thing: SceneObject, frames: int) -> np.ndarray:
    """Where `thing` would be in each of T frames if it touched nothing, (T, 2)."""
    seconds_T1 = np.maximum(np.arange(frames) - thing.launch_frame, 0)[:, None] / FPS
    way_T1 = -np.expm1(-DAMPING_RATE * seconds_T1) / DAMPING_RATE
    return np.array(thing.position) + way_T1 * np.array(thing.velocity)


def nearest_miss(trajectory: Trajectory, radius: float) -> float:
    """Smallest gap, in table units, of two round objects in view that do not collide in the video.

    Infinite if there are no two such.
    """
    positions_TN2 = trajectory.positions_TN2[: trajectory.length]
    seen_TN = (trajectory.inside_TN & trajectory.on_table_TN)[: trajectory.length]
    apart_TNN = np.linalg.norm(positions_TN2[:, :, None] - positions_TN2[:, None], axis=-1)
    apart_TNN[~(seen_TN[:, :, None] & seen_TN[:, None])] = np.inf
    nearest_NN = apart_TNN.min(axis=0)
    np.fill_diagonal(nearest_NN, np.inf)
    for hit in trajectory.collisions:
        if hit.frame < trajectory.length:
            nearest_NN[hit.pair] = nearest_NN[hit.pair[::-1]] = np.inf
    return float(nearest_NN.min()) - 2 * radius


def fair(trajectory: Trajectory, config: SceneConfig) -> bool:
    """Every object and collision can be seen, no pair collides twice or only just misses."""
    hits = trajectory.collisions
    if len({hit.pair for hit in hits}) < len(hits):
        return False
    if trajectory.inside_TN[: trajectory.length].sum(axis=0).min() < SEEN_FRAMES:
        return False
    if config.near_miss and nearest_miss(trajectory, config.radius) < config.near_miss:
        return False
    slopes_24, offsets_4 = camera.edges(config.radius)
    return all(
        hit.speed >= config.softest and (np.array((hit.x, hit.y)) @ slopes_24 + offsets_4).max() < 0
        for hit in hits
    )


class _Growth:
    """A scene under growth and what happens in it so far."""

    def __init__(self, rng: np.random.Generator, config: SceneConfig) -> None:
        self.rng, self.config = rng, config
        self.objects: list[SceneObject] = []
        self.trajectory: Trajectory | None = None

    def propose(self, bare: SceneObject, role: str) -> SceneObject | None:
        """Place `bare` for its role: hit, late, bystander or first."""
        rng, end = self.rng, self.config.length
        if role in ("first", "bystander") or self.trajectory is None:
            if rng.random() < 0.5:
                return replace(bare, position=_stage_point(rng))
            return _sent_to(bare, _stage_point(rng), rng.uniform(PASSING[0], end - PASSING[1]), rng)
        hits = (AIMED[0], end - AIMED[1])
        if role == "late":
            hits = (end + LATE_HITS[0], end + LATE_HITS[1])
        frame = int(rng.integers(*hits))
        target = int(rng.integers(len(self.objects)))
        if not self.trajectory.inside_TN[frame, target]:
            return None
        where = self.trajectory.positions_TN2[frame, target]
        aside = rng.uniform(-0.9, 0.9, 2) * self.config.radius
        point = (float(where[0] + aside[0]), float(where[1] + aside[1]))
        if self.trajectory.moving_TN[frame, target] and rng.random() < 0.4:
            return replace(bare, position=point)  # laid in its way
        return _sent_to(bare, point, frame, rng)

    def add(self, bare: SceneObject, role: str, place: int) -> bool:
        """Add one object in its role, at `place` in the list; False if a draw does not work out."""
        new = self.propose(bare, role)
        if new is None or not _clear(self.objects, new) or self._hopeless(new, role):
            return False
        objects = [*self.objects[:place], new, *self.objects[place:]]
        trajectory = simulate(Scene(tuple(objects), self.config.length))
        if not fair(trajectory, self.config) or not self._in_role(trajectory, role, place):
            return False
        self.objects, self.trajectory = objects, trajectory
        return True

    def _first_meeting(self, new: SceneObject) -> float:
        """Frame at which `new` is sure to have touched something; infinite if it may not have."""
        if self.trajectory is None:
            return math.inf
        frames = len(self.trajectory.positions_TN2)
        gaps_TN2 = self.trajectory.positions_TN2 - _undisturbed(new, frames)[:, None]
        reach_N = np.array([thing.radius for thing in self.objects]) + new.radius
        near_TN = (gaps_TN2**2).sum(axis=-1) < reach_N**2
        near_TN &= self.trajectory.on_table_TN
        near_TN[: new.launch_frame] = False
        near_T = near_TN.any(axis=1)
        return int(near_T.argmax()) if near_T.any() else math.inf

    def _hopeless(self, new: SceneObject, role: str) -> bool:
        """What needs no simulation to be refused."""
        end = self.config.length
        if role == "bystander":
            return self._first_meeting(new) < math.inf
        if role == "late":
            return new.launch_frame > end - LATE_SEEN or self._first_meeting(new) < end
        return False

    def _in_role(self, trajectory: Trajectory, role: str, newest: int) -> bool:
        hits, end = trajectory.collisions, trajectory.length
        if sum(hit.frame < end for hit in hits) > self.config.collisions_max:
            return False
        own = [hit.frame for hit in hits if newest in hit.pair]
        if role == "bystander":
            return not own
        if role == "late":
            seen = trajectory.inside_TN[end - LATE_SEEN, newest]
            return bool(own) and min(own) >= end and bool(seen)
        return role == "first" or (bool(own) and min(own) < end)


def _roles(rng: np.random.Generator, config: SceneConfig) -> list[str]:
    count = int(rng.integers(config.objects_min, config.objects_max + 1))
    late = int(count > config.collisions_min + 1 and rng.random() < config.late_share)
    spare = count - 1 - late - config.collisions_min
    apart = int(rng.binomial(spare, config.bystander_share)) if spare > 0 else 0
    hits = count - 1 - late - apart
    return ["first"] + ["hit"] * hits + ["late"] * late + ["bystander"] * apart


def _grow(rng: np.random.Generator, config: SceneConfig) -> tuple[Scene, Trajectory] | None:
    growth = _Growth(rng, config)
    roles = _roles(rng, config)
    ids = rng.permutation(len(roles)).tolist()  # an object's id must not tell its role
    for k, (role, (color, material, shape)) in enumerate(
        zip(roles, _looks(rng, len(roles), config), strict=True)
    ):
        angle = float(rng.uniform(0, math.pi / 2))
        bare = SceneObject(color, material, shape, (0.0, 0.0), angle=angle, radius=config.radius)
        place = sum(earlier < ids[k] for earlier in ids[:k])
        if not any(growth.add(bare, role, place) for _ in range(DRAWS[role])):
            return None
    assert growth.trajectory is not None
    hits = sum(hit.frame < config.length for hit in growth.trajectory.collisions)
    if hits < config.collisions_min:
        return None
    return Scene(tuple(growth.objects), config.length), growth.trajectory


def sample_world(rng: np.random.Generator, config: SceneConfig) -> tuple[Scene, Trajectory]:
    """Grow one scene; returns it with `simulate(scene)`.

    The same generator state gives the same scene.

    Raises:
        UserError: if no scene as configured comes up in `config.attempts` growths.
    """
    for _ in range(config.attempts):
        grown = _grow(rng, config)
        if grown is not None:
            return grown
    raise UserError(
        f"no scene with {config.objects_min} to {config.objects_max} objects and "
        f"{config.collisions_min} to {config.collisions_max} collisions came up in "
        f"{config.attempts} growths; ask for fewer collisions or smaller objects, or lower "
        f"near_miss={config.near_miss} or softest={config.softest}"
    )
