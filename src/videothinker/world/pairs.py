"""Minimal pairs: one video, one set of options, two removed objects: one matters, one does not.

A model that ignores the premise answers both the same, and one of them is then wrong.
"""

from typing import Literal

import msgspec
import numpy as np

from videothinker.clevrer.questions import RawQuestion
from videothinker.world.options import Names, Pair, flip
from videothinker.world.questions import Truth, ask_each, mixed, pairs_of, some

PAIRS_A_SCENE = 2
ROLES: tuple[Literal["irrelevant"], Literal["causal"]] = ("irrelevant", "causal")


def minimal_pairs(truth: Truth, rng: np.random.Generator) -> tuple[RawQuestion, ...]:
    """All questions of up to two pairs: irrelevant, causal, irrelevant, causal."""
    found: list[RawQuestion] = []
    names, taken = Names(truth.scene.objects, rng), set[Pair]()
    for _ in range(PAIRS_A_SCENE):
        found += minimal_pair(truth, names, len(found), taken) or ()
    return tuple(found)


def _irrelevant(truth: Truth) -> list[int]:
    """Objects whose removal changes no collision of the others, in the video or after it."""
    return [
        thing
        for thing in range(len(truth.scene.objects))
        if not any(truth.changes(thing, p) for p in pairs_of(truth.scene, apart_from=(thing,)))
        and truth.late[thing] == {pair for pair in truth.after if thing not in pair}
    ]


def _options(truth: Truth, rng: np.random.Generator, spare: int, cause: int) -> list[Pair]:
    """Options that are mixed without `spare` and change without `cause`; [] if there are none."""
    pool = [p for p in truth.clear(cause, (spare,)) if p in truth.clear(spare, (cause,))]
    changed = [pair for pair in pool if truth.changes(cause, pair)]
    if not changed:
        return []
    yes = [pair for pair in pool if truth.happens(spare, pair)]
    return mixed(rng, yes, [pair for pair in pool if pair not in yes], some(rng, changed, 1)[0])


def minimal_pair(
    truth: Truth, names: Names, number: int, taken: set[Pair]
) -> tuple[RawQuestion, RawQuestion] | None:
    """Two questions that differ in the removed object alone, and in their answers.

    The first removes what is irrelevant, the second what is causal; each has a correct option.

    Args:
        truth: the scene with its other worlds.
        names: its objects' phrases.
        number: id of the first question.
        taken: (irrelevant, causal) objects already asked about; added to.

    Returns:
        The two questions, or None if the scene has no (further) such pair.
    """
    rng = names.rng
    idle = _irrelevant(truth)
    causal = [i for i in range(len(truth.scene.objects)) if i not in idle]
    tries = [(a, b) for a in idle for b in causal if (a, b) not in taken]
    for spare, cause in some(rng, tries, len(tries)):
        chosen = _options(truth, rng, spare, cause)
        if not chosen:
            continue
        taken.add((spare, cause))
        outcomes = {truth.happens(cause, pair) for pair in chosen}
        # where nothing is left to happen, ask what does not
        negated = not any(outcomes) or (not all(outcomes) and flip(rng))
        asked = ask_each(truth, names, chosen, (spare, cause), negated=negated)
        first, second = (
            msgspec.structs.replace(question, question_id=number + place, role=ROLES[place])
            for place, question in enumerate(asked)
        )
        return first, second
    return None
