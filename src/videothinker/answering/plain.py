"""LLaVA-OneVision models through transformers' own `generate`, one prompt at a time.

For models of another family that stand in the tables, such as Video-UTR-7B (published as
`Kangheng/Video-UTR-7b`, class LlavaOnevisionForConditionalGeneration). Nothing is shared between
questions but the decoded frames. Frames are resized to the vision tower's square, as the model's
own video processor does (which needs torchvision; this needs Pillow), so pixel budgets of a
protocol do not apply; the size that was used is recorded.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerBase,
)
from transformers.utils.hub import cached_file

from videothinker.errors import UserError
from videothinker.policy.attention import leave_cudnn_out
from videothinker.policy.loading import digest_weights
from videothinker.policy.model import DTYPES, Policy, load_policy
from videothinker.policy.rollout import Sampling
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
        parts = [] if video is None else [{"type": "video"}]
        parts.append({"type": "text", "text": CONTROL_TOKEN.sub(r"< |\1| >", user)})
        messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
        text = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
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
        if sampling.temperature > 0:
            drawn = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0}
            drawn["top_p"] = sampling.top_p
        for index in range(sampling.num_generations):
            with torch.random.fork_rng():
                torch.manual_seed((seed + index) % 2**63)
                out = self.model.generate(
                    **inputs, **drawn, max_new_tokens=sampling.max_completion_length
                )
            new = out[0, ids.shape[1] :]
            ended = bool(torch.isin(new, torch.tensor(self._ends, device=new.device)).any())
            found.append((str(self.tokenizer.decode(new, skip_special_tokens=True)), not ended))
        return found

    @property
    def _ends(self) -> list[int]:
        own: Any = self.model.generation_config.eos_token_id
        ids: Any = self.tokenizer.eos_token_id if own is None else own
        return ids if isinstance(ids, list) else [int(ids)]


def load_model(source: str, *, dtype: str = "float32", device: str = "cpu") -> Policy | PlainModel:
    """Qwen2.5-VL into our engine, LLaVA-OneVision as it is, anything else is refused.

    Raises:
        UserError: another architecture, or weights that cannot be read.
    """
    if _model_type(source) != ARCHITECTURE:
        return load_policy(source, dtype=dtype, device=device)
    try:
        model = LlavaOnevisionForConditionalGeneration.from_pretrained(
            source, dtype=DTYPES[dtype], use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{source} could not be loaded ({reason}); give a LLaVA-OneVision folder or hub id"
        ) from error
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _chat_template(source)
    leave_cudnn_out(torch.device(device))
    model.eval()
    model.to(torch.device(device))  # pyright: ignore[reportArgumentType]  a stub of the library
    return PlainModel(model, tokenizer)


def _model_type(source: str) -> str | None:
    config = Path(source) / "config.json"
    if config.is_file():
        return json.loads(config.read_text(encoding="utf-8")).get("model_type")
    if Path(source).exists() or source.count("/") != 1:
        return None
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False).model_type
    except (OSError, ValueError):
        return None  # the engine's loader says what is wrong


def _chat_template(source: str) -> str:
    """The template that published folders keep beside the tokenizer."""
    found = cached_file(source, "chat_template.json")
    if found is None:
        raise UserError(
            f"{source} has no chat template; use the folder the model was published with"
        )
    return json.loads(Path(found).read_text(encoding="utf-8"))["chat_template"]
