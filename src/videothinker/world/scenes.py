"""Scenes grown the way CLEVRER grows them: each object is placed with the earlier ones in view.

An object is aimed at where an earlier one will be, laid in an earlier one's way, sent late so that
its collision falls into the two seconds after the video, or placed where it touches nothing. Every
step is checked by simulating; what fails is drawn again.
"""

import math
from dataclasses import replace

import numpy as np

from videothinker.clevrer.programs import MATERIALS
from videothinker.errors import UserError
from videothinker.world import camera
from videothinker.world.dials import DIALS, SceneConfig, scene_config
from videothinker.world.objects import RADIUS, SHAPES, SceneObject, SceneSetup
from videothinker.world.physics import FPS, Trajectory, simulate
from videothinker.world.shading import RGB

__all__ = ["DIALS", "SceneConfig", "SceneObject", "SceneSetup", "sample_world", "scene_config"]

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
SPEEDS = (0.5, 1.3)
"""Units per second at which an object is sent past where it is aimed."""
SIDES = (0.38, 0.38, 0.14, 0.10)
"""Chances of coming from the left, the right, afar and near."""
TURN = 0.8
"""Largest angle, in radians, between a path and the line straight in from its side."""
ASIDE = 0.9
"""How far beside another object's centre one is aimed, in radii, along x and along y."""
LAID = 0.4
"""Chance that an object is laid in the way of a moving one rather than sent to meet it."""
GRID = 0.4
"""Lanes run through the middle of the cells in which a transcript tells places (of this size)."""
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
DRAWS = {"first": 4, "hit": 10, "late": 40, "bystander": 16}
"""Draws for one object before the scene is begun anew (most late ones are refused for free)."""


def _looks(rng: np.random.Generator, count: int, config: SceneConfig) -> list[tuple[str, str, str]]:
    if config.plain_looks:
        every = [(c, "rubber", "sphere") for c in RGB]
    else:
        every = [(c, m, s) for c in RGB for m in MATERIALS for s in SHAPES]
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


def _backwards(distance: float, speed: float, friction: float) -> float:
    """Seconds in which an object that ends with `speed` came `distance` units."""
    if friction == 0:
        return distance / speed
    return math.log1p(friction * distance / speed) / friction


def _sent_to(
    thing: SceneObject,
    point: tuple[float, float],
    frame: float,
    config: SceneConfig,
    rng: np.random.Generator,
) -> SceneObject | None:
    """`thing`, launched so that, undisturbed, it passes `point` at `frame`; None if too fast."""
    friction = config.friction
    side = rng.choice(4, p=SIDES)
    heading = (0.0, math.pi, -math.pi / 2, math.pi / 2)[side]
    heading += 0.0 if config.lanes else rng.uniform(-TURN, TURN)
    speed = rng.uniform(*SPEEDS)
    distance = _way_out(point, heading, thing.radius)
    seconds = _backwards(distance, speed, friction)
    launch = round(frame - seconds * FPS)
    if launch <= 0:
        seconds, launch = frame / FPS, 0
        distance = speed * (math.expm1(friction * seconds) / friction if friction else seconds)
    start_speed = speed + friction * distance
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


def _undisturbed(thing: SceneObject, frames: int, friction: float) -> np.ndarray:
    """Where `thing` would be in each of T frames if it touched nothing, (T, 2)."""
    seconds_T1 = np.maximum(np.arange(frames) - thing.launch_frame, 0)[:, None] / FPS
    way_T1 = -np.expm1(-friction * seconds_T1) / friction if friction else seconds_T1
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


def plain_to_see(trajectory: Trajectory, config: SceneConfig) -> bool:
    """Every collision is in view and hard enough to see, and no pair only just misses."""
    if config.near_miss and nearest_miss(trajectory, config.radius) < config.near_miss:
        return False
    slopes_24, offsets_4 = camera.edges(config.radius)
    return all(
        hit.speed >= config.softest and (np.array((hit.x, hit.y)) @ slopes_24 + offsets_4).max() < 0
        for hit in trajectory.collisions
    )


def fair(trajectory: Trajectory, config: SceneConfig) -> bool:
    """Every object and collision can be seen, no pair collides twice or only just misses."""
    hits = trajectory.collisions
    if len({hit.pair for hit in hits}) < len(hits):
        return False
    if trajectory.inside_TN[: trajectory.length].sum(axis=0).min() < SEEN_FRAMES:
        return False
    return plain_to_see(trajectory, config)


class _Growth:
    """A scene under growth and what happens in it so far."""

    def __init__(self, rng: np.random.Generator, config: SceneConfig) -> None:
        self.rng, self.config = rng, config
        self.objects: list[SceneObject] = []
        self.trajectory: Trajectory | None = None
        self.corner_2 = np.full(2, GRID / 2)
        if config.lanes:
            self.corner_2 += GRID * rng.integers(max(1, round(config.lanes / GRID)), size=2)

    def on_lanes(self, point: tuple[float, float]) -> tuple[float, float]:
        """The nearest crossing of two lanes; the point itself where there are none."""
        step = self.config.lanes
        if not step:
            return point
        x, y = np.round((np.array(point) - self.corner_2) / step) * step + self.corner_2
        return float(x), float(y)

    def propose(self, bare: SceneObject, role: str) -> SceneObject | None:
        """Place `bare` for its role: hit, late, bystander or first."""
        rng, end, lanes = self.rng, self.config.length, self.config.lanes
        if role in ("first", "bystander") or self.trajectory is None:
            if rng.random() < 0.5:
                return replace(bare, position=self.on_lanes(_stage_point(rng)))
            point = self.on_lanes(_stage_point(rng))
            frame = rng.uniform(PASSING[0], end - PASSING[1])
            return _sent_to(bare, point, frame, self.config, rng)
        hits = (AIMED[0], end - AIMED[1])
        if role == "late":
            hits = (end + LATE_HITS[0], end + LATE_HITS[1])
        frame = int(rng.integers(*hits))
        target = int(rng.integers(len(self.objects)))
        if not self.trajectory.inside_TN[frame, target]:
            return None
        where_2 = self.trajectory.positions_TN2[frame, target]
        if not lanes:
            where_2 = where_2 + rng.uniform(-ASIDE, ASIDE, 2) * self.config.radius
        point = self.on_lanes((float(where_2[0]), float(where_2[1])))
        if self.trajectory.moving_TN[frame, target] and (lanes or rng.random() < LAID):
            return replace(bare, position=point)  # laid in its way
        return _sent_to(bare, point, frame, self.config, rng)

    def add(self, bare: SceneObject, role: str, place: int) -> bool:
        """Add one object in its role, at `place` in the list; False if a draw does not work out."""
        new = self.propose(bare, role)
        if new is None or not _clear(self.objects, new) or self._hopeless(new, role):
            return False
        objects = [*self.objects[:place], new, *self.objects[place:]]
        trajectory = simulate(SceneSetup(tuple(objects), self.config.length, self.config.friction))
        if not fair(trajectory, self.config) or not self._in_role(trajectory, role, place):
            return False
        self.objects, self.trajectory = objects, trajectory
        return True

    def _first_meeting(self, new: SceneObject) -> float:
        """Frame at which `new` is sure to have touched something; infinite if it may not have."""
        if self.trajectory is None:
            return math.inf
        frames = len(self.trajectory.positions_TN2)
        gaps_TN2 = (
            self.trajectory.positions_TN2 - _undisturbed(new, frames, self.config.friction)[:, None]
        )
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


def _grow(rng: np.random.Generator, config: SceneConfig) -> tuple[SceneSetup, Trajectory] | None:
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
    return SceneSetup(tuple(growth.objects), config.length, config.friction), growth.trajectory


def sample_world(rng: np.random.Generator, config: SceneConfig) -> tuple[SceneSetup, Trajectory]:
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
