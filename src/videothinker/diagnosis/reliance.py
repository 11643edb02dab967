"""Shortcut reliance of a model, measured by intervention.

One question is asked twice with another premise (swapped for another removed object, or
removed), while video and options are held fixed. What the premise does to the right answer is known
from the logs, so what it does to the model's answer can be judged exactly: a model that describes
what it sees gives the same answer both times.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from videothinker.estimates import Share, share
from videothinker.records import Letters


@dataclass(frozen=True)
class Intervention:
    """One question under two premises: the right answers and the model's."""

    id: str
    gold: tuple[Letters, Letters]
    answer: tuple[Letters | None, Letters | None]
    """The model's; None where nothing could be parsed."""

    @property
    def should_change(self) -> bool:
        """Do the right answers differ?"""
        return self.gold[0] != self.gold[1]

    @property
    def answered(self) -> bool:
        """Were both questions answered?"""
        return None not in self.answer


@dataclass(frozen=True)
class Reliance:
    """What a model's answers do when the premise changes.

    A pair with an unanswered question stays in both denominators and in no numerator of failure; it
    can never count as right.
    """

    stays_when_should_change: Share
    """Shortcut: the answer ignores a premise that matters."""
    changes_when_should_stay: Share
    """Noise: the answer follows a premise that does not matter."""
    both_right: Share
    """The pair is understood: both answers are right."""
    unanswered: int
    """Pairs where at least one answer could not be parsed."""


def reliance(pairs: Iterable[Intervention]) -> Reliance:
    """Count over pairs; an empty set of pairs gives unknown shares, not zeros."""
    found = list(pairs)
    change = [pair for pair in found if pair.should_change]
    stay = [pair for pair in found if not pair.should_change]
    stays = sum(pair.answered and pair.answer[0] == pair.answer[1] for pair in change)
    changes = sum(pair.answered and pair.answer[0] != pair.answer[1] for pair in stay)
    return Reliance(
        stays_when_should_change=share(stays, len(change)),
        changes_when_should_stay=share(changes, len(stay)),
        both_right=share(sum(pair.answer == pair.gold for pair in found), len(found)),
        unanswered=sum(not pair.answered for pair in found),
    )
