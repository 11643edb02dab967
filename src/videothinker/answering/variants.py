"""Interventions on the input: the question stays, something it is answered from is taken away."""

import re
from dataclasses import dataclass, replace

import numpy as np

from videothinker.errors import UserError
from videothinker.records import Question, Variant
from videothinker.video import Clip

ABOUT: dict[Variant, str] = {
    "full": "as it is",
    "struck": "the counterfactual premise is struck out of the question",
    "blind": "no video (no transcript)",
    "one_frame": "the middle frame in the place of every frame: looks stay, motion goes",
    "shuffled": "the frames in a drawn order: everything is seen, order goes",
    "options_only": "no video and no question, the options alone",
}
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


def applies(question: Question, variant: Variant) -> bool:
    """Whether a variant can be made: only a question with a premise can lose it."""
    return variant != "struck" or question.question_struck is not None


def needs_video(question: Question, variant: Variant) -> bool:
    """Whether the question's video is shown."""
    return question.video is not None and variant not in ("blind", "options_only")


def apply(
    question: Question, variant: Variant, clip: Clip | None, generator: np.random.Generator
) -> Shown:
    """The variant of a question.

    Args:
        question: as the dataset has it.
        variant: what to take away.
        clip: the video's frames, where it has one and the variant shows it.
        generator: draws the order of `shuffled`.

    Raises:
        UserError: `struck` of a question without a premise.
    """
    shown = Shown(question.question, clip, question.context)
    if variant == "struck":
        if question.question_struck is None:
            raise UserError(
                f"question {question.id!r} has no premise to strike out; leave it out of 'struck'"
            )
        return replace(shown, text=question.question_struck)
    if variant == "blind":
        return Shown(question.question, None, None)
    if variant == "options_only":
        return Shown(OPTIONS_ONLY, None, None)
    if variant == "full":
        return shown
    context = None if question.context is None else _reorder(question.context, variant, generator)
    if clip is None:
        return replace(shown, context=context)
    count = len(clip.frames)
    order = generator.permutation(count) if variant == "shuffled" else np.full(count, count // 2)
    return replace(shown, clip=replace(clip, frames=clip.frames[order]))


def _reorder(context: str, variant: Variant, generator: np.random.Generator) -> str:
    """A transcript's `Frame n: ...` lines: one state line kept, or their contents exchanged.

    States and events are two blocks, kept apart by the line that announces the events; a compact
    transcript has its events in that line.
    """
    head, mark, events = context.partition("\nEvents")
    states = head.split("\n")
    told = [i for i, line in enumerate(states) if STATED.fullmatch(line)]
    if variant == "one_frame":
        kept = told[len(told) // 2 : len(told) // 2 + 1]
        return "\n".join(line for i, line in enumerate(states) if i in kept or i not in told)
    listed = LISTED.fullmatch(events)
    if listed is None:
        return _exchange(head, generator) + mark + _exchange(events, generator)
    states, told = _exchange(head, generator), listed[2].split(", ")
    drawn = [told[i] for i in generator.permutation(len(told))]
    return f"{states}{mark}{listed[1]}{', '.join(drawn)}."


def _exchange(block: str, generator: np.random.Generator) -> str:
    lines = [(line, STATED.fullmatch(line)) for line in block.split("\n")]
    bodies = [match[2] for _, match in lines if match]
    drawn = iter(generator.permutation(len(bodies)))
    return "\n".join(match[1] + bodies[next(drawn)] if match else line for line, match in lines)
