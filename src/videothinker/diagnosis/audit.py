"""The audit: how far does an answerer get that never reads the premise, or simulates nothing?

Every shallow answerer is asked every question, and there is a record of each question: the table
(`audit_table`), printed or in the report, is computed from these records alone.
"""

from collections.abc import Iterable, Mapping, Sequence

from videothinker.clevrer.answerers import ANSWERERS, OPTIONS, Asked
from videothinker.dependence import chance, cluster_of
from videothinker.diagnosis import classifier
from videothinker.diagnosis.premises import blind_groups
from videothinker.giveaways import AWAY, UNKNOWN, part_of
from videothinker.prompts import LETTERS
from videothinker.records import Audited, Diagnosis, Question

FEW = 12
"""A grouping with more values is none to tabulate."""


def _right(question: Question, asked: Asked | None) -> dict[str, bool]:
    gold = tuple(letter in question.answer for letter in LETTERS[: len(question.choices)])
    if asked is not None:
        return {name: answerer(asked) == gold for name, answerer in ANSWERERS.items()}
    return {name: answerer(question.choices) == gold for name, answerer in OPTIONS.items()}


def audit(
    questions: Iterable[Question],
    labels: Mapping[str, Diagnosis],
    asked: Mapping[str, Asked],
    kinds: Mapping[str, str],
    seed: int,
) -> tuple[list[Audited], str | None]:
    """Ask every shallow answerer every question that has an answer.

    Args:
        questions: where any has a label, the others and the excluded ones are left out.
        labels: question id -> its diagnosis, where it has one.
        asked: question id -> the same by its programs, where its scene is known.
        kinds: question id -> what it is tabulated by where nothing has a label.
        seed: see `classifier.classify`.

    Returns:
        A record a question, and what should be known of the classifier, in words.
    """
    wanted = [q for q in questions if q.answer]
    if labels:
        wanted = [q for q in wanted if q.id in labels and labels[q.id].label != "excluded"]
    learned = classifier.classify(wanted, asked, seed)
    several = {q.type for q in wanted if len(q.answer) > 1}
    blind = blind_groups(wanted)
    found: list[Audited] = []
    for question in wanted:
        name = question.id
        right = _right(question, asked.get(name))
        if name in learned.right:
            right[classifier.NAME] = learned.right[name]
        known = labels.get(name)
        part = part_of(known)
        found.append(
            Audited(
                question_id=name,
                cluster=cluster_of(question),
                label=known and known.label,
                kind=None if labels else kinds.get(name),
                part=part if known is not None and known.label == "inferential" else None,
                gives_itself_away=None if part == UNKNOWN else part == AWAY,
                right=right,
                chance=chance(question, several=question.type in several),
                family=blind[name].group if name in blind else None,
                ceiling=blind[name].ceiling if name in blind else None,
            )
        )
    return found, learned.note


def kinds_of(questions: Sequence[Question], grouping: str | None) -> dict[str, str]:
    """Question id -> its value under a grouping; empty where it has one value, or more than FEW."""
    found = {
        q.id: value
        for q in questions
        if (value := q.type if grouping in (None, "type") else q.groups.get(grouping)) is not None
    }
    return found if 1 < len(set(found.values())) <= FEW else {}
