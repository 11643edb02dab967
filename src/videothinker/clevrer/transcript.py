"""The transcript tier: a scene as text, object states and an event log with a stated miss rate.

It stands in place of frames where the question is about training and not about seeing. It shows
what the video shows and nothing else: no future, no other world. Its tables are never pooled with
the video tier's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videothinker.clevrer.annotations import Annotation, ObjectProperty
from videothinker.clevrer.scenes import Event, from_annotation, places
from videothinker.errors import UserError
from videothinker.seeds import numpy_generator


@dataclass(frozen=True)
class Motion:
    """Where the objects are while the video runs: metres, metres a second."""

    objects: Sequence[ObjectProperty]
    events: Sequence[Event]
    positions_TN2: NDArray[np.float64]
    velocities_TN2: NDArray[np.float64]
    visible_TN: NDArray[np.bool_]


def read_motion(annotation: Annotation) -> Motion:
    """The motion of an annotation that was read with its trajectories.

    Raises:
        UserError: it was read without them or has none, or see `scenes.places`.
    """
    scene = from_annotation(annotation)
    if not annotation.motion_trajectory or scene.visible_TN is None:
        raise UserError(
            f"scene {annotation.scene_index} has no trajectories; a transcript needs them: "
            "read the whole annotation, with trajectories=True"
        )
    place = places(annotation)
    shape = (*scene.visible_TN.shape, 2)
    positions_TN2, velocities_TN2 = np.zeros(shape), np.zeros(shape)
    for t, frame in enumerate(annotation.motion_trajectory):
        for thing in frame.objects:
            positions_TN2[t, place[thing.object_id]] = thing.location[:2]
            velocities_TN2[t, place[thing.object_id]] = thing.velocity[:2]
    return Motion(scene.objects, scene.events, positions_TN2, velocities_TN2, scene.visible_TN)


def describe(event: Event, names: Sequence[str]) -> str:
    """An event in words, as in "the red metal cube and the gray rubber sphere collide"."""
    first = names[event.objects[0]]
    if event.type == "collision":
        return f"the {first} and the {names[event.objects[1]]} collide"
    return f"the {first} {'enters' if event.type == 'in' else 'leaves'} the scene"


def observe(
    scene: Annotation | Motion, *, frames: int, miss_rate: float, seed: int
) -> tuple[Motion, list[int], list[Event]]:
    """What a transcript tells: the scene's motion, the frames given, the events not missing.

    Raises:
        UserError: no trajectories, frames < 1, or a rate outside [0, 1].
    """
    if frames < 1 or not 0 <= miss_rate <= 1:
        raise UserError(
            f"frames={frames}, miss_rate={miss_rate}; allowed are frames >= 1 and rates from 0 to 1"
        )
    motion = read_motion(scene) if isinstance(scene, Annotation) else scene
    shown = np.linspace(0, len(motion.positions_TN2) - 1, frames).round().astype(int).tolist()
    kept = numpy_generator(seed, "transcript").random(len(motion.events)) >= miss_rate
    return motion, shown, [e for e, keep in zip(motion.events, kept, strict=True) if keep]


def render(
    scene: Annotation | Motion, *, frames: int = 4, miss_rate: float = 0.0, seed: int = 0
) -> str:
    """The context shown in place of a video.

    Args:
        scene: an annotation with trajectories, or a simulated scene's motion.
        frames: at how many evenly spaced frames the states are given.
        miss_rate: each event is missing from the log with this probability, on its own; the text
            says so.
        seed: of the misses (with the scene's own seed derived by the caller).

    Returns:
        One line an object and frame, then one line an event.

    Raises:
        UserError: no trajectories, frames < 1, or a rate outside [0, 1].
    """
    motion, shown, told = observe(scene, frames=frames, miss_rate=miss_rate, seed=seed)
    names = [thing.name for thing in motion.objects]
    lines = [f"Objects: {', '.join(names)}."]
    for t in shown:
        states = [
            f"{name} at ({x:.2f}, {y:.2f}) moving ({u:.2f}, {v:.2f})"
            for name, (x, y), (u, v), seen in zip(
                names,
                motion.positions_TN2[t],
                motion.velocities_TN2[t],
                motion.visible_TN[t],
                strict=True,
            )
            if seen
        ]
        lines.append(f"Frame {t}: {'; '.join(states) or 'nothing in view'}.")
    lines.append(f"Events (each is missing with probability {miss_rate:g}):")
    lines += [f"Frame {event.frame}: {describe(event, names)}." for event in told] or ["None."]
    return "\n".join(lines)
