"""What scenes are sampled: the settings, their bounds, and those a world folder may choose."""

from dataclasses import dataclass

from videothinker.errors import UserError
from videothinker.world.config import LIMITS
from videothinker.world.objects import FRICTION, RADIUS, SHOWN_FRAMES
from videothinker.world.shading import RGB

DIALS = (
    "objects_min",
    "objects_max",
    "collisions_min",
    "collisions_max",
    "plain_looks",
    "radius",
    "softest",
    "near_miss",
    "friction",
    "lanes",
    "late_share",
    "bystander_share",
)
"""The settings of scenes that a world folder, and pretraining, may choose."""
UNITS = {
    "softest": "table units a second",
    "near_miss": "table units (0: as it comes)",
    "radius": "table units (CLEVRER: 0.2)",
    "friction": "a second (0: none)",
    "lanes": "table units (0: anywhere)",
    "late_share": "of the scenes",
    "bystander_share": "of the objects that need not collide",
    "length": "frames (CLEVRER: 128)",
}
"""What a setting that has `config.LIMITS` here too is counted in."""


@dataclass(frozen=True)
class SceneConfig:
    """What scenes are sampled.

    `world.config.WorldConfig` says what each setting is; the defaults are `give_aways=allowed`'s.

    Attributes:
        attempts: growths tried before giving up.
    """

    objects_min: int = 4
    objects_max: int = 6
    collisions_min: int = 2
    collisions_max: int = 4
    late_share: float = 0.9
    bystander_share: float = 0.5
    softest: float = 0.15
    near_miss: float = 0.0
    radius: float = RADIUS
    plain_looks: bool = False
    friction: float = FRICTION
    lanes: float = 0.0
    length: int = SHOWN_FRAMES
    attempts: int = 500

    def __post_init__(self) -> None:
        if not 2 <= self.objects_min <= self.objects_max <= 12:
            raise UserError(
                f"objects_min={self.objects_min}, objects_max={self.objects_max}: a scene holds 2 "
                "to 12 objects; give 2 <= objects_min <= objects_max <= 12"
            )
        if not 0 <= self.collisions_min <= self.collisions_max:
            raise UserError(
                f"collisions_min={self.collisions_min}, collisions_max={self.collisions_max}: "
                "give 0 <= collisions_min <= collisions_max"
            )
        if self.collisions_min > self.objects_min - 1:
            raise UserError(
                f"collisions_min={self.collisions_min} cannot be met with {self.objects_min} "
                "objects; give at most one collision less than objects_min"
            )
        if self.plain_looks and self.objects_max > len(RGB):
            raise UserError(
                f"objects_max={self.objects_max} with plain_looks: there are {len(RGB)} colors; "
                "ask for fewer objects"
            )
        for name, unit in UNITS.items():
            low, high = LIMITS[name]
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name}={getattr(self, name)}: give {low} to {high} {unit}")


def scene_config(config: object) -> SceneConfig:
    """The part of a world's or a pool's settings that scenes are sampled by.

    Its `DIALS`, and its `length` where it has one (a pool's videos are as long as CLEVRER's).
    """
    length = getattr(config, "length", SHOWN_FRAMES)
    return SceneConfig(**{name: getattr(config, name) for name in DIALS}, length=length)
