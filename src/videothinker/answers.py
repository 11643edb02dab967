"""The one answer parser: training's rewards and every evaluation read completions through it.

A completion is `<think>reasoning</think><answer>letters</answer>`. *Strict* reading looks in one
place only: the answer block after closed thinking, and takes it whole or not at all. *Lenient*
reading is reported beside it and never scored. Which writing counts as what: docs/answers.md.
"""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from videothinker.records import Letters, Sample, Variant, Verdict

TAG = re.compile(r"</?(?:think|answer)>")
WHOLE = re.compile(r"\s*<think>(.*?)</think>\s*<answer>(.*?)</answer>\s*", re.DOTALL)
ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
THINKING = re.compile(r"<think>(.*?)</think>", re.DOTALL)
Asked = Literal["tags", "letter", "sentence"]
"""Where a prompt wants the answer: in tags, as the whole text, or behind `the answer is`."""
SEPARATORS = re.compile(r"(?:[\s,;/&+]|\band\b)+", re.IGNORECASE)
LABEL = re.compile(r"\(?([A-Za-z])(?:[.:)]\)?|\))\s+(.+)", re.DOTALL)
CUE = re.compile(r"\banswers?\b[^\n:]{0,40}?(?:\b(?:is|are)\b:?|:)[ \t]*", re.IGNORECASE)
DECORATION = re.compile(r"[.()\[\]*:\"'`]")
STANDALONE = re.compile(r"(?<![A-Za-z'])([A-Z])(?![A-Za-z'])(?!(?<=A)\s+[a-z])")


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


class Prompt(Protocol):
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


def parse(text: str, choices: Sequence[str], *, truncated: bool, asked: Asked = "tags") -> Parsed:
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
    blocks = _answer_blocks(text)
    if asked != "tags" and not truncated and not TAG.search(text):
        blocks = [text] if asked == "letter" else _after_cue(text)
    answers = {read_letters(block, choices) for block in blocks}
    answer = answers.pop() if len(answers) == 1 else None
    lenient = answer if answer is not None or truncated else _lenient(text, choices)
    thinking = THINKING.search(text)
    verdict: Verdict = "ok" if answer is not None else "truncated" if truncated else "unparsed"
    return Parsed(
        thinking=None if thinking is None else thinking[1].strip(),
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
    prompt: Prompt,
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


def read_letters(body: str, choices: Sequence[str]) -> Letters | None:
    """The letters a text that is nothing but an answer stands for, sorted; None if it is not one.

    Read are: letters with commas, semicolons, slashes, `and`, `&` or spaces between them, in either
    case, with dots, brackets or asterisks around them (`A`, `a`, `A.`, `(A)`, `A, C`, `A;C`,
    `A and C`); capitals run together (`AC`); a choice's text in full, alone or behind its own
    letter (`A. the cube`), one a line or between semicolons. A letter that is no choice, or a
    letter with another choice's text, makes the whole unread. A choice that is itself written like
    letters (`AC`, `a`, `A and B`) is read as that choice; one capital alone is always a letter.
    """
    capital = _bare(body)
    if len(capital) == 1 and capital in _allowed(choices):
        return (capital,)
    found = _by_text(body, choices) or _plain(body, choices)
    if found:
        return tuple(sorted(found))
    for piece in (piece for piece in re.split(r"[\n;]", body) if piece.strip()):
        letters = _plain(piece, choices) or _by_text(piece, choices)
        if not letters:
            return None
        found |= letters
    return tuple(sorted(found)) or None


def _allowed(choices: Sequence[str]) -> str:
    return string.ascii_uppercase[: len(choices)]


def _plain(body: str, choices: Sequence[str]) -> set[str]:
    """Letters and separators alone; empty where anything else is there."""
    allowed = _allowed(choices)
    tokens = [token for token in SEPARATORS.split(_bare(body)) if token]
    if len(tokens) == 1 and tokens[0].isupper() and len(set(tokens[0])) == len(tokens[0]):
        tokens = list(tokens[0])
    letters = {token.upper() for token in tokens}
    return letters if all(len(x) == 1 and x in allowed for x in letters) else set()


def _bare(text: str) -> str:
    return DECORATION.sub(" ", text).strip()


def _normal(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .*\"'`")


def _by_text(piece: str, choices: Sequence[str]) -> set[str]:
    """The letter of the one choice that `piece` spells out, with or without its letter."""
    label = LABEL.fullmatch(piece.strip())
    places = [i for i, choice in enumerate(choices) if _normal(choice) == _normal(piece)]
    if len(places) == 1:
        return {_allowed(choices)[places[0]]}
    if label is None or places:
        return set()
    letter = label[1].upper()
    place = _allowed(choices).find(letter)
    return {letter} if place >= 0 and _normal(choices[place]) == _normal(label[2]) else set()


def _answer_blocks(text: str) -> list[str]:
    """The answer blocks outside thinking, when every tag is opened and closed in turn."""
    tags = TAG.findall(text)
    opened, closed = tags[0::2], tags[1::2]
    paired = len(tags) % 2 == 0 and all(
        not a.startswith("</") and b == "</" + a[1:] for a, b in zip(opened, closed, strict=True)
    )
    return ANSWER.findall(text if paired else _after_thinking(text))


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
    return WHOLE.fullmatch(text) is not None and len(TAG.findall(text)) == 4


def _lenient(text: str, choices: Sequence[str]) -> Letters | None:
    low = re.sub(r"</?(?:think|answer)>", lambda m: m[0].lower(), text, flags=re.IGNORECASE)
    blocks: list[str] = ANSWER.findall(low)
    if blocks:
        return read_letters(blocks[-1], choices) or _standalone(blocks[-1], choices)
    tail = low.rpartition("<answer>")[2] if "<answer>" in low else low.rpartition("</think>")[2]
    tail = TAG.sub("", tail).strip()
    cues = _after_cue(tail)
    last = tail.rsplit("\n", 1)[-1]
    if cues:
        return read_letters(cues[0], choices) or _standalone(cues[0], choices)
    return read_letters(tail, choices) or read_letters(last, choices) or _labelled(last, choices)


def _standalone(body: str, choices: Sequence[str]) -> Letters | None:
    """Capital letters that stand alone, unknown ones ignored; the article in `A man` is none."""
    return tuple(sorted(set(STANDALONE.findall(body)) & set(_allowed(choices)))) or None


def _labelled(line: str, choices: Sequence[str]) -> Letters | None:
    label = LABEL.fullmatch(line.strip())
    return None if label is None else read_letters(label[1], choices)
