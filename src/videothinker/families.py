"""Families: questions about one video that differ in their premise alone, and in the answer.

All members share the video, the words without the premise, and the options in their order. Who
never reads the premise answers all of them alike, and has no family right as a whole.
"""

from collections.abc import Hashable, Iterable

from videothinker.records import Question

WHOLE = "whole families"
"""How a family is counted wherever it is: right where every member is."""
MEANING = (
    "one video asked in the same words with the same options behind other premises, where the "
    "answers differ; a family counts where every question of it is right"
)


def family_of(question: Question) -> str:
    """The family that its list names; its own id where it is in none."""
    return question.groups.get("family", question.id)


def place_of(question: Question) -> Hashable | None:
    """What is shown with it; None where nothing is, so that it shares a video with no other."""
    shown = question.video or question.groups.get("scene") or question.context
    return None if shown is None else (question.dataset, question.split, shown, question.clip)


def same_but_premise(questions: Iterable[Question]) -> list[tuple[Question, ...]]:
    """Groups that whoever does not read the premise cannot tell apart, in the questions' order.

    A question without a premise (`question_struck`), or with nobody to share with, is in none.
    """
    groups: dict[Hashable, list[Question]] = {}
    for question in questions:
        place = place_of(question)
        if question.question_struck is not None and place is not None:
            key = (place, question.question_struck, question.choices)
            groups.setdefault(key, []).append(question)
    return [
        tuple(members)
        for members in groups.values()
        if len({one.question for one in members}) > 1
    ]  # fmt: skip


def families(questions: Iterable[Question]) -> list[tuple[Question, ...]]:
    """Those of them whose answers differ."""
    return [
        members
        for members in same_but_premise(questions)
        if len({one.answer for one in members}) > 1
    ]
