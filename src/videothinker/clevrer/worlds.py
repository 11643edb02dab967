"""What CLEVRER's files do not hold: the two seconds after the video, and the world without X.

`counterfactual/{split}/counterfactual_00000-01000/counterfactual_00000.json`, one file a scene,
written by the simulated world and read back as evidence.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from videothinker.clevrer.annotations import Annotation, decode_file, thousand
from videothinker.clevrer.scenes import Event, Scene, from_annotation


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
    """One scene's file: the first `Annotation.length` frames are the video, the rest follows it."""

    scene_index: int
    frames: int
    events: tuple[LoggedEvent, ...]
    without: tuple[Without, ...]


_DECODER = msgspec.json.Decoder(Worlds)


def worlds_path(root: Path, split: str, scene: int) -> Path:
    """Where the scene's file lies."""
    folder = root / "counterfactual" / split / f"counterfactual_{thousand(scene)}"
    return folder / f"counterfactual_{scene:05d}.json"


def read_worlds(root: Path, split: str, scene: int) -> Worlds:
    """Read one scene's other worlds.

    Raises:
        UserError: missing (real CLEVRER has none) or broken.
    """
    path = worlds_path(root, split, scene)
    return decode_file(path, _DECODER.decode, "a simulated scene's counterfactual file")


def logged(events: Iterable[Event]) -> tuple[LoggedEvent, ...]:
    """Events as the file has them."""
    return tuple(
        LoggedEvent(e.type, e.frame, e.objects)
        for e in events
        if e.type in ("in", "out", "collision")
    )


def _events(found: Iterable[LoggedEvent], place: dict[int, int]) -> list[Event]:
    return [Event(e.type, e.frame_id, tuple(place[i] for i in e.object_ids)) for e in found]


def full_scene(annotation: Annotation, worlds: Worlds) -> Scene:
    """The scene with what annotations do not hold, as every program needs it.

    A counterfactual world is judged over the video's frames, as the video itself is.
    """
    end = annotation.length
    place = {thing.object_id: i for i, thing in enumerate(annotation.object_property)}
    later = [e for e in _events(worlds.events, place) if e.frame >= end]
    others = {
        place[world.object_id]: [e for e in _events(world.events, place) if e.frame < end]
        for world in worlds.without
    }
    return from_annotation(annotation, unseen=later, counterfactual=others)
