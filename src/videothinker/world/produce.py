"""One scene, from its index to its files: the unit of work of a worker."""

from dataclasses import dataclass
from fractions import Fraction

import msgspec
import numpy as np

from videothinker.clevrer.annotations import FPS, FRAMES, thousand
from videothinker.clevrer.questions import RawQuestion, SceneQuestions
from videothinker.clevrer.worlds import worlds_path
from videothinker.errors import UserError
from videothinker.records import write_atomic
from videothinker.seeds import derive, numpy_generator
from videothinker.world.config import QUESTIONS_A_SCENE, WorldConfig
from videothinker.world.encode import write_mp4
from videothinker.world.pairs import minimal_pairs
from videothinker.world.questions import Truth, Wanted, all_questions, colliding
from videothinker.world.render import Palette, render
from videothinker.world.scenes import scene_config
from videothinker.world.shading import RGB
from videothinker.world.stream import frame_ids
from videothinker.world.view import annotation, events_of, scene_view, worlds_file
from videothinker.world.worlds import World, make_world

TRIES = 100
"""Worlds tried for one scene index before its dials are called out of reach."""


class Made(msgspec.Struct, frozen=True):
    """What is left of a finished scene once its files are written."""

    questions: SceneQuestions
    pairs: SceneQuestions
    rejected: tuple[str, ...]
    """Why earlier worlds of this index were dropped, in order."""


@dataclass(frozen=True)
class Job:
    """One scene to make."""

    config: WorldConfig
    split: str
    scene_index: int
    wanted: tuple[Wanted, ...]


def frame_rate(frames: int, length: int = FRAMES) -> Fraction:
    """Frames a second, so that a video lasts as long as its world (CLEVRER's: 5.12 s)."""
    return Fraction(frames * FPS, length)


def plan(config: WorldConfig, split: str, scenes: int) -> list[tuple[Wanted, ...]]:
    """What to ask of each scene, so that the split's share is met to within one question.

    The number of observational questions is the share of all, rounded. The others are spread over
    the scenes as evenly as they go (few scenes have two), half of each kind is negated; a seeded
    shuffle says which scene gets which.
    """
    rng = numpy_generator(config.seed, "world", split, "plan")
    total = scenes * QUESTIONS_A_SCENE
    hard = total - round(config.observational_share * total)
    places = (
        [hard // scenes + (i < hard % scenes) for i in rng.permutation(scenes)] if scenes else []
    )
    signs = {
        kind: iter((rng.permutation(count) % 2 == 0).tolist())
        for kind, count in ((True, total - hard), (False, hard))
    }
    kinds = [[bool(i >= hardest) for i in range(QUESTIONS_A_SCENE)] for hardest in places]
    return [tuple(Wanted(kind, next(signs[kind])) for kind in scene) for scene in kinds]


def truth_of(world: World) -> Truth:
    """What collides where."""
    late = [
        colliding(event for event in events_of(run) if event.frame >= run.length)
        for run in world.without
    ]
    return Truth(scene_view(world), late)


def find(job: Job) -> tuple[World, tuple[RawQuestion, ...], tuple[RawQuestion, ...], list[str]]:
    """A world that gives the wanted questions, the questions, its minimal pair, and what was
    dropped on the way.

    Raises:
        UserError: no such world among many: the dials are out of reach.
    """
    config, index = job.config, job.scene_index
    rejected: list[str] = []
    for attempt in range(TRIES):
        seed = derive(config.seed, "scene", attempt) if attempt else config.seed
        world = make_world(seed, index, scene_config(config))
        rejected += world.rejected
        truth = truth_of(world)
        rng = numpy_generator(config.seed, "questions", index, attempt)
        speeds_TN = np.linalg.norm(world.factual.velocities_TN2[: world.scene.length], axis=-1)
        asked = all_questions(truth, speeds_TN, job.wanted, config.descriptive, rng)
        if asked is not None:
            pairs = minimal_pairs(truth, rng) if job.split == "validation" else ()
            return world, asked, pairs, rejected
        rejected.append("questions")
    raise UserError(
        f"scene {index}: none of {TRIES} worlds gives counterfactual questions for "
        f"observational_share={config.observational_share}; give a share nearer to 0.74, "
        "or more objects"
    )


def palette_of(config: WorldConfig, index: int) -> Palette:
    """What the color names look like in a scene: each channel up to `shades` away from CLEVR's."""
    rng = numpy_generator(config.seed, "shades", index)
    span = (-config.shades, config.shades + 1)
    return {
        name: tuple(np.clip(np.array(rgb) + rng.integers(*span, 3), 0, 255).tolist())
        for name, rgb in RGB.items()
    }


def make_scene(job: Job) -> Made:
    """Make one scene and write its video, annotation and other worlds; see `find`."""
    config, index = job.config, job.scene_index
    world, asked, pairs, rejected = find(job)
    name = f"video_{index:05d}.mp4"
    if config.frames:
        path = config.out / f"video_{job.split}" / f"video_{thousand(index)}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = frame_ids(config.frames, config.length).tolist()
        shown = render(
            world.scene, world.factual, frames, config.width, config.height,
            palette=palette_of(config, index),
        )  # fmt: skip
        write_mp4(path, shown, frame_rate(config.frames, config.length))
    folder = config.out / f"annotation_{job.split}" / f"annotation_{thousand(index)}"
    write_atomic(folder / f"annotation_{index:05d}.json", msgspec.json.encode(annotation(world)))
    write_atomic(worlds_path(config.out, job.split, index), msgspec.json.encode(worlds_file(world)))
    return Made(
        SceneQuestions(index, name, asked), SceneQuestions(index, name, pairs), tuple(rejected)
    )


def video_note(config: WorldConfig) -> str:
    """One line on which frames the videos show."""
    if not config.frames:
        return "no videos (frames 0: the transcript tier)"
    if config.frames == config.length:
        return f"{config.size} videos of {config.frames} frames"
    numbers = frame_ids(config.frames, config.length).tolist()
    shown = ", ".join(map(str, [*numbers[:3], "...", numbers[-1]]))
    return f"{config.size} videos of {config.frames} frames (frames {shown} of the {config.length})"
