"""A completion read the way its protocol says."""

import re
from dataclasses import replace

from videothinker import answers
from videothinker.benchmarks.protocols import Protocol, labels
from videothinker.prompts import LETTERS
from videothinker.records import Question


def read(protocol: Protocol, question: Question, text: str, *, truncated: bool) -> answers.Parsed:
    """Read a completion the way its protocol says.

    Args:
        protocol: says what was asked for and who reads.
        question: gives the choices, and what they are called.
        text: the completion, without the prefilled beginning.
        truncated: it was cut at its length limit.
    """
    whole = protocol.prefill + text if protocol.asked == "tags" else text
    named, loosely = (_with_letters(whole, question, protocol, flags=f) for f in (0, re.IGNORECASE))
    parsed = answers.parse(named, question.choices, truncated=truncated, asked=protocol.asked)
    if parsed.lenient is None and loosely != named:
        again = answers.parse(loosely, question.choices, truncated=truncated, asked=protocol.asked)
        parsed = replace(parsed, lenient=again.lenient)
    if protocol.reading == "parser":
        return parsed
    blocks = answers.blocks(named, "answer")
    said = (blocks[0] if blocks else named).strip()
    good = len(said) == 1 and said in LETTERS[: len(question.choices)]
    return answers.Parsed(
        thinking=parsed.thinking,
        answer=(said,) if good else None,
        lenient=(said,) if good else parsed.lenient,
        verdict="ok" if good else "truncated" if truncated else "unparsed",
        format=parsed.format,
    )


def _with_letters(text: str, question: Question, protocol: Protocol, *, flags: int) -> str:
    """Letters in the place of the choices' published names, such as `Option 1`."""
    for label, letter in zip(labels(question, protocol), LETTERS, strict=False):
        if label != letter:
            text = re.sub(rf"\b{re.escape(label)}\b", letter, text, flags=flags)
    return text
