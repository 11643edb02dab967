"""Does a model need the video? Blind Gap and Visual Gain, after arXiv 2606.30220.

    Blind Gap   = accuracy without the video - accuracy of a guess
    Visual Gain = accuracy with the video - accuracy without it

Both are over the questions asked both ways, with an interval clustered by video: the first has that
of the accuracy, the second that of the differences.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from videothinker.errors import UserError
from videothinker.estimates import Estimate, less, mean
from videothinker.records import Question, Sample

Answered = Mapping[str, Sequence[Sample]]
"""Question id -> its samples."""


def cluster_of(question: Question) -> str:
    """What a question's score may be correlated in: its video, or itself where it has none."""
    return question.video or question.groups.get("scene") or question.id


def chance(question: Question, *, several: bool) -> float:
    """The expected score of a guess.

    One letter of k is right with 1/k where one choice is right and never where several are. Where
    several letters may be said, every non-empty set is as likely: 1 / (2^k - 1).
    """
    count = len(question.choices)
    return 1 / (2**count - 1) if several else (len(question.answer) == 1) / count


def over_chance(
    questions: Sequence[Question], values: Sequence[float], *, several: bool
) -> Estimate:
    """The mean of the questions' scores minus that of a guess; the score of a guess has no error.

    Args:
        questions: at least one.
        values: their scores, in [0, 1].
        several: see `chance`.
    """
    guess = math.fsum(chance(q, several=several) for q in questions) / len(questions)
    return less(mean(values, [cluster_of(q) for q in questions]), guess)


def average(samples: Sequence[Sample], score: str = "exact") -> float:
    """The mean of one score over a question's samples; failures are in it as zeros.

    Args:
        samples: at least one.
        score: `exact`, `soft` or `format`.
    """
    if not samples:
        raise UserError("a question without samples has no score")
    return math.fsum(getattr(sample, score) for sample in samples) / len(samples)


class Dependence(NamedTuple):
    """What a model's answers owe to the video, each in [-1, 1]."""

    blind_gap: Estimate
    """Above 0: more than a guess is right without the video."""
    visual_gain: Estimate
    """At or below 0: the video does not help."""


def dependence(
    questions: Sequence[Question], full: Answered, blind: Answered, *, several: bool
) -> Dependence | None:
    """Blind Gap and Visual Gain on the questions that were asked both ways; None where none was.

    Args:
        questions: those to look at.
        full: samples of the question with its video.
        blind: samples of the question without it.
        several: several letters may be said, which makes a guess worth less.
    """
    both = [q for q in questions if full.get(q.id) and blind.get(q.id)]
    if not both:
        return None
    unseen = [average(blind[q.id]) for q in both]
    gain = [average(full[q.id]) - value for value, q in zip(unseen, both, strict=True)]
    return Dependence(
        over_chance(both, unseen, several=several),
        mean(gain, [cluster_of(q) for q in both], low=-1.0),
    )
