"""The scenes that pretraining looks at: simulated once, kept in chunks, read again every epoch.

A chunk is a JSON file of facts and, in the video tier, an array of frames beside it. It depends on
(seed, world settings, chunk number) alone, so it can be made ahead, by another process, or again.
"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from videothinker.clevrer import scenes as views
from videothinker.clevrer.annotations import Color, Material, ObjectProperty, ObjectShape
from videothinker.clevrer.questions import RawQuestion
from videothinker.clevrer.scenes import Event
from videothinker.clevrer.transcript import Motion
from videothinker.errors import UserError
from videothinker.files import writing
from videothinker.lab.pretraining.config import PoolConfig
from videothinker.models.border import read_object
from videothinker.records import write_atomic
from videothinker.seeds import numpy_generator
from videothinker.world.descriptive import Views, descriptive
from videothinker.world.objects import SHOWN_FRAMES, SceneObject, SceneSetup, frame_ids
from videothinker.world.options import Names
from videothinker.world.physics import MOVING_SPEED, Trajectory
from videothinker.world.render import Palette, render
from videothinker.world.robust import Fragile, fragile_pairs
from videothinker.world.scenes import scene_config
from videothinker.world.shading import RGB
from videothinker.world.view import scene_view
from videothinker.world.worlds import World, make_world

FIRST_SCENE = 20000
"""Scene indices below belong to CLEVRER's splits."""
SLOT = 2
"""Frames a video token covers (the temporal patch size)."""
CHUNK = 128
"""Scenes a file."""
DESCRIPTIVE = 8
"""Descriptive questions a scene, at most."""


class SceneFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one scene. F sampled frames, N objects, table units and seconds."""

    scene_index: int
    looks: tuple[tuple[Color, Material, ObjectShape], ...]
    """(color, material, shape) of each object."""
    frames: tuple[int, ...]
    """The F sampled frames among the 128 shown."""
    positions: list[list[tuple[float, float]]]
    velocities: list[list[tuple[float, float]]]
    angles: list[list[float]]
    inside: list[list[bool]]
    """In the camera's view."""
    on_table: list[list[bool]]
    events: tuple[Event, ...]
    """Collisions, entries and exits in the video, in order."""
    unseen: tuple[Event, ...]
    """Collisions in the two seconds after it."""
    without: tuple[tuple[Event, ...], ...]
    """For each object, the collisions of the world without it, video and after."""
    descriptive: tuple[RawQuestion, ...]
    """Descriptive questions, as the world asks them."""
    fragile: Fragile | None = None
    """The pairs that are not to be asked about (`world.robust`); None where give-aways are allowed,
    and anything may be asked."""

    @property
    def objects(self) -> tuple[ObjectProperty, ...]:
        """As CLEVRER's annotations have them."""
        return tuple(
            ObjectProperty(object_id=i, color=c, material=m, shape=s)
            for i, (c, m, s) in enumerate(self.looks)
        )

    def collisions(self, without: int | None = None) -> list[tuple[int, int]]:
        """Pairs in order of time, in the video or in what the world without an object shows."""
        source = self.events if without is None else self.without[without]
        return [
            (event.objects[0], event.objects[1])
            for event in source
            if event.type == "collision" and event.frame < SHOWN_FRAMES
        ]

    def slot_of(self, frame: int) -> int:
        """The two-frame slot that is nearest to a frame of the video."""
        centres = np.array(self.frames).reshape(-1, SLOT).mean(axis=1)
        return int(np.abs(centres - frame).argmin())

    def events_by_slot(self) -> list[list[Event]]:
        """The video's events in the two-frame slots nearest to them, in order of time."""
        found: list[list[Event]] = [[] for _ in self.frames[::SLOT]]
        for event in self.events:
            found[self.slot_of(event.frame)].append(event)
        return found

    def collisions_by_slot(self) -> list[list[tuple[int, int]]]:
        """The video's collisions alone, slot by slot."""
        return [
            [(e.objects[0], e.objects[1]) for e in events if e.type == "collision"]
            for events in self.events_by_slot()
        ]

    @property
    def late(self) -> list[set[frozenset[int]]]:
        """For each object, the pairs that collide only after the video once it is gone."""
        return [{e.pair for e in events if e.frame >= SHOWN_FRAMES} for events in self.without]

    def scene(self) -> views.Scene:
        """For the question generator: every world over the video's frames."""
        return views.Scene(
            objects=self.objects,
            events=self.events,
            unseen=self.unseen,
            counterfactual={
                thing: tuple(event for event in events if event.frame < SHOWN_FRAMES)
                for thing, events in enumerate(self.without)
            },
        )

    def motion(self) -> Motion:
        """For the transcript; T is the number of sampled frames."""
        return Motion(
            self.objects,
            self.events,
            np.array(self.positions),
            np.array(self.velocities),
            np.array(self.inside),
        )

    def flipped(self) -> "SceneFacts":
        """The same scene in a mirror: left is right."""
        mirrored = [[(-x, y) for x, y in row] for row in self.positions]
        return msgspec.structs.replace(self, positions=mirrored)


def _rounded(values: np.ndarray) -> list:
    return np.nan_to_num(np.round(values, 3)).tolist()


def facts(world: World, frames: int, seed: int, fragile: Fragile | None = None) -> SceneFacts:
    """Take from a world of CLEVRER's length what training needs.

    `seed` draws the descriptive questions.
    """
    run = world.factual
    at = frame_ids(frames)
    hits = [Event("collision", hit.frame, hit.pair) for hit in run.collisions]
    scene = scene_view(world)
    rng = numpy_generator(seed, "pretraining questions", world.scene_index)
    speeds_TN = np.linalg.norm(run.velocities_TN2[:SHOWN_FRAMES], axis=-1)
    moving = Views.of(scene, speeds_TN, MOVING_SPEED)
    return SceneFacts(
        scene_index=world.scene_index,
        looks=tuple((thing.color, thing.material, thing.shape) for thing in scene.objects),
        frames=tuple(at.tolist()),
        positions=_rounded(run.positions_TN2[at]),
        velocities=_rounded(run.velocities_TN2[at]),
        angles=_rounded(run.angles_TN[at]),
        inside=run.inside_TN[at].tolist(),
        on_table=run.on_table_TN[at].tolist(),
        events=scene.events,
        unseen=tuple(hit for hit in hits if hit.frame >= SHOWN_FRAMES),
        without=tuple(
            tuple(Event("collision", hit.frame, hit.pair) for hit in other.collisions)
            for other in world.without
        ),
        descriptive=tuple(descriptive(moving, Names(scene.objects, rng), DESCRIPTIVE)),
        fragile=fragile,
    )


def simulated(index: int, seed: int, config: PoolConfig) -> SceneFacts:
    """One scene of the pool, from its index."""
    scenes = scene_config(config)
    world = make_world(seed, index, scenes)
    fragile = None
    if config.give_aways != "allowed":
        rng = numpy_generator(seed, "pretraining jitter", index)
        fragile = fragile_pairs(world, scenes, config.jitter, config.jitter_draws, rng)
    return facts(world, config.frames, seed, fragile)


def keep_apart(folder: Path, seed: int, config: PoolConfig) -> None:
    """Note in the folder which scenes it holds.

    Raises:
        UserError: it holds others.
    """
    counts = ("scenes", "held_out")  # a chunk is the same however many there are
    wanted = {k: v for k, v in vars(config).items() if k not in counts} | {"seed": seed}
    settings = folder / "pool.json"
    if not settings.exists():
        write_atomic(settings, msgspec.json.encode(wanted))
    found = read_object(settings)
    for key in wanted:
        if found.get(key) != wanted[key]:
            raise UserError(
                f"{folder}: holds scenes of {key}={found.get(key)}, {key}={wanted[key]} came; "
                "give another pool_dir"
            )


def read_chunk(folder: Path, number: int, seed: int, config: PoolConfig) -> list[SceneFacts]:
    """Chunk `number` of the pool in `folder`, simulated first if it is not there."""
    path = folder / f"facts-{number:05d}.json"
    if not path.exists():
        first = FIRST_SCENE + number * CHUNK
        found = [simulated(index, seed, config) for index in range(first, first + CHUNK)]
        write_atomic(path, msgspec.json.encode(found))
    return msgspec.json.decode(path.read_bytes(), type=list[SceneFacts])


def read_frames(folder: Path, number: int, seed: int, config: PoolConfig) -> np.ndarray:
    """The frames of a chunk's scenes, uint8 (CHUNK, F, H, W, 3), rendered first if not there.

    Color is kept at half the resolution, as every video file keeps it.
    """
    path = folder / f"frames-{number:05d}-{config.width}x{config.height}.npy"

    def made() -> list[np.ndarray]:
        scenes = read_chunk(folder, number, seed, config)
        return [half_color(frames_of(one, config)) for one in scenes]

    return kept(path, made)


def kept(path: Path, make: Callable[[], list[np.ndarray]]) -> np.ndarray:
    """The array in a file, made and written first, whole or not at all, if it is not there."""
    if not path.exists():
        found = np.stack(make())
        with writing(path) as file:
            # given a file, numpy writes itself, and does not say why a disk takes no more
            plain: Any = SimpleNamespace(write=file.write)
            np.save(plain, found)
    return np.load(path, mmap_mode="r")


def frames_of(one: SceneFacts, config: PoolConfig, palette: Palette = RGB) -> np.ndarray:
    """The sampled frames of a scene, uint8 (F, H, W, 3)."""
    things = tuple(
        SceneObject(color, material, shape, (0.0, 0.0), radius=config.radius)
        for color, material, shape in one.looks
    )
    places = np.array(one.positions)
    run = Trajectory(
        positions_TN2=places,
        angles_TN=np.array(one.angles),
        velocities_TN2=np.zeros_like(places),
        angular_velocities_TN=np.zeros(places.shape[:2]),
        on_table_TN=np.array(one.on_table),
        inside_TN=np.array(one.inside),
        collisions=(),
    )
    return render(
        SceneSetup(things), run, range(len(places)), config.width, config.height, palette=palette
    )


def half_color(frames_THW3: np.ndarray) -> np.ndarray:
    """Full brightness, color averaged over 2x2 pixels (4:2:0), uint8."""
    frames = frames_THW3.astype(np.float32)
    light = frames @ np.array([0.299, 0.587, 0.114], np.float32)
    color = frames - light[..., None]
    count, height, width, _ = color.shape
    coarse = color.reshape(count, height // 2, 2, width // 2, 2, 3).mean(axis=(2, 4))
    wide = coarse.repeat(2, axis=1).repeat(2, axis=2)
    return np.clip(light[..., None] + wide + 0.5, 0, 255).astype(np.uint8)
