"""The settings of a simulated world; a bad dial is refused when the config is built."""

import re
from dataclasses import dataclass
from pathlib import Path

from videothinker.errors import UserError

LIMITS = {
    "scenes": (0, 10_000),
    "validation_scenes": (0, 5_000),
    "frames": (0, 384),
    "length": (96, 384),
    "observational_share": (0, 1),
    "objects_min": (4, 8),
    "objects_max": (4, 8),
    "collisions_min": (1, 7),
    "collisions_max": (1, 7),
    "descriptive": (0, 20),
    "radius": (0.1, 0.35),
    "softest": (0, 1),
    "near_miss": (0, 1),
    "shades": (0, 21),
    "seed": (0, 2**63 - 1),
    "workers": (1, 256),
}
"""Setting -> smallest and largest allowed. CLEVRER's scene indices are train 0-9999, validation
10000-14999; with three objects one pair is left when one is removed, and nothing to choose from;
red and brown, the nearest two colors, are 44 of 255 apart, so 21 leaves each its name; 96
to 384 frames are three quarters to three times a video of CLEVRER's."""
QUESTIONS_A_SCENE = 2
"""Counterfactual questions a scene (CLEVRER: 18,642 on 10,000 videos)."""


@dataclass(frozen=True)
class WorldConfig:
    """How many scenes, how they look and what is asked about them.

    Attributes:
        out: folder to write, in CLEVRER's layout.
        scenes: training scenes, at most 10,000 (CLEVRER: 10,000; ours 1,000, the paper's 1K RL).
        validation_scenes: held-out scenes, at most 5,000 (CLEVRER: 5,000).
        size: width x height of the videos in pixels, both even (CLEVRER: 480x320).
        frames: frames written of each video: 128 as CLEVRER, fewer evenly spaced (16 is what the
            paper trains on), 0 for no videos at all (the transcript tier).
        observational_share: share of counterfactual questions that the video alone answers (rule
            same_truth; the paper: 0.74), met to within one question in each split.
        objects_min: fewest objects a scene (CLEVRER: 4).
        objects_max: most objects a scene (CLEVRER: 6).
        collisions_min: fewest collisions in a video (CLEVRER: 2).
        collisions_max: most collisions in a video (CLEVRER: 4).
        descriptive: descriptive questions a scene (CLEVRER: 11).
        plain_looks: rubber spheres of different colors only (ours: what the small base model was
            trained to see; CLEVRER mixes materials, shapes and repeated colors).
        radius: of the objects in table units (CLEVRER: 0.2; the small base model's scenes: 0.3).
        softest: smallest closing speed of a collision, table units a second (ours; the small base
            model's scenes: 0.5).
        near_miss: objects that are in view together and do not collide in the video keep at least
            this far apart, table units (ours; 0: as near as they come; the small base model's
            scenes: 0.4).
        length: of a video and its annotations, in frames, 25 a second (CLEVRER: 128, 5.12 s; others
            are ours). `frames` of them are written, whatever the length.
        shades: largest change of each channel (0 to 255) of each color, drawn anew for every scene:
            colors that a model trained on the usual ones has not seen, under the same names (ours).
        seed: of every draw.
        workers: processes at work; the files do not depend on it.
    """

    out: Path = Path("world")
    scenes: int = 1000
    validation_scenes: int = 200
    size: str = "480x320"
    frames: int = 128
    observational_share: float = 0.74
    objects_min: int = 4
    objects_max: int = 6
    collisions_min: int = 2
    collisions_max: int = 4
    descriptive: int = 11
    plain_looks: bool = False
    radius: float = 0.2
    softest: float = 0.15
    near_miss: float = 0.0
    length: int = 128
    shades: int = 0
    seed: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name}={getattr(self, name)}: allowed are {low} to {high}")
        if self.scenes + self.validation_scenes == 0:
            raise UserError("scenes=0 and validation_scenes=0: nothing to make; give at least one")
        for most, least in (("objects_max", "objects_min"), ("collisions_max", "collisions_min")):
            if getattr(self, most) < getattr(self, least):
                raise UserError(
                    f"{most}={getattr(self, most)} is below {least}={getattr(self, least)}; "
                    "give it at least as much"
                )
        if self.collisions_min > self.objects_min - 1:
            raise UserError(
                f"collisions_min={self.collisions_min} cannot be met with {self.objects_min} "
                "objects; give at most one less than objects_min"
            )
        if self.frames == 1:
            raise UserError("frames=1: one frame is no video; give at least 2, or 0 for no videos")
        if self.frames > self.length:
            raise UserError(
                f"frames={self.frames}: a video of length={self.length} does not have as many; "
                f"give frames={self.length} or fewer"
            )
        _ = self.width, self.height

    def _side(self, place: int) -> int:
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", self.size)
        sides = [int(found[1]), int(found[2])] if found else []
        if not sides or any(side % 2 or not 32 <= side <= 1920 for side in sides):
            raise UserError(
                f"size={self.size!r}: give WIDTHxHEIGHT, both even and 32 to 1920, e.g. 480x320"
            )
        return sides[place]

    @property
    def width(self) -> int:
        """Pixels across."""
        return self._side(0)

    @property
    def height(self) -> int:
        """Pixels down."""
        return self._side(1)
