"""Which truths are robust: the same when every object starts a little elsewhere, and plain to see.

A question whose answer hangs on a hundredth of a unit is one that nobody can be expected to answer.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from videothinker.world.options import Pair
from videothinker.world.physics import Trajectory, simulate
from videothinker.world.scenes import SceneConfig, plain_to_see
from videothinker.world.worlds import World, removed

Fragile = tuple[tuple[Pair, ...], ...]
"""For the video, then for the world without each object: the pairs not to be asked about."""


def _collide(run: Trajectory) -> set[Pair]:
    return {hit.pair for hit in run.collisions if hit.frame < run.length}


def _sorted(found: Iterable[set[Pair]]) -> Fragile:
    return tuple(tuple(sorted(pairs)) for pairs in found)


def fragile_pairs(
    world: World, config: SceneConfig, jitter: float, draws: int, rng: np.random.Generator
) -> Fragile:
    """The pairs whose truth changes in any of `draws` worlds with all start positions moved.

    In a world without an object they are all pairs where it would not be asked about: the object
    collides with nothing in the video, or without it a collision is out of view or less plain, or a
    miss nearer, than `config` asks of the video.

    Args:
        world: with its removals.
        config: what scenes are sampled.
        jitter: each start position moves by up to this, in units, along x and along y.
        draws: how often.
        rng: of the draws.
    """
    *_, every_draw = fragile_so_far(world, config, jitter, draws, rng)
    return every_draw


def fragile_so_far(
    world: World, config: SceneConfig, jitter: float, draws: int, rng: np.random.Generator
) -> Iterator[Fragile]:
    """`fragile_pairs` before the first draw and after each: more and more pairs.

    Who cannot do with those of a few draws need not simulate the rest.
    """
    runs = [world.factual, *world.without]
    every = set(itertools.combinations(range(len(world.without)), 2))
    truths = [_collide(run) for run in runs]
    asked = [
        place
        for place, run in enumerate(runs)
        if run.without is None
        or (any(run.without in pair for pair in truths[0]) and plain_to_see(run, config))
    ]
    found = [set[Pair]() if place in asked else every for place in range(len(runs))]
    yield _sorted(found)
    for _ in range(draws):
        moved = world.scene.jittered(rng, jitter)
        factual = simulate(moved, frames=moved.length)
        for place in asked:
            run = factual if place == 0 else removed(moved, factual, place - 1)
            found[place] |= _collide(run) ^ truths[place]
        yield _sorted(found)
