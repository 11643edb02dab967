"""How easily is it foreseen what happens without an object? Families under several dials.

    OMP_NUM_THREADS=1 python benchmarks/foresight.py [--scenes 150] [SETTING ...]

Simulates scenes and asks each, where it has them, a family of three options and one beyond the
rules; both count half, as in a world folder. A specialist that is no model answers: it takes from
the video every path up to the first contact that the removed object has a part in, goes on from
there in a straight line, and (where it `responds`) shares speed at each new contact by the law of
restitution. It reads exact states, or the cells of a transcript with the times of its events.
Beside it stand the answerers that read the premise and simulate nothing. One line of JSON a
setting; docs/world.md has the table, foresight_net.py the trained counterpart.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from videothinker.clevrer.answerers import READING, Asked, asked
from videothinker.clevrer.compact import CELL
from videothinker.seeds import numpy_generator
from videothinker.world import camera
from videothinker.world.config import WorldConfig
from videothinker.world.families import family
from videothinker.world.objects import frame_ids
from videothinker.world.options import Names
from videothinker.world.physics import ELASTICITY, FPS
from videothinker.world.produce import truth_of
from videothinker.world.questions import WantedFamily
from videothinker.world.robust import fragile_pairs
from videothinker.world.scenes import scene_config
from videothinker.world.worlds import World, make_world

PLAIN: dict[str, Any] = {"plain_looks": True, "radius": 0.3, "objects_min": 5, "objects_max": 6}
FREE = {**PLAIN, "late_share": 0.0, "bystander_share": 0.0}
SMOOTH = {**FREE, "friction": 0.0, "softest": 0.5}
SETTINGS: dict[str, dict[str, Any]] = {
    "before": {**PLAIN, "late_share": 0.9, "bystander_share": 0.5},
    "no late, no bystanders": FREE,
    "no friction, misses 0.15": {**SMOOTH, "near_miss": 0.15},
    "lanes 0.4, misses 0.15": {**SMOOTH, "near_miss": 0.15, "lanes": 0.4},
    "lanes 1.0, misses 0.4": {**SMOOTH, "near_miss": 0.4, "lanes": 1.0},
    "lanes 0.8, misses 0.15": {**SMOOTH, "near_miss": 0.15, "lanes": 0.8},
    "lanes 0.8, misses 0.4": {**SMOOTH, "near_miss": 0.4, "lanes": 0.8},
    "CLEVRER's looks and sizes": {"objects_min": 5},
}
"""Name -> dials; the last is what a world folder has by default."""
OPTIONS = 3
Pair = tuple[int, int]


@dataclass(frozen=True)
class Seen:
    """What the specialist takes a video for. T frames, N objects."""

    paths_TN2: np.ndarray
    velocities_TN2: np.ndarray
    on_table_TN: np.ndarray
    hits: tuple[tuple[int, Pair], ...]
    """(frame, pair) of each collision, in order."""
    radius: float
    friction: float


def _hits(world: World) -> tuple[tuple[int, Pair], ...]:
    run = world.factual
    return tuple((hit.frame, hit.pair) for hit in run.collisions if hit.frame < run.length)


def exactly(world: World) -> Seen:
    """The states themselves."""
    run, end = world.factual, world.scene.length
    return Seen(
        run.positions_TN2[:end],
        run.velocities_TN2[:end],
        run.on_table_TN[:end],
        _hits(world),
        world.scene.objects[0].radius,
        world.scene.friction,
    )


def from_cells(world: World, frames: int) -> Seen:
    """Paths that are straight between an object's collisions, fitted to the cells of some frames.

    Least squares over the objects' places at their first frame in view, collisions and last: each
    cell's middle is hit to within the spread of a cell, colliding objects are two radii apart at
    most, and speeds are not larger than they must be. Friction is known.
    """
    seen = exactly(world)
    friction, end, count = seen.friction, *seen.on_table_TN.shape
    inside_TN = world.factual.inside_TN[:end]

    def clock(frames_T: np.ndarray | Sequence[int]) -> np.ndarray:
        seconds = np.asarray(frames_T) / FPS
        return -np.expm1(-friction * seconds) / friction if friction else seconds

    knots: list[np.ndarray] = []
    for k in range(count):
        shown = np.nonzero(inside_TN[:, k])[0]
        own = {int(shown[0]), int(shown[-1]), *(t for t, pair in seen.hits if k in pair)}
        knots.append(np.array(sorted(own) if len(own) > 1 else [*own, max(own) + 1]))
    starts = np.cumsum([0, *(len(own) for own in knots)])

    def weights(k: int, frames_T: np.ndarray) -> np.ndarray:
        """How object k's place at each frame is made of the unknown places at its knots."""
        at, own = clock(frames_T), clock(knots[k])
        part = np.clip(np.searchsorted(knots[k], frames_T, side="right") - 1, 0, len(own) - 2)
        share = (at - own[part]) / (own[part + 1] - own[part])
        rows = np.zeros((len(at), starts[-1]))
        rows[np.arange(len(at)), starts[k] + part] = 1 - share
        rows[np.arange(len(at)), starts[k] + part + 1] = share
        return rows

    shown_F = frame_ids(frames, end)
    lines: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for k in range(count):
        at = shown_F[inside_TN[shown_F, k]]
        middles = (np.floor(world.factual.positions_TN2[at, k] / CELL) + 0.5) * CELL
        lines.append(weights(k, at) / (CELL / np.sqrt(12)))
        values.append(middles / (CELL / np.sqrt(12)))
        steps = np.diff(weights(k, knots[k]), axis=0) / np.diff(clock(knots[k]))[:, None]
        lines.append(steps)
        values.append(np.zeros((len(steps), 2)))
    for t, (i, j) in seen.hits:
        at = np.array([t])
        lines.append((weights(i, at) - weights(j, at)) / (np.sqrt(2) * seen.radius))
        values.append(np.zeros((1, 2)))
    places = np.linalg.lstsq(np.concatenate(lines), np.concatenate(values), rcond=None)[0]
    every = np.arange(end)
    paths_TN2 = np.stack([weights(k, every) @ places for k in range(count)], axis=1)
    velocities_TN2 = np.diff(paths_TN2, axis=0, append=paths_TN2[-1:]) * FPS
    velocities_TN2[1:] = velocities_TN2[:-1]  # of the segment that ends here
    return Seen(paths_TN2, velocities_TN2, seen.on_table_TN, seen.hits, seen.radius, seen.friction)


class _Without:
    """The video without an object, foreseen frame by frame."""

    def __init__(self, seen: Seen, removed: int, *, responds: bool) -> None:
        self.seen, self.responds = seen, responds
        self.gone = {removed}
        self.loose: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        """Object that left the path of the video -> its place and velocity."""
        self.found: set[Pair] = set()

    def state(self, k: int, t: int) -> tuple[np.ndarray, np.ndarray]:
        on_path = self.seen.paths_TN2[t, k], self.seen.velocities_TN2[t, k]
        return self.loose.get(k, on_path)

    def step(self, t: int) -> None:
        slopes_24, offsets_4 = camera.edges(self.seen.radius)
        slowed = np.exp(-self.seen.friction / FPS)
        for k, (place, speed) in self.loose.items():
            self.loose[k] = place + speed * slowed / FPS, speed * slowed
            if (place @ slopes_24 + offsets_4).max() > 0:
                self.gone.add(k)
        for frame, pair in self.seen.hits:
            if frame != t:
                continue
            if not {*self.gone, *self.loose} & set(pair):
                self.found.add(pair)
                continue
            for k in set(pair) - self.gone - self.loose.keys():
                place, speed = self.state(k, t - 1)
                self.loose[k] = place + speed / FPS, speed
        self.meet(t)

    def meet(self, t: int) -> None:
        """New contacts, of which at least one object has left the video's path."""
        on_table = np.nonzero(self.seen.on_table_TN[t])[0].tolist()
        there = sorted({*on_table, *self.loose} - self.gone)
        for i in there:
            for j in (k for k in there if k > i and (i in self.loose or k in self.loose)):
                (a, u), (b, v) = self.state(i, t), self.state(j, t)
                apart, closing = np.hypot(*(b - a)), (u - v) @ (b - a)
                if (i, j) in self.found or apart >= 2 * self.seen.radius or closing <= 0:
                    continue
                self.found.add((i, j))
                if self.responds:
                    push = closing / apart**2 * (b - a) * (1 + ELASTICITY) / 2
                    self.loose[i], self.loose[j] = (a, u - push), (b, v + push)


def foresee(seen: Seen, removed: int, *, responds: bool) -> set[frozenset[int]]:
    """The pairs that collide without an object, as the specialist has it."""
    world = _Without(seen, removed, responds=responds)
    for t in range(1, len(seen.paths_TN2)):
        world.step(t)
    return {frozenset(pair) for pair in world.found}


SPECIALISTS: dict[str, tuple[Callable[[World], Seen], bool]] = {
    "exact, straight on": (exactly, False),
    "exact": (exactly, True),
    "16 frames": (lambda world: from_cells(world, 16), True),
    "8 frames": (lambda world: from_cells(world, 8), True),
    "4 frames": (lambda world: from_cells(world, 4), True),
}
"""Name -> what is read, and whether contacts are responded to."""


@dataclass(frozen=True)
class Member:
    """One question of a family, with the right answer."""

    asked: Asked
    gold: tuple[bool, ...]


def members(world: World, config: WorldConfig, *, beyond_rules: bool) -> list[Member] | None:
    """The observational and the inferential question of a family; None if the scene has none."""
    truth, index = truth_of(world), world.scene_index
    rng = numpy_generator(0, "foresight jitter", index)
    draws = config.jitter_draws
    truth.fragile = fragile_pairs(world, scene_config(config), config.jitter, draws, rng)
    names = Names(truth.scene.objects, numpy_generator(0, "foresight", index))
    wanted = WantedFamily(negated=False, choices=OPTIONS, beyond_rules=beyond_rules)
    found = family(truth, names, wanted)
    if found is None:
        return None
    return [
        Member(asked(raw, truth.scene), tuple(c.answer == "correct" for c in raw.choices))
        for raw in found
    ]


def kind(member: Member) -> str:
    """gone, new or both."""
    pairs = zip(member.asked.in_video, member.gold, strict=True)
    changes = {"gone" if before else "new" for before, after in pairs if before != after}
    return "both" if len(changes) == 2 else changes.pop()


def percent(right: Sequence[Sequence[bool]]) -> np.ndarray:
    """Observational, inferential, both; of families."""
    flags = np.array(right)
    return 100 * np.array([*flags.mean(axis=0), flags.all(axis=1).mean()])


Families = list[tuple[World, list[Member]]]


def specialist_right(families: Families, name: str) -> np.ndarray:
    """What a specialist has right."""
    read, responds = SPECIALISTS[name]
    right = []
    for world, found in families:
        seen = read(world)
        says = [foresee(seen, one.asked.removed, responds=responds) for one in found]
        right.append(
            [
                one.asked.picks(pair in said for pair in one.asked.options) == one.gold
                for one, said in zip(found, says, strict=True)
            ]
        )
    return percent(right)


def rule_right(families: Families, name: str) -> np.ndarray:
    """What an answerer has right that simulates nothing."""
    answerer = READING[name]
    return percent([[answerer(one.asked) == one.gold for one in found] for _, found in families])


def measure(name: str, scenes: int) -> dict[str, Any]:
    """One setting."""
    config = WorldConfig(out=Path("unused"), **SETTINGS[name])
    dials = scene_config(config)
    begun = time.process_time()
    worlds = [make_world(1, index, dials) for index in range(scenes)]
    seconds = time.process_time() - begun
    halves: list[Families] = [
        [(w, found) for w in worlds if (found := members(w, config, beyond_rules=beyond))]
        for beyond in (False, True)
    ]
    rows = {
        name: np.mean([score(half, name) for half in halves], axis=0).round(1).tolist()
        for names, score in ((SPECIALISTS, specialist_right), (READING, rule_right))
        for name in names
    }
    changes = [Counter(kind(found[1]) for _, found in half) for half in halves]
    weights = {
        change: np.mean([count[change] / count.total() for count in changes])
        for change in ("gone", "new", "both")
    }
    return {
        "setting": name,
        "scenes": scenes,
        "cpu_ms_a_scene": round(1000 * seconds / scenes),
        "objects": round(float(np.mean([len(w.scene.objects) for w in worlds])), 2),
        "collisions": round(float(np.mean([len(_hits(w)) for w in worlds])), 2),
        "any": len(halves[0]),
        "beyond the rules": len(halves[1]),
        "changes": {change: round(100 * float(share)) for change, share in weights.items()},
        **rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("settings", nargs="*", default=list(SETTINGS))
    arguments = parser.parse_args()
    for name in arguments.settings:
        sys.stdout.write(json.dumps(measure(name, arguments.scenes)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
