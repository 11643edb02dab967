"""The contract of a model family: what can be asked (`Model`), and what trains too (`Policy`).

`ask`, `diagnose --probe`, `evaluate` and `train` know nothing else of a model. A family is one
folder with a `load` and one line in `catalog`; how it generates is a file of
`videothinker.generation`, which `Model.generator` names. What is still to come fits as it is:

* Tower features that enter several decoder layers (DeepStack): a family makes every direct call of
  its decoder in its own `hidden_states`, so they pass there, in training and decoding alike.
* A video in several runs of tokens, with timestamps as text between: `Prompt.video_P` marks tokens
  wherever they stand, and `positions` is the family's.
* Any transformers model, prompt repeated: a `Policy` whose `hidden` runs G whole sequences, with
  the generator "plain". Only "shared_prefix" asks for a `PrefixPolicy`.
* A model served elsewhere: a `Model` with a generator of its own; `positions` is None, and the ids
  of a `Group` are whatever its `decode` reads (the bytes of the text will do).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from videothinker.models.attention import Plan
from videothinker.models.folders import Base


class Prompt(Protocol):
    """One encoded prompt; its numbers are what a record says of it."""

    @property
    def input_ids_P(self) -> Tensor:
        """Token ids on the CPU, int64, those that stand for the video included."""
        ...

    @property
    def video_P(self) -> Tensor:
        """Bool: which tokens stand for the video."""
        ...

    @property
    def video_digest(self) -> str | None:
        """The same where two prompts show the same video; None where there is none."""
        ...

    @property
    def second_per_grid(self) -> float | None:
        """Seconds one step of the video's temporal grid lasts; None without such a grid."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt, video tokens included."""
        ...

    @property
    def frames(self) -> int:
        """How many frames are shown."""
        ...

    @property
    def height(self) -> int:
        """Pixels of a frame as the model sees it."""
        ...

    @property
    def width(self) -> int:
        """Pixels of a frame as the model sees it."""
        ...


@dataclass(eq=False)
class Group:
    """One prompt and its G completions, padded to the longest of them; tensors on the CPU.

    `mask_GC` is true on sampled tokens, the end token included; `truncated_G` where none came.
    """

    prompt: Any
    """A `Prompt` of the family that made it."""
    completion_ids_GC: Tensor
    mask_GC: Tensor
    truncated_G: Tensor


class Model(Protocol):
    """What can be asked."""

    @property
    def generator(self) -> str:
        """Its way to generate: a name in `generation.base.GENERATORS`."""
        ...

    @property
    def digest(self) -> str:
        """What tells this model from others in records: sha256 of its weights as they are now."""
        ...

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Any:
        """Frames (uint8) of a clip that lasts `seconds`, prepared once for several questions.

        Pixel bounds are a frame's height times width; None takes the model's own.
        """
        ...

    def encode(
        self,
        user: str,
        video: Any = None,
        *,
        system: str | None = None,
        prefill: str = "",
        max_prompt_tokens: int | None = None,
    ) -> Any:
        """The chat-formatted `Prompt`: system, video, the user's words, `prefill` of the answer.

        Raises:
            UserError: a prompt longer than `max_prompt_tokens`; it is never cut.
        """
        ...

    def positions(self, prompt: Any) -> Tensor | None:
        """Where each token stands, int64 `[X, P]` on the CPU; None where it is not known."""
        ...

    def decode(self, group: Group) -> list[str]:
        """The completions' texts without special tokens."""
        ...


class Policy(Model, Protocol):
    """What can be trained as well."""

    model: Any
    """The torch module whose parameters train."""
    tokenizer: Any
    base: Base | None
    """What its LoRA adapters stand on; null for a complete model."""
    adapter: str | None
    """The LoRA adapter it computes with."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    @property
    def head_VD(self) -> Tensor:
        """The weight that maps hidden states to logits."""
        ...

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Tokens that end a completion."""
        ...

    @property
    def pad_id(self) -> int:
        """What fills the places after a completion's end."""
        ...

    def hidden(self, group: Group) -> Tensor:
        """Last hidden states `[G, C, D]`; the one at (g, j) predicts completion token (g, j).

        Differentiable in every weight that takes a gradient.
        """
        ...

    def enable_gradient_checkpointing(self) -> None:
        """Recompute each layer's activations in the backward pass instead of keeping them."""
        ...

    def freeze_vision(self) -> None:
        """Let the vision tower take no gradient."""
        ...

    def share_videos(self, other: Any) -> bool:
        """Let both use one encoding of each video where that is exact; returns whether they do."""
        ...

    def save(self, folder: str | Path) -> Path:
        """Write a complete transformers folder (config, safetensors, tokenizer, preprocessor)."""
        ...


class PrefixPolicy(Policy, Protocol):
    """A policy whose decoder follows an attention plan: a prompt is computed once for its group."""

    recomputes: bool
    """Gradient checkpointing is on: a training forward keeps nothing of a layer's inside."""

    def positions(self, prompt: Any) -> Tensor:
        """As `Model.positions`, and known."""
        ...

    def hidden_states(
        self,
        text_BN: Tensor,
        places_XBL: Tensor,
        plan: Plan,
        *,
        prompt: Any = None,
        first: int = 0,
    ) -> Tensor:
        """Last hidden states `[B, first + N, D]` of one call of the decoder.

        Args:
            text_BN: ids of text; a video token that was drawn is text as well.
            places_XBL: position of every token on every axis X.
            plan: which token sees which.
            prompt: stands before the text (B is 1), its video in place.
            first: how many tokens of it.
        """
        ...


Load = Callable[[Any, torch.dtype, torch.device], Any]
"""A family's `load(checkpoint, dtype, device) -> Model`, on the CPU and not yet tried."""
