"""`tokenizer.json` before a library reads it: what it makes of a text stays in proportion.

A tokenizer rewrites a text before it cuts it, and again when it puts one together. A stranger's
could write two hundred letters for each, several times over. Standard library alone.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models.border import AGAIN

MOST = 64
"""Times as long a text may become; published tokenizers at most double one."""


def refuse_growth(content: Mapping[str, Any], path: Path) -> None:
    """Refuse rules by which a text could become far longer.

    Raises:
        UserError: with how much.
    """
    for part in ("normalizer", "decoder"):
        with border(f"{path}: its {part} cannot be read", AGAIN):
            grown = math.prod(_factors(content.get(part)))
        if grown > MOST:
            raise UserError(
                f"{path}: its {part} can make a text more than {MOST} times as long; {AGAIN}"
            )


def _factors(part: Any) -> Iterator[float]:
    """How many times as long each of its rules makes a text at most."""
    if not isinstance(part, Mapping):
        return
    for nested in ("normalizers", "decoders"):
        for one in part.get(nested) or ():
            yield from _factors(one)
    if part.get("type") == "Prepend":
        yield 1 + len(part["prepend"])
    if part.get("type") == "Replace":
        written, replaced = len(part["content"]), part["pattern"].get("String")
        # an expression, like no text at all, is also found between two letters
        yield max(1.0, written / len(replaced)) if replaced else 1 + written
