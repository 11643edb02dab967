"""The sizes that the tests of this room share."""

from videothinker.lab.pretraining.config import PoolConfig, ShapeConfig

SHAPE = ShapeConfig(
    hidden=32, layers=2, probe_layer=1, heads=2, intermediate=48, vision_hidden=32, vision_layers=2,
    vision_heads=2, vision_intermediate=32, vocab_size=420,
)  # fmt: skip
BEFORE = {
    "give_aways": "allowed", "objects_min": 4, "objects_max": 5, "collisions_min": 2,
    "collisions_max": 4, "softest": 0.15, "near_miss": 0.0, "friction": 0.3, "lanes": 0.0,
    "late_share": 0.9, "bystander_share": 0.5,
}  # fmt: skip
"""The world of the shipped bases (recipes/base-models.yaml)."""
SMALL = {"scenes": 6, "held_out": 2, "frames": 4, "width": 32, "height": 32}
POOL = PoolConfig(**SMALL, **BEFORE)
NEW = PoolConfig(**SMALL)
