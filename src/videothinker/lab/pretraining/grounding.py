"""What the answer to a descriptive question rests on, taken from its program.

A model this small does not count or look up across a list of everything that happens. It can go
through the list once more, keep what the question is about, and say the answer next:
`Asked: a 1 BlueRed b c 2 CyanGray d. So 2.`
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videothinker.clevrer import scenes
from videothinker.clevrer.programs import Undefined, run
from videothinker.clevrer.scenes import Event
from videothinker.lab.pretraining.pool import SceneFacts
from videothinker.world.objects import SHOWN_FRAMES

MOTION = ("filter_moving", "filter_stationary")
BORDERS = ("filter_before", "filter_after")
MOMENTS = ("start", "end", "events")
"""Tokens that begin the program of an event."""


@dataclass(frozen=True)
class Grounding:
    """What a descriptive question is about."""

    events: tuple[Event, ...] = ()
    """Those that are counted, or among which the question chooses."""
    things: tuple[int, ...] = ()
    """In a question about motion: the objects counted, or the one asked about; by color."""
    since: Event | None = None
    """What happened before all that is counted."""
    until: Event | None = None
    """Nothing later matters: the end of what is counted, or the event that is chosen."""
    chosen: tuple[Event, int] | None = None
    """The event by which the question names an object, and that object."""
    motion: tuple[tuple[int, bool], ...] | None = None
    """In a question about motion: who is in view, and whether it moves, at the question's moment,
    or at any time if it names none."""
    slot: int | None = None
    """The two-frame slot of that moment."""


def seen_scene(facts: SceneFacts) -> scenes.Scene:
    """The scene with each frame's motion as its nearest sampled frame has it."""
    nearest = np.abs(np.arange(SHOWN_FRAMES)[:, None] - np.array(facts.frames)).argmin(axis=1)
    visible_TN = np.repeat(np.array(facts.inside)[:1], SHOWN_FRAMES, axis=0)
    for event in facts.events:
        if event.type != "collision":
            visible_TN[event.frame :, event.objects[0]] = event.type == "in"
    return scenes.Scene(
        objects=facts.objects,
        events=facts.events,
        unseen=facts.unseen,
        visible_TN=visible_TN,
        moving_TN=scenes.moving(np.array(facts.velocities))[nearest],
    )


def grounding(facts: SceneFacts, program: Sequence[str], answer: str) -> Grounding | None:
    """What the answer rests on; None where the sampled frames do not give that answer."""
    scene = seen_scene(facts)
    try:
        if run(program, scene) != answer:
            return None
        if any(token in MOTION for token in program):
            return _of_motion(scene, program, facts)
        return _of_events(scene, program)
    except Undefined:
        return None


def _of_motion(scene: scenes.Scene, program: Sequence[str], facts: SceneFacts) -> Grounding:
    """What a question about motion is about: the objects, and who moves at its moment."""
    found = run(program[:-1], scene)
    things = sorted([found] if isinstance(found, int) else found, key=lambda k: facts.looks[k])
    place = next(i for i, token in enumerate(program) if token in MOTION)
    timeless = program[place - 1] == "null"
    moment = ["null"] if timeless else program[_last(program[:place], MOMENTS) : place]
    moving, still = (set(run(["objects", *moment, token], scene)) for token in MOTION)
    return Grounding(
        things=tuple(things),
        motion=tuple((k, k in moving) for k in moving | still),
        slot=None if timeless else facts.slot_of(run(moment, scene)),
    )


def _of_events(scene: scenes.Scene, program: Sequence[str]) -> Grounding:
    """What a question about events is about: all of a kind, or those on one side of a border; and
    the one by which it names an object.
    """
    if program[-1] in ("count", "exist"):
        found = tuple(run(program[:-1], scene))
        if program[-2] not in BORDERS:
            return Grounding(found)
        border = run(program[_last(program, MOMENTS) : -2], scene)
        before = program[-2] == BORDERS[0]
        return Grounding(found, until=border) if before else Grounding(found, since=border)
    end = _last(program, ("objects",)) if program[-2] == "get_col_partner" else len(program) - 2
    event, thing = run(program[:end], scene), run(program[:-1], scene)
    ordered = program[end - 1] == "filter_order"
    found = tuple(run(program[: end - (2 if ordered else 1)], scene))
    early = ordered and program[end - 2] != "last"
    return Grounding(found, until=event if early else None, chosen=(event, thing))


def _last(program: Sequence[str], tokens: Sequence[str]) -> int:
    return max(i for i, token in enumerate(program) if token in tokens)
