"""Labels without logs: which interventions on the input does the right answer survive?

Each probe takes something away; the model answers several times; each letter is put to the vote.
A question whose *right* answer survives without its premise does not need the premise: it
is observational. One whose right answer survives blindness is a language prior, and so on. (That
the answer merely stays the same says nothing: on the miniature its precision was .78 at a base rate
of .74.)
"""

from collections.abc import Mapping, Sequence

from videothinker.answering.variants import PROBES
from videothinker.records import Diagnosis, Label, Letters, Question, Sample

FLAGS = {name: probe.flag for name, probe in PROBES.items() if probe.flag is not None}
"""Probe -> the flag it sets. (`full` takes nothing away and sets none.)"""
LOG_FREE = "survives_strike"
"""The name of the log-free rule."""


def majority(answers: Sequence[Letters | None]) -> Letters | None:
    """Each letter is voted on by itself: it stands where more than half of the answers hold it.

    Where no letter has a majority, the single most frequent one stands (plain plurality voting for
    single-answer questions). An answer that could not be parsed holds no letter but counts among
    the voters.

    Returns:
        Sorted letters, or None where no answer was parsed or several letters lead with no majority.
    """
    held = [letter for answer in answers if answer is not None for letter in answer]
    if not held:
        return None
    votes = {letter: held.count(letter) for letter in sorted(set(held))}
    chosen = tuple(letter for letter, count in votes.items() if 2 * count > len(answers))
    if chosen:
        return chosen
    most = max(votes.values())
    leaders = [letter for letter, count in votes.items() if count == most]
    return (leaders[0],) if len(leaders) == 1 else None


def survives(question: Question, samples: Sequence[Sample]) -> bool | None:
    """Is the majority answer right? None where every sample failed (an unreadable video)."""
    asked = [sample for sample in samples if sample.verdict != "failed"]
    if not asked:
        return None
    return majority([sample.answer for sample in asked]) == question.answer


def probe_flags(
    question: Question, samples: Mapping[str, Sequence[Sample]]
) -> dict[str, bool | None]:
    """Flag -> did the right answer survive? None where a probe does not apply.

    Args:
        question: gives the right answer.
        samples: probe -> the samples of this question.
    """
    right = bool(question.answer)
    return {
        FLAGS[probe]: survives(question, drawn) if right and drawn else None
        for probe, drawn in samples.items()
        if probe in FLAGS
    }


def probe_label(question: Question, flags: Mapping[str, bool | None]) -> Label:
    """The log-free label.

    A question with a premise is observational where its right answer survives without it. One
    without a premise is called observational where its right answer survives any other probe: a
    shortcut answers it. Where nothing could be asked, or no choice is right, it is excluded.
    """
    if question.question_struck is not None:
        told = flags.get(LOG_FREE)
    else:
        found = [flag for flag in flags.values() if flag is not None]
        told = any(found) if found else None
    if told is None:
        return "excluded"
    return "observational" if told else "inferential"


def diagnose_by_probes(
    questions: Sequence[Question],
    samples: Mapping[str, Mapping[str, Sequence[Sample]]],
    logs: Mapping[str, Diagnosis],
) -> list[Diagnosis]:
    """The record of every probed question.

    Args:
        questions: in the order of the records.
        samples: probe -> question id -> samples.
        logs: what the event logs say, where there are any: their flags and evidence stay in the
            record, beside the probes', and the label is the probes'.
    """
    found: list[Diagnosis] = []
    for question in questions:
        mine = {
            probe: by_question[question.id]
            for probe, by_question in samples.items()
            if question.id in by_question
        }
        known = logs.get(question.id, Diagnosis(question_id=question.id, rule="", label="excluded"))
        flags = probe_flags(question, mine)
        found.append(
            Diagnosis(
                question_id=question.id,
                rule=LOG_FREE,
                label=probe_label(question, flags),
                flags={**known.flags, **flags},
                evidence=known.evidence,
                probes={
                    probe: (sum(sample.exact == 1 for sample in drawn), len(drawn))
                    for probe, drawn in mine.items()
                },
            )
        )
    return found
