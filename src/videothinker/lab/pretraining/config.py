"""Settings of the small base models' pretraining."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from videothinker.errors import UserError
from videothinker.world.config import FEWEST_OBJECTS, GiveAways

Tier = Literal["video", "transcript"]
MOST_FRAMES = 32
"""A slot of two frames is told by a letter, a to p."""


@dataclass(frozen=True)
class PoolConfig:
    """The scenes that are looked at, and how.

    The scenes are plain (rubber spheres of different colors, half as large again as CLEVRER's), and
    where things go is easy to foresee (docs/world.md): what was measured to be learnable on one CPU
    core. All of it is ours. recipes/base-models.yaml says what the shipped bases were trained on.
    """

    scenes: int = 512
    """Scenes simulated; each is seen several times, with other questions."""
    held_out: int = 32
    """More scenes, never trained on, that the measurements ask about."""
    give_aways: GiveAways = "none"
    """Of the what-if questions, as in a world folder: `none` or `allowed`."""
    jitter: float = 0.05
    """Without give-aways: no answer is asked for that changes when every start moves by so much,
    table units."""
    jitter_draws: int = 4
    """How often the starts are moved (a world folder: 8; here it is half of a scene's cost)."""
    objects_min: int = 5
    objects_max: int = 6
    collisions_min: int = 3
    collisions_max: int = 5
    plain_looks: bool = True
    """Rubber spheres of different colors only."""
    radius: float = 0.3
    """Table units (CLEVRER: 0.2)."""
    softest: float = 0.5
    """Smallest closing speed of a collision, table units a second."""
    near_miss: float = 0.4
    """Objects in view that do not collide in the video keep at least this far apart, table units;
    0: as near as they come."""
    friction: float = 0.0
    """Of the table, per second; 0: what is free keeps its speed."""
    lanes: float = 0.8
    """Distance of the lines on which objects start and along which they are sent, table units; 0:
    anywhere."""
    late_share: float = 0.0
    """Share of scenes with an object sent to collide only after the video."""
    bystander_share: float = 0.0
    """Chance that an object not needed for a collision touches nothing."""
    frames: int = 16
    """Sampled evenly from the 128 of a video, as in the paper's training."""
    width: int = 64
    height: int = 48
    """Pixels; multiples of twice the patch size."""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.held_out < 1:
            raise UserError(f"{self.scenes} scenes, {self.held_out} held out; give at least 1 each")
        if self.give_aways == "none" and self.objects_min < FEWEST_OBJECTS:
            raise UserError(
                f"objects_min={self.objects_min}: without give-aways two objects stay unnamed and "
                f"three are needed for options; give at least {FEWEST_OBJECTS}, "
                "or give_aways=allowed"
            )
        if self.frames < 2 or self.frames % 2:
            raise UserError(f"frames is {self.frames}; give an even number from 2 on")
        if self.frames > MOST_FRAMES:
            raise UserError(
                f"frames is {self.frames}; give at most {MOST_FRAMES}: the words have a letter for "
                "every two frames"
            )


@dataclass(frozen=True)
class ShapeConfig:
    """The size of the model: 2.1 M parameters in the video tier; in the transcript tier 1.4 M,
    with a vision tower as small as the class allows whatever is said here.
    """

    family: Literal["qwen2_5_vl", "qwen2_vl", "qwen3_vl"] = "qwen2_5_vl"
    """Whose classes and folder."""
    hidden: int = 128
    layers: int = 6
    probe_layer: int = 4
    """Layers after which the states at video tokens are asked about contacts and motion; the
    layers above are the words' alone."""
    heads: int = 4
    intermediate: int = 384
    vision_hidden: int = 128
    vision_layers: int = 2
    vision_heads: int = 4
    vision_intermediate: int = 256
    patch_size: int = 8
    """Pixels (Qwen2.5-VL: 14); a video token covers twice as many a side."""
    vocab_size: int = 704


@dataclass(frozen=True)
class PretrainConfig:
    """Train a small base model from scratch on the simulated world. All values are ours.

    The defaults are a trial of a few minutes; recipes/base-models.yaml trains what ships.
    """

    out: Path = Path("runs/pretrain")
    tier: Tier = "video"
    """`video` sees frames; `transcript` reads object places and an event log in their stead."""
    start: Path | None = None
    """A small model to go on from, as an earlier run wrote it, of its own size and words; null:
    random weights."""
    seed: int = 0
    pool: PoolConfig = field(default_factory=PoolConfig)
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    steps: int = 180
    """Optimisation steps; the stages below share them."""
    stages: tuple[float, ...] = (0.3, 0.1, 0.2, 0.4)
    """Shares of the steps: looking alone (no words); objects and places in words; then collisions;
    then every kind of question. The transcript tier has only the last."""
    batch: int = 16
    """Scenes a step."""
    questions: int = 2
    """Questions a scene and step."""
    learning_rate: float = 4e-3
    """Of Muon (matched to AdamW's step size), for the matrices inside the blocks."""
    adam_learning_rate: float = 2e-3
    """Of AdamW, for embeddings, norms, biases and patch projection."""
    warmup: int = 20
    """Steps in which the rates rise."""
    decay: float = 1 / 3
    """Share of the steps, the last, over which the rates fall linearly to 0."""
    simulate_share: float = 0.5
    """Share of what-if questions thought about by simulating the removal; the rest describes."""
    corrupted_share: float = 0.0
    """Share of simulated thinking spoilt on purpose, to leave headroom for reinforcement learning;
    printed with every result."""
    inferential_share: float = 0.5
    """Share of what-if questions that the video alone does not answer."""
    pair_share: float = 0.5
    """Share of what-if questions that are half of a minimal pair, where the removed object decides
    and the choices give nothing away; elsewhere a model gets far without reading the premise."""
    miss_rate: float = 0.04
    """Transcript tier: share of events missing from the log."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the matrix products; `auto` takes bfloat16 where the processor works fast in it."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where it trains; auto takes a GPU where there is one. What it learned is always measured on
    the CPU, from the stored file."""
    pool_dir: Path | None = None
    """Folder of simulated scenes that several runs share, made where missing; null: the run's."""
    workers: int = 0
    """Processes that draw the coming batches; 0: none. What is drawn is the same."""
    save_every: int = 200
    measure_every: int = 1000
    """Steps between measurements on a quarter of the held-out scenes."""

    def __post_init__(self) -> None:
        known = {"tier": ("video", "transcript"), "device": ("cpu", "cuda", "auto")}
        for name, allowed in known.items():
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"{name} {getattr(self, name)!r} came; allowed are {' and '.join(allowed)}"
                )
        self._check_numbers()
        if self.tier == "video":
            self._check_video()

    def _check_numbers(self) -> None:
        if self.workers < 0:
            raise UserError(f"workers is {self.workers}; give 0 or more")
        for name in ("steps", "batch", "questions", "save_every", "measure_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give 1 or more")
        for name in ("learning_rate", "adam_learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name)}; give a number above 0")
        shares = len(self.stages) == 4 and all(0 <= share <= 1 for share in self.stages)
        if not shares or abs(sum(self.stages) - 1) > 1e-6:
            raise UserError(f"stages {self.stages} came; give four shares that add up to 1")
        for name in (
            "decay",
            "simulate_share",
            "corrupted_share",
            "inferential_share",
            "pair_share",
            "miss_rate",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; it is a share: give 0 to 1")

    def _check_video(self) -> None:
        if not 1 <= self.shape.probe_layer <= self.shape.layers:
            raise UserError(
                f"probe_layer is {self.shape.probe_layer}; the model has {self.shape.layers} "
                f"layers: give 1 to {self.shape.layers}"
            )
        side = 2 * self.shape.patch_size
        if self.pool.width % side or self.pool.height % side:
            raise UserError(
                f"frames of {self.pool.width}x{self.pool.height} pixels do not divide into video "
                f"tokens of {side} pixels; give multiples of {side} (a world's --size), or another "
                "--patch-size"
            )
