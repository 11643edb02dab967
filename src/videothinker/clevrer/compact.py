"""The transcript tier in few tokens: what a model of about a million parameters can read.

The same information as `transcript.render`, coarser: objects go by the fewest words that tell them
apart, places are cells of a grid laid over the table (two letters, column then row), of the events
there are the collisions, and each may be missing from the log at the stated rate.
"""

from collections.abc import Sequence

import numpy as np

from videothinker.clevrer.annotations import Annotation, ObjectProperty
from videothinker.clevrer.scenes import Event
from videothinker.clevrer.transcript import Motion, observe
from videothinker.errors import UserError

LETTERS = "abcdefghijklmnopqrst"
CELL = 0.4
"""Side of a cell in metres (objects are 0.4 to 0.6 wide)."""
LEFT, NEAR = -4.0, -2.4
"""The grid's corner: the table's left and near edges."""
HIT = "hit"
"""Stands behind every collision: whether a pair is in the list is then which word follows it."""
AWAY = "gone"
"""Stands for the place of an object that is out of view."""


def short_names(objects: Sequence[ObjectProperty]) -> list[str]:
    """Color alone, else color and shape, else everything: the first that is unique in the scene.

    Raises:
        UserError: two objects look the same.
    """
    forms = (
        [thing.color for thing in objects],
        [f"{thing.color} {thing.shape}" for thing in objects],
        [thing.name for thing in objects],
    )
    for names in forms:
        if len(set(names)) == len(names):
            return [str(name) for name in names]
    raise UserError(f"two objects look the same, in words: {', '.join(forms[-1])}")


def cell(x: float, y: float) -> str:
    """The cell's two letters, column from the left and row from the front, clipped to the grid."""
    column = int(np.clip((x - LEFT) / CELL, 0, len(LETTERS) - 1))
    row = int(np.clip((y - NEAR) / CELL, 0, len(LETTERS) - 1))
    return LETTERS[column] + LETTERS[row]


def pair_word(first: str, second: str) -> str:
    """Two colliding objects, in alphabetical order: "BlueRed", one word where colors suffice.

    One word is one token, and whether a pair is in a list is then a single look-up.
    """
    a, b = sorted((first, second))
    if " " in a or " " in b:
        return f"{a} and {b}"
    return a.capitalize() + b.capitalize()


def list_collisions(events: Sequence[Event], names: Sequence[str]) -> str:
    """The collisions in order: "BlueRed hit, CyanGray hit"; "none" if there are none."""
    hits = [event for event in events if event.type == "collision"]
    pairs = [pair_word(*(names[one] for one in event.objects)) for event in hits]
    return ", ".join(f"{pair} {HIT}" for pair in pairs) or "none"


def render_compact(
    scene: Annotation | Motion, *, frames: int = 8, miss_rate: float = 0.0, seed: int = 0
) -> str:
    """The context shown in place of a video, in few tokens.

    One line an object, its places in order, then the collisions in order: "Events (4% missing):
    BlueRed hit, CyanGray hit."

    Args:
        scene: an annotation with trajectories, or a simulated scene's motion.
        frames: at how many evenly spaced frames the places are given.
        miss_rate: each event is missing from the log with this probability, on its own; the text
            says so.
        seed: of the misses.

    Raises:
        UserError: no trajectories, frames < 1, a rate outside [0, 1], or two objects alike.
    """
    motion, shown, events = observe(scene, frames=frames, miss_rate=miss_rate, seed=seed)
    names = short_names(motion.objects)
    lines = []
    for k, name in enumerate(names):
        places = [
            cell(*motion.positions_TN2[t, k].tolist()) if motion.visible_TN[t, k] else AWAY
            for t in shown
        ]
        lines.append(f"{name}: {' '.join(places)}.")
    lines.append(f"Events ({miss_rate:.0%} missing): {list_collisions(events, names)}.")
    return "\n".join(lines)
