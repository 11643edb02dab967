"""What an answer says: letters, a choice's text, or places whose counting the whole file tells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from videothinker import letters
from videothinker.lists.options import Choices
from videothinker.prompts import LETTERS
from videothinker.records import Letters

TAGS = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
CUE = re.compile(
    r"(?:(?:the\s+)?(?:(?:final|correct|right|best)\s+)?(?:answer|option|choice)s?"
    r"(?:\s+(?:is|are)\b)?(?:\s*:\s*|\s+))+",
    re.IGNORECASE,
)
"""`The answer is`, `Answer:`, `Option` before an answer."""
MARKED = "an answer of a 0 or a 1 for each choice marks the right ones"
NUMBER = re.compile(r"[0-9]{1,3}(?:\.0)?")


@dataclass(frozen=True)
class AnswerSaid:
    """An answer as far as one row tells."""

    letters: Letters = ()
    places: tuple[int, ...] = ()
    """Numbers that count the choices from 0 or from 1."""
    guess: str = ""
    """What else it could say; empty where it is plain."""

    def among(self, letters: str) -> "AnswerSaid | None":
        """With A for the first of the choices that have these `letters`, and so on.

        None where a letter is none of them.
        """
        if not set(self.letters) <= set(letters):
            return None
        if LETTERS.startswith(letters):
            return self
        told = tuple(sorted({LETTERS[letters.index(letter)] for letter in self.letters}))
        return AnswerSaid(told, self.places, self.guess)

    def named(self, numbers: Sequence[int]) -> "AnswerSaid | None":
        """With its places as letters where the choices are named by these `numbers`.

        None where a place is none of them.
        """
        if not set(self.places) <= set(numbers):
            return None
        return AnswerSaid(tuple(sorted({LETTERS[numbers.index(place)] for place in self.places})))

    def resolve(self, base: int, choices: int) -> Letters | None:
        """Its letters, with places counted from `base`; None where a place is none of `choices`."""
        if not self.places:
            return self.letters
        at = sorted({place - base for place in self.places})
        if at[0] < 0 or at[-1] >= choices:
            return None
        return tuple(LETTERS[i] for i in at)


def read(value: Any, choices: Choices, *, place: bool = False) -> AnswerSaid | None:
    r"""What an answer says; None where that cannot be told.

    Args:
        value: a letter, several, a choice's text, its place, `<answer>A</answer>`, `\boxed{A}`, or
            a list of these.
        choices: the texts, and what they are called.
        place: a number is a place, whatever the choices say.
    """
    if isinstance(value, list):
        return _several(value, choices, place=place)
    if isinstance(value, str):
        inner = TAGS.findall(value) or letters.BOX.findall(value)
        found = _text((inner[-1] if inner else value).strip(), choices, place=place)
        return None if found is None else found.among(choices.letters)
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        return None  # the last is true of infinity and of no number, too
    return _number(int(value), choices, place=place)


def _several(values: list[Any], choices: Choices, *, place: bool) -> AnswerSaid | None:
    if not place and len(values) == len(choices.texts) and all(one in (0, 1) for one in values):
        return _marks(values)
    found = [read(value, choices, place=place) for value in values]
    if not found or None in found:
        return None
    known = [one for one in found if one is not None]
    places = tuple(place for one in known for place in one.places)
    told = tuple(sorted({letter for one in known for letter in one.letters}))
    if places and told:
        return None
    return AnswerSaid(told, places, next((one.guess for one in known if one.guess), ""))


def _marks(values: list[Any]) -> AnswerSaid | None:
    """A choice each: right or not. Of two choices, 0 and 1 could be their places too."""
    told = tuple(letter for letter, mark in zip(LETTERS, values, strict=False) if mark)
    sure = len(values) > 2 or all(isinstance(value, bool) for value in values)
    return AnswerSaid(told, guess="" if sure else MARKED) if told else None


def _number(number: int, choices: Choices, *, place: bool) -> AnswerSaid | None:
    texts = choices.texts
    if str(number) in texts and not place:
        return read(str(number), choices)
    possible = 0 <= number <= len(texts) or number in choices.numbers
    return AnswerSaid(places=(number,)) if possible else None


def _text(text: str, choices: Choices, *, place: bool) -> AnswerSaid | None:
    """What it says, by the letters that the choices have in their row."""
    texts = choices.texts
    at = texts.index(text) if text in texts else -1
    if len(text) == 1 and text in choices.letters:
        same = at < 0 or choices.letters[at] == text
        return AnswerSaid((text,), guess="" if same else f"answer {text!r} as a letter, not a text")
    if NUMBER.fullmatch(text):
        number = int(text.removesuffix(".0"))
        if at < 0 or place:
            return _number(number, choices, place=True)
        other = f"answer {text!r} as a choice's text, not its place"
        return AnswerSaid((choices.letters[at],), guess=other if number <= len(texts) else "")
    if at >= 0:
        return AnswerSaid((choices.letters[at],)) if texts.count(text) == 1 else None
    if spelled := choices.spelled(text):
        return AnswerSaid((spelled,))
    return _in_words(text, choices, place=place)


def _in_words(text: str, choices: Choices, *, place: bool) -> AnswerSaid | None:
    """`B. left` or several letters, alone or in a sentence that says that they are the answer."""
    texts = choices.texts
    by_letter = [""] * (LETTERS.index(max(choices.letters)) + 1)
    for letter, choice in zip(choices.letters, texts, strict=False):
        by_letter[LETTERS.index(letter)] = choice
    if found := letters.read_letters(text, by_letter) if text else None:
        return AnswerSaid(found)
    cue = CUE.match(text)
    return _text(text[cue.end() :], choices, place=place) if cue else None


def base_of(places: Sequence[tuple[int, int]]) -> tuple[int, str]:
    """From what a file counts its choices: 0 or 1.

    Args:
        places: each answer's number, and how many choices it has.

    Returns:
        The base, and why it is a guess; empty where a number decides it.
    """
    if any(place == 0 for place, _ in places):
        return 0, ""
    if any(place == count for place, count in places):
        return 1, ""
    return 0, (
        "numbers in answers count the choices from 0 (no answer is 0, and none the last); "
        "where they count from 1, convert the list with --answers-from 1"
    )
