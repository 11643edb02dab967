"""The other worlds of a simulated scene, read back from the file that was written about them."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from videothinker.clevrer.annotations import Annotation
from videothinker.clevrer.scenes import Event, Scene, from_annotation, in_order
from videothinker.world.view import LoggedEvent, Worlds, worlds_path


def read_worlds(root: Path, split: str, scene: int) -> Worlds:
    return msgspec.json.decode(worlds_path(root, split, scene).read_bytes(), type=Worlds)


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
    return replace(from_annotation(annotation), unseen=in_order(later), counterfactual=others)
