"""Any image-and-text model of transformers as a policy: its own forward and `generate`, unshared.

Slower than the engine, since prompt and video are computed again for every completion. What only a
family knows is its `frames.PlainFrames`.
"""

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models import base
from videothinker.models.checkpoint import Checkpoint
from videothinker.models.loaded import Policy, refuse_long
from videothinker.models.loading import bare_tokenizer, check_tokenizer, read_weights
from videothinker.models.plain.frames import PlainFrames, PlainPrompt, PlainVideo
from videothinker.models.plain.kinds import CLASSES
from videothinker.models.positions import continued
from videothinker.models.templates import chat_text

KERNELS = "transformers.integrations.hub_kernels"
"""Where transformers warns of every kernel that it has in plain torch alone."""
AS = {"qwen3_5_moe": "qwen3_5", "qwen3_vl_moe": "qwen3_5"}
"""Families with the frames and words of another, by the same published processor."""
KEPT = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
"""Files of a folder that say how frames are prepared; what is trained keeps them."""


@dataclass(eq=False)
class Plain(Policy):
    """`model` is of any class behind `AutoModelForImageTextToText`."""

    frames: PlainFrames
    generator: str = field(init=False, default="plain")

    def to_video(self, frames_THW3: np.ndarray, seconds: float, **how: Any) -> PlainVideo:
        """See `base.Model` and `PlainFrames.to_video`."""
        return self.frames.to_video(frames_THW3, seconds, **how)

    def encode(
        self,
        user: str,
        video: base.Video | None = None,
        *,
        system: str | None = None,
        prefill: str = "",
        max_prompt_tokens: int | None = None,
    ) -> PlainPrompt:
        """See `base.Model`; the tokenizer's special tokens in words become plain words."""
        said = None if system is None else self._harmless(system)
        words, shown = self._harmless(user), video is not None
        text = chat_text(self.tokenizer, words, video=shown, system=said, listed=True)
        prompt = self.frames.read(f"{text}{prefill}", video)
        tokens = 0 if video is None else video.tokens
        refuse_long(prompt.prompt_tokens, tokens, max_prompt_tokens, user)
        return prompt

    def _harmless(self, words: str) -> str:
        """`<video>` becomes `< video>`: ordinary characters to tokenizer and `PlainFrames`."""
        added = self.tokenizer.added_tokens_decoder.values()
        special = {
            str(one.content) for one in added if one.special and len(one.content.strip()) > 1
        }
        broken = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))))
        place = self.frames.place  # of some families it is no token
        words = broken.sub(lambda found: f"{found[0][0]} {found[0][1:]}", words)
        return words.replace(place, f"{place[0]} {place[1:]}")

    def spell_video(self, video: base.Video) -> tuple[str, list[str]]:
        """Its words in one piece, a run of placeholders as one."""
        assert isinstance(video, PlainVideo)
        words = video.words
        for mark in self.tokenizer.convert_ids_to_tokens(self.frames.placeholders):
            words = re.sub(f"({re.escape(mark)})+", r"\1", words)
        return self.frames.place, [words]

    def positions(self, prompt: base.Prompt) -> Tensor | None:
        """Known of few families."""
        return self.frames.positions(prompt)

    def inputs(self, prompt: base.Prompt, more_C: Tensor | None = None) -> dict[str, Any]:
        """As the library takes it, with `more_C` text tokens behind it."""
        more_C = torch.empty(0, dtype=torch.long) if more_C is None else more_C
        count = len(more_C)
        ids_1L = torch.cat([prompt.input_ids_P, more_C])[None].to(self.device)
        given: dict[str, Any] = {"input_ids": ids_1L, "attention_mask": torch.ones_like(ids_1L)}
        kinds = prompt.kinds if isinstance(prompt, PlainPrompt) else {}
        for name, kinds_P in kinds.items():
            given[name] = pad(kinds_P, (0, count))[None].to(self.device)
        if prompt.video is None:
            return given
        for name, value in prompt.video.values.items():
            wide = self.model.dtype if value.is_floating_point() else value.dtype
            given[name] = value.to(self.device, wide)
        places_XP = self.positions(prompt)
        if places_XP is not None and len(places_XP) > 1:
            given["position_ids"] = continued(places_XP, count)[:, None].to(self.device)
        return given

    def hidden(self, group: base.Group) -> Tensor:
        """See `loaded.Policy`; every completion follows a prompt of its own."""
        first, rows = group.prompt.prompt_tokens - 1, []
        for ids_C, mask_C in zip(group.completion_ids_GC, group.mask_GC, strict=True):
            drawn_C = ids_C[: max(1, int(mask_C.sum()))][:-1]
            with self._read_as_text(first + 1, drawn_C) as safe_C:
                given = self.inputs(group.prompt, safe_C)
                states_1LD = self.model.base_model(**given, use_cache=False).last_hidden_state
            rows.append(states_1LD[0, first:])
        hidden_GCD = pad_sequence(rows, batch_first=True)
        return pad(hidden_GCD, (0, 0, 0, group.mask_GC.shape[1] - hidden_GCD.shape[1]))

    @contextmanager
    def _read_as_text(self, start: int, drawn_C: Tensor) -> Iterator[Tensor]:
        """Inside, a placeholder that was drawn is text, as it is where the library decodes.

        A forward over the whole sequence would look for a video in its place: so it is given
        another id there, and the embedding of the one that was drawn.
        """
        odd_C = torch.isin(drawn_C, torch.tensor(self.frames.placeholders))
        if not odd_C.any():
            yield drawn_C
            return

        def swap(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            if args[0].shape[-1] != start + len(drawn_C):
                return args
            ids_1L = args[0].clone()
            ids_1L[0, start:] = drawn_C.to(ids_1L.device)
            return (ids_1L, *args[1:])

        hook = self.model.get_input_embeddings().register_forward_pre_hook(swap)
        try:
            yield drawn_C.masked_fill(odd_C, self.eos_ids[0])
        finally:
            hook.remove()

    @property
    def lora_targets(self) -> str:
        """Every linear map of the language model, by its full name."""
        prefix, decoder = self._decoder()
        maps = {n for n, one in decoder.named_modules() if isinstance(one, nn.Linear)}
        leaves = "|".join(sorted({re.escape(name.rpartition(".")[2]) for name in maps}))
        return rf"{re.escape(prefix)}\..*\.({leaves})"

    def freeze_vision(self) -> None:
        """Let nothing but the language model and its head take a gradient."""
        _, decoder = self._decoder()
        self.model.requires_grad_(requires_grad=False)
        for part in (decoder, self.model.get_output_embeddings()):
            part.requires_grad_(requires_grad=True)

    def _decoder(self) -> tuple[str, nn.Module]:
        """The language model apart from the tower, and its name."""
        found = self.model.get_decoder()
        name = next(name for name, one in self.model.named_modules() if one is found)
        if not name:
            raise UserError(
                f"{type(self.model).__name__} does not tell its language model from its tower; "
                "train all of it: without --lora-rank and --freeze-vision"
            )
        return name, found

    def enable_gradient_checkpointing(self) -> None:
        """See `loaded.Policy`; a few classes cannot."""
        with border(f"{type(self.model).__name__} cannot", "give --no-gradient-checkpointing"):
            super().enable_gradient_checkpointing()

    @torch.no_grad()
    def check_trains(self, source: str) -> None:
        """Its logits must be its hidden states times the head, or training would be of another."""
        video = self.to_video(np.zeros((2, 28, 28, 3), dtype=np.uint8), 1.0, min_pixels=1)
        prompt = self.encode("Yes?", video)
        told_V = self.model(**self.inputs(prompt)).logits[0, -1].float()
        one_11 = torch.full((1, 1), self.eos_ids[0])
        group = base.Group(prompt, one_11, one_11 >= 0, torch.tensor([False]))
        found_V = (self.hidden(group)[0, 0] @ self.head_VD.T).float()
        bound = max(1e-5, 4 * torch.finfo(self.model.dtype).eps) * float(told_V.abs().max())
        if told_V.shape != found_V.shape or float((told_V - found_V).abs().max()) > bound:
            raise UserError(
                f"{source}: {type(self.model).__name__} changes its logits after the head (a cap, "
                "a scale or a bias), which training does not know; it can be asked, evaluated and "
                "probed: train a model of another family"
            )

    def save(self, folder: str | Path) -> Path:
        """See `loaded.Policy`."""
        folder = super().save(folder)
        for name in KEPT:
            if (self.frames.folder / name).is_file():
                shutil.copyfile(self.frames.folder / name, folder / name)
        return folder


def load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Plain:
    """Model (in evaluation mode), tokenizer and frames of a folder.

    Raises:
        UserError: the parts of the folder do not fit each other, or its processor cannot be used.
    """
    del device
    # that it is slow is said once, by the command; this line would come again for each kernel
    logging.getLogger(KERNELS).setLevel(logging.ERROR)
    model = read_weights(checkpoint, getattr(transformers, CLASSES[checkpoint.kind]), dtype)
    tokenizer = bare_tokenizer(str(checkpoint.folder), model.config)
    own = f"{__package__}.{AS.get(checkpoint.kind, checkpoint.kind)}"
    module = own if find_spec(own) else f"{__package__}.processor"
    frames = import_module(module).FRAMES(checkpoint.folder, model.config, tokenizer)
    check_tokenizer(checkpoint.folder, tokenizer, model, frames.place, listed=True)
    return Plain(model, tokenizer, frames)
