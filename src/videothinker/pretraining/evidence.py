"""What the answer to a descriptive question rests on, taken from its program.

A model this small does not count or look up across a list of everything that happens, but it can
point at what the question is about and say the answer next: `Asked: 1 BlueRed 2 CyanGray. So 2.`
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videothinker.clevrer import scenes
from videothinker.clevrer.programs import Undefined, run
from videothinker.clevrer.scenes import Event
from videothinker.pretraining.pool import Facts
from videothinker.world.physics import MOVING_SPEED, SHOWN_FRAMES

MOTION = ("filter_moving", "filter_stationary")
BORDERS = ("filter_before", "filter_after")
MOMENTS = ("start", "end", "events")
"""Tokens that begin the program of an event."""


@dataclass(frozen=True)
class Evidence:
    """What a descriptive question is about."""

    found: tuple[Event | int, ...]
    """The events or objects that are counted, or the one that is asked about."""
    counted: bool
    border: Event | None = None
    """What happened before or after which they are counted."""
    after: bool = False
    movers: tuple[int, ...] | None = None
    """Who moves, in a question about motion: at its moment, or at any time if it names none."""
    slot: int | None = None
    """The two-frame slot of that moment."""


def seen_scene(facts: Facts) -> scenes.Scene:
    """The scene with motion as the sampled frames show it, each frame as its nearest sample."""
    nearest = np.abs(np.arange(SHOWN_FRAMES)[:, None] - np.array(facts.frames)).argmin(axis=1)
    speeds_FN = np.linalg.norm(np.array(facts.velocities), axis=-1)
    return scenes.Scene(
        objects=facts.objects,
        events=facts.events,
        unseen=facts.unseen,
        visible_TN=np.array(facts.inside)[nearest],
        moving_TN=speeds_FN[nearest] > MOVING_SPEED,
    )


def evidence(facts: Facts, program: Sequence[str], answer: str) -> Evidence | None:
    """What the answer rests on; None where the sampled frames do not give that answer."""
    scene = seen_scene(facts)
    try:
        if run(program, scene) != answer:
            return None
        movers, slot = _motion(scene, program, facts)
        if program[-1] not in ("count", "exist"):
            return Evidence(_about(scene, program), counted=False, movers=movers, slot=slot)
        found, border = _ordered(run(program[:-1], scene), facts), None
        if program[-2] in BORDERS:
            border = run(program[_last(program, MOMENTS) : -2], scene)
    except Undefined:
        return None
    counted, after = program[-1] == "count", program[-2] == BORDERS[1]
    return Evidence(found, counted, border, after, movers, slot)


def _ordered(found: Sequence[Event | int], facts: Facts) -> tuple[Event | int, ...]:
    """Events as they come; objects by color, for how a scene orders them shows nowhere."""
    return tuple(sorted(found, key=lambda k: facts.looks[k] if isinstance(k, int) else ()))


def _about(scene: scenes.Scene, program: Sequence[str]) -> tuple[Event | int, ...]:
    """The object whose part is asked, after the event by which the question names it."""
    thing = run(program[:-1], scene)
    if program[-2] == "get_object":
        return (run(program[:-2], scene), thing)
    if program[-2] == "get_col_partner":
        end = _last(program, ("objects",))
        return (run(program[:end], scene), thing)
    return (thing,)


def _motion(
    scene: scenes.Scene, program: Sequence[str], facts: Facts
) -> tuple[tuple[int, ...] | None, int | None]:
    """Who moves at the moment that the program names, and that moment's slot."""
    place = next((i for i, token in enumerate(program) if token in MOTION), None)
    if place is None:
        return None, None
    if program[place - 1] == "null":
        return tuple(run(["objects", "null", MOTION[0]], scene)), None
    moment = program[_last(program[:place], MOMENTS) : place]
    slot = facts.slot_of(run(moment, scene))
    return tuple(run(["objects", *moment, MOTION[0]], scene)), slot


def _last(program: Sequence[str], tokens: Sequence[str]) -> int:
    return max(i for i, token in enumerate(program) if token in tokens)
