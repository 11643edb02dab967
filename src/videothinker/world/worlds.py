"""A scene with everything that would have happened: the world as it is, and without each object.

Which scenes are dropped, and why, is decided here (`rejection`); the reasons are counted, never
hidden.
"""

from dataclasses import dataclass

import numpy as np

from videothinker.clevrer.scenes import Event, crossings, in_order
from videothinker.errors import UserError
from videothinker.seeds import numpy_generator
from videothinker.world.physics import Trajectory, simulate
from videothinker.world.scenes import SceneConfig, SceneSetup, fair, sample_world

JITTER = 1e-4
"""Units by which start positions are moved to see whether any label flips."""
TRIES = 200
"""Scenes drawn for one index before giving up."""


@dataclass(frozen=True)
class World:
    """One accepted scene.

    Attributes:
        scene_index: CLEVRER's index.
        scene: the objects, in `object_id` order.
        factual: the frames shown (CLEVRER: 128) and the two seconds after.
        without: for each object the world with it removed, same frames; empty if not asked for.
        rejected: why earlier draws for this index were dropped, in order.
    """

    scene_index: int
    scene: SceneSetup
    factual: Trajectory
    without: tuple[Trajectory, ...]
    rejected: tuple[str, ...]


def events_of(trajectory: Trajectory) -> tuple[Event, ...]:
    """Everything that happens in a run, in order."""
    hits = [Event("collision", hit.frame, hit.pair) for hit in trajectory.collisions]
    return in_order([*hits, *crossings(trajectory.inside_TN)])


def labels(trajectory: Trajectory) -> tuple[object, ...]:
    """Everything an answer can depend on, without the numbers: two runs agree on all or flip.

    For the world as it is: the order of collisions, entries and exits in the video, the collisions
    after it, and what is in view and moving when the video starts, ends and at each event. For a
    world without an object: its collisions, in order, in the video and after it.
    """
    end = trajectory.length
    pairs = tuple(hit.pair for hit in trajectory.collisions if hit.frame < end)
    later = tuple(hit.pair for hit in trajectory.collisions if hit.frame >= end)
    if trajectory.without is not None:
        return pairs, later
    shown = [event for event in events_of(trajectory) if event.frame < end]
    shown.sort(key=lambda event: (event.frame, event.type, event.objects))
    moments = [0, *(event.frame for event in shown), end - 1]
    states = trajectory.inside_TN[moments].tobytes() + trajectory.moving_TN[moments].tobytes()
    return tuple((event.type, event.objects) for event in shown), later, states


def removed(scene: SceneSetup, factual: Trajectory, thing: int) -> Trajectory:
    """`simulate(scene, without=thing)` for the frames of `factual`, not run where it is known.

    An object that touches nothing changes nothing: the engine gives the same bits (tested), so
    they are copied.
    """
    if any(thing in hit.pair for hit in factual.collisions):
        return simulate(scene, without=thing, frames=len(factual.on_table_TN))
    return factual.hiding(thing)


def _flips(scene: SceneSetup, runs: list[Trajectory], rng: np.random.Generator) -> bool:
    """Whether any label of any run changes when every start position moves by up to JITTER."""
    moved = scene.jittered(rng, JITTER)
    factual = simulate(moved)
    if labels(factual) != labels(runs[0]):
        return True
    return any(
        labels(removed(moved, factual, run.without)) != labels(run)
        for run in runs[1:]
        if run.without is not None
    )


def _repeats(trajectory: Trajectory) -> bool:
    pairs = [hit.pair for hit in trajectory.collisions]
    return len(set(pairs)) < len(pairs)


def rejection(
    scene: SceneSetup, runs: list[Trajectory], config: SceneConfig, rng: np.random.Generator
) -> str | None:
    """Why a scene is to be dropped, or None.

    Args:
        scene: the scene.
        runs: the world as it is, then those without each object (or the first alone).
        config: what was asked for.
        rng: draws the jitter.

    Returns:
        "repeated_pair" (a pair collides twice, in any of the worlds), "hidden" (an object or a
        collision out of view, a collision too soft to see, or a miss too near), "collisions" (fewer
        or more in the video than asked), "jitter" (a label flips when start positions move by
        1e-4), or None.
    """
    factual = runs[0]
    if any(_repeats(run) for run in runs):
        return "repeated_pair"
    if not fair(factual, config):
        return "hidden"
    hits = sum(hit.frame < factual.length for hit in factual.collisions)
    if not config.collisions_min <= hits <= config.collisions_max:
        return "collisions"
    return "jitter" if _flips(scene, runs, rng) else None


def make_world(seed: int, scene_index: int, config: SceneConfig, *, removals: bool = True) -> World:
    """The accepted world of one scene index: the same arguments give the same bits anywhere.

    Args:
        seed: of the data set.
        scene_index: CLEVRER's index; worlds of different indices are independent.
        config: what scenes are sampled.
        removals: also simulate (and check) the worlds without each object. Without removals other
            scenes may be accepted, so keep to one setting for one set of indices.

    Raises:
        UserError: if no scene as configured can be found.
    """
    rejected: list[str] = []
    for attempt in range(TRIES):
        rng = numpy_generator(seed, "world", scene_index, attempt)
        scene, factual = sample_world(rng, config)
        runs = [factual]
        for thing in range(len(scene.objects)) if removals else ():
            if _repeats(runs[-1]):
                break  # it will be dropped
            runs.append(removed(scene, factual, thing))
        reason = rejection(scene, runs, config, rng)
        if reason is None:
            return World(scene_index, scene, factual, tuple(runs[1:]), tuple(rejected))
        rejected.append(reason)
    raise UserError(
        f"scene {scene_index}: {TRIES} scenes were dropped ({', '.join(sorted(set(rejected)))}); "
        "ask for fewer objects or collisions, or a smaller near_miss or softest"
    )
