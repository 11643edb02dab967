"""What-if questions that do not give themselves away, alone and in families.

Their options are mixed in the video as well as without the object, so that describing always has an
answer to give; the removed object always collides in the video; and at least two objects are named
by no option, so that what is missing there does not name it.

A family asks one video the same words and options about two removed objects. Without the one every
option stays as true as in the video (observational), without the other some change (inferential):
who does not read the premise answers both alike, and has one of them wrong.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from videothinker.clevrer.answerers import READING, Asked
from videothinker.clevrer.questions import Change, RawQuestion
from videothinker.world.options import Names, Pair
from videothinker.world.questions import Request, Truth, Wanted, WantedFamily, ask_each

SPARE = 2
"""Objects, at least, that no option names."""
Options = tuple[Pair, ...]


def most_choices(objects: int) -> int:
    """How many options there can be where two of the objects stay unnamed."""
    named = objects - SPARE
    return named * (named - 1) // 2


def _removable(truth: Truth) -> list[int]:
    """Objects that collide in the video, so that whether one does tells nothing."""
    return sorted({one for pair in truth.video for one in pair})


def _firm(truth: Truth, removed: Sequence[int]) -> list[Pair]:
    """Pairs of the others whose truth is beyond doubt and robust, in the video and without each."""
    fragile = truth.fragile or [()] * (1 + len(truth.scene.objects))
    weak = {pair for place in (0, *(one + 1 for one in removed)) for pair in fragile[place]}
    pools = [truth.clear(one, removed) for one in removed]
    return [pair for pair in pools[0] if pair not in weak and all(pair in pool for pool in pools)]


def _mixed(flags: Sequence[bool]) -> bool:
    return len(set(flags)) == 2


def change(truth: Truth, removed: int, options: Options) -> Change:
    """What the removal does to the options: collisions gone, new, both, or none."""
    kinds = {
        "gone" if frozenset(pair) in truth.video else "new"
        for pair in options
        if truth.changes(removed, pair)
    }
    return "both" if len(kinds) == 2 else "gone" if "gone" in kinds else "new" if kinds else "none"


def _sets(truth: Truth, removed: Sequence[int], count: int) -> Iterator[Options]:
    """Every set of `count` options that is mixed in the video and without each object."""
    for options in itertools.combinations(_firm(truth, removed), count):
        named = {one for pair in options for one in pair}
        if len(truth.scene.objects) - len(named) < SPARE:
            continue
        if _mixed([frozenset(pair) in truth.video for pair in options]) and all(
            _mixed([truth.happens(one, pair) for pair in options]) for one in removed
        ):
            yield options


@dataclass(frozen=True)
class _Candidate:
    """Removed objects and options that make questions of the wanted kind."""

    removed: tuple[int, ...]
    options: Options
    kind: Change
    """What the last removal does."""


def _beyond_rules(truth: Truth, one: _Candidate) -> bool:
    """Is every answerer that reads the premise wrong on the last?"""
    last = one.removed[-1]
    question = Asked(
        options=tuple(frozenset(pair) for pair in one.options),
        words=(),
        seen=truth.scene.collisions,
        removed=last,
        negated=False,
    )
    gold = tuple(truth.happens(last, pair) for pair in one.options)
    return all(answerer(question) != gold for answerer in READING.values())


def _fits(truth: Truth, wanted: Request, one: _Candidate) -> bool:
    """Is it beyond the rules, where that is wanted?"""
    easy = isinstance(wanted, Wanted) and wanted.observational
    return easy or not wanted.beyond_rules or _beyond_rules(truth, one)


def _draw(
    truth: Truth, rng: np.random.Generator, found: Sequence[_Candidate], wanted: Request
) -> _Candidate | None:
    """One that fits, of a kind of change drawn first; None if none does."""
    kinds = sorted({one.kind for one in found})
    for k in rng.permutation(len(kinds)):
        alike = [one for one in found if one.kind == kinds[k]]
        for i in rng.permutation(len(alike)):
            if _fits(truth, wanted, alike[i]):
                return alike[i]
    return None


def _singles(truth: Truth, wanted: Wanted, taken: Collection[int]) -> Iterator[_Candidate]:
    for removed in _removable(truth):
        if removed in taken:
            continue
        for options in _sets(truth, (removed,), wanted.choices or SPARE):
            kind = change(truth, removed, options)
            if (kind == "none") == wanted.observational:
                yield _Candidate((removed,), options, kind)


def _families(truth: Truth, wanted: WantedFamily) -> Iterator[_Candidate]:
    for still, other in itertools.permutations(_removable(truth), 2):
        for options in _sets(truth, (still, other), wanted.choices):
            if change(truth, still, options) != "none":
                continue
            kind = change(truth, other, options)
            if kind != "none":
                yield _Candidate((still, other), options, kind)


def single(truth: Truth, names: Names, wanted: Wanted, taken: set[int]) -> RawQuestion | None:
    """A question of the wanted kind about an object not yet `taken`; None if the scene has none."""
    found = list(_singles(truth, wanted, taken))
    drawn = _draw(truth, names.rng, found, wanted)
    if drawn is None:
        return None
    taken.update(drawn.removed)
    return _ask(truth, names, drawn, negated=wanted.negated)[0]


def family(truth: Truth, names: Names, wanted: WantedFamily) -> list[RawQuestion] | None:
    """An observational and an inferential question in the same words; None if there is none."""
    found = list(_families(truth, wanted))
    drawn = _draw(truth, names.rng, found, wanted)
    return None if drawn is None else _ask(truth, names, drawn, negated=wanted.negated)


def conceivable(truth: Truth, wanted: Iterable[Request]) -> bool:
    """Is there a question for each request by itself? More fragile pairs never make one."""

    def any_for(one: Request) -> bool:
        family = isinstance(one, WantedFamily)
        found = _families(truth, one) if family else _singles(truth, one, ())
        return any(_fits(truth, one, candidate) for candidate in found)

    return all(map(any_for, wanted))


def _ask(truth: Truth, names: Names, drawn: _Candidate, *, negated: bool) -> list[RawQuestion]:
    removed, options = drawn.removed, drawn.options
    shuffled = [options[i] for i in names.rng.permutation(len(options))]
    return [
        msgspec.structs.replace(
            question,
            change=change(truth, one, options),
            family=0 if len(removed) > 1 else None,
        )
        for one, question in zip(
            removed, ask_each(truth, names, shuffled, removed, negated=negated), strict=True
        )
    ]


def without_give_aways(
    truth: Truth, names: Names, wanted: Sequence[Request]
) -> list[RawQuestion] | None:
    """The wanted questions and families; None if the scene cannot give them all."""
    taken: set[int] = set()
    found: list[RawQuestion] = []
    for one in wanted:
        if isinstance(one, WantedFamily):
            made = family(truth, names, one)
        else:
            question = single(truth, names, one, taken)
            made = None if question is None else [question]
        if made is None:
            return None
        found += made
    return found
