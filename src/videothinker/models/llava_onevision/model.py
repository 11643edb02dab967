"""LLaVA-OneVision models through transformers' own `generate`, one prompt at a time.

For models of another family that stand in the tables, such as Video-UTR-7B (published as
`Kangheng/Video-UTR-7b`, class LlavaOnevisionForConditionalGeneration). Nothing is shared between
questions but the decoded frames. Frames are resized to the vision tower's square, as the model's
own video processor does (which needs torchvision; this needs Pillow), so pixel budgets of a
protocol do not apply; the size that was used is recorded.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    LlavaOnevisionForConditionalGeneration,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerBase,
)

from videothinker.errors import UserError
from videothinker.generation.shared_prefix import Sampling
from videothinker.models.attention import leave_cudnn_out
from videothinker.models.border import RUNS_NOT, border
from videothinker.models.folders import complete_folder
from videothinker.models.placement import AUTO, DTYPES, resolve_dtype, where_auto_runs
from videothinker.models.qwen2_5_vl.loading import (
    SUPPORTED,
    digest_weights,
    open_checkpoint,
    read_tokenizer,
    read_weights,
    refuse_not_finite,
)
from videothinker.models.qwen2_5_vl.model import Policy, load_policy
from videothinker.models.templates import chat_text
from videothinker.prompts import CONTROL_TOKEN

ARCHITECTURE = "llava_onevision"
MEAN = STD = 0.5
"""SigLIP's: pixels from -1 to 1."""


@dataclass(frozen=True, eq=False)
class PlainVideo:
    """Frames as the vision tower takes them: float32 `[1, T, 3, side, side]`."""

    pixel_values: torch.Tensor


@dataclass(frozen=True, eq=False)
class PlainPrompt:
    """One prompt: token ids `[P]` with the video's places filled in, and the video."""

    input_ids_P: torch.Tensor
    video: PlainVideo | None

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt, video tokens included."""
        return len(self.input_ids_P)

    @property
    def frames(self) -> int:
        """How many frames are shown."""
        return 0 if self.video is None else self.video.pixel_values.shape[1]

    @property
    def height(self) -> int:
        """Pixels of a frame as the model sees it."""
        return 0 if self.video is None else self.video.pixel_values.shape[3]

    @property
    def width(self) -> int:
        """Pixels of a frame as the model sees it."""
        return 0 if self.video is None else self.video.pixel_values.shape[4]


@dataclass(eq=False)
class PlainModel:
    """A LLaVA-OneVision model that can be asked like a `Policy`."""

    model: Any
    tokenizer: PreTrainedTokenizerBase

    @cached_property
    def digest(self) -> str:
        """sha256 of the weights."""
        return digest_weights(self.model.state_dict())

    def to_video(
        self,
        frames_THW3: np.ndarray,
        seconds: float,
        *,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
    ) -> PlainVideo:
        """Resize to the tower's square (bicubic) and scale to [-1, 1]; it takes no time."""
        del seconds, min_pixels, max_pixels
        side = self.model.config.vision_config.image_size
        resized = [
            np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC))
            for frame in frames_THW3
        ]
        values = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
        return PlainVideo(((values - MEAN) / STD)[None])

    def encode(
        self,
        user: str,
        video: PlainVideo | None = None,
        *,
        system: str | None = None,
        prefill: str = "",
    ) -> PlainPrompt:
        """The chat-formatted prompt, with as many video tokens as the tower will give."""
        said = None if system is None else CONTROL_TOKEN.sub(r"< |\1| >", system)
        words = CONTROL_TOKEN.sub(r"< |\1| >", user)
        shown = video is not None
        text = chat_text(self.tokenizer, words, video=shown, system=said, listed=True)
        ids = self.tokenizer(f"{text}{prefill}", add_special_tokens=False)["input_ids"]
        place = self.model.config.video_token_id
        if ids.count(place) != (video is not None):
            raise UserError(
                f"the chat template gave {ids.count(place)} video places for "
                f"{int(video is not None)} videos; use the folder the model was published with"
            )
        if video is not None:
            at = ids.index(place)
            ids = [*ids[:at], *[place] * self._video_tokens(video), *ids[at + 1 :]]
        return PlainPrompt(torch.tensor(ids), video)

    def _video_tokens(self, video: PlainVideo) -> int:
        """Every frame's grid is pooled 2 x 2, and one token ends the video."""
        tower = self.model.config.vision_config
        side = -(-(tower.image_size // tower.patch_size) // 2)
        return video.pixel_values.shape[1] * side * side + 1

    @torch.no_grad()
    def answer(self, prompt: PlainPrompt, sampling: Sampling, seed: int) -> list[tuple[str, bool]]:
        """`num_generations` texts, each with whether it was cut off at the length limit."""
        found: list[tuple[str, bool]] = []
        ids = prompt.input_ids_P[None].to(self.model.device)
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if prompt.video is not None:
            values = prompt.video.pixel_values.to(self.model.device, self.model.dtype)
            inputs["pixel_values_videos"] = values
        drawn: dict[str, Any] = {"do_sample": False}
        watched = LogitsProcessorList([_Finite()])
        if sampling.temperature > 0:
            drawn = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0}
            drawn["top_p"] = sampling.top_p
        for index in range(sampling.num_generations):
            with torch.random.fork_rng():
                torch.manual_seed((seed + index) % 2**63)
                out = self.model.generate(
                    **inputs,
                    **drawn,
                    max_new_tokens=sampling.max_completion_length,
                    logits_processor=watched,
                )
            new = out[0, ids.shape[1] :]
            ended = bool(torch.isin(new, torch.tensor(self._ends, device=new.device)).any())
            found.append((str(self.tokenizer.decode(new, skip_special_tokens=True)), not ended))
        return found

    def try_out(self) -> None:
        """One token about one black frame; whatever is wrong raises."""
        side = self.model.config.vision_config.image_size
        video = PlainVideo(torch.zeros(1, 1, 3, side, side))
        self.answer(self.encode("Yes?", video), Sampling(1, 1, temperature=0.0), 0)

    @property
    def _ends(self) -> list[int]:
        own: Any = self.model.generation_config.eos_token_id
        ids: Any = self.tokenizer.eos_token_id if own is None else own
        return ids if isinstance(ids, list) else [int(ids)]


class _Finite(LogitsProcessor):
    """Ends an answer whose next token cannot be chosen."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` as they came; raises `UserError` where they are not finite."""
        if not scores.isfinite().all():
            raise UserError(
                f"the model's logits after {input_ids.shape[1]} tokens are not finite numbers in "
                f"{scores.dtype}; give --dtype float32, or take another checkpoint"
            )
        return scores


def load_model(source: str, *, dtype: str = AUTO, device: str = AUTO) -> Policy | PlainModel:
    """Qwen2.5-VL into our engine, LLaVA-OneVision as it is, anything else is refused.

    Raises:
        UserError: another architecture, or weights that cannot be read.
    """
    checkpoint = open_checkpoint(complete_folder(source), SUPPORTED)
    if checkpoint.kind != ARCHITECTURE:
        return load_policy(source, dtype=dtype, device=device)
    numbers = DTYPES[resolve_dtype(dtype, checkpoint.dtype, source)]
    place = torch.device(where_auto_runs() if device == AUTO else device)
    model = read_weights(checkpoint, LlavaOnevisionForConditionalGeneration, numbers)
    tokenizer = read_tokenizer(checkpoint, model, listed=True)
    leave_cudnn_out(place)
    with border(f"{source} could not be put on {place}", "give another --device or --dtype"):
        model.to(place)
    refuse_not_finite(model, checkpoint, numbers)
    found = PlainModel(model, tokenizer)
    with border(f"{source}: its model cannot be run", RUNS_NOT):
        found.try_out()
    return found
