"""Questions that differ in their premise: blind groups, and natural premise pairs.

Who never reads the premise is asked one question by all members of a blind group, so the largest
share of one answer in it is the most that such an answerer can get there: an exact ceiling.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import msgspec

from videothinker.clevrer.answerers import Asked
from videothinker.clevrer.grammar import match_counterfactual, parse_option
from videothinker.errors import UserError
from videothinker.families import place_of, same_but_premise
from videothinker.prompts import LETTERS
from videothinker.records import Question


@dataclass(frozen=True)
class Blind:
    """What an answerer that reads no premise can get on one question."""

    group: str
    """The id of the first question of those that it cannot tell apart."""
    ceiling: float
    """The largest share of one answer among them."""


@dataclass(frozen=True)
class PremisedQuestion:
    """A question with a premise: what is taken away, and what is then true of each option."""

    removed: Hashable
    events: tuple[Hashable, ...]
    happens: tuple[bool, ...]

    def differs(self, other: "PremisedQuestion") -> bool:
        """Another object is removed, and an option in common has another truth."""
        mine = dict(zip(self.events, self.happens, strict=True))
        theirs = dict(zip(other.events, other.happens, strict=True))
        common = mine.keys() & theirs.keys()
        return self.removed != other.removed and any(mine[one] != theirs[one] for one in common)


@dataclass(frozen=True)
class NaturalPairs:
    """Two questions on one video that share an option, whose truth another premise changes."""

    readable: int
    """Questions with an answer whose premise can be read."""
    pairs: int
    """All there are; a question may be in several."""
    same_options: int
    """Of these with all options in common: minimal pairs but for their words and order."""
    chosen: tuple[tuple[Question, Question], ...]
    """Pairs of which no two share a question, those with the same options first."""

    def records(self) -> list[Question]:
        """The chosen pairs as training reads them: two beside each other, of one `pair` group."""
        return [
            msgspec.structs.replace(one, groups={**one.groups, "pair": f"natural/{first.id}"})
            for first, second in self.chosen
            for one in (first, second)
        ]


def blind_groups(questions: Iterable[Question]) -> dict[str, Blind]:
    """The ceiling of each question that is asked again with another premise.

    A group is what `families.same_but_premise` calls one, whether or not its answers differ.
    """
    found: dict[str, Blind] = {}
    for members in same_but_premise(questions):
        answers = [one.answer for one in members]
        share = max(map(answers.count, answers)) / len(answers)
        found |= {one.id: Blind(members[0].id, share) for one in members}
    return found


def _event(choice: str) -> Hashable:
    """A collision whichever way round it is told; another text as it is."""
    try:
        return frozenset(parse_option(choice))
    except UserError:
        return choice.strip().rstrip(".").lower()


def premise_of(question: Question, asked: Asked | None = None) -> PremisedQuestion | None:
    """Take a question's premise and options apart; None where it cannot be read.

    Args:
        question: one in CLEVRER's words, or one that says how it reads without its premise
            (`question_struck`): then the words of the whole question stand for what is removed.
        asked: the same by its programs: phrases are then objects, and two phrases can be one.
    """
    picked = [letter in question.answer for letter in LETTERS[: len(question.choices)]]
    if asked is not None:
        happens = tuple(one != asked.negated for one in picked)
        return PremisedQuestion(asked.removed, asked.options, happens)
    read = match_counterfactual(question.question)
    if read is not None:
        happens = tuple(one != read.negated for one in picked)
        return PremisedQuestion(read.removed, tuple(map(_event, question.choices)), happens)
    if question.question_struck in (None, question.question):
        return None
    events = tuple((question.question_struck, _event(choice)) for choice in question.choices)
    return PremisedQuestion(question.question, events, tuple(picked))


def natural_pairs(
    questions: Sequence[Question], asked: Mapping[str, Asked] | None = None
) -> NaturalPairs:
    """Find them: same video, an option in common, another removed object, another truth.

    Args:
        questions: those without a right answer are left out, as nothing can be learned from them.
        asked: question id -> the same by its programs, where scenes are known.
    """
    places: dict[Hashable, list[tuple[Question, PremisedQuestion]]] = {}
    for question in questions:
        premise = premise_of(question, (asked or {}).get(question.id))
        if premise is not None and question.answer:
            place = place_of(question)
            places.setdefault(question.id if place is None else place, []).append(
                (question, premise)
            )
    pairs = [
        (one, other, set(mine.events) == set(theirs.events))
        for members in places.values()
        for (one, mine), (other, theirs) in combinations(members, 2)
        if mine.differs(theirs)
    ]
    used: set[str] = set()
    chosen: list[tuple[Question, Question]] = []
    for one, other, _ in sorted(pairs, key=lambda pair: not pair[2]):
        if not used & {one.id, other.id}:
            used |= {one.id, other.id}
            chosen.append((one, other))
    return NaturalPairs(
        readable=sum(map(len, places.values())),
        pairs=len(pairs),
        same_options=sum(same for *_, same in pairs),
        chosen=tuple(chosen),
    )


def counts(found: NaturalPairs) -> dict[str, Any]:
    """The counts, for JSON."""
    return {
        "premises_readable": found.readable,
        "pairs": found.pairs,
        "same_options": found.same_options,
        "written": len(found.chosen),
    }


def pair_line(found: Mapping[str, Any]) -> str:
    """The counts, for a person."""
    if not found["premises_readable"]:
        return (
            "natural premise pairs: premises are not readable here (no question follows CLEVRER's "
            "counterfactual templates, and none has question_struck)"
        )
    return (
        f"natural premise pairs (one video, an option in common, another premise, another truth): "
        f"{found['pairs']} among {found['premises_readable']} questions with a premise, "
        f"{found['same_options']} of them with the same options; {found['written']} written, in "
        "which no question comes twice"
    )
