"""How a question is put and how its answer is read: everything that decides a score, as data.

`official` is the benchmark's own prompt, `reference` is what the authors' released code really
does, `videothinker` is the paper's evaluation as its text says (32 frames of at most 256 x 28 x 28
pixels) with several letters allowed where several can be right, `demo` is small. An official one
stands in its benchmark's file; docs/evaluation.md shows the table made from all of them.
"""

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Literal

from videothinker.answers import AnswerFormat
from videothinker.prompts import LETTERS, THINK_TEMPLATE, fill, neutralise
from videothinker.records import Question

ProtocolName = Literal["official", "reference", "videothinker", "demo"]
WORDS = ("about", "benchmark")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way of asking."""

    name: str = "official"
    benchmark: str = ""
    """For which it was resolved."""
    about: str
    """Where the values come from, and where they depart from it."""
    template: str
    """The user's words; `{question}` and `{choices}` are put in."""
    by_type: tuple[tuple[str, str], ...] = ()
    """Question type -> another template."""
    choice: str = "{letter}. {choice}"
    """How one choice is shown."""
    between: str = "\n"
    """What stands between two choices."""
    system: str | None = None
    """The system message; None leaves it to the model's chat template."""
    prefill: str = ""
    """The beginning of the answer, put into the model's mouth and read as part of it."""
    frames: int = 32
    """Frames, uniformly spaced from the first to the last; the most of them where `fps` is set."""
    fps: float | None = None
    """Frames a second, rounded down to an even number between 4 and `frames`."""
    min_pixels: int | None = 4 * 28 * 28
    """Fewest pixels a frame (height times width); None is the model's own."""
    max_pixels: int | None = 256 * 28 * 28
    """Most pixels a frame; None is the model's own."""
    clip: bool = True
    """Keep to a question's start and end, where it has them."""
    temperature: float = 0.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    max_new_tokens: int = 1024
    """Completion tokens, the end token included."""
    several: bool = False
    """The prompt allows several letters."""
    asked: AnswerFormat = "tags"
    """Where the prompt wants the answer (see docs/answers.md)."""
    reading: Literal["parser", "authors"] = "parser"
    """`parser`: strict reading of docs/answers.md. `authors`: the first answer block, or else the
    whole text, equal to one letter character by character."""

    @property
    def key(self) -> str:
        """`name@digest`, stored with every sample: another value anywhere gives another key.

        Words about the protocol and the benchmark it was resolved for are no such values.
        """
        values = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name not in WORDS]
        return f"{self.name}@{hashlib.sha256(repr(values).encode()).hexdigest()[:8]}"


SINGLE_TEMPLATE = (
    "{question}\n{choices}\n"
    "Think first, then answer with the letter of the one correct choice. "
    "Write <think>your reasoning</think><answer>letter</answer>."
)
"""Ours, for benchmarks with exactly one right choice."""

DEEP = (
    "Please think about this question as if you were a human pondering deeply. Engage in an "
    "internal dialogue using expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', "
    "'let's break it down', etc, or other natural language thought expressions It's encouraged to "
    "include self-reflection or verification in the reasoning process. Provide your detailed "
    "reasoning between the <think> and </think> tags, and then give your final answer between the "
    "<answer> and </answer> tags. Please provide only the single option letter (e.g., A, B, C, D, "
    "etc.) within the <answer> </answer> tags."
)
"""Video-R1's evaluation prompt, which the authors use."""


def videothinker(*, several: bool) -> Protocol:
    """The paper's settings, with the prompt that is trained with."""
    return Protocol(
        name="videothinker",
        about="The paper's settings: 32 frames, at most 256 x 28 x 28 pixels each. The prompt is "
        "the one trained with; greedy, because the paper gives no temperature.",
        template=THINK_TEMPLATE if several else SINGLE_TEMPLATE,
        several=several,
    )


def demo(*, several: bool) -> Protocol:
    """`videothinker` for a small model."""
    return replace(
        videothinker(several=several),
        name="demo",
        about="`videothinker` at the size of a small model: its own pixels, fewer frames.",
        frames=12,
        min_pixels=None,
        max_pixels=None,
        max_new_tokens=256,
    )


def reference(options: str) -> Protocol:
    """What the authors' released code does; `options` is how it puts question and choices."""
    return Protocol(
        name="reference",
        about="The authors' evaluation script as it runs: a single letter, first tag, equality of "
        "strings, clips not cut, 2 frames a second. VIDEO_MAX_PIXELS also caps the total in their "
        "reader, so that 105,369 pixels a frame remain of 200,704.",
        template=options + DEEP,
        fps=2.0,
        min_pixels=128 * 28 * 28,
        max_pixels=105_369,
        clip=False,
        temperature=0.01,
        top_p=0.001,
        reading="authors",
    )


def labels(question: Question, protocol: Protocol) -> list[str]:
    """What a choice is called: letters, or `Option 1` where an official question calls it that."""
    own = question.groups.get("labels")
    if own is None or protocol.name != "official":
        return list(LETTERS[: len(question.choices)])
    return own.split("|")


def render(
    protocol: Protocol,
    question: Question,
    *,
    text: str | None = None,
    context: str | None = None,
) -> str:
    """The user's words: context where there is no video, then the template filled in.

    Args:
        protocol: gives template and look of the choices.
        question: gives the words.
        text: stands in for the question's own words (a variant).
        context: the transcript, where one is shown.
    """
    template = dict(protocol.by_type).get(question.type, protocol.template)
    own = question.groups.get("labels") is not None and protocol.name == "official"
    pattern = "{letter}: {choice}" if own else protocol.choice
    shown = protocol.between.join(
        pattern.replace("{letter}", letter).replace("{choice}", neutralise(choice))
        for letter, choice in zip(labels(question, protocol), question.choices, strict=True)
    )
    return fill(template, question.question if text is None else text, shown, context)
