"""How a question is put and how its answer is read: everything that decides a score, as data.

`official` is the benchmark's own prompt, `reference` is what the authors' released code really
does, `videothinker` is the paper's evaluation as its text says (32 frames of at most 256 x 28 x 28
pixels) with several letters allowed where several can be right, `demo` is small. docs/evaluation.md
shows the table made from this file.
"""

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Literal

from videothinker.answers import Asked
from videothinker.errors import UserError
from videothinker.prompts import LETTERS, THINK_TEMPLATE, neutralise
from videothinker.records import Question

BENCHMARKS = ("clevrer", "mmvu", "video-holmes", "mvbench", "tempcompass", "videomme", "jsonl")
NAMES = ("official", "reference", "videothinker", "demo")
WORDS = ("about", "benchmark")
SEVERAL = ("clevrer", "jsonl")
"""Where several choices can be right."""


@dataclass(frozen=True)
class Protocol:
    """One way of asking."""

    name: str
    benchmark: str
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
    asked: Asked = "tags"
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


def _videothinker(benchmark: str) -> Protocol:
    several = benchmark in SEVERAL
    return Protocol(
        name="videothinker",
        benchmark=benchmark,
        about="The paper's settings: 32 frames, at most 256 x 28 x 28 pixels each. The prompt is "
        "the one trained with; greedy, because the paper gives no temperature.",
        template=THINK_TEMPLATE if several else SINGLE_TEMPLATE,
        several=several,
    )


def _reference(benchmark: str) -> Protocol:
    options = (
        "{question} \n{choices}\n"
        if benchmark == "video-holmes"
        else "{question}Options:\n{choices}\n\n"
    )
    return Protocol(
        name="reference",
        benchmark=benchmark,
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


OFFICIAL: dict[str, Protocol] = {
    "clevrer": Protocol(
        name="official",
        benchmark="clevrer",
        about="CLEVRER publishes its metrics (per option and per question) and no prompt for "
        "language models; prompt and frames are those of `videothinker`.",
        template=THINK_TEMPLATE,
        several=True,
    ),
    "mmvu": Protocol(
        name="official",
        benchmark="mmvu",
        about="MMVU's chain-of-thought prompt. Its metric is GPT-4o as judge, also for multiple "
        "choice, which is not run here; the letter is read by rule. Frames are the model's choice "
        "there.",
        template="Question: {question}\n{choices}\n\nAnswer the given multiple-choice question "
        "step by step. Begin by explaining your reasoning process clearly. Conclude by stating the "
        "final answer using the following format: 'Therefore, the final answer is: $LETTER' "
        "(without quotes), where $LETTER is one of the options. Think step by step before "
        "answering.",
        choice="{letter}: {choice}",
        temperature=1.0,
        asked="sentence",
    ),
    "video-holmes": Protocol(
        name="official",
        benchmark="video-holmes",
        about="Video-Holmes' prompt with thinking and its sampling for Qwen models.",
        template="Based on the given video, reason and answer the single-choice question. Provide "
        "your reasoning between the <think> and </think> tags, and then give your final answer "
        "between the <answer> and </answer> tags. The question is: {question}. The options are: "
        "{choices}. Your answer:",
        choice="{letter}: {choice}",
        between=", ",
        temperature=0.1,
        top_p=0.001,
    ),
    "mvbench": Protocol(
        name="official",
        benchmark="mvbench",
        about="MVBench's system message, prompt and answer beginning; 16 frames of the cut clip. "
        "Frames lie at the ends of equal steps, not in their middles.",
        system="Carefully watch the video and pay attention to the cause and sequence of events, "
        "the detail and movement of objects, and the action and pose of persons. Based on your "
        "observations, select the best option that accurately addresses the question.",
        template="Question: {question}\nOptions:\n{choices}\nOnly give the best option.",
        choice="({letter}) {choice}",
        prefill="Best option:(",
        frames=16,
        max_new_tokens=100,
        asked="letter",
    ),
    "tempcompass": Protocol(
        name="official",
        benchmark="tempcompass",
        about="TempCompass' questions and answer prompts as published. It matches answers by rule "
        "and asks a judge model where no rule fits; here no judge is asked.",
        template="{question}\n{choices}\nPlease directly give the best option:",
        by_type=(("yes_no", "{question}\nPlease answer yes or no:"),),
        max_new_tokens=128,
        asked="letter",
    ),
    "videomme": Protocol(
        name="official",
        benchmark="videomme",
        about="Video-MME's prompt without subtitles; frames are the model's choice there.",
        template="Select the best answer to the following multiple-choice question based on the "
        "video. Respond with only the letter (A, B, C, or D) of the correct option.\n"
        "{question}\n{choices}\nThe best answer is:",
        max_new_tokens=16,
        asked="letter",
    ),
}


def resolve(name: str, benchmark: str, **changes: float | str | None) -> Protocol:
    """The protocol `name` for a benchmark, with single values changed where they are not None.

    Raises:
        UserError: an unknown protocol or benchmark, or one without an official protocol.
    """
    if name not in NAMES or benchmark not in BENCHMARKS:
        raise UserError(
            f"protocol {name!r} on benchmark {benchmark!r} came; protocols are {', '.join(NAMES)}, "
            f"benchmarks are {', '.join(BENCHMARKS)}"
        )
    if name == "official":
        if benchmark not in OFFICIAL:
            raise UserError(
                f"{benchmark!r} has no official protocol; use videothinker, reference or demo"
            )
        found = OFFICIAL[benchmark]
    elif name == "reference":
        found = _reference(benchmark)
    else:
        found = _videothinker(benchmark)
    if name == "demo":
        found = replace(
            found,
            name="demo",
            about="`videothinker` at the size of a small model: its own pixels, fewer frames.",
            frames=12,
            min_pixels=None,
            max_pixels=None,
            max_new_tokens=256,
        )
    return replace(found, **{key: value for key, value in changes.items() if value is not None})


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
    words = neutralise(question.question if text is None else text)
    body = shown.join(part.replace("{question}", words) for part in template.split("{choices}"))
    return body if context is None else f"{neutralise(context)}\n{body}"
