"""A question's choices, however they are written: list, object, text, or in the question itself."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from videothinker.lists import layout
from videothinker.lists.notes import kind
from videothinker.prompts import LETTERS

OWN_LETTER = re.compile(r"\s*\(?([A-Za-z])(?:[.:)](?![A-Za-z]\.)|\s-)\s*(?=\S)")
"""Before a choice; `A.M.` begins with none."""
OWN_NUMBER = re.compile(r"\s*\(?([0-9]{1,2})[.)]\s+(?=\S)")
MARK = re.compile(r"(?:^|[\s,;])\s*\(?([A-Z])[.:)](?![A-Za-z]\.)\s*")
"""A letter in a text of several choices."""
LINE = re.compile(r"^[ \t]*\(?([A-Z])[.:)][ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
NUMBER = re.compile(r"\s*[0-9]{1,3}\s*")
TEXT_KEYS = ("text", "choice", "option", "content", "value")
MISSING = ("nan", "NaN", "None", "<NA>", "NULL")
"""What stands in a cell that had nothing in it, once pandas or a database has written the table."""
HEAD = re.compile(r"\s*(?:options|choices|candidates)\s*:?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Choices:
    """A question's choices, and what an answer may call each of them."""

    texts: list[str]
    """Without letters."""
    letters: str
    """Their own, else A, B, C and so on."""
    numbers: tuple[int, ...] = ()
    """Their own; else none."""
    written: Sequence[str] = ()
    """With their own letters, where they have them."""
    keys: Sequence[str] = ()
    """Those of an object or of columns, where they have them."""
    guess: str = ""
    """Why something else may be meant; empty where nothing else can."""

    def spelled(self, text: str) -> str:
        """The letter of the choice that is written so, or has this key; empty where none is."""
        said = text.strip().lower()
        for names in (self.written, [key for key in self.keys if len(key) > 1]):
            for letter, name in zip(self.letters, names, strict=False):
                if name.strip().lower() == said:
                    return letter
        return ""


def texts_of(value: Any) -> list[str] | None:
    """The choices as they are written, letters and all; None where that is not how one writes them.

    `value` is `decoded`.

    Read are a list of texts, numbers or objects with a text, an object of letters or places, an
    object of a list (`{"label": [...], "text": [...]}`), and a text that holds such a list or has
    a lettered choice on each line.
    """
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, dict):
        return _object(value)
    return _lines(value) if isinstance(value, str) else None


def keys_of(value: Any) -> list[str]:
    """The names of a `decoded` object's choices, in the order of its texts; else none."""
    if not isinstance(value, dict) or any(isinstance(value.get(key), list) for key in TEXT_KEYS):
        return []
    return [_capital(name) for name in _ordered(value) or []]


def named(texts: Sequence[str], keys: Sequence[str]) -> Choices:
    """Choices by their own names: keys of an object or of columns, and letters before the texts.

    Args:
        texts: as they are written.
        keys: one for each, or none.
    """
    bare, own, guess = without_names(texts)
    plain = LETTERS[: len(texts)]
    if not keys and own in ([], list(plain)):
        return Choices(bare, plain, written=texts)
    sources = [names for names in (keys[: len(texts)], own) if names]
    letters = next(("".join(n) for n in sources if all(x in LETTERS for x in n)), plain)
    numbers = next((tuple(map(int, n)) for n in sources if all(map(_is_number, n))), ())
    return Choices(bare, letters, numbers, texts, keys, guess)


def without_names(texts: Sequence[str]) -> tuple[list[str], list[str], str]:
    """`B. left`, `C. right` -> left and right, B and C; as they are where those are no names.

    Returns:
        The texts, their letters or numbers (capital; none where they have none), and the guess.
    """
    for pattern in (OWN_LETTER, OWN_NUMBER):
        found = [match for text in texts if (match := pattern.match(text))]
        names = [match[1].upper() for match in found]
        if not texts or len(found) < len(texts) or len(set(names)) < len(names):
            continue
        bare = [text[match.end() :].strip() for text, match in zip(texts, found, strict=True)]
        if set(names) == set(_expected(pattern, names)):
            return bare, names, ""
        if len(set(bare)) == len(bare):
            told = ", ".join(names[:3])
            return bare, names, f"choices that begin with {told} are called so in answers"
    return list(texts), [], ""


def _names(pattern: re.Pattern[str], texts: Sequence[str]) -> list[str]:
    found = [pattern.match(text) for text in texts]
    return [match[1].upper() if match else "" for match in found]


def _expected(pattern: re.Pattern[str], names: Sequence[str]) -> list[str]:
    """The names of as many choices that are counted without a gap."""
    if pattern is OWN_LETTER:
        return list(LETTERS[: len(names)])
    first = 0 if "0" in names else 1
    return [str(i) for i in range(first, first + len(names))]


def _list(items: list[Any]) -> list[str] | None:
    found: list[str] = []
    for item in items:
        if isinstance(item, dict):
            keys = [key for key in TEXT_KEYS if isinstance(item.get(key), str)]
            if not keys:
                return None
            found.append(item[keys[0]])
        elif isinstance(item, str):
            found.append(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            found.append(f"{item:g}" if isinstance(item, float) else str(item))
        else:
            return None
    return found


def _object(value: dict[Any, Any]) -> list[str] | None:
    for key in TEXT_KEYS:
        if isinstance(value.get(key), list):
            return _list(value[key])
    order = _ordered(value)
    return None if order is None else _list(without_end([value[name] for name in order]))


def _ordered(value: Mapping[Any, Any]) -> list[Any] | None:
    """The keys of choices: numbers, letters, or words that count as option1; None if neither."""
    names = list(value)
    if all(_is_number(name) for name in names):
        return sorted(names, key=int)
    capitals = {_capital(name) for name in names}
    if len(capitals) == len(names) and all(len(x) == 1 and x in LETTERS for x in capitals):
        return sorted(names, key=_capital)
    columns = layout.counted({layout.plain(str(name)): str(name) for name in names})
    return list(columns) if len(columns) == len(names) else None


def _is_number(name: Any) -> bool:
    return NUMBER.fullmatch(str(name)) is not None


def _capital(name: Any) -> str:
    return str(name).strip(" ().").upper()


def without_end(items: list[Any]) -> list[Any]:
    """Without the empty places at its end, which tables of a fixed width have."""
    while items and (items[-1] is None or (isinstance(items[-1], str) and not items[-1].strip())):
        items = items[:-1]
    return items


def decoded(value: Any) -> Any:
    """A text that holds a list or an object, as that; None if it begins like one and is none."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        try:
            return ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None


def _lines(value: str) -> list[str] | None:
    """`A. left, B. right`, with any separator or with line breaks."""
    _, *found = MARK.split(value.strip())
    texts = [text.strip().rstrip(",;").rstrip() for text in found[1::2]]
    if len(texts) > 1 and found[::2] == list(LETTERS[: len(texts)]) and MARK.match(value.strip()):
        return texts
    return None


def fault(value: Any) -> tuple[str, str]:
    """Why a `decoded` value is no choices for `texts_of`, and how to mend it."""
    mend = 'give a list of texts in the order of their letters, as ["left", "right"]'
    items = value if isinstance(value, list) else []
    if isinstance(value, dict):
        order = _ordered(value)
        if order is None:
            told = ", ".join(map(str, list(value)[:5]))
            return f"choices is an object with the keys {told}, which are no letters", mend
        items = [value[name] for name in order]
    for place, item in enumerate(items, 1):
        if _list([item]) is None:
            return f"choice {place} is {kind(item)}, not text", mend
    if isinstance(value, str):
        return f"choices is text without letters, {value[:40]!r}", f"{mend} or 'A. left, B. right'"
    return f"choices is {kind(value)}", mend


def in_question(question: str) -> tuple[str, list[str], str] | None:
    """A question with its lettered choices on lines below it.

    Returns:
        The question, the choices, and what stands below them (an instruction, say); None where
        there are no such lines.
    """
    lines = list(LINE.finditer(question))
    if len(lines) < 2 or [line[1] for line in lines] != list(LETTERS[: len(lines)]):
        return None
    asked = HEAD.sub("", question[: lines[0].start()]).strip()
    return asked, [line[2] for line in lines], question[lines[-1].end() :].strip()


def faults(choices: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What no choices can be: what, and how to mend it."""
    if not choices:
        yield "has no choices", "give at least two"
    if len(choices) > len(LETTERS):
        yield f"has {len(choices)} choices", "at most 26 have a letter: take some out"
    empty = [letter for letter, choice in zip(LETTERS, choices, strict=False) if not choice.strip()]
    if empty:
        yield f"choice {', '.join(empty)} is empty", "give its text or leave it out"
    if len({choice.strip() for choice in choices}) == len(choices) and not empty:
        return
    for text, count in Counter(choice.strip() for choice in choices).items():
        if text and count > 1:
            yield f"choice {text!r} comes {count} times", "each must be its own"


def half_named(written: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Some of a row's choices begin with a letter or a number as a name would, or two with one."""
    count = len(written)
    likely = {OWN_LETTER: set(LETTERS[:count]), OWN_NUMBER: set(map(str, range(count + 1)))}
    for pattern, known in likely.items():
        names = _names(pattern, written)
        own = [name for name in names if name]
        if set(own) & known and not len(written) == len(own) == len(set(own)):
            told = ", ".join(own)
            what = f"choices begin with {told}, and not each with its own letter or number"
            yield what, "give every choice its own letter, or none"
