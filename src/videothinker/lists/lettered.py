"""Choices in one text: a letter or a number before each, or something between them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videothinker.prompts import LETTERS

OWN_LETTER = re.compile(r"\s*\(?([A-Za-z])(?:[.:)](?![A-Za-z]\.)|\s-)\s*(?=\S)")
"""Before a choice; `A.M.` begins with none."""
OWN_NUMBER = re.compile(r"\s*\(?([0-9]{1,2})[.)]\s+(?=\S)")
MARK = re.compile(
    r"(?:^|(?<=[\s,;|/]))\(?([A-Za-z](?=[.:)](?![A-Za-z]\.))|[0-9]{1,2}(?=[.)]\s))[.:)]"
)
"""A letter or number before a choice in a text of several."""
BETWEEN = " \t\n,;|/"
"""What may stand behind one, before the next mark."""
SEPARATORS = {
    "lines": "\n",
    "'|'": "|",
    "';'": ";",
    "tabs": "\t",
    "' / '": " / ",
    "'/'": "/",
}
"""What divides choices without letters in one text; the first that is there does."""
IN_LINE = "the choices are those that stand in a line of the question, behind their letters"
HEAD = re.compile(r"\s*(?:options|choices|candidates)\s*:?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Lettered:
    """A question that holds its choices."""

    question: str
    """Without them."""
    written: list[str]
    """With their letters."""
    below: str
    """What stands below them (an instruction, say)."""
    guess: str
    """Why something else may be meant; empty where each has a line of its own."""

    @property
    def texts(self) -> list[str]:
        """Without them."""
        return [one.partition(". ")[2] for one in self.written]


def divided(value: str) -> tuple[list[str], str] | None:
    """`A. left, B. right`, with any separator or with line breaks; or `left|right`."""
    text = value.strip()
    run = _run(list(MARK.finditer(text)))
    if run and not HEAD.sub("", text[: run[0].start()]):
        return _pieces(text, run, len(text)), ""
    for name, separator in SEPARATORS.items():
        if separator in text:
            found = without_end([one.strip() for one in text.split(separator)])
            return found, f"choices in one text are divided by {name}"
    return None


def _run(marks: Sequence[re.Match[str]]) -> Sequence[re.Match[str]]:
    """The last of the marks, from a first letter or number on; none if they skip one."""
    last = marks[-1][1].upper() if marks else "A"
    if last in LETTERS:
        pattern, sizes = OWN_LETTER, (LETTERS.index(last) + 1,)
    else:
        pattern, sizes = OWN_NUMBER, (int(last), int(last) + 1)
    for run in (marks[-size:] for size in sizes if size > 1):
        names = [mark[1].upper() for mark in run]
        if names == expected(pattern, names):
            return run
    return ()


def _pieces(text: str, run: Sequence[re.Match[str]], end: int) -> list[str]:
    """`A. left` of each mark, up to the next one."""
    ends = [mark.start() for mark in run[1:]] + [end]
    texts = [text[mark.end() : till] for mark, till in zip(run, ends, strict=True)]
    said = [" ".join(one.split()).rstrip(BETWEEN) for one in texts]
    return [f"{mark[1]}. {one}" for mark, one in zip(run, said, strict=True)]


def in_question(question: str) -> Lettered | None:
    """A question with lettered choices on lines of their own, or on one of its lines.

    None where it holds none, or nothing before them.
    """
    marks = list(MARK.finditer(question))
    if len(marks) < 2:
        return None
    lines: dict[int, list[re.Match[str]]] = {}
    for mark in marks:
        lines.setdefault(question.rfind("\n", 0, mark.start()) + 1, []).append(mark)
    firsts = [m[0] for at, m in lines.items() if not question[at : m[0].start()].strip()]
    for several, guess in ((firsts, ""), *((line, IN_LINE) for line in reversed(lines.values()))):
        run = _run(several)
        if run and (not guess or _ends(question, run[0])):
            asked = HEAD.sub("", question[: run[0].start()]).strip()
            end = question.find("\n", run[-1].end())
            end = len(question) if end < 0 else end
            below = question[end:].strip()
            return Lettered(asked, _pieces(question, run, end), below, guess) if asked else None
    return None


def _ends(question: str, mark: re.Match[str]) -> bool:
    """Does a sentence end before the mark, or has it brackets? `Did A. Smith` is no choice."""
    before = question[: mark.start()].strip()[-1:]
    return before in (*".?!:", "") or mark[0].startswith("(")


def expected(pattern: re.Pattern[str], names: Sequence[str]) -> list[str]:
    """The names of as many choices that are counted without a gap."""
    if pattern is OWN_LETTER:
        return list(LETTERS[: len(names)])
    first = 0 if "0" in names else 1
    return [str(i) for i in range(first, first + len(names))]


def without_end(items: list[Any]) -> list[Any]:
    """Without the empty places at its end, which tables of a fixed width have."""
    while items and (items[-1] is None or (isinstance(items[-1], str) and not items[-1].strip())):
        items = items[:-1]
    return items
