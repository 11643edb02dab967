"""The sizes that the tests of this room share."""

from videothinker.lab.pretraining.config import PoolConfig, ShapeConfig

SHAPE = ShapeConfig(
    hidden=32, layers=2, watching=1, heads=2, intermediate=48, vision_hidden=32, vision_layers=2,
    vision_heads=2, vision_intermediate=32, vocab_size=420,
)  # fmt: skip
POOL = PoolConfig(scenes=6, held_out=2, frames=4, width=32, height=32)
