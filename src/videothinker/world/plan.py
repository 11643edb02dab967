"""What is asked of each scene, fixed before any is made: labels, families, negation, options."""

from collections.abc import Iterator, Mapping

import numpy as np

from videothinker.seeds import numpy_generator
from videothinker.world.config import QUESTIONS_A_SCENE, WorldConfig
from videothinker.world.families import most_choices
from videothinker.world.questions import CHOICES, Request, Wanted, WantedFamily

BEYOND_RULES = 0.5
"""Share of inferential questions that no answerer gets right which reads the premise and simulates
nothing (`answerers.READING`). More would leave few of those where collisions are only gone."""


def plan(config: WorldConfig, split: str, scenes: int) -> list[tuple[Request, ...]]:
    """What to ask of each scene, so that the split's share is met to within one question.

    The number of observational questions is the share of all, rounded. The others are spread over
    the scenes as evenly as they go (few scenes have two), half of each kind is negated; a seeded
    shuffle says which scene gets which. Without give-aways a family takes a scene's two questions,
    and how many options there are is drawn alike for families and for either label of the rest.
    """
    asked = _plan(config, split, scenes)
    known: dict[tuple[Request, ...], tuple[Request, ...]] = {}  # few are told apart
    return [known.setdefault(scene, scene) for scene in asked]


def _plan(config: WorldConfig, split: str, scenes: int) -> list[tuple[Request, ...]]:
    rng = numpy_generator(config.seed, "world", split, "plan")
    total = scenes * QUESTIONS_A_SCENE
    hard = total - round(config.observational_share * total)
    if config.give_aways == "none":
        return _with_families(config, rng, scenes, hard)
    places = _spread(hard, scenes, rng) if scenes else []
    signs = {
        kind: iter((rng.permutation(count) % 2 == 0).tolist())
        for kind, count in ((True, total - hard), (False, hard))
    }
    kinds = [[bool(i >= hardest) for i in range(QUESTIONS_A_SCENE)] for hardest in places]
    return [tuple(Wanted(kind, next(signs[kind])) for kind in scene) for scene in kinds]


def _spread(hard: int, scenes: int, rng: np.random.Generator) -> list[int]:
    """How many of a number of questions each scene gets, as evenly as they go."""
    return [hard // scenes + (i < hard % scenes) for i in rng.permutation(scenes)]


def families_in(config: WorldConfig, scenes: int, hard: int) -> int:
    """How many scenes ask a family: an observational and an inferential question each."""
    most = min(hard, scenes * QUESTIONS_A_SCENE - hard)
    share = config.family_share
    return most if share is None else min(most, round(share * scenes))


def _with_families(
    config: WorldConfig, rng: np.random.Generator, scenes: int, hard: int
) -> list[tuple[Request, ...]]:
    families = families_in(config, scenes, hard)
    alone = scenes - families
    places = _spread(hard - families, alone, rng) if alone else []
    counts = {
        "family": families,
        "inferential": hard - families,
        "observational": alone * QUESTIONS_A_SCENE - (hard - families),
    }
    shares = choice_shares(config.objects_max)
    draws = {kind: _draws(count, shares, rng) for kind, count in counts.items()}
    asked: list[tuple[Request, ...]] = [
        (WantedFamily(*next(draws["family"])),) for _ in range(families)
    ]
    for hardest in places:
        labels = ["inferential"] * hardest + ["observational"] * (QUESTIONS_A_SCENE - hardest)
        asked.append(tuple(Wanted(kind == "observational", *next(draws[kind])) for kind in labels))
    return [asked[i] for i in rng.permutation(scenes)]


def choice_shares(objects: int) -> Mapping[int, float]:
    """Number of options -> share: CLEVRER's, of those that so many objects allow.

    Two options are too few: where one happens in the video and one does not, and again without the
    object, all that can change is which.
    """
    allowed = {n: share for n, share in CHOICES.items() if 2 < n <= most_choices(objects)}
    return {count: one / sum(allowed.values()) for count, one in allowed.items()}


def _draws(
    count: int, shares: Mapping[int, float], rng: np.random.Generator
) -> Iterator[tuple[bool, int, bool]]:
    """(negated, options, beyond rules) of `count` questions, each in its share, independently."""
    ends = np.round(np.cumsum(list(shares.values())) * count).astype(int)
    options = np.repeat(list(shares), np.diff(ends, prepend=0))
    signs = rng.permutation(count) % 2 == 0
    beyond = rng.permutation(count) < round(BEYOND_RULES * count)
    return zip(
        signs.tolist(), options[rng.permutation(count)].tolist(), beyond.tolist(), strict=True
    )


def drawn(rng: np.random.Generator, objects: int, *, observational: bool) -> Wanted:
    """One question as a plan asks for it, for a stream of scenes: drawn, not counted."""
    return Wanted(observational, *_draw(rng, objects))


def drawn_family(rng: np.random.Generator, objects: int) -> WantedFamily:
    """One family as a plan asks for it, for a stream of scenes: drawn, not counted."""
    return WantedFamily(*_draw(rng, objects))


def _draw(rng: np.random.Generator, objects: int) -> tuple[bool, int, bool]:
    shares = choice_shares(objects)
    choices = int(rng.choice(list(shares), p=list(shares.values())))
    return bool(rng.random() < 0.5), choices, bool(rng.random() < BEYOND_RULES)


def objects_needed(asked: tuple[Request, ...]) -> int:
    """The fewest objects a scene must have for so many options."""
    most = max((one.choices or 0 for one in asked), default=0)
    return next(count for count in range(2, 99) if most_choices(count) >= most)
