"""What can be done with a diagnosis: the next command, or in words why there is none yet."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videothinker import hub
from videothinker.console import count
from videothinker.dependence import average, over_chance
from videothinker.diagnosis.biasset import BiasSet
from videothinker.estimates import points
from videothinker.records import Question, Sample

Gains = Mapping[str, Mapping[str, Any]]


def over_guessing(
    questions: Sequence[Question], samples: Mapping[str, Mapping[str, Sequence[Sample]]]
) -> dict[str, dict[str, Any]]:
    """Probe -> how much more often than a guess the model is right, with its interval; and of how
    many samples no answer could be read.

    The mean share of right samples a question, minus the expected score of a guess. Only one letter
    counts as a guess where every question has one right choice.
    """
    several = any(len(question.answer) > 1 for question in questions)
    found: dict[str, dict[str, Any]] = {}
    for probe, drawn in samples.items():
        asked = [q for q in questions if drawn.get(q.id)]
        if asked:
            right = [average(drawn[q.id]) for q in asked]
            told = asdict(over_chance(asked, right, several=several))
            all_of = [sample for q in asked for sample in drawn[q.id]]
            unread = sum(sample.verdict != "ok" for sample in all_of)
            found[probe] = {**told, "samples": len(all_of), "unread": unread}
    return found


def is_at_chance(gains: Gains) -> bool:
    """Under no probe is it shown to be better than a guess."""
    return bool(gains) and all(row["low"] <= 0 for row in gains.values())


def next_lines(chosen: BiasSet, gains: Gains, out: Path, model: str = "MODEL") -> list[str]:
    """The next step.

    Args:
        chosen: the bias set.
        gains: see `over_guessing`; empty where no model was probed.
        out: the diagnose folder.
        model: the one that was probed, if it can be trained.
    """
    data, model = hub.as_given(out), hub.as_given(model)
    beside = {name: hub.as_given(out.parent / name) for name in ("bias", "grpo")}
    if is_at_chance(gains):
        return [_at_chance(gains, out), _nothing(chosen)]
    if not chosen.as_is:
        source = "the probed model" if gains else "the rule on the event logs"
        empty = (
            f"the bias set is empty: by {source} no question to train on is observational, so no "
            "shortcut is shown that a bias model could take, and CDPO has nothing to repel from"
        )
        return [
            empty,
            f"next: videothinker train grpo --data {data} --model {model} --out {beside['grpo']}",
        ]
    command = f"train bias --data {data} --model {model} --out {beside['bias']} --as-is"
    return [f"next: videothinker {command}"]


def _at_chance(gains: Gains, out: Path) -> str:
    told = ", ".join(f"{probe} {points(row)}" for probe, row in gains.items())
    samples, unread = (sum(row[key] for row in gains.values()) for key in ("samples", "unread"))
    do = "probe a stronger model, or more questions"
    if 2 * unread > samples:
        do = "look at them there, and raise --max-new-tokens or probe a model that keeps the format"
    if unread:
        read = f"{unread:,} of its {samples:,} samples in {out}/samples.jsonl"
        do = f"no answer could be read of {read}: {do}"
    return (
        f"the probed model is not shown to be better than a guess: {told}. So its labels say "
        f"nothing about these questions. {do[0].upper()}{do[1:]}"
    )


def _nothing(chosen: BiasSet) -> str:
    number = len(chosen.as_is)
    held = f"holds {count(number, 'question')} by chance" if number else "is empty"
    return f"next: another --probe MODEL; the bias set {held}, and is nothing to train on"
