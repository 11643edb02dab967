"""From records to numbers: one table's lines, computed from what is on disk and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from videothinker import giveaways
from videothinker.benchmarks.base import OwnMetric, group_of, tier_of
from videothinker.clevrer.answerers import HANDED_ON
from videothinker.dependence import Answered, dependence
from videothinker.evaluation import metrics
from videothinker.families import WHOLE, families
from videothinker.records import Audited, Diagnosis, Question, Sample

SummaryLine = dict[str, Any]


def by_question(samples: Sequence[Sample], variant: str) -> dict[str, list[Sample]]:
    """Question id -> its samples under one variant, in the order of their seeds."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.variant == variant:
            found.setdefault(sample.question_id, []).append(sample)
    return {name: sorted(group, key=lambda s: s.seed) for name, group in found.items()}


def line(
    name: str,
    questions: Sequence[Question],
    answered: Answered,
    blind: Answered,
    *,
    full: bool,
    several: bool,
    own: OwnMetric | None,
) -> SummaryLine:
    """One line of a table: the readings, accuracy with its interval, what is lost, the floors.

    What the video adds (`dependence`) is known where `answered` are of the full question.
    """
    rule = None if own is None else own.rule
    shares = metrics.verdict_shares(questions, answered)
    seen = [q for q in questions if q.id in blind]
    needed = dependence(questions, answered, blind, several=several) if full else None
    return {
        "group": name,
        "exact": asdict(metrics.scored(questions, answered, "exact")),
        "lenient": metrics.lenient_right(questions, answered).value,
        "own rule": rule and asdict(metrics.own_score(questions, answered, rule)),
        "unparsed": shares["unparsed"],
        "truncated": shares["truncated"],
        "failed": shares["failed"],
        "always A": metrics.always(("A",), questions).value,
        "random": metrics.random_guess(questions, several=several),
        "blind": asdict(metrics.scored(seen, blind, "exact")) if seen else None,
        "blind gap": None if needed is None else asdict(needed.blind_gap),
        "visual gain": None if needed is None else asdict(needed.visual_gain),
    }


def divisions(
    questions: Sequence[Question],
    groupings: Sequence[str],
    labels: Mapping[str, Diagnosis],
) -> dict[str, list[Question]]:
    """A line's name -> its questions: all, official groups, single and multi, the labels.

    Inferential questions stand with their split: those that give themselves away, and the rest.
    """
    found: dict[str, list[Question]] = {"all": list(questions)}
    for key in groupings:
        values = dict.fromkeys(group_of(q, key) for q in questions)
        if len(values) > 1:
            for value in values:
                found[f"{key} {value}"] = [q for q in questions if group_of(q, key) == value]
    if any(len(q.answer) > 1 for q in questions):
        found["one correct choice"] = [q for q in questions if len(q.answer) == 1]
        found["several correct choices"] = [q for q in questions if len(q.answer) > 1]
    for label in ("observational", "inferential"):
        found[label] = [q for q in questions if q.id in labels and labels[q.id].label == label]
    named = {q.id: q for q in found["inferential"]}
    for part, ids in giveaways.split(named, labels).items():
        found[f"inferential, {part}"] = [named[name] for name in ids]
    return {name: group for name, group in found.items() if group}


def more_scores(questions: Sequence[Question], answered: Answered) -> dict[str, Any]:
    """Per option, soft, format, and families right as a whole, where there are any."""
    found = {
        "per option": asdict(metrics.options_right(questions, answered)),
        "soft": asdict(metrics.scored(questions, answered, "soft")),
        "format": asdict(metrics.scored(questions, answered, "format")),
    }
    if of_one := families(questions):
        found[WHOLE] = asdict(metrics.whole_families(of_one, answered))
    return found


def without_simulating(
    questions: Sequence[Question],
    labels: Mapping[str, Diagnosis],
    audited: Sequence[Audited],
) -> dict[str, Any]:
    """What whoever reads the premise and simulates nothing gets (`clevrer.answerers.handed_on`).

    Returns:
        A share for each label, and for whole families; empty where the questions were not audited.
    """
    right = {one.question_id: one.right[HANDED_ON] for one in audited if HANDED_ON in one.right}
    known = [q for q in questions if q.id in right]
    found: dict[str, Any] = {}
    for label in ("observational", "inferential"):
        mine = [q for q in known if q.id in labels and labels[q.id].label == label]
        if mine:
            found[label] = asdict(metrics.over(mine, [float(right[q.id]) for q in mine]))
    if of_one := families(known):
        whole = [float(all(right[q.id] for q in members)) for members in of_one]
        found[WHOLE] = asdict(metrics.over([members[0] for members in of_one], whole))
    return found


def shown(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Least and most of what the model was shown: frames, size, prompt tokens."""
    good = [s for s in samples if s.verdict != "failed"]
    names = ("frames", "height", "width", "prompt_tokens")
    if not good:
        return {}
    return {n: [min(getattr(s, n) for s in good), max(getattr(s, n) for s in good)] for n in names}


def summarise(
    questions: Sequence[Question],
    samples: Sequence[Sample],
    labels: Mapping[str, Diagnosis],
    groupings: Sequence[str],
    *,
    several: bool,
    own: OwnMetric | None = None,
) -> dict[str, Any]:
    """All numbers of one evaluation.

    Args:
        questions: the ones asked.
        samples: their records, of any variants.
        labels: question id -> its diagnosis, where one is known.
        groupings: the benchmark's official ones.
        several: the prompt allows several letters (for the random floor).
        own: how the benchmark's authors score, where it was asked as they ask.

    Returns:
        JSON-ready: `lines` (variant full, or the first there is), `scores`, `variants`, `shown`.
    """
    variants = list(dict.fromkeys(s.variant for s in samples))
    main = "full" if "full" in variants else variants[0]
    answered, blind = by_question(samples, main), by_question(samples, "blind")
    asked = [q for q in questions if q.id in answered]
    parts = divisions(asked, groupings, labels)
    lines = [
        line(name, group, answered, blind, full=main == "full", several=several, own=own)
        for name, group in parts.items()
    ]
    under: dict[str, Any] = {}
    for variant in variants:
        here = by_question(samples, variant)
        told = [q for q in questions if q.id in here]
        under[variant] = asdict(metrics.scored(told, here, "exact"))
    return {
        "variant": main,
        "tier": tier_of(asked),
        "lines": lines,
        "own rule": None if own is None else own.words,
        "scores": more_scores(asked, answered),
        "variants": under,
        "shown": shown([s for s in samples if s.variant == main]),
    }
