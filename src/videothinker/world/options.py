"""Names for objects and events: the text of an option and the program that means the same."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern

import numpy as np

from videothinker.clevrer.annotations import ObjectProperty
from videothinker.clevrer.questions import RawChoice

PARTS = ("color", "material", "shape")
Pair = tuple[int, int]


@dataclass(frozen=True)
class Noun:
    """A set of objects by some of color, material and shape, in CLEVRER's order."""

    parts: tuple[tuple[str, str], ...]
    """(part, value), a subset of PARTS in order: (("color", "red"), ("shape", "cube"))."""

    @property
    def text(self) -> str:
        """Its words, such as "red cube" or "metal object"."""
        words = [value for _, value in self.parts]
        return " ".join(words if any(p == "shape" for p, _ in self.parts) else [*words, "object"])

    @property
    def program(self) -> list[str]:
        """The set: `objects red filter_color cube filter_shape`."""
        return [
            "objects",
            *(w for part, value in self.parts for w in (value, intern(f"filter_{part}"))),
        ]

    @property
    def one(self) -> list[str]:
        """The single object."""
        return [*self.program, "unique"]


class Names:
    """The shortest phrases that identify each object of a scene; a draw where several do."""

    def __init__(self, objects: Sequence[ObjectProperty], rng: np.random.Generator) -> None:
        self.rng = rng
        self.shortest = tuple(_shortest(thing, objects) for thing in objects)

    def __call__(self, thing: int) -> Noun:
        """A name for the object."""
        found = self.shortest[thing]
        return found[int(self.rng.integers(len(found)))]


def _shortest(thing: ObjectProperty, objects: Sequence[ObjectProperty]) -> tuple[Noun, ...]:
    others = [other for other in objects if other is not thing]
    for count in range(1, len(PARTS) + 1):
        found = [
            Noun(tuple((part, getattr(thing, part)) for part in parts))
            for parts in itertools.combinations(PARTS, count)
            if not any(all(getattr(o, p) == getattr(thing, p) for p in parts) for o in others)
        ]
        if found:
            return tuple(found)
    raise ValueError(f"two objects look the same: {thing.name}")


def flip(rng: np.random.Generator) -> bool:
    """Heads or tails."""
    return bool(rng.random() < 0.5)


def collision_program(source: str, first: Noun, second: Noun) -> list[str]:
    """The one collision of two objects among `events` or `all_events`."""
    parts = [*first.one, "filter_collision", *second.one, "filter_collision"]
    return [source, *parts, "unique"]


def _either_way(names: Names, pair: Pair) -> tuple[Noun, Noun]:
    first, second = pair if flip(names.rng) else (pair[1], pair[0])
    return names(first), names(second)


def collide(names: Names, pair: Pair, number: int) -> RawChoice:
    """The option of a predictive or counterfactual question: these two collide."""
    first, second = _either_way(names, pair)
    if flip(names.rng):
        text = f"The {first.text} collides with the {second.text}"
    else:
        text = f"The {first.text} and the {second.text} collide"
    return RawChoice(number, text, tuple(collision_program("all_events", first, second)))


def collision_noun(names: Names, pair: Pair) -> tuple[str, list[str]]:
    """The event as a noun, in one of CLEVRER's two ways."""
    first, second = _either_way(names, pair)
    program = collision_program("events", first, second)
    if flip(names.rng):
        return f"the {first.text}'s colliding with the {second.text}", program
    return f"the collision between the {first.text} and the {second.text}", program


def crossing_noun(names: Names, thing: int, kind: str) -> tuple[str, list[str]]:
    """Entering (`kind` "in") or leaving ("out") as a noun, in one of CLEVRER's two ways."""
    noun = names(thing)
    words = ("entrance", "entering the scene") if kind == "in" else ("exit", "exiting the scene")
    text = f"the {noun.text}'s {words[int(flip(names.rng))]}"
    return text, ["events", *noun.one, f"filter_{kind}", "unique"]
