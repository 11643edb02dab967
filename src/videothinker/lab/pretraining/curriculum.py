"""What is asked at which step: objects and places first, then collisions, then everything."""

from collections.abc import Sequence

import numpy as np

from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.pool import SceneFacts
from videothinker.lab.pretraining.questions import (
    TaughtQuestion,
    from_raw,
    paired_what_if,
    premise_removed,
    what_if,
    which_collide,
)
from videothinker.lab.pretraining.targets import every_fate, respond, tracking

Task = tuple[str, str]
"""The words after the prefix, and the completion."""
PREMISE_REMOVED_SHARE = 0.15
"""Share of what-if questions shown without their premise (the bias model reads such)."""
EVERY = 4
"""Tracking names the place at every fourth sampled frame."""
STAGES: tuple[dict[str, float], ...] = (
    {},
    {"track": 0.8, "collisions": 0.2},
    {"track": 0.2, "collisions": 0.8},
    {"track": 0.04, "collisions": 0.06, "descriptive": 0.25, "fates": 0.25, "what_if": 0.4},
)
"""Kind of question -> share, for each stage; the first asks the video tokens alone."""


def stage_of(step: int, config: PretrainConfig) -> int:
    """The stage a step belongs to, 0 to 3."""
    ends = np.cumsum(config.stages) * config.steps
    return int(min(np.searchsorted(ends, step, side="right"), 3))


def kinds_at(step: int, config: PretrainConfig) -> dict[str, float]:
    """What is asked at a step; the transcript tier has nothing to track."""
    if config.tier == "transcript":
        return {"collisions": 0.15, "descriptive": 0.05, "fates": 0.4, "what_if": 0.4}
    return STAGES[stage_of(step, config)]


def task(
    kind: str, facts: SceneFacts, config: PretrainConfig, rng: np.random.Generator, *, flipped: bool
) -> Task:
    """One question of a kind about a scene, and what to say; another kind where there is none."""
    timed = config.tier == "video"
    if kind == "fates":
        asked, completion = every_fate(facts, rng, timed=timed)
        return asked.words(), completion
    if kind == "track":
        asked, completion = tracking(facts, rng, config.pool.radius, EVERY, flipped=flipped)
        return asked.words(), completion
    if kind == "descriptive" and facts.descriptive:
        raw = facts.descriptive[int(rng.integers(len(facts.descriptive)))]
        asked = from_raw(facts, raw)
        return asked.words(), respond(facts, asked, "obs", rng, 0.0, timed=timed)
    found = _what_if(facts, config, rng) if kind == "what_if" else None
    if found is None:
        asked = which_collide(facts, rng)
        return asked.words(), respond(facts, asked, "obs", rng, 0.0, timed=timed)
    if rng.random() < PREMISE_REMOVED_SHARE:
        asked = premise_removed(found, facts)
        return asked.words(), respond(facts, asked, "obs", rng, 0.0, timed=timed)
    mode = "sim" if rng.random() < config.simulate_share else "obs"
    return found.words(), respond(facts, found, mode, rng, config.corrupted_share, timed=timed)


def _what_if(
    facts: SceneFacts, config: PretrainConfig, rng: np.random.Generator
) -> TaughtQuestion | None:
    """A what-if question, alone or one half of a minimal pair."""
    if rng.random() < config.pair_share:
        pair = paired_what_if(facts, rng)
        if pair is not None:
            return pair[int(rng.random() < config.inferential_share)]
    return what_if(facts, rng, config.inferential_share)


def draw(
    facts: Sequence[SceneFacts],
    step: int,
    config: PretrainConfig,
    rng: np.random.Generator,
    flipped: Sequence[bool],
) -> list[Task]:
    """`questions` tasks for each scene, scene by scene; none while looking alone is trained."""
    shares = kinds_at(step, config)
    if not shares:
        return []
    kinds = rng.choice(list(shares), size=(len(facts), config.questions), p=list(shares.values()))
    return [
        task(str(kind), one, config, rng, flipped=mirror)
        for one, row, mirror in zip(facts, kinds, flipped, strict=True)
        for kind in row
    ]
