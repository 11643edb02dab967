"""From words to a stage's arguments: tyro reads them, and what it refuses becomes a sentence."""

import re
from collections.abc import Sequence
from typing import Any

from videothinker import helping
from videothinker.errors import UserError
from videothinker.recipes import BadWords, from_words
from videothinker.verbs import VERBS

MISSING = re.compile(r"^ {6}(\S+)", re.MULTILINE)
"""How an argument that did not come stands there."""


def read_words(name: str, kind: type, words: Sequence[str]) -> Any:
    """An instance of the dataclass `kind` from the words after a verb.

    Raises:
        UserError: anything in them that is not allowed.
    """
    try:
        return from_words(kind, words, f"videothinker {name}")
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
    except BadWords as error:
        raise refusal(name, words, error) from error


def refusal(name: str, words: Sequence[str], found: BadWords) -> UserError:
    """What did not come, or what came and is not allowed, in a sentence.

    Args:
        name: the verb.
        words: after it.
        found: by tyro.
    """
    flags = {flag.spelled.split()[0].rstrip(","): flag for flag in helping.flags_of(VERBS[name])}
    needed = {word: flag for word, flag in flags.items() if flag.about.endswith("(required)")}
    hint = f"(videothinker help {name} lists its flags)"
    if missing := [word for word in needed if word in MISSING.findall(found.told)]:
        least = " ".join([name, *(flag.spelled for flag in needed.values())])
        return UserError(
            f"{name}: no {' and no '.join(missing)} came; give at least videothinker {least} {hint}"
        )
    if meant := [word for word in found.flags if word in flags]:
        came = _after(meant[0], words)
        what = f"came with {came!r}" if came else "came without a value"
        return UserError(f"{name}: {meant[0]} {what}; allowed is {flags[meant[0]].spelled} {hint}")
    return UserError(f"{name}: {' '.join(found.told.split())} {hint}")


def _after(flag: str, words: Sequence[str]) -> str:
    """The value or values that a flag came with."""
    for i, word in enumerate(words):
        start, _, value = word.partition("=")
        if start.replace("_", "-") == flag:
            rest = words[i + 1 :]
            ends = [j for j, one in enumerate(rest) if one.startswith("--")]
            return value or " ".join(rest[: ends[0] if ends else None])
    return ""
