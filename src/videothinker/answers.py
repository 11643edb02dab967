"""The one answer parser: training's rewards and every evaluation read completions through it.

A completion is `<think>reasoning</think><answer>letters</answer>`. *Strict* reading looks in one
place only: the answer block after closed thinking, and takes it whole or not at all. *Lenient*
reading is reported beside it and never scored. Which writing counts as what: docs/answers.md.
Every step is one pass over the text, because a completion may be a megabyte of `<answer>`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from videothinker.letters import read_letters, read_loosely
from videothinker.records import Letters, Sample, Variant, Verdict

TAG = re.compile(r"</?(?:think|answer)>")
ANY_TAG = re.compile(TAG.pattern, re.IGNORECASE)
AnswerFormat = Literal["tags", "letter", "sentence"]
"""Where a prompt wants the answer: in tags, as the whole text, or behind `the answer is`."""
CUE = re.compile(r"\banswers?\b[^\n:]{0,40}?(?:\b(?:is|are)\b:?|:)[ \t]*", re.IGNORECASE)


@dataclass(frozen=True)
class Parsed:
    """What one completion says."""

    thinking: str | None
    """The text of the thinking block, stripped; None where there is none."""
    answer: Letters | None
    """Strictly read, sorted letters; None unless the verdict is `ok`."""
    lenient: Letters | None
    """What a forgiving reader takes it for; equals `answer` wherever that exists. Never scored."""
    verdict: Verdict
    """ok | unparsed | truncated."""
    format: bool
    """The whole text is exactly one thinking block and one answer block."""


class ShownPrompt(Protocol):
    """What a record says of a prompt."""

    @property
    def frames(self) -> int:
        """Frames shown."""
        ...

    @property
    def height(self) -> int:
        """Pixels of a frame."""
        ...

    @property
    def width(self) -> int:
        """Pixels of a frame."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Tokens, those of the video included."""
        ...


def parse(
    text: str, choices: Sequence[str], *, truncated: bool, asked: AnswerFormat = "tags"
) -> Parsed:
    """Read a completion.

    Args:
        text: the completion (with any prefilled beginning), without the end-of-sequence token.
        choices: the options as shown, without their letters; gives the allowed letters.
        truncated: the completion was cut at its length limit.
        asked: what the prompt asked for. Where that was not tags (a benchmark's own prompt), a
            completed text without any tag is read whole (`letter`), or what follows its last
            `answer is` up to the end of the line (`sentence`).

    Returns:
        strict and lenient reading, verdict and format. A cut-off text without a complete answer
        block is `truncated` under both readings: truncated thinking is never an answer.
    """
    found = _answer_blocks(text)
    if asked != "tags" and not truncated and not TAG.search(text):
        found = [text] if asked == "letter" else _after_cue(text)
    answers = {read_letters(block, choices) for block in set(found)}
    answer = answers.pop() if len(answers) == 1 else None
    lenient = answer if answer is not None or truncated else _lenient(text, choices)
    thinking = blocks(text, "think")
    verdict: Verdict = "ok" if answer is not None else "truncated" if truncated else "unparsed"
    return Parsed(
        thinking=thinking[0].strip() if thinking else None,
        answer=answer,
        lenient=lenient,
        verdict=verdict,
        format=_is_format(text),
    )


def render_answer(letters: Letters, thinking: str = "") -> str:
    """The completion that says `letters`: `parse(render_answer(a), ...).answer == a`."""
    if TAG.search(thinking):
        raise ValueError("the thinking holds a think or answer tag; neutralise it first")
    return f"<think>{thinking}</think><answer>{', '.join(letters)}</answer>"


def record(
    question_id: str,
    text: str,
    parsed: Parsed,
    prompt: ShownPrompt,
    *,
    model: str,
    protocol: str,
    gold: Letters = (),
    variant: Variant = "full",
    seed: int = 0,
) -> Sample:
    """The record of one completion: what was shown, what was said, how it is read and scored.

    Args:
        question_id: of the question.
        text: the completion.
        parsed: how it was read.
        prompt: what the model was shown.
        model: digest of its weights.
        protocol: how the question was put.
        gold: the right letters; without any, nothing is right.
        variant: the intervention on the input.
        seed: under which the completion is told from others to the same question.
    """
    return Sample(
        question_id=question_id,
        model=model,
        protocol=protocol,
        variant=variant,
        seed=seed,
        frames=prompt.frames,
        height=prompt.height,
        width=prompt.width,
        prompt_tokens=prompt.prompt_tokens,
        text=text,
        thinking=parsed.thinking,
        answer=parsed.answer,
        verdict=parsed.verdict,
        exact=exact(parsed.answer, gold),
        soft=soft(parsed.answer, gold),
        format=float(parsed.format),
        lenient=parsed.lenient,
    )


def exact(pred: Letters | None, gold: Letters) -> float:
    """1 where the letters are exactly the right ones, else 0 (CLEVRER's per-question accuracy)."""
    return float(bool(gold) and pred == gold)


def soft(pred: Letters | None, gold: Letters) -> float:
    """|pred| / |gold| where pred is a non-empty subset of gold, else 0 (the authors' reward)."""
    if not pred or not set(pred) <= set(gold):
        return 0.0
    return len(pred) / len(gold)


def blocks(text: str, name: Literal["think", "answer"]) -> list[str]:
    """What stands in `<name>...</name>`: from an opening tag to the first closing one after it."""
    found: list[str] = []
    start: int | None = None
    for tag in TAG.finditer(text):
        if tag[0] == f"<{name}>" and start is None:
            start = tag.end()
        elif tag[0] == f"</{name}>" and start is not None:
            found.append(text[start : tag.start()])
            start = None
    return found


def _answer_blocks(text: str) -> list[str]:
    """The answer blocks outside thinking, when every tag is opened and closed in turn."""
    tags = TAG.findall(text)
    opened, closed = tags[0::2], tags[1::2]
    paired = len(tags) % 2 == 0 and all(
        not a.startswith("</") and b == "</" + a[1:] for a, b in zip(opened, closed, strict=True)
    )
    return blocks(text if paired else _after_thinking(text), "answer")


def _after_thinking(text: str) -> str:
    """Where tags are not in turn: what stands behind the last `</think>`, if that part is in turn.

    A tag quoted inside the reasoning thus hides nothing, and an answer inside thinking that was
    never closed is not an answer.
    """
    _, closing, tail = text.rpartition("</think>")
    return tail if closing and TAG.findall(tail) == ["<answer>", "</answer>"] else ""


def _after_cue(text: str) -> list[str]:
    """What follows the last `the answer is`, up to the end of its line; nothing where it is not."""
    ends = [match.end() for match in CUE.finditer(text)]
    return [text[ends[-1] :].partition("\n")[0]] if ends else []


def _is_format(text: str) -> bool:
    around = TAG.split(text)
    whole = ["<think>", "</think>", "<answer>", "</answer>"]
    return TAG.findall(text) == whole and not (around[0] + around[2] + around[4]).strip()


def _lenient(text: str, choices: Sequence[str]) -> Letters | None:
    """The last answer block, however its tags are written, or else what stands behind the rest."""
    low = ANY_TAG.sub(lambda tag: tag[0].lower(), text)
    found = blocks(low, "answer")
    if found:
        return read_loosely(found[-1], choices)
    tail = low.rpartition("<answer>")[2] if "<answer>" in low else low.rpartition("</think>")[2]
    return read_loosely(TAG.sub("", tail), choices)
