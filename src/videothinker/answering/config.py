"""The settings of `videothinker ask` and `videothinker models`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videothinker.answering.endpoint import NOT_SERVED, EndpointConfig
from videothinker.budget import DEADLINE, MEGABYTES, check_budget
from videothinker.errors import UserError


@dataclass(frozen=True, kw_only=True)
class RunningConfig:
    """How videos are read and where the model runs: of every verb that asks a model."""

    deadline: float = DEADLINE
    """Seconds a video may take to decode; one that needs more cannot be read."""
    decode_megabytes: int = MEGABYTES
    """Memory that decoding may hold, of 10^6 bytes; a video that needs more cannot be read."""
    follow_links: bool = False
    """Read videos behind symbolic links that lead out of their folder, as a hub cache has."""
    device: str = "auto"
    """Where the model runs: cpu, cuda, cuda:1 ...; auto takes a GPU where there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights; auto is the checkpoint's own."""
    served: EndpointConfig = NOT_SERVED

    def __post_init__(self) -> None:
        check_budget(self.deadline, self.decode_megabytes)


@dataclass(frozen=True, kw_only=True)
class _AskingConfig(RunningConfig):
    """What asking about one video can be told, once or again and again."""

    model: str
    """A transformers folder, a run folder with `model/`, or a hub name; with --endpoint the name
    its server has for it."""
    frames: int = 16
    """Most frames, uniform in time. Paper: up to 16 in training."""
    max_pixels: int = 256 * 28 * 28
    """Most pixels of a frame. Paper: 256 x 28 x 28 in evaluation."""
    max_new_tokens: int = 768
    """Most tokens of the completion. Authors' script."""
    temperature: float = 0.0
    """0 is greedy."""
    seed: int = 0
    """Seeds the sampling, where the temperature is above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("frames", "max_pixels", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; give 1 or more")
        if not 0 <= self.temperature < math.inf:
            raise UserError(f"temperature is {self.temperature}; give 0 (greedy) or more")


@dataclass(frozen=True, kw_only=True)
class AskConfig(_AskingConfig):
    """Ask a model one question about one video."""

    choice: tuple[str, ...] = ()
    """The choices, in order; they get the letters A, B, ... Without any the answer is free text."""
    out: Path | None = None
    """A file to write the Sample record to, as one JSON line."""


@dataclass(frozen=True, kw_only=True)
class ChatConfig(_AskingConfig):
    """Ask a model question after question about one video."""

    out: Path | None = None
    """A file to write every Sample record to, one JSON line a question."""


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """List the model families, or hold one model against its library."""

    verify: str | None = None
    """A model folder, a run folder with `model/`, or a hub name: ask it in the engine and in plain
    transformers, on a clip that ships, and say what is right or wrong. It is loaded twice."""
    device: str = "auto"
    """Where it runs: cpu, cuda, cuda:1 ...; auto takes a GPU where there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    """Of the weights; auto is the checkpoint's own. Float32 tells a fault from rounding."""
    out: Path | None = None
    """A file to write what is told to, as one JSON line."""
