"""Option rotation: another order from sample to sample, so that a place is no answer.

A model that has nothing to choose from guesses a place, mostly the first, and a guess that happens
to be right looks like a right answer that survived. So sample i of a question shows its options
rotated by i places: a guessed place lands on another option each time and wins no vote, while an
answer that means an option follows it. (Selection bias: Zheng et al., arXiv 2309.03882.)
"""

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from videothinker.errors import UserError
from videothinker.prompts import LETTERS
from videothinker.records import Letters, Question, Sample

MARK = "#"
"""Between a question's id and the places its options are rotated by."""


def rotated(question: Question, places: int) -> Question:
    """The question with option `places` first, under an id of its own; 0 leaves it as it is."""
    if places == 0:
        return question
    count = len(question.choices)
    shift = places % count
    return msgspec.structs.replace(
        question,
        id=f"{question.id}{MARK}{places}",
        choices=(*question.choices[shift:], *question.choices[:shift]),
        answer=_moved(question.answer, -shift, count),
    )


def refuse_alike(questions: Sequence[Question], times: int) -> None:
    """Refuse ids that differ by what a rotation by 1 ... `times` - 1 places adds.

    Raises:
        UserError: two of them.
    """
    own = {question.id for question in questions}
    for name, places in itertools.product(own, range(1, times)):
        if (other := f"{name}{MARK}{places}") in own:
            raise UserError(
                f"the ids {name!r} and {other!r} cannot both be asked: {MARK}{places} marks a "
                "question whose options are rotated; rename one of them"
            )


def unrotated(sample: Sample, question: Question, places: int) -> Sample:
    """A sample of `rotated(question, places)` as one of `question`: in its own letters."""
    count = len(question.choices)
    return msgspec.structs.replace(
        sample,
        question_id=question.id,
        seed=sample.seed + places,
        answer=sample.answer and _moved(sample.answer, places, count),
        lenient=sample.lenient and _moved(sample.lenient, places, count),
    )


def by_question(
    questions: Iterable[Question], samples: Iterable[Sample]
) -> dict[str, list[Sample]]:
    """Question id -> its samples in its own letters; both in their own order.

    Args:
        questions: as they are; samples of other questions are left out.
        samples: as recorded, of rotated questions.
    """
    own = {question.id: question for question in questions}
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        name, places = sample.question_id, 0
        if name not in own:
            name, _, shift = name.rpartition(MARK)
            places = int(shift) if shift.isdigit() else 0
        if name in own:
            found.setdefault(name, []).append(unrotated(sample, own[name], places))
    return {
        name: sorted(found[name], key=lambda sample: sample.seed) for name in own if name in found
    }


def _moved(letters: Letters, places: int, count: int) -> Letters:
    """Letters of `count` options, each `places` further on."""
    return tuple(sorted(LETTERS[(LETTERS.index(one) + places) % count] for one in letters))
