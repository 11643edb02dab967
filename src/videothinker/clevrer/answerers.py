"""Answerers of what-if questions that simulate nothing: how far does each get?

Each is a pure function of what a reader of the video can list (the collisions, in order) and of
the question's words; none knows where anything would go. A trained model has to be held against
them, most of all against `one_hop`, which reads the premise.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from videothinker.clevrer.programs import negated, removed_object, run
from videothinker.clevrer.questions import Change, RawQuestion
from videothinker.clevrer.scenes import Scene

Collision = frozenset[int]
"""Two objects that collide."""


@dataclass(frozen=True)
class Asked:
    """A what-if question as a shallow answerer sees it."""

    options: tuple[Collision, ...]
    """The two objects that each option says collide."""
    words: tuple[str, ...]
    """Each option's text."""
    seen: tuple[Collision, ...]
    """The collisions of the video, in order of time."""
    removed: int
    """The object that the premise takes away."""
    negated: bool
    """Asks what will *not* happen."""

    @property
    def in_video(self) -> tuple[bool, ...]:
        """For each option: does it happen in the video?"""
        return tuple(option in self.seen for option in self.options)

    def picks(self, happens: Iterable[bool]) -> tuple[bool, ...]:
        """For each option: is it picked by one who believes that these happen?"""
        return tuple(one != self.negated for one in happens)


Answerer = Callable[[Asked], tuple[bool, ...]]
"""For each option: is it picked?"""


def asked(raw: RawQuestion, scene: Scene) -> Asked:
    """Take a counterfactual question apart by its programs.

    Raises:
        UserError: it removes no object, or a program is broken.
    """
    where = f"question {raw.question_id}"
    return Asked(
        options=tuple(run(c.program, scene, where=where).pair for c in raw.choices),
        words=tuple(choice.choice for choice in raw.choices),
        seen=scene.collisions,
        removed=removed_object(raw.program, scene, where=where),
        negated=negated(raw.program),
    )


def describe(question: Asked) -> tuple[bool, ...]:
    """What happens in the video: the perceptual shortcut."""
    return question.picks(question.in_video)


def _without_last(question: Asked) -> list[bool]:
    """What happens in the video, but for the last collision that is offered."""
    happens = list(question.in_video)
    offered = [question.options.index(pair) for pair in question.seen if pair in question.options]
    if offered:
        happens[offered[-1]] = False
    return happens


def describe_else_change(question: Asked) -> tuple[bool, ...]:
    """Describe; where that picks all options or none, something must change.

    Then the last collision does not happen, or, where none happens in the video, the first option
    does.
    """
    happens = question.in_video
    if len(set(happens)) > 1:
        return question.picks(happens)
    changed = _without_last(question) if happens[0] else [True, *happens[1:]]
    return question.picks(changed)


def named_object_collides(question: Asked) -> tuple[bool, ...]:
    """Where the named object collides, the last collision is gone; else describe."""
    if any(question.removed in pair for pair in question.seen):
        return question.picks(_without_last(question))
    return describe(question)


def _flipped(question: Asked, removed: int) -> tuple[bool, ...]:
    """Options that name an object which `removed` meets in the video change their truth."""
    partners = {one for pair in question.seen if removed in pair for one in pair} - {removed}
    pairs = zip(question.in_video, question.options, strict=True)
    return question.picks(happens != bool(partners & option) for happens, option in pairs)


def unnamed_object(question: Asked) -> tuple[bool, ...]:
    """The removed object is one that no option names: the first of them to collide; one hop."""
    named = {one for option in question.options for one in option}
    for pair in question.seen:
        if spare := sorted(pair - named):
            return _flipped(question, spare[0])
    return describe(question)


def first_option(words: Sequence[str]) -> tuple[bool, ...]:
    """The first option, whatever is asked."""
    return tuple(place == 0 for place in range(len(words)))


def last_option(words: Sequence[str]) -> tuple[bool, ...]:
    """The last option, whatever is asked."""
    return first_option(words)[::-1]


def longest_option(words: Sequence[str]) -> tuple[bool, ...]:
    """The option with the longest text; of several, the first."""
    lengths = [len(text) for text in words]
    return tuple(place == lengths.index(max(lengths)) for place in range(len(lengths)))


def shortest_option(words: Sequence[str]) -> tuple[bool, ...]:
    """The option with the shortest text; of several, the first."""
    lengths = [len(text) for text in words]
    return tuple(place == lengths.index(min(lengths)) for place in range(len(lengths)))


def one_hop(question: Asked) -> tuple[bool, ...]:
    """Reads the premise: options that name a partner of the removed object change their truth."""
    return _flipped(question, question.removed)


def event_graph(question: Asked) -> tuple[bool, ...]:
    """Reads the premise: what the removed object set off in the video, by one hop or more, is gone.

    An object is set off once it meets the removed one or an object set off before. What would
    happen anew needs to know where things would go: it says that nothing does.
    """
    moved, gone = {question.removed}, set[Collision]()
    for pair in question.seen:
        if moved & pair:
            gone.add(pair)
            moved |= pair
    pairs = zip(question.in_video, question.options, strict=True)
    return question.picks(happens and option not in gone for happens, option in pairs)


def handed_on(question: Asked) -> tuple[bool, ...]:
    """Reads the premise: who met the removed object first meets, without it, whom it met later.

    So it is where all contacts are head-on. What has met one object alone is taken for what set
    the rest off, as in `event_graph`.
    """
    met = [one for pair in question.seen if question.removed in pair for one in pair]
    partners = [one for one in met if one != question.removed]
    if len(partners) < 2:
        return event_graph(question)
    new = {frozenset((partners[0], later)) for later in partners[1:]}
    pairs = zip(question.in_video, question.options, strict=True)
    return question.picks(happens or option in new for happens, option in pairs)


OPTIONS: dict[str, Callable[[Sequence[str]], tuple[bool, ...]]] = {
    "first option": first_option,
    "last option": last_option,
    "longest option": longest_option,
    "shortest option": shortest_option,
}
"""They look at the options' texts alone, and so can be asked any list of questions."""


def _from_words(answerer: Callable[[Sequence[str]], tuple[bool, ...]]) -> Answerer:
    return lambda question: answerer(question.words)


BLIND: dict[str, Answerer] = {
    "describe": describe,
    "describe, else change": describe_else_change,
    **{name: _from_words(answerer) for name, answerer in OPTIONS.items()},
    "unnamed object": unnamed_object,
}
"""They never read the premise: the members of a family are one question to them."""
HANDED_ON = "handed on"
"""Of those that simulate nothing the one that gets furthest (docs/world.md)."""
READING: dict[str, Answerer] = {
    "named object collides": named_object_collides,
    "one hop": one_hop,
    "event graph": event_graph,
    HANDED_ON: handed_on,
}
"""They read which object is removed."""
ANSWERERS: dict[str, Answerer] = {**BLIND, **READING}


class Judgement(msgspec.Struct, frozen=True):
    """What becomes of one question in the hands of every answerer."""

    observational: bool
    """Describing gives the right answer."""
    gives_itself_away: bool
    """Describing picks nothing or everything."""
    right: tuple[str, ...]
    """The answerers that are right, all options at once."""
    change: Change | None = None
    family: str | None = None
    """Questions of one family share it."""


def judge(
    question: Asked, gold: Sequence[bool], change: Change | None = None, family: str | None = None
) -> Judgement:
    """Ask every answerer; `gold` says for each option whether it is correct."""
    right = tuple(gold)
    described = describe(question)
    return Judgement(
        observational=described == right,
        gives_itself_away=len(set(described)) < 2,
        right=tuple(name for name, answerer in ANSWERERS.items() if answerer(question) == right),
        change=change,
        family=family,
    )


class Score(NamedTuple):
    """How many an answerer has right, of how many."""

    observational: tuple[int, int]
    inferential: tuple[int, int]
    rest: tuple[int, int]
    """Of the inferential ones those that do not give themselves away."""
    families: tuple[int, int]
    """Families with every member right."""

    def plus(self, other: "Score | None") -> "Score":
        """Of both lists of questions, none of which share a family."""
        if other is None:
            return self
        both = zip(self, other, strict=True)
        return Score(*((right + more, of + further) for (right, of), (more, further) in both))


def _count(right: Iterable[bool]) -> tuple[int, int]:
    flags = list(right)
    return sum(flags), len(flags)


def tally(verdicts: Sequence[Judgement]) -> dict[str, Score]:
    """Each answerer's score on the questions."""
    found: dict[str, Score] = {}
    for name in ANSWERERS:
        families: dict[str, bool] = {}
        for one in verdicts:
            if one.family is not None:
                families[one.family] = families.get(one.family, True) and name in one.right
        found[name] = Score(
            _count(name in one.right for one in verdicts if one.observational),
            _count(name in one.right for one in verdicts if not one.observational),
            _count(
                name in one.right
                for one in verdicts
                if not one.observational and not one.gives_itself_away
            ),
            _count(families.values()),
        )
    return found
