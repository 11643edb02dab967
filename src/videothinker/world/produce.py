"""One scene, from its index to its files: the unit of work of a worker."""

from dataclasses import dataclass, replace
from fractions import Fraction

import msgspec
import numpy as np

from videothinker.clevrer.annotations import FPS, FRAMES, thousand
from videothinker.clevrer.answerers import Judgement, asked, judge
from videothinker.clevrer.questions import RawQuestion, SceneQuestions
from videothinker.errors import UserError
from videothinker.records import write_atomic
from videothinker.seeds import derive, numpy_generator
from videothinker.video.encode import write_mp4
from videothinker.world.config import WorldConfig
from videothinker.world.families import conceivable, without_give_aways
from videothinker.world.objects import frame_ids
from videothinker.world.options import Names
from videothinker.world.pairs import minimal_pairs
from videothinker.world.plan import objects_needed
from videothinker.world.questions import Request, Truth, all_questions, as_they_come, colliding
from videothinker.world.render import Palette, render
from videothinker.world.robust import fragile_so_far
from videothinker.world.scenes import scene_config
from videothinker.world.shading import RGB
from videothinker.world.view import annotation, scene_view, worlds_file, worlds_path
from videothinker.world.worlds import World, events_of, make_world

TRIES = 100
"""Worlds tried for one scene index before its dials are called out of reach."""


class Made(msgspec.Struct, frozen=True):
    """What is left of a finished scene once its files are written."""

    questions: SceneQuestions
    pairs: SceneQuestions
    rejected: tuple[str, ...]
    """Why earlier worlds of this index were dropped, in order."""
    verdicts: tuple[Judgement, ...] = ()
    """What shallow answerers make of each counterfactual question."""


@dataclass(frozen=True)
class SceneJob:
    """One scene to make."""

    config: WorldConfig
    split: str
    scene_index: int
    asked: tuple[Request, ...]


def frame_rate(frames: int, length: int = FRAMES) -> Fraction:
    """Frames a second, so that a video lasts as long as its world (CLEVRER's: 5.12 s)."""
    return Fraction(frames * FPS, length)


def truth_of(world: World) -> Truth:
    """What collides where."""
    late = [
        colliding(event for event in events_of(run) if event.frame >= run.length)
        for run in world.without
    ]
    return Truth(scene_view(world), late)


@dataclass(frozen=True)
class Found:
    """A world that gives the wanted questions."""

    world: World
    truth: Truth
    questions: tuple[RawQuestion, ...]
    pairs: tuple[RawQuestion, ...]
    rejected: tuple[str, ...]
    """Why others were dropped on the way."""

    @property
    def verdicts(self) -> tuple[Judgement, ...]:
        """What shallow answerers make of the counterfactual questions."""
        scene, index = self.truth.scene, self.world.scene_index
        return tuple(
            judge(
                asked(raw, scene),
                [choice.answer == "correct" for choice in raw.choices],
                raw.change,
                None if raw.family is None else f"{index}-{raw.family}",
            )
            for raw in self.questions
            if raw.question_type == "counterfactual"
        )


def find(job: SceneJob) -> Found:
    """The first world of a scene index that gives the wanted questions.

    Raises:
        UserError: no such world among many: the dials are out of reach.
    """
    config, index = job.config, job.scene_index
    scenes, honest = scene_config(config), config.give_aways == "none"
    if honest:
        scenes = replace(scenes, objects_min=max(scenes.objects_min, objects_needed(job.asked)))
    write = without_give_aways if honest else as_they_come
    rejected: list[str] = []
    for attempt in range(TRIES):
        seed = derive(config.seed, "scene", attempt) if attempt else config.seed
        world = make_world(seed, index, scenes)
        rejected += world.rejected
        truth = truth_of(world)
        rng = numpy_generator(config.seed, "questions", index, attempt)
        if honest:
            drawn = numpy_generator(config.seed, "questions", index, attempt)
            if write(truth, Names(truth.scene.objects, drawn), job.asked) is None:
                rejected.append("questions")
                continue
            draws = numpy_generator(config.seed, "robust", index, attempt)
            dials = (scenes, config.jitter, config.jitter_draws, draws)
            for fragile in fragile_so_far(world, *dials):
                truth.fragile = fragile
                if not conceivable(truth, job.asked):
                    break
        speeds_TN = np.linalg.norm(world.factual.velocities_TN2[: world.scene.length], axis=-1)
        questions = all_questions(truth, speeds_TN, job.asked, config.descriptive, rng, write=write)
        if questions is not None:
            paired = not honest and job.split == "validation"
            pairs = minimal_pairs(truth, rng) if paired else ()
            return Found(world, truth, questions, pairs, tuple(rejected))
        rejected.append("fragile" if honest else "questions")
    raise UserError(
        f"scene {index}: none of {TRIES} worlds gives the counterfactual questions asked of it "
        f"(observational_share={config.observational_share}); give a share nearer to 0.74, more "
        "objects, a smaller family_share or jitter, or give_aways=allowed"
    )


def palette_of(config: WorldConfig, index: int) -> Palette:
    """What the color names look like in a scene: each channel up to `shades` away from CLEVR's."""
    rng = numpy_generator(config.seed, "shades", index)
    span = (-config.shades, config.shades + 1)
    return {
        name: tuple(np.clip(np.array(rgb) + rng.integers(*span, 3), 0, 255).tolist())
        for name, rgb in RGB.items()
    }


def make_scene(job: SceneJob) -> Made:
    """Make one scene and write its video, annotation and other worlds; see `find`."""
    config, index = job.config, job.scene_index
    found = find(job)
    world = found.world
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
        SceneQuestions(index, name, found.questions),
        SceneQuestions(index, name, found.pairs),
        found.rejected,
        found.verdicts,
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
