"""Does a model need the video? Blind Gap and Visual Gain, after arXiv 2606.30220.

    Blind Gap   = accuracy without the video - accuracy of a guess
    Visual Gain = accuracy with the video - accuracy without it

Both are means of a difference a question, over the questions asked both ways, so each has an
interval clustered by video.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from videothinker.estimates import Estimate, mean
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


def exact(samples: Sequence[Sample]) -> float:
    """The share of a question's samples that are right; failures are in it as zeros."""
    return math.fsum(sample.exact for sample in samples) / len(samples)


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
    clusters = [cluster_of(q) for q in both]
    unseen = [exact(blind[q.id]) for q in both]
    gap = [value - chance(q, several=several) for value, q in zip(unseen, both, strict=True)]
    gain = [exact(full[q.id]) - value for value, q in zip(unseen, both, strict=True)]
    return Dependence(mean(gap, clusters, low=-1.0), mean(gain, clusters, low=-1.0))
