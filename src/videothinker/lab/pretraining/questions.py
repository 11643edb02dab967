"""What a small model is asked about a scene, with what is true."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from videothinker.clevrer.grammar import (
    match_counterfactual,
    parse_option,
    remove_premise,
    resolve,
)
from videothinker.clevrer.questions import ANSWERS, RawQuestion
from videothinker.lab.pretraining.pool import SceneFacts
from videothinker.prompts import LETTERS, render
from videothinker.world.families import family, single
from videothinker.world.options import Names, Pair, collide
from videothinker.world.pairs import minimal_pair
from videothinker.world.plan import drawn, drawn_family
from videothinker.world.questions import Truth, Wanted, colliding, counterfactual


@dataclass(frozen=True)
class TaughtQuestion:
    """One question about one scene, with what is true."""

    question: str
    choices: tuple[str, ...]
    gold: tuple[str, ...]
    type: str
    removed: int | None = None
    negated: bool = False
    pairs: tuple[Pair, ...] = ()
    """What each choice of a collision question says."""
    program: tuple[str, ...] = ()
    """Of a descriptive question."""

    def words(self, context: str | None = None) -> str:
        """The user's message."""
        return render(self.question, self.choices, context=context)


def letters(flags: Sequence[bool]) -> tuple[str, ...]:
    """The letters of the true ones."""
    return tuple(letter for letter, flag in zip(LETTERS, flags, strict=False) if flag)


def answer_from(asked: TaughtQuestion, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The letters that follow from a list of collisions; where none does, the first letter.

    A shortcut that finds nothing to choose still has to choose: an empty answer is not a format.
    """
    happen = {frozenset(pair) for pair in pairs}
    flags = [(frozenset(pair) in happen) != asked.negated for pair in asked.pairs]
    return letters(flags) or (LETTERS[0],)


def what_if(
    facts: SceneFacts, rng: np.random.Generator, inferential_share: float
) -> TaughtQuestion | None:
    """A counterfactual question as the world asks it; None if the scene gives none."""
    scene = facts.scene()
    truth, names = Truth(scene, facts.late, facts.fragile), Names(scene.objects, rng)
    observational = bool(rng.random() >= inferential_share)
    if facts.fragile is None:
        raw = counterfactual(truth, names, Wanted(observational, bool(rng.random() < 0.5)), set())
    else:
        wanted = drawn(rng, len(scene.objects), observational=observational)
        raw = single(truth, names, wanted, set())
    return None if raw is None else from_raw(facts, raw)


def paired_what_if(
    facts: SceneFacts, rng: np.random.Generator
) -> tuple[TaughtQuestion, TaughtQuestion] | None:
    """The same words and choices about two objects: a family, or a minimal pair in the old world.

    The first removal changes nothing, the second does. Elsewhere the choices give away much of the
    answer, where none names the removed object; here it must be read. None if the scene has none.
    """
    scene = facts.scene()
    truth, names = Truth(scene, facts.late, facts.fragile), Names(scene.objects, rng)
    if facts.fragile is None:
        pair = minimal_pair(truth, names, 0, set())
    else:
        pair = family(truth, names, drawn_family(rng, len(scene.objects)))
    return None if pair is None else (from_raw(facts, pair[0]), from_raw(facts, pair[1]))


def from_raw(facts: SceneFacts, raw: RawQuestion) -> TaughtQuestion:
    """A question of the world's generator, with the indices behind its words."""
    if raw.question_type == "descriptive":
        options = ANSWERS[raw.question_subtype or ""]
        gold = (LETTERS[options.index(raw.answer or "")],)
        return TaughtQuestion(raw.question, options, gold, "descriptive", program=raw.program)
    premise = match_counterfactual(raw.question)
    objects = facts.objects
    pairs = []
    for choice in raw.choices:
        a, b = parse_option(choice.choice)
        pairs.append((resolve(a, objects), resolve(b, objects)))
    return TaughtQuestion(
        raw.question,
        tuple(choice.choice for choice in raw.choices),
        letters([choice.answer == "correct" for choice in raw.choices]),
        raw.question_type,
        removed=None if premise is None else resolve(premise.removed, objects),
        negated=premise is not None and premise.negated,
        pairs=tuple(pairs),
    )


def premise_removed(asked: TaughtQuestion, facts: SceneFacts) -> TaughtQuestion:
    """The question without its premise: what is right is then what the video shows."""
    return replace(
        asked,
        question=remove_premise(asked.question) or asked.question,
        gold=answer_from(asked, facts.collisions()),
        type="premise_removed",
        removed=None,
    )


def which_collide(facts: SceneFacts, rng: np.random.Generator) -> TaughtQuestion:
    """Which of two to four pairs collide in the video?"""
    count = len(facts.looks)
    every = [(i, j) for i in range(count) for j in range(i + 1, count)]
    happen = colliding(facts.scene().events)
    yes = [pair for pair in every if frozenset(pair) in happen]
    no = [pair for pair in every if frozenset(pair) not in happen]
    chosen = [yes[int(rng.integers(len(yes)))]]
    rest = [pair for pair in [*yes, *no] if pair not in chosen]
    more = int(rng.integers(1, 4))
    chosen += [rest[i] for i in rng.permutation(len(rest))[:more]]
    chosen = [chosen[i] for i in rng.permutation(len(chosen))]
    names = Names(facts.objects, rng)
    return TaughtQuestion(
        "Which of the following happens in the video?",
        tuple(collide(names, pair, 0).choice for pair in chosen),
        letters([pair in yes for pair in chosen]),
        "collisions",
        pairs=tuple(chosen),
    )
