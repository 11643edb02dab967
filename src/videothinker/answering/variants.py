"""Probes, interventions on the input: the question stays, something it is answered from is taken.

Each is a function and a line in PROBES; its name is a word of `records.Variant`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from videothinker.errors import UserError
from videothinker.records import Question, Variant
from videothinker.video import Clip

OPTIONS_ONLY = "Which of these is right?"
STATED = re.compile(r"(Frame \d+: )(.*)")
LISTED = re.compile(r"( \([^)]*\): )(.+)\.")
"""A compact transcript's events, in one line."""


@dataclass(frozen=True)
class Shown:
    """What a variant leaves to see."""

    text: str
    """In the place of the question's words."""
    clip: Clip | None
    """Frames and times; None where no video is shown."""
    context: str | None
    """The transcript; None where none is shown."""


@dataclass(frozen=True)
class Probe:
    """One intervention."""

    about: str
    """What is shown."""
    show: Callable[[Question, Shown, np.random.Generator], Shown]
    """The question, what there is to see, a stream to draw from -> what is left."""
    flag: str | None = None
    """Of the diagnosis: does the right answer survive it? None where nothing is taken away."""
    needs_video: bool = True
    """The video is shown, if there is one."""
    needs_premise: bool = False
    """It applies to questions with a counterfactual premise alone."""
    draws: bool = False
    """It uses the stream, which is each question's own: no two questions share what is shown."""


def _full(_question: Question, shown: Shown, _generator: np.random.Generator) -> Shown:
    return shown


def _premise_removed(question: Question, shown: Shown, _generator: np.random.Generator) -> Shown:
    assert question.question_struck is not None, "see `check`"
    return replace(shown, text=question.question_struck)


def _blind(_question: Question, shown: Shown, _generator: np.random.Generator) -> Shown:
    return replace(shown, clip=None, context=None)


def _options_only(_question: Question, _shown: Shown, _generator: np.random.Generator) -> Shown:
    return Shown(OPTIONS_ONLY, None, None)


def _one_frame(_question: Question, shown: Shown, _generator: np.random.Generator) -> Shown:
    """Of a transcript: the middle state line, and no events."""
    clip, context = shown.clip, shown.context
    if context is not None:
        lines = context.partition("\nEvents")[0].split("\n")
        told = [i for i, line in enumerate(lines) if STATED.fullmatch(line)]
        kept = told[len(told) // 2 : len(told) // 2 + 1]
        context = "\n".join(line for i, line in enumerate(lines) if i in kept or i not in told)
    if clip is not None:
        count = len(clip.frames)
        clip = replace(clip, frames=clip.frames[np.full(count, count // 2)])
    return replace(shown, clip=clip, context=context)


def _shuffled(_question: Question, shown: Shown, generator: np.random.Generator) -> Shown:
    """Of a transcript: states and events, each among themselves.

    The line that announces the events keeps the two apart; a compact transcript has them in it.
    """
    clip, context = shown.clip, shown.context
    if context is not None:
        states, mark, events = context.partition("\nEvents")
        states = _exchange(states, generator)
        if listed := LISTED.fullmatch(events):
            told = listed[2].split(", ")
            drawn = ", ".join(told[i] for i in generator.permutation(len(told)))
            context = f"{states}{mark}{listed[1]}{drawn}."
        else:
            context = states + mark + _exchange(events, generator)
    if clip is not None:
        clip = replace(clip, frames=clip.frames[generator.permutation(len(clip.frames))])
    return replace(shown, clip=clip, context=context)


def _exchange(block: str, generator: np.random.Generator) -> str:
    """The contents of `Frame n: ...` lines exchanged among themselves."""
    lines = [(line, STATED.fullmatch(line)) for line in block.split("\n")]
    bodies = [match[2] for _, match in lines if match]
    drawn = iter(generator.permutation(len(bodies)))
    return "\n".join(match[1] + bodies[next(drawn)] if match else line for line, match in lines)


STILL = "the middle frame in the place of every frame: looks stay, motion goes"
MIXED = "the frames in a drawn order: everything is seen, order goes"
PREMISE = "the counterfactual premise is removed from the question"
ALONE = "no video and no question, the options alone"
PROBES: dict[Variant, Probe] = {
    "full": Probe("as it is", _full),
    "struck": Probe(PREMISE, _premise_removed, "survives_strike", needs_premise=True),
    "blind": Probe("no video (no transcript)", _blind, "survives_blindness", needs_video=False),
    "one_frame": Probe(STILL, _one_frame, "survives_one_frame"),
    "shuffled": Probe(MIXED, _shuffled, "survives_shuffling", draws=True),
    "options_only": Probe(ALONE, _options_only, "survives_options_only", needs_video=False),
}


def applies(question: Question, variant: Variant) -> bool:
    """Whether a variant can be made: only a question with a premise can lose it."""
    return question.question_struck is not None or not PROBES[variant].needs_premise


def check(question: Question, variant: Variant) -> None:
    """Refuse a question to which the variant does not apply.

    Raises:
        UserError: `struck` of a question without a premise.
    """
    if not applies(question, variant):
        raise UserError(
            f"question {question.id!r} has no premise to remove; leave it out of {variant!r}"
        )


def needs_video(question: Question, variant: Variant) -> bool:
    """Whether the question's video is shown."""
    return question.video is not None and PROBES[variant].needs_video


def apply(
    question: Question, variant: Variant, clip: Clip | None, generator: np.random.Generator
) -> Shown:
    """The variant of a question; `clip` where it has a video that the variant shows.

    Raises:
        UserError: `struck` of a question without a premise.
    """
    check(question, variant)
    shown = Shown(question.question, clip, question.context)
    return PROBES[variant].show(question, shown, generator)
