"""When is a counterfactual question answerable by describing what the video shows?

Five named rules, each a pure function of what the logs say: the collisions seen in the video, the
removed object, the event in each option, and the truth of each event before and after the removal.
The rule behind the paper's count (13,674 of CLEVRER's 18,473 training questions, arXiv 2605.01324)
is not published, so every rule is computed for every question and the one used is a named choice.

*Truth* is always the truth of an option's **event** ("the A hits the B happens"). In a negated
question ("which will *not* happen") an option is correct where its event does not happen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from videothinker.clevrer.answerers import Asked, Collision


@dataclass(frozen=True)
class LogFacts(Asked):
    """What the logs say about one counterfactual question."""

    happens_after_removal: tuple[bool, ...]
    """For each option, from the given answer with the negation taken out."""

    @property
    def correct(self) -> tuple[bool, ...]:
        """For each option: is it a right answer to the question?"""
        return self.picks(self.happens_after_removal)

    @property
    def correct_in_video(self) -> tuple[bool, ...]:
        """For each option: would it be right if the question had no premise?"""
        return self.picks(self.in_video)


def untouched(facts: LogFacts) -> bool:
    """The removed object takes part in no collision seen, so its removal changes none of them."""
    return all(facts.removed not in pair for pair in facts.seen)


def first_influence(facts: LogFacts) -> dict[int, int]:
    """Object -> index of the collision by which the removed object first acts on it.

    Influence travels along collisions in the order of time: an object is influenced once it meets
    the removed object or an object influenced before. The removed object itself is influenced from
    the start (index -1).
    """
    influenced = {facts.removed: -1}
    for index, pair in enumerate(facts.seen):
        if not pair.isdisjoint(influenced):
            influenced = dict.fromkeys(pair, index) | influenced
    return influenced


def no_path(facts: LogFacts) -> bool:
    """No causal path leads from the removed object to any option's event.

    A seen event is reached where one of its objects was influenced before it happened, or where it
    involves the removed object; an event not seen is reached where one of its objects was ever
    influenced, for then the removal may bring it about.
    """
    influenced = first_influence(facts)
    when: dict[Collision, int] = {}
    for index, pair in enumerate(facts.seen):
        when.setdefault(pair, index)
    end = len(facts.seen)
    return all(
        influenced.get(one, end) >= when.get(option, end)
        for option in facts.options
        for one in option
    )


def same_truth(facts: LogFacts) -> bool:
    """Every option's event has the same truth in the video and after the removal.

    Equivalent to: the question without its premise has the same set of right answers.
    """
    return facts.in_video == facts.happens_after_removal


def correct_seen(facts: LogFacts) -> bool | None:
    """Every correct option is also right of the video as shown; None without a correct one."""
    right = [seen for seen, good in zip(facts.correct_in_video, facts.correct, strict=True) if good]
    return all(right) if right else None


def any_correct_seen(facts: LogFacts) -> bool | None:
    """Some correct option is also right of the video as shown; None without a correct one."""
    right = [seen for seen, good in zip(facts.correct_in_video, facts.correct, strict=True) if good]
    return any(right) if right else None


def flags(facts: LogFacts) -> dict[str, bool | None]:
    """Rule -> is the question observational under it? None where the rule does not apply."""
    return {
        "untouched": untouched(facts),
        "no_path": no_path(facts),
        "same_truth": same_truth(facts),
        "correct_seen": correct_seen(facts),
        "any_correct_seen": any_correct_seen(facts),
    }


def disagreement(
    flags_by_question: Sequence[Mapping[str, bool | None]], rules: Sequence[str]
) -> dict[tuple[str, str], int]:
    """For each pair of rules, on how many questions do they give different labels?

    Questions where one of the two does not apply are not counted for that pair.
    """
    return {
        (one, other): sum(
            flags[one] is not None and flags[other] is not None and flags[one] != flags[other]
            for flags in flags_by_question
        )
        for index, one in enumerate(rules)
        for other in rules[index + 1 :]
    }
