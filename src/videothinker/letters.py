"""Which letters a short text stands for: strictly, and as any person would read it.

Strictly, a text that is nothing but an answer. Loosely, also a letter in LaTeX or full-width
writing, a letter with an explanation behind it, and a sentence of nothing but letters and the words
around an answer (`I think it is A`). Neither guesses: `A man runs` and `A or B` are no letters.
"""

import re
import string
from collections.abc import Sequence

from videothinker.records import Letters

SEPARATORS = re.compile(r"(?:[\s,;/&+]++|\band\b)++", re.IGNORECASE)
LABEL = re.compile(r"\(?([A-Za-z])(?:[.:)]\)?|\))\s+(.+)", re.DOTALL)
DECORATION = str.maketrans(dict.fromkeys(".()[]*:\"'`", " "))

MARKS = {"\u3000": " ", "\u3002": ".", "\uff61": ".", "\u3001": ",", "\u3010": "[", "\u3011": "]"}
QUOTES = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}
WIDE = str.maketrans({chr(0xFF01 + i): chr(0x21 + i) for i in range(94)} | MARKS | QUOTES)
"""Full-width letters and marks, and curly quotes, to the plain ones."""
TYPESET = re.compile(r"\\(?:boxed|fbox|(?:text|math)(?:bf|it|rm|sf)?)\b|\\[()\[\]]|[${}]")
BOX = re.compile(r"\\(?:boxed|fbox)\s*+\{([^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+)\}")
LOOSE_CUE = re.compile(
    r"\b(?:answers?|(?:correct|right|best|final)\s(?:option|choice|letter)s?)\b"
    r"[^\n:]{0,40}?(?:\b(?:is|are|be)\b:?|:)",
    re.IGNORECASE,
)
DENIED = re.compile(r"\b(?:not|never|cannot|no)\b|n't\b", re.IGNORECASE)
STRAY_TAG = re.compile(r"</?[a-z]{1,20}>?")

_AROUND = (
    r"(?:the|so|thus|hence|therefore|my|final|correct|right|best|most|likely|appropriate|accurate"
    r"|suitable|probably|definitely|clearly|certainly|only|both|answers?|options?|choices?|letters?"
    r"|it's|it|is|are|be|must|would|should|will|that|this"
    r"|i(?:'d|'m|'ll| would| will| am)? (?:think|believe|say|choose|pick|select|go(?:ing)? with))\b"
)
AROUND = re.compile(rf"\b{_AROUND}", re.IGNORECASE)
"""The words around an answer: what is left of a sentence without them is the answer."""
AROUND_FIRST = re.compile(rf"(?:[\s*\"'(:,]*+{_AROUND})*+[\s*\"'(\[:]*+", re.IGNORECASE)
_LETTER = r"[A-Z](?![\w'])"
_LETTERS = rf"{_LETTER}(?:[)\]*.]*+\s*+(?:[,;&/]|and\b)(?:\s*+and\b)?[\s(\[*]*+{_LETTER})*"
_IS_RIGHT = (
    r"\s(?:is|are)\s(?:the\s)?(?:correct|right|best|true)\b(?:\s(?:answer|option|choice)s?\b)?"
)
_THEN = (
    r"\**+(?:[)\]]|\s*?[.,:;!\n\u2013\u2014]|\s+-\s|\s+(?=(?:because|since|as)\b)"
    r"|\s+(?=\([^()]*+\)\W*+$))"
)
LEADING = re.compile(rf"({_LETTERS}|[a-z](?=[.:)]\s))(?:{_IS_RIGHT})?{_THEN}")
"""Letters with something behind them that explains: `A. red cube`, `A, because`, `A (the cube)`."""
UNSURE = re.compile(
    r"\W*+(?:or|nor|and|either|maybe|perhaps|possibly|but(?! not))\b", re.IGNORECASE
)
BECAUSE = re.compile(
    r"\W*+(?:because|since|as|not|but not|rather than|instead of)\b", re.IGNORECASE
)
STANDALONE = re.compile(rf"(?<![\w'])({_LETTER})(?!(?<=[AI])\s+[a-z])")
"""A capital that is no article and no pronoun."""
INITIALS = re.compile(r"\b[A-Z]\.[A-Z](?!\w)")
"""As in `A.M.`, with no space between."""
FIRST_LETTER = re.compile(r"\(?([A-Z])(?!\w)\W*+")
LISTED = re.compile(r"^[ \t*(\[]*+([A-Z])[.:)]", re.MULTILINE)
GOES_ON = re.compile(
    r"[ \t]*+[,.;:!\n](?!\d)|\s+(?=(?:it|he|she|they|there|the|this|that|we)\b)", re.IGNORECASE
)


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
    texts = [_normal(choice) for choice in choices]
    found = _by_text(body, texts) or _plain(body, choices)
    if found:
        return tuple(sorted(found))
    for piece in dict.fromkeys(part.strip() for part in re.split(r"[\n;]", body)):
        letters = _plain(piece, choices) or _by_text(piece, texts)
        if piece and not letters:
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
    letters = {token.upper() for token in set(tokens)}
    return letters if all(len(x) == 1 and x in allowed for x in letters) else set()


def _bare(text: str) -> str:
    return text.translate(DECORATION).strip()


def _normal(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .*\"'`")


def _by_text(piece: str, texts: Sequence[str]) -> set[str]:
    """The letter of the one choice that `piece` spells out, with or without its letter."""
    said = _normal(piece)
    places = [i for i, text in enumerate(texts) if text == said]
    if len(places) == 1:
        return {string.ascii_uppercase[places[0]]}
    label = LABEL.fullmatch(piece.strip())
    if label is None or places:
        return set()
    letter = label[1].upper()
    place = _allowed(texts).find(letter)
    return {letter} if place >= 0 and texts[place] == _normal(label[2]) else set()


def read_loosely(text: str, choices: Sequence[str]) -> Letters | None:
    r"""The letters any person would take a whole answer for, sorted; None where they would differ.

    In this order: what the last `\boxed{}` or `the answer is` says, the whole text, its last line.

    Args:
        text: what was answered, without the thinking.
        choices: the options, without their letters.
    """
    plain = STRAY_TAG.sub(" ", text.translate(WIDE)).strip()
    options = [choice.translate(WIDE) for choice in choices]
    last = plain.rpartition("\n")[2]
    if len(set(LISTED.findall(plain))) > 1 and LISTED.match(last):  # one of a list
        last = ""
    for part in dict.fromkeys((_pointed_at(plain), plain, last)):
        found = _statement(part, options)
        if found:
            return found
    return None


def _pointed_at(text: str) -> str:
    """What stands in the last box or behind the last cue: to the end of its line, or the next."""
    cues = [cue for cue in LOOSE_CUE.finditer(text) if not DENIED.search(cue[0])]
    boxes = list(BOX.finditer(text))
    if boxes and (not cues or boxes[-1].end() > cues[-1].end()):
        return boxes[-1][1]
    if not cues:
        return ""
    line, _, more = text[cues[-1].end() :].partition("\n")
    return line if _bare(TYPESET.sub(" ", line)) else more.lstrip().partition("\n")[0]


def _statement(text: str, choices: Sequence[str]) -> Letters | None:
    """The letters of a text that says nothing else, or says first what and then why."""
    body = TYPESET.sub(" ", text).strip()
    words = SEPARATORS.split(_bare(AROUND.sub(" ", body.rstrip("!"))))
    unknown = set(string.ascii_uppercase) - set(_allowed(choices))  # E of four is passed over
    spoken = " ".join(word for word in words if word not in unknown)
    only_letters = spoken.isupper() and not INITIALS.search(body)
    return (
        read_letters(body, choices)
        or (read_letters(spoken, choices) if only_letters else None)
        or _explained(body, choices)
        or _explained_text(body, [_normal(choice) for choice in choices])
    )


def _explained(body: str, choices: Sequence[str]) -> Letters | None:
    """Letters that an explanation follows, in which no other letter stands for itself."""
    start = AROUND_FIRST.match(body)
    first = LEADING.match(body, start.end() if start else 0)
    if first is None:
        return None
    letters, rest = set(re.findall(r"\b[A-Z]\b", first[1].upper())), body[first.end() :]
    allowed = set(_allowed(choices))
    if not letters <= allowed or INITIALS.match(body, first.start()) or UNSURE.match(rest):
        return None
    if not BECAUSE.match(rest) and (set(STANDALONE.findall(rest)) & allowed) - letters:
        return None
    return tuple(sorted(letters))


def _explained_text(body: str, texts: Sequence[str]) -> Letters | None:
    """A choice in full, behind its letter (`A red cube`) or before a reason (`Yes, he is`)."""
    first = FIRST_LETTER.match(body)
    place = _allowed(texts).find(first[1]) if first else -1
    if first and place >= 0 and texts[place] == _normal(body[first.end() :]):
        return (first[1],)
    said = body.lstrip(" *\"'(").casefold()
    found = [i for i, text in enumerate(texts) if _begins(said, text)]
    if len(found) != 1:
        return None
    rest = said[len(texts[found[0]]) :].lstrip(" ,.;:!\n")
    others = [text for text in texts if text and text != texts[found[0]] and rest.startswith(text)]
    another = any(not rest[len(text) : len(text) + 1].isalnum() for text in others)
    return None if another or UNSURE.match(rest) else (string.ascii_uppercase[found[0]],)


def _begins(said: str, text: str) -> bool:
    """Is it the text, and then another clause?"""
    return bool(text) and said.startswith(text) and GOES_ON.match(said, len(text)) is not None
