"""The settings of a simulated world; a bad dial is refused when the config is built."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
    "friction": (0, 1),
    "lanes": (0, 2),
    "late_share": (0, 1),
    "bystander_share": (0, 1),
    "jitter": (0, 0.3),
    "jitter_draws": (0, 64),
    "shades": (0, 21),
    "seed": (0, 2**63 - 1),
    "workers": (0, 256),
}
"""Setting -> smallest and largest allowed. CLEVRER's scene indices are train 0-9999, validation
10000-14999; with three objects one pair is left when one is removed, and nothing to choose from;
red and brown, the nearest two colors, are 44 of 255 apart, so 21 leaves each its name; 96
to 384 frames are three quarters to three times a video of CLEVRER's."""
FEWEST_OBJECTS = 5
"""Without give-aways: two that no option names, and three of which several pairs can be made."""
GiveAways = Literal["none", "allowed"]
BY_GIVE_AWAYS: dict[GiveAways, dict[str, float]] = {
    "none": {
        "objects_min": 5,
        "collisions_min": 3,
        "collisions_max": 5,
        "late_share": 0.5,
        "bystander_share": 0.0,
    },
    "allowed": {
        "objects_min": 4,
        "collisions_min": 2,
        "collisions_max": 4,
        "late_share": 0.9,
        "bystander_share": 0.5,
    },
}
"""What -1 stands for: CLEVRER's numbers and those of docs/world.md's first measurements where
give-aways are allowed; else what leaves two objects unnamed and enough to ask about."""
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
        give_aways: `none`: what-if questions do not give themselves away (see docs/world.md), and
            `family_share` of them come in families; `allowed`: as CLEVRER's own, with minimal pairs
            beside them.
        family_share: share of counterfactual questions that come in families, of an observational
            and an inferential one each; by default as many as there can be, twice the rarer label's
            share (0.52 where observational_share is 0.74).
        jitter: every start position moves by up to this, in table units, and no answer that then
            changes, in any of the worlds it takes, is asked for (ours; not where give-aways are
            allowed).
        jitter_draws: how often the start positions are moved.
        objects_min: fewest objects a scene (-1: 5, or CLEVRER's 4 where give-aways are allowed).
        objects_max: most objects a scene (CLEVRER: 6).
        collisions_min: fewest collisions in a video (-1: 3, or CLEVRER's 2 where give-aways are
            allowed).
        collisions_max: most collisions in a video (-1: 5, or CLEVRER's 4 where give-aways are
            allowed).
        descriptive: descriptive questions a scene (CLEVRER: 11).
        plain_looks: rubber spheres of different colors only (ours: what the small base model was
            trained to see; CLEVRER mixes materials, shapes and repeated colors).
        radius: of the objects in table units (CLEVRER: 0.2; the small base model's scenes: 0.3).
        softest: smallest closing speed of a collision, table units a second (ours; the small base
            model's scenes: 0.5).
        near_miss: objects that are in view together and do not collide in the video keep at least
            this far apart, table units (ours; 0: as near as they come; the small base model's
            scenes: 0.4). Without give-aways this and `softest` hold for the worlds without an
            object, too, where they are asked about.
        friction: of the table, per second (ours; 0: what is free keeps its speed).
        lanes: distance of the lines, in table units, on which objects start and along which they
            are sent (ours; 0: anywhere; small worlds: 0.8).
        late_share: share of scenes with an object sent to collide only after the video, for the
            predictive questions (ours; -1: 0.5, or 0.9 where give-aways are allowed).
        bystander_share: chance that an object not needed for a collision touches nothing (ours; -1:
            0, or 0.5 where give-aways are allowed).
        length: of a video and its annotations, in frames, 25 a second (CLEVRER: 128, 5.12 s; others
            are ours). `frames` of them are written, whatever the length.
        shades: largest change of each channel (0 to 255) of each color, drawn anew for every scene:
            colors that a model trained on the usual ones has not seen, under the same names (ours).
        seed: of every draw.
        workers: processes at work; 0 is one for each core that there is, and one alone for a few
            scenes. The files do not depend on it.
    """

    out: Path = Path("world")
    scenes: int = 1000
    validation_scenes: int = 200
    size: str = "480x320"
    frames: int = 128
    observational_share: float = 0.74
    give_aways: GiveAways = "none"
    family_share: float | None = None
    jitter: float = 0.05
    jitter_draws: int = 8
    objects_min: int = -1
    objects_max: int = 6
    collisions_min: int = -1
    collisions_max: int = -1
    descriptive: int = 11
    plain_looks: bool = False
    radius: float = 0.2
    softest: float = 0.15
    near_miss: float = 0.0
    friction: float = 0.3
    lanes: float = 0.0
    late_share: float = -1
    bystander_share: float = -1
    length: int = 128
    shades: int = 0
    seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        if self.give_aways not in BY_GIVE_AWAYS:
            raise UserError(f"give_aways={self.give_aways!r}: allowed are none and allowed")
        for name, value in BY_GIVE_AWAYS[self.give_aways].items():
            if getattr(self, name) == -1:
                object.__setattr__(self, name, value)  # frozen, and resolved before anyone reads it
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name}={getattr(self, name)}: allowed are {low} to {high}")
        if self.scenes + self.validation_scenes == 0:
            raise UserError("scenes=0 and validation_scenes=0: nothing to make; give at least one")
        self._check_counts()
        self._check_families()
        self._check_frames()

    def _check_counts(self) -> None:
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

    def _check_frames(self) -> None:
        if self.frames == 1:
            raise UserError("frames=1: one frame is no video; give at least 2, or 0 for no videos")
        if self.frames > self.length:
            raise UserError(
                f"frames={self.frames}: a video of length={self.length} does not have as many; "
                f"give frames={self.length} or fewer"
            )
        _ = self.width, self.height

    def _check_families(self) -> None:
        share = self.family_share
        if self.give_aways == "allowed":
            if share is not None:
                raise UserError(
                    f"family_share={share}: with give_aways=allowed there are no families; "
                    "leave one of the two out"
                )
            return
        if self.objects_min < FEWEST_OBJECTS:
            raise UserError(
                f"objects_min={self.objects_min}: without give-aways two objects stay unnamed and "
                f"three are needed for options; give at least {FEWEST_OBJECTS}, "
                "or give_aways=allowed"
            )
        rarer = min(self.observational_share, 1 - self.observational_share)
        if share is not None and not 0 <= share <= 2 * rarer + 1e-9:
            raise UserError(
                f"family_share={share}: half of every family is of either label, and "
                f"observational_share={self.observational_share} leaves {2 * rarer:g} at most; "
                f"give 0 to {2 * rarer:g}"
            )

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
