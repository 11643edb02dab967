"""The contract of a model family: what can be asked; what trains too is a `loaded.Policy`.

`ask`, `diagnose --probe`, `evaluate` and `train` know nothing else of a model. A family is one
folder with a `load` and one line in `catalog`; how it generates is a file of
`videothinker.generation`, which `Model.generator` names. A model served elsewhere is a `Model` too
(`answering.served`). How different ones fit:

* Tower features that enter several decoder layers (DeepStack): a family makes every direct call of
  its decoder in its own `hidden_states`, so they pass there, in training and decoding alike.
* A video in several runs of tokens, with timestamps as text between: `Loaded.spell_video` and
  `positions` are the family's, and `Prompt.video_P` marks tokens wherever they stand.
* Any transformers model, prompt repeated: `plain.model`, a `Policy` whose `hidden` runs G whole
  sequences, with the generator "plain". Only "shared_prefix" asks for a `PrefixPolicy`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Video:
    """Frames prepared once for several questions; a family adds what its tower takes."""

    frames: int
    """How many are shown."""
    height: int
    width: int
    """Pixels of a frame as the model sees it."""
    tokens: int
    """Places in a prompt."""
    digest: str
    """The same where the tower sees the same."""
    second_per_grid: float | None = None
    """Seconds one step of the temporal grid lasts; None without such a grid."""

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        held = [one.values() if isinstance(one, Mapping) else [one] for one in vars(self).values()]
        return sum(one.nbytes for some in held for one in some if isinstance(one, Tensor))


@dataclass(frozen=True, eq=False)
class Prompt:
    """One encoded prompt: token ids (int64, on the CPU), and which of them stand for the video."""

    input_ids_P: Tensor
    video_P: Tensor
    video: Any = None
    """A `Video` of the family that is asked, or None."""

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt, video tokens included."""
        return len(self.input_ids_P)

    def beginning(self, length: int) -> "Prompt":
        """Its first `length` tokens."""
        ids_P, video_P = self.input_ids_P[:length], self.video_P[:length]
        return replace(self, input_ids_P=ids_P, video_P=video_P)

    @property
    def frames(self) -> int:
        """How many frames are shown."""
        return 0 if self.video is None else self.video.frames

    @property
    def height(self) -> int:
        """Pixels of a frame."""
        return 0 if self.video is None else self.video.height

    @property
    def width(self) -> int:
        """Pixels of a frame."""
        return 0 if self.video is None else self.video.width


@dataclass(eq=False)
class Group:
    """One prompt and its G completions, padded to the longest of them; tensors on the CPU.

    `mask_GC` is true on sampled tokens, the end token included; `truncated_G` where none came.
    The ids of a served model are the bytes of its text.
    """

    prompt: Prompt
    completion_ids_GC: Tensor
    mask_GC: Tensor
    truncated_G: Tensor
    errors: Mapping[int, str] = field(default_factory=dict)
    """Of completions that a served model did not give: why."""


class Model(Protocol):
    """What can be asked."""

    generator: str
    """Its way to generate: a name in `generation.base.GENERATORS`."""

    @property
    def digest(self) -> str:
        """What tells this model from others in records: sha256 of its weights as they are now."""
        ...

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        times: Sequence[float] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> Any:
        """Frames (uint8) of a clip that lasts `seconds`, prepared once for several questions.

        `times` are when each is shown, seconds, for models that are told so in words; None takes
        them evenly from 0. Pixel bounds are a frame's height times width; None takes the model's
        own.
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
    ) -> Prompt:
        """The chat-formatted prompt: system, video, the user's words, `prefill` of the answer.

        Raises:
            UserError: a prompt longer than `max_prompt_tokens`; it is never cut.
        """
        ...

    def positions(self, prompt: Prompt) -> Tensor | None:
        """Where each token stands, int64 `[X, P]` on the CPU; None where it is not known."""
        ...

    def decode(self, group: Group) -> list[str]:
        """The completions' texts without special tokens."""
        ...


Load = Callable[[Any, torch.dtype, torch.device], Any]
"""A family's `load(checkpoint, dtype, device) -> Model`, on the CPU and not yet tried."""
