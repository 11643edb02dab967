"""The bias set: observational questions, with the premise removed and as they are.

The paper's figure (arXiv 2605.01324) shows the clause "without Yellow" struck out of the question
the bias model is trained on, so the form without it is the default.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from videothinker.records import Label, Question


@dataclass(frozen=True)
class BiasSet:
    """Both forms, and what is not in them."""

    premise_removed: tuple[Question, ...]
    as_is: tuple[Question, ...]
    not_applicable: int
    """Observational questions that have no premise to remove; they are in `as_is` alone."""
    split: str | None
    """The split they come from; None where there is no `train` and every split is used."""


def without_premise(question: Question) -> Question:
    """The question asked of what the video shows; same id, options and answer.

    Raises:
        ValueError: it has no premise.
    """
    if question.question_struck is None:
        raise ValueError(f"question {question.id!r} has no premise to remove")
    return msgspec.structs.replace(
        question, question=question.question_struck, question_struck=None
    )


def bias_set(questions: Iterable[Question], labels: Mapping[str, Label]) -> BiasSet:
    """Choose the observational questions of the training split.

    Held-out splits never enter a set to train on, not where no training question is observational
    either; where no question at all belongs to `train` (a benchmark's list, say) all are used.

    Args:
        questions: in the order the set shall have.
        labels: question id -> label; a question without one is not in the set.
    """
    questions = tuple(questions)
    train = any(q.split == "train" for q in questions)
    labelled = [q for q in questions if labels.get(q.id) == "observational"]
    chosen = [q for q in labelled if q.split == "train" or not train]
    removed = tuple(without_premise(q) for q in chosen if q.question_struck is not None)
    return BiasSet(removed, tuple(chosen), len(chosen) - len(removed), "train" if train else None)
