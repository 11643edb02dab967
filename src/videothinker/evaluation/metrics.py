"""Scores a question, their means, paired differences, and floors. Pure functions.

Every mean is over questions (or options) and its error is clustered by video.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from videothinker.benchmarks.base import OwnVerdict
from videothinker.dependence import Answered, average, chance, cluster_of
from videothinker.errors import UserError
from videothinker.estimates import Estimate, mean
from videothinker.prompts import LETTERS
from videothinker.records import Letters, Question, Sample


def over(questions: Sequence[Question], values: Sequence[float], *, low: float = 0.0) -> Estimate:
    """The mean of one value a question, clustered by video."""
    return mean(values, [cluster_of(q) for q in questions], low=low)


def per_option(sample: Sample, question: Question) -> list[float]:
    """CLEVRER's per-option scores: is each choice rightly taken or rightly left?

    An answer that could not be read gets none of them right.
    """
    if sample.answer is None:
        return [0.0] * len(question.choices)
    return [
        float((letter in sample.answer) == (letter in question.answer))
        for letter in LETTERS[: len(question.choices)]
    ]


def scored(questions: Sequence[Question], answered: Answered, score: str) -> Estimate:
    """Mean of a score (`exact`, `soft`, `format`) over questions."""
    return over(questions, [average(answered[q.id], score) for q in questions])


def options_right(questions: Sequence[Question], answered: Answered) -> Estimate:
    """Mean over all options of all questions (CLEVRER's per-option accuracy)."""
    values: list[float] = []
    clusters: list[str] = []
    for question in questions:
        parts = [per_option(sample, question) for sample in answered[question.id]]
        values += [math.fsum(column) / len(parts) for column in zip(*parts, strict=True)]
        clusters += [cluster_of(question)] * len(question.choices)
    return mean(values, clusters)


def lenient_right(questions: Sequence[Question], answered: Answered) -> Estimate:
    """What a forgiving parser would have given; reported, never scored."""
    values = [
        math.fsum(s.lenient == q.answer for s in answered[q.id]) / len(answered[q.id])
        for q in questions
    ]
    return over(questions, values)


@dataclass(frozen=True)
class OwnScore:
    """What the benchmark's own rule makes of the answers."""

    value: float | None
    """Share right of those it does not leave out; None where it leaves out all."""
    judge: float
    """Share of all answers that its authors would show to a judge; they count as wrong."""
    left_out: float
    """Share of all answers that its authors take out of the denominator."""


def own_score(
    questions: Sequence[Question],
    answered: Answered,
    rule: Callable[[Question, str], OwnVerdict],
) -> OwnScore:
    """Apply a benchmark's own rule to the recorded texts; an unreadable video counts as wrong."""
    found = Counter(
        "wrong" if sample.verdict == "failed" else rule(question, sample.text)
        for question in questions
        for sample in answered[question.id]
    )
    total = found.total()
    if not total:
        raise UserError("no samples are left to apply the benchmark's own rule to")
    counted = total - found["left out"]
    value = found["right"] / counted if counted else None
    return OwnScore(value, found["judge"] / total, found["left out"] / total)


def verdict_shares(questions: Sequence[Question], answered: Answered) -> dict[str, float]:
    """Share of samples by verdict: ok, unparsed, truncated, failed."""
    every = [sample for q in questions for sample in answered[q.id]]
    if not every:
        raise UserError("no samples are left to count verdicts of")
    return {
        verdict: sum(sample.verdict == verdict for sample in every) / len(every)
        for verdict in ("ok", "unparsed", "truncated", "failed")
    }


def whole_families(found: Sequence[tuple[Question, ...]], answered: Answered) -> Estimate:
    """Share of families (`videothinker.families`) with every question right.

    Questions are drawn apart from each other: a family counts by the product of its questions'
    shares of right draws, on the report's page too.
    """
    values = [math.prod(average(answered[q.id]) for q in family) for family in found]
    return over([family[0] for family in found], values)


def paired(questions: Sequence[Question], ours: Answered, theirs: Answered) -> Estimate:
    """Mean difference `ours - theirs` on the same questions, clustered by video."""
    gains = [average(ours[q.id]) - average(theirs[q.id]) for q in questions]
    return over(questions, gains, low=-1.0)


def always(letters: Letters, questions: Sequence[Question]) -> Estimate:
    """A floor: the same letters for every question."""
    return over(questions, [float(q.answer == letters) for q in questions])


def random_guess(questions: Sequence[Question], *, several: bool) -> float:
    """A floor: the expected score of a guess (`dependence.chance`)."""
    if not questions:
        raise UserError("no questions are left to guess on")
    return math.fsum(chance(q, several=several) for q in questions) / len(questions)
