"""Scenes, frames and facts in memory, for pretraining: NumPy and pymunk alone, no file, no av."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from videothinker.errors import UserError
from videothinker.world import camera
from videothinker.world.objects import SHOWN_FRAMES
from videothinker.world.physics import Contact, Trajectory
from videothinker.world.render import render
from videothinker.world.scenes import SceneConfig, SceneSetup
from videothinker.world.worlds import make_world

PRETRAINING_START = 20000
"""First scene index of pretraining; train, validation and test lie below."""


@dataclass(frozen=True)
class StreamConfig:
    """What is streamed.

    Attributes:
        width: pixels (small videos: 168).
        height: pixels (small videos: 112). Every size shows the same view.
        frames: frames a video, spread evenly over those shown (first and last included).
        scenes: what scenes are sampled.
    """

    width: int = 168
    height: int = 112
    frames: int = 16
    scenes: SceneConfig = field(default_factory=SceneConfig)

    def __post_init__(self) -> None:
        if not (16 <= self.width <= 4096 and 16 <= self.height <= 4096):
            raise UserError(f"size {self.width}x{self.height}: give 16 to 4096 pixels a side")
        most = self.scenes.length
        if not 1 <= self.frames <= most:
            raise UserError(f"frames={self.frames}: a video has {most}; give 1 to {most}")


@dataclass(frozen=True)
class StreamItem:
    """One video and what is true of it. F frames, N objects.

    Attributes:
        scene_index: of the world.
        frames_FHW3: uint8, sRGB.
        frame_ids_F: which of the shown frames (25 a second) these are.
        scene: the objects; `scene.objects[i]` has color, material, shape.
        positions_FN2: table units (x to the right, y away from the camera).
        pixels_FN2: (column, row) of each object's centre, in pixels of these frames.
        visible_FN: on the table with its centre in view.
        collisions: in order of time, of the shown frames; `collision.frame` counts 25 a second
            (compare with `frame_ids_F`), `collision.time` is in seconds.
        trajectory: all frames, the 2 s after the video included.
    """

    scene_index: int
    frames_FHW3: np.ndarray
    frame_ids_F: np.ndarray
    scene: SceneSetup
    positions_FN2: np.ndarray
    pixels_FN2: np.ndarray
    visible_FN: np.ndarray
    collisions: tuple[Contact, ...]
    trajectory: Trajectory


def frame_ids(frames: int, length: int = SHOWN_FRAMES) -> np.ndarray:
    """Indices of `frames` frames spread evenly over a video of `length`, ends included."""
    return np.linspace(0, length - 1, frames).round().astype(int)


def centre_pixels(
    scene: SceneSetup, trajectory: Trajectory, ids_F: np.ndarray, width: int, height: int
) -> np.ndarray:
    """(column, row) in pixels of every object's centre, (F, N, 2)."""
    positions_FN2 = trajectory.positions_TN2[ids_F]
    heights_N = np.array([thing.radius for thing in scene.objects])
    heights_FN1 = np.broadcast_to(heights_N[:, None], (*positions_FN2.shape[:2], 1))
    seen = camera.project(np.concatenate([positions_FN2, heights_FN1], axis=-1), width, height)
    return np.stack([seen.columns, seen.rows], axis=-1)


def stream(seed: int, start_index: int, config: StreamConfig) -> Iterator[StreamItem]:
    """Endless videos of scenes `start_index`, `start_index + 1`, ...

    Each item depends on (seed, scene index, config) alone, so any process can start anywhere, and
    the frames are those that would be written to a file, before encoding.
    """
    ids_F = frame_ids(config.frames, config.scenes.length)
    scene_index = start_index
    while True:
        yield item(seed, scene_index, config, ids_F)
        scene_index += 1


def item(seed: int, scene_index: int, config: StreamConfig, ids_F: np.ndarray) -> StreamItem:
    """The video of one scene index, at the shown frames `ids_F`."""
    world = make_world(seed, scene_index, config.scenes, removals=False)
    factual = world.factual
    return StreamItem(
        scene_index=scene_index,
        frames_FHW3=render(world.scene, factual, ids_F.tolist(), config.width, config.height),
        frame_ids_F=ids_F,
        scene=world.scene,
        positions_FN2=factual.positions_TN2[ids_F],
        pixels_FN2=centre_pixels(world.scene, factual, ids_F, config.width, config.height),
        visible_FN=factual.inside_TN[ids_F],
        collisions=tuple(hit for hit in factual.collisions if hit.frame < factual.length),
        trajectory=factual,
    )
