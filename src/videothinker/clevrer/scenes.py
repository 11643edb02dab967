"""What a program looks at: the objects of a scene and everything that happens to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from videothinker.clevrer.annotations import FRAMES, Annotation, ObjectProperty
from videothinker.errors import UserError

MOVING_SPEED = 0.1
"""Metres a second above which an object moves (ours: CLEVRER does not publish its threshold)."""

EventType = Literal["start", "end", "in", "out", "collision"]
_RANK = {"start": 0, "in": 1, "collision": 2, "out": 3, "end": 4}


class Event(NamedTuple):
    """Something that happens to one object (in, out) or two (collision) at a frame."""

    type: EventType
    frame: int
    objects: tuple[int, ...] = ()

    @property
    def pair(self) -> frozenset[int]:
        """The objects without their order."""
        return frozenset(self.objects)


def in_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """By frame; within a frame entering, then colliding (in the given order), then leaving."""
    return tuple(sorted(events, key=lambda event: (event.frame, _RANK[event.type])))


@dataclass(frozen=True)
class Scene:
    """One world as the program executor sees it.

    Object ids are positions in `objects`. What is None is not known (an annotation file says
    nothing of the future or of other worlds), and a program that asks for it is refused.
    """

    objects: tuple[ObjectProperty, ...]
    events: tuple[Event, ...]
    """In the video, in order, without start and end."""
    unseen: tuple[Event, ...] | None = None
    """After the video."""
    counterfactual: Mapping[int, Sequence[Event]] | None = None
    """Removed object -> what happens without it."""
    moving_TN: NDArray[np.bool_] | None = None
    visible_TN: NDArray[np.bool_] | None = None
    frames: int = FRAMES

    @property
    def collisions(self) -> tuple[frozenset[int], ...]:
        """The pairs that collide in the video, in order of time."""
        return tuple(event.pair for event in self.events if event.type == "collision")


def crossings(visible_TN: NDArray[np.bool_]) -> list[Event]:
    """Entering and leaving events: an object changes from outside the view to inside, or back."""
    change_TN = np.diff(visible_TN.astype(np.int8), axis=0)
    found: list[Event] = []
    for frame, thing in np.argwhere(change_TN):
        kind: EventType = "in" if change_TN[frame, thing] > 0 else "out"
        found.append(Event(kind, int(frame) + 1, (int(thing),)))
    return found


def moving(velocities_TN2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Speed on the table above `MOVING_SPEED`."""
    return np.hypot(velocities_TN2[..., 0], velocities_TN2[..., 1]) > MOVING_SPEED


def places(annotation: Annotation) -> dict[int, int]:
    """Each object's id -> its position in `object_property`.

    Raises:
        UserError: an id comes twice, a collision or a frame names an object that is not listed, or
            an object collides with itself.
    """
    listed = [thing.object_id for thing in annotation.object_property]
    hits = [hit.object_ids for hit in annotation.collision]
    named = {i for pair in hits for i in pair}
    for frame in annotation.motion_trajectory or ():
        named.update(thing.object_id for thing in frame.objects)
    where = f"scene {annotation.scene_index}"
    if len(set(listed)) < len(listed):
        raise UserError(f"{where}: object_property lists {listed}; each object_id must be its own")
    if lost := sorted(named - set(listed)):
        part = "collision" if any(lost[0] in pair for pair in hits) else "motion_trajectory"
        raise UserError(
            f"{where}: {part} names object_id {lost[0]}; object_property lists {sorted(listed)}"
        )
    if alone := [one for one, other in hits if one == other]:
        raise UserError(f"{where}: object_id {alone[0]} collides with itself; it takes two")
    return {identity: place for place, identity in enumerate(listed)}


def from_annotation(annotation: Annotation) -> Scene:
    """The view of a read annotation.

    Collisions are always there; entering, leaving and moving only where the trajectories were read.
    What an annotation lists beyond the video's frames was not seen and is no event of the scene.

    Raises:
        UserError: see `places`; or a simulated video's trajectories do not have its length.
    """
    place = places(annotation)
    frames = annotation.motion_trajectory
    if frames is not None and annotation.length not in (FRAMES, len(frames)):
        raise UserError(
            f"scene {annotation.scene_index}: length says {annotation.length}, motion_trajectory "
            f"has {len(frames)} frames; make or copy the file again"
        )
    events = [
        Event("collision", hit.frame_id, (place[hit.object_ids[0]], place[hit.object_ids[1]]))
        for hit in annotation.collision
        if hit.frame_id < annotation.length
    ]
    visible_TN = moving_TN = None
    if frames is not None:
        visible_TN = np.zeros((len(frames), len(place)), dtype=bool)
        velocities_TN2 = np.zeros((len(frames), len(place), 2))
        for t, frame in enumerate(frames):
            for thing in frame.objects:
                visible_TN[t, place[thing.object_id]] = thing.inside_camera_view
                velocities_TN2[t, place[thing.object_id]] = thing.velocity[:2]
        moving_TN = moving(velocities_TN2)
        events += crossings(visible_TN)
    return Scene(
        objects=annotation.object_property,
        events=in_order(events),
        moving_TN=moving_TN,
        visible_TN=visible_TN,
        frames=annotation.length if visible_TN is None else len(visible_TN),
    )
