"""A model's samples as units of the causal model, and as interventions on the premise.

One *unit* is one option in one sample. T is the truth of its event after the removal (what true
reasoning finds), O its truth in the video (what observation finds), A whether the model says that
it happens, Q whether the question is negated. Units of one video depend on each other.
"""

from collections.abc import Iterable, Mapping, Sequence

from videothinker.dependence import cluster_of
from videothinker.diagnosis.causal import Unit
from videothinker.diagnosis.probes import majority
from videothinker.diagnosis.reliance import Intervention
from videothinker.prompts import LETTERS
from videothinker.records import Diagnosis, Letters, Question, Sample

HAPPENS = {True: "happens", False: "does not happen"}


def is_negated(question: Question) -> bool:
    """Does the question ask what will not happen?"""
    return question.groups.get("negated") == "yes"


def units_of(
    questions: Mapping[str, Question],
    diagnoses: Mapping[str, Diagnosis],
    samples: Iterable[Sample],
    *,
    swap: bool = False,
) -> list[Unit]:
    """The options of all `full` samples whose question has evidence from logs.

    An answer that could not be parsed says of no event that it happens; a failed sample (an
    unreadable video) shows nothing and is left out.

    Args:
        questions: id -> question.
        diagnoses: id -> diagnosis with evidence.
        samples: answers to the questions as they are.
        swap: exchange T and O, for the effect of the observation with the truth held fixed.
    """
    units: list[Unit] = []
    for sample in samples:
        told = diagnoses.get(sample.question_id)
        if sample.variant != "full" or sample.verdict == "failed" or told is None:
            continue
        question, evidence = questions[sample.question_id], told.evidence
        negated = is_negated(question)
        truths = zip(evidence.truth_counterfactual, evidence.truth_video, strict=True)
        for letter, (after, before) in zip(LETTERS, truths, strict=False):
            chosen = sample.answer is not None and letter in sample.answer
            says = sample.answer is not None and chosen != negated
            treatment, observation = (before, after) if swap else (after, before)
            units.append(
                Unit(
                    query="negated" if negated else "plain",
                    treatment=HAPPENS[treatment],
                    observation=HAPPENS[observation],
                    outcome=says,
                    cluster=cluster_of(question),
                )
            )
    return units


def premise_removed_answer(question: Question, diagnosis: Diagnosis) -> Letters:
    """The right answer once the premise is removed: what the logs say of the video as shown."""
    negated = is_negated(question)
    truths = zip(LETTERS, diagnosis.evidence.truth_video, strict=False)
    return tuple(letter for letter, happens in truths if happens != negated)


def premise_removals(
    questions: Sequence[Question],
    diagnoses: Mapping[str, Diagnosis],
    full: Mapping[str, Sequence[Sample]],
    removed: Mapping[str, Sequence[Sample]],
) -> list[Intervention]:
    """Each question beside itself without its premise, video and options held fixed.

    Args:
        questions: those to pair; one without evidence from logs or without both kinds of samples
            gives no pair.
        diagnoses: id -> diagnosis with evidence.
        full: id -> samples of the question as it is.
        removed: id -> samples of the question without its premise.
    """
    return [
        Intervention(
            id=question.id,
            gold=(question.answer, premise_removed_answer(question, diagnoses[question.id])),
            answer=(
                majority([sample.answer for sample in full[question.id]]),
                majority([sample.answer for sample in removed[question.id]]),
            ),
        )
        for question in questions
        if question.id in full
        and question.id in removed
        and question.id in diagnoses
        and diagnoses[question.id].evidence.truth_video
    ]


def swaps(
    pairs: Iterable[tuple[Question, Question]], full: Mapping[str, Sequence[Sample]]
) -> list[Intervention]:
    """Minimal pairs: two questions on one video with the same options and another removed object.

    Raises:
        ValueError: the two differ in more than the premise.
    """
    found: list[Intervention] = []
    for one, other in pairs:
        if (one.video, one.context, one.choices) != (other.video, other.context, other.choices):
            raise ValueError(f"{one.id!r} and {other.id!r} differ in more than their premise")
        if one.id in full and other.id in full:
            one_says = majority([sample.answer for sample in full[one.id]])
            other_says = majority([sample.answer for sample in full[other.id]])
            gold = (one.answer, other.answer)
            found.append(Intervention(f"{one.id} | {other.id}", gold, (one_says, other_says)))
    return found
