"""What CLEVRER's files do not hold: the two seconds after the video, and the world without X.

`counterfactual/{split}/counterfactual_00000-01000/counterfactual_00000.json`, one file a scene,
written by the simulated world as evidence; nothing is computed from it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from videothinker.clevrer.annotations import thousand
from videothinker.clevrer.scenes import Event


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
