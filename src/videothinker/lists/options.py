"""A question's choices, however they are written: list, object or text."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from videothinker.lists import layout
from videothinker.lists.lettered import OWN_LETTER, OWN_NUMBER, divided, expected, without_end
from videothinker.lists.notes import kind
from videothinker.prompts import LETTERS

QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
ARRAY = re.compile(rf"\[\s*(?:{QUOTED.pattern})(?:\s+(?:{QUOTED.pattern}))*\s*\]")
"""How pandas writes an array of texts to CSV: without commas."""
NUMBER = re.compile(r"\s*[0-9]{1,3}\s*")
TEXT_KEYS = ("text", "choice", "option", "content", "value")
NAME_KEYS = ("label", "letter", "key", "id", "choice_id", "option_id", "index", "idx")
"""What names a choice beside its text."""
MISSING = ("nan", "NaN", "None", "<NA>", "NULL")
"""What stands in a cell that had nothing in it, once pandas or a database has written the table."""


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


def texts_of(value: Any) -> tuple[list[str], str] | None:
    """The choices as they are written, letters and all; None where that is not how one writes them.

    `value` is `decoded`.

    Read are a list of texts, numbers or objects with a text, an object of letters or places, an
    object of a list (`{"label": [...], "text": [...]}`), and a text that holds such a list, has a
    letter or a number before each choice, or one of `SEPARATORS` between them.

    Returns:
        The choices, and why something else may be meant; empty where nothing else can.
    """
    if isinstance(value, str):
        return divided(value)
    texts = _list(value) if isinstance(value, list) else None
    texts = _object(value) if isinstance(value, dict) else texts
    return None if texts is None else (texts, "")


def keys_of(value: Any) -> list[str]:
    """The names of a `decoded` value's choices, in the order of its texts; none where it has none.

    They are an object's keys, or what stands beside the texts as their label or number.
    """
    if not isinstance(value, dict):
        items = value if isinstance(value, list) else []
        return _beside([one for one in items if isinstance(one, dict)], len(items))
    if key := next((key for key in TEXT_KEYS if isinstance(value.get(key), list)), None):
        lists = {name: one for name, one in value.items() if isinstance(one, list)}
        rows = [dict(zip(lists, row, strict=False)) for row in zip(*lists.values(), strict=False)]
        return _beside(rows, len(value[key]))
    return [_capital(name) for name in _ordered(value) or []]


def _beside(rows: Sequence[Mapping[Any, Any]], count: int) -> list[str]:
    """The letters or numbers of `count` choices that their objects give beside the texts."""
    for key in NAME_KEYS:
        names = [_capital(row[key]) for row in rows if key in row]
        known = (expected(OWN_LETTER, names), expected(OWN_NUMBER, names))
        if len(names) == count > 0 and sorted(names) in map(sorted, known):
            return names
    return []


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
        if set(names) == set(expected(pattern, names)):
            return bare, names, ""
        if len(set(bare)) == len(bare):
            told = ", ".join(names[:3])
            return bare, names, f"choices that begin with {told} are called so in answers"
    return list(texts), [], ""


def _names(pattern: re.Pattern[str], texts: Sequence[str]) -> list[str]:
    found = [pattern.match(text) for text in texts]
    return [match[1].upper() if match else "" for match in found]


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


def decoded(value: Any) -> Any:
    """A text that holds a list or an object, as that; None if it begins like one and is none."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        if ARRAY.fullmatch(value.strip()):
            return [ast.literal_eval(one) for one in QUOTED.findall(value)]
        try:
            return ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
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
        return f"choices is text without letters, {value[:40]!r}", f"{mend} or 'left|right'"
    return f"choices is {kind(value)}", mend


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
