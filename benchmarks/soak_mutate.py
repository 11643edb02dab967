"""A good file changed at random, and who reads it."""

import faulthandler
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from videothinker.errors import UserError

HUNG = 300
"""Seconds until one trial counts as hung; the process ends with its stack."""
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1.5, "", "x", "A", "../x", "\0", [], [1], ["A"], {}, {"a": 1},
)  # fmt: skip
PIECES = (
    b"[", b"{", b"}", b'"', b",", b":", b"\0", b"\xff", b"\xed\xa0\x80", b"[" * 2000,
    b'{"a":' * 2000,
    b"1e999", b"NaN", b"9" * 5000, b"!!set ", b"&a ", b"*a", b"<<: ", b"\n", b"- ", b"<answer>",
    b"</think>", b"\\ud800", b"\xe2\x80\xa8",
)  # fmt: skip


def mutate(good: bytes, random: Random) -> bytes:
    """The bytes with 1 to 3 changes: of a value inside JSON, or of the text."""
    data = good
    for _ in range(random.randint(1, 3)):
        data = of_value(data, random) if random.random() < 0.5 else of_text(data, random)
    return data


def of_text(data: bytes, random: Random) -> bytes:
    """A few bytes left out, doubled, or others in their place."""
    start = random.randrange(len(data) + 1)
    end = min(len(data), start + random.choice((0, 1, 4, 40)))
    piece = random.choice((b"", data[start:end] * 2, random.choice(PIECES), random.randbytes(2)))
    return data[:start] + piece + data[end:]


def of_value(data: bytes, random: Random) -> bytes:
    """Another value in the place of one inside JSON; other text stays as it is."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            keys: list[Any] = list(one) if isinstance(one, dict) else list(range(len(one)))
            places += [(one, key) for key in keys]
            waiting += [one[key] for key in keys]
    if not places:
        return data
    inside, key = random.choice(places)
    inside[key] = random.choice(JUNK)
    return json.dumps(content).encode()


@dataclass(frozen=True)
class Kind:
    """A good file and who reads it; a reader raises nothing but `UserError`."""

    good: bytes
    read: Callable[[Path], object]
    path: Path
    change: Callable[[bytes, Random], bytes] = mutate

    def take(self, seed: str | None) -> bool:
        """Read the file of this seed, None is the good one; was it taken?

        Whatever is no `UserError` gets out.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = self.good if seed is None else self.change(self.good, Random(seed))
        self.path.write_bytes(data)
        faulthandler.dump_traceback_later(HUNG, exit=True)
        try:
            self.read(self.path)
        except UserError as error:
            if not str(error).strip():
                raise AssertionError("an error without a word") from error
            return False
        finally:
            faulthandler.cancel_dump_traceback_later()
            self.path.write_bytes(self.good)
        return True
