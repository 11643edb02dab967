"""Minimal pairs: one video, one set of options, two removed objects: one matters, one does not.

A model that ignores the premise answers both the same, and one of them is then wrong.
"""

from typing import Literal

from videothinker.clevrer.grammar import STEMS, Premise, render_counterfactual
from videothinker.clevrer.questions import RawQuestion
from videothinker.world.options import Names, collide, flip
from videothinker.world.questions import (
    Truth,
    counterfactual_program,
    judged,
    mixed,
    pairs_of,
    some,
)

ROLES: tuple[Literal["irrelevant"], Literal["causal"]] = ("irrelevant", "causal")


def _irrelevant(truth: Truth) -> list[int]:
    """Objects whose removal changes no collision of the others, in the video or after it."""
    return [
        thing
        for thing in range(len(truth.scene.objects))
        if not any(truth.changes(thing, p) for p in pairs_of(truth.scene, apart_from=(thing,)))
        and truth.late[thing] == {pair for pair in truth.after if thing not in pair}
    ]


def minimal_pair(truth: Truth, names: Names, number: int) -> tuple[RawQuestion, RawQuestion] | None:
    """Two questions that differ in the removed object alone, and in their answers; None if the
    scene has no such pair. The first removes what is irrelevant, the second what is causal.

    Args:
        truth: the scene with its other worlds.
        names: its objects' phrases.
        number: id of the first question.
    """
    rng = names.rng
    idle = _irrelevant(truth)
    moves = [i for i in range(len(truth.scene.objects)) if i not in idle]
    tries = [(a, b) for a in idle for b in moves]
    for spare, cause in some(rng, tries, len(tries)):
        pool = [p for p in truth.clear(cause, (spare,)) if p in truth.clear(spare, (cause,))]
        changed = [pair for pair in pool if truth.changes(cause, pair)]
        if not changed:
            continue
        must = some(rng, changed, 1)[0]
        # mixed in both worlds, so that both questions have a correct and a wrong option
        yes = [pair for pair in pool if truth.happens(spare, pair)]
        chosen = mixed(rng, yes, [pair for pair in pool if pair not in yes], must)
        outcomes = {truth.happens(cause, pair) for pair in chosen}
        if not chosen or len(outcomes) < 2:
            continue
        negated, front, removed = flip(rng), flip(rng), flip(rng)
        stem = STEMS[int(rng.integers(len(STEMS)))]
        options = [collide(names, pair, i) for i, pair in enumerate(chosen)]
        made: list[RawQuestion] = []
        for place, thing in enumerate((spare, cause)):
            noun = names(thing)
            clause = f"if the {noun.text} is removed" if removed else f"without the {noun.text}"
            program = counterfactual_program(noun, negated=negated)
            made.append(
                RawQuestion(
                    question_id=number + place,
                    question=render_counterfactual(
                        Premise(noun.text, negated, stem, clause, front)
                    ),
                    question_type="counterfactual",
                    program=program,
                    choices=judged(options, program, truth.scene),
                    role=ROLES[place],
                )
            )
        return made[0], made[1]
    return None
