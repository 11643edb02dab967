"""A simulated world as CLEVRER's files and programs see it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from videothinker.clevrer.annotations import (
    AnnotatedCollision,
    Annotation,
    MotionFrame,
    MotionObject,
    ObjectProperty,
    thousand,
)
from videothinker.clevrer.scenes import Event, Scene, moving
from videothinker.world.worlds import World, events_of

DIGITS = 6
"""Decimals kept in annotation files: micrometres where CLEVRER's table is metres wide."""


def properties(world: World) -> tuple[ObjectProperty, ...]:
    """The objects' looks."""
    return tuple(
        ObjectProperty(i, thing.color, thing.material, thing.shape)  # type: ignore[arg-type]
        for i, thing in enumerate(world.scene.objects)
    )


def _table(numbers: np.ndarray) -> np.ndarray:
    return np.round(np.nan_to_num(numbers), DIGITS) + 0.0


def scene_view(world: World) -> Scene:
    """The world as the program executor sees it, exactly as the written files give it back."""
    events, end = events_of(world.factual), world.scene.length
    return Scene(
        objects=properties(world),
        events=tuple(e for e in events if e.frame < end),
        unseen=tuple(e for e in events if e.frame >= end),
        counterfactual={
            i: tuple(e for e in events_of(run) if e.frame < end)
            for i, run in enumerate(world.without)
        },
        moving_TN=moving(_table(world.factual.velocities_TN2[:end])),
        visible_TN=world.factual.inside_TN[:end],
        frames=end,
    )


def annotation(world: World) -> Annotation:
    """CLEVRER's annotation of the video."""
    run, end = world.factual, world.scene.length
    heights = [round(thing.radius, DIGITS) for thing in world.scene.objects]
    positions = _table(run.positions_TN2[:end]).tolist()
    velocities = _table(run.velocities_TN2[:end]).tolist()
    angles = _table(np.rad2deg(run.angles_TN[:end])).tolist()
    spins = _table(run.angular_velocities_TN[:end]).tolist()
    inside = run.inside_TN[:end].tolist()
    frames = tuple(
        MotionFrame(
            t,
            tuple(
                MotionObject(
                    object_id=i,
                    location=(*positions[t][i], heights[i]),
                    orientation=(0.0, 0.0, angles[t][i]),
                    velocity=(*velocities[t][i], 0.0),
                    angular_velocity=(0.0, 0.0, spins[t][i]),
                    inside_camera_view=inside[t][i],
                )
                for i in range(len(heights))
            ),
        )
        for t in range(end)
    )
    hits = tuple(
        AnnotatedCollision(
            (hit.i, hit.j),
            hit.frame,
            (round(hit.x, DIGITS), round(hit.y, DIGITS), round(max(heights), DIGITS)),
        )
        for hit in run.collisions
        if hit.frame < end
    )
    name = f"video_{world.scene_index:05d}.mp4"
    return Annotation(
        world.scene_index, name, properties(world), hits, frames, length=world.scene.length
    )


class LoggedEvent(msgspec.Struct, frozen=True):
    """An event in a file; ids are the annotation's `object_id`."""

    type: Literal["in", "out", "collision"]
    frame_id: int
    object_ids: tuple[int, ...]


class Without(msgspec.Struct, frozen=True):
    """Everything that happens in the world without one object."""

    object_id: int
    events: tuple[LoggedEvent, ...]


class Worlds(msgspec.Struct, frozen=True):
    """What CLEVRER's files do not hold: the two seconds after the video, and the world without X.

    One file a scene, written as evidence; nothing is computed from it. Of `frames`, the first
    `Annotation.length` are the video.
    """

    scene_index: int
    frames: int
    events: tuple[LoggedEvent, ...]
    without: tuple[Without, ...]


def worlds_path(root: Path, split: str, scene: int) -> Path:
    """Where the scene's file lies."""
    folder = root / "counterfactual" / split / f"counterfactual_{thousand(scene)}"
    return folder / f"counterfactual_{scene:05d}.json"


def logged(events: Iterable[Event]) -> tuple[LoggedEvent, ...]:
    """Events as the file has them."""
    return tuple(
        LoggedEvent(e.type, e.frame, e.objects)
        for e in events
        if e.type in ("in", "out", "collision")
    )


def worlds_file(world: World) -> Worlds:
    """What follows the video, and every world without one object."""
    return Worlds(
        scene_index=world.scene_index,
        frames=len(world.factual.positions_TN2),
        events=logged(events_of(world.factual)),
        without=tuple(Without(i, logged(events_of(run))) for i, run in enumerate(world.without)),
    )
