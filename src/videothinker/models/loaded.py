"""Models that transformers loads: what they share, and what one must have to be trained."""

import hashlib
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd

from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models import adapters
from videothinker.models.attention import AttentionPlan
from videothinker.models.base import Group, Model, Prompt, Video
from videothinker.models.border import AGAIN, unheard
from videothinker.models.folders import Base
from videothinker.models.templates import chat_text
from videothinker.models.tensor_file import hand_over
from videothinker.prompts import without_controls

SHARD = 2 << 30
"""Bytes of a weight file: what of a model on a GPU is in main memory at once while it is saved."""


@dataclass(eq=False)
class Loaded(Model):
    """A transformers model and its tokenizer; a family adds what only it knows."""

    model: Any
    tokenizer: Any
    base: Base | None = field(init=False, default=None)
    adapter: str | None = field(init=False, default=None)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def digest(self) -> str:
        """sha256 of the weights as they are now, of adapters the one that is at work."""
        state = self.model.state_dict()
        return digest_weights(adapters.plain_state(state, self.adapter) if self.adapter else state)

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Tokens that end a completion: the generation config's, else the tokenizer's."""
        ids = self.model.generation_config.eos_token_id
        if ids is None:
            ids = self.tokenizer.eos_token_id
        return tuple(ids) if isinstance(ids, list) else (int(ids),)

    @property
    def pad_id(self) -> int:
        """What fills the places after a completion's end."""
        own = self.tokenizer.pad_token_id
        return self.eos_ids[0] if own is None else int(own)

    def decode(self, group: Group) -> list[str]:
        """The completions' texts without special tokens."""
        return [
            self.tokenizer.decode(ids_C[mask_C], skip_special_tokens=True)
            for ids_C, mask_C in zip(group.completion_ids_GC, group.mask_GC, strict=True)
        ]

    def encode(
        self,
        user: str,
        video: Video | None = None,
        *,
        system: str | None = None,
        prefill: str = "",
        max_prompt_tokens: int | None = None,
    ) -> Prompt:
        """One prompt; see `prompt_ids`."""
        pad = self.model.config.video_token_id
        ids_P = prompt_ids(
            self.tokenizer,
            pad,
            user,
            video_tokens=0 if video is None else video.tokens,
            spelled=None if video is None else self.spell_video(video),
            system=system,
            prefill=prefill,
            max_prompt_tokens=max_prompt_tokens,
        )
        return Prompt(ids_P, ids_P == pad, video)

    def spell_video(self, video: Video) -> tuple[str, list[str]] | None:
        """The placeholder in the chat template that a video replaces, and the text in its place.

        The text has a piece per run of video tokens, which stands there as one video token.
        None if the video is a single run in place of its token.
        """
        del video

    @abstractmethod
    def inputs(self, prompt: Prompt) -> dict[str, Any]:
        """The prompt as the library's own forward and `generate` take it, on the device."""


class Policy(Loaded):
    """What can be trained as well."""

    recomputes = False
    """Gradient checkpointing is on: a training forward keeps nothing of a layer's inside."""
    merges = False
    """Rollouts draw with the adapter merged into a copy of the decoder's matrices: quicker, where
    there is memory for the copy. Training says so by its plan."""

    @property
    def lora_targets(self) -> str:
        """What LoRA changes, a pattern of names: every linear map of the language model."""
        return r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"

    @property
    def head_VD(self) -> Tensor:
        """The weight that maps hidden states to logits."""
        return self.model.get_output_embeddings().weight

    @abstractmethod
    def hidden(self, group: Group) -> Tensor:
        """Last hidden states `[G, C, D]`; the one at (g, j) predicts completion token (g, j).

        Differentiable in every weight that takes a gradient.
        """

    @abstractmethod
    def freeze_vision(self) -> None:
        """Let the vision tower take no gradient."""

    def check_trains(self, source: str) -> None:
        """Refuse a model that can only be asked, once it is known to run.

        Raises:
            UserError: its training forward would be of another model.
        """
        del source

    def share_videos(self, other: Any) -> bool:
        """Let both use one encoding of each video where that is exact; returns whether they do."""
        del other
        return False

    def enable_gradient_checkpointing(self) -> None:
        """Recompute each layer's activations in the backward pass instead of keeping them.

        The random state is put back for that only where a layer draws from it.
        """
        how = {"use_reentrant": False, "preserve_rng_state": draws_in_training(self.model)}
        with warnings.catch_warnings():
            # transformers 5.23 renamed it; the old name works in every release we support
            warnings.simplefilter("ignore", FutureWarning)
            self.model.gradient_checkpointing_enable(how)
        self.recomputes = True

    def save(self, folder: str | Path) -> Path:
        """Write a complete transformers folder (config, safetensors, tokenizer, preprocessor)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder, max_shard_size=SHARD)
        self.tokenizer.save_pretrained(folder)
        return folder


class PrefixPolicy(Policy):
    """A policy whose decoder follows an attention plan: a prompt is computed once for its group."""

    @property
    def decoder(self) -> Any:
        """The text model: `layers` of Llama's form, `norm`, `rotary_emb`; rollouts compute one
        token a row from its parts (`generation.decoder`).
        """
        return self.model.model.language_model

    @abstractmethod
    def positions(self, prompt: Prompt) -> Tensor:
        """As `Model.positions`, and known."""

    @abstractmethod
    def hidden_states(
        self,
        text_BN: Tensor,
        places_XBL: Tensor,
        plan: AttentionPlan,
        *,
        prompts: Sequence[Prompt] = (),
    ) -> Tensor:
        """Last hidden states `[B, P + N, D]` of one call of the decoder.

        Args:
            text_BN: ids of text; a video token that was drawn is text as well.
            places_XBL: position of every token on every axis X.
            plan: which token sees which.
            prompts: one before the text of each row, its video in place, padded on the right to
                the longest, P; or none.
        """


def draws_in_training(model: Any) -> bool:
    """Does a training forward draw random numbers: has any of its parts a dropout?

    By its modules, and by every number of its configuration that drops something.
    """
    modules = any(isinstance(one, _DropoutNd) and one.p > 0 for one in model.modules())
    return modules or _drops(model.config.to_dict())


def _drops(settings: Mapping[str, Any]) -> bool:
    return any(
        _drops(value)
        if isinstance(value, Mapping)
        else isinstance(value, int | float) and "drop" in name and value > 0
        for name, value in settings.items()
    )


def prompt_ids(
    tokenizer: Any,
    video_token_id: int,
    user: str,
    *,
    video_tokens: int = 0,
    spelled: tuple[str, list[str]] | None = None,
    system: str | None = None,
    prefill: str = "",
    max_prompt_tokens: int | None = None,
) -> Tensor:
    """Ids of the chat-formatted prompt: system, video, the user's words, `prefill` of the answer.

    Control tokens in `user` and `system` become plain words. The video comes before the words, so
    that questions about one video share a prefix; its one place in the chat template becomes
    `video_tokens`, where there are any, in as many equal runs as `spelled` has pieces (see
    `Loaded.spell_video`).

    Raises:
        UserError: a template of another model, or a prompt longer than `max_prompt_tokens`: it is
            never cut.
    """
    shown = video_tokens > 0
    said = None if system is None else without_controls(system)
    text = chat_text(tokenizer, without_controls(user), video=shown, system=said)
    runs = 1
    if spelled is not None:
        place, pieces = spelled
        runs = len(pieces)
        if text.count(place) != 1:
            raise UserError(
                f"the chat template shows {place} {text.count(place)} times for a video; use the "
                "folder the model was published with"
            )
        text = text.replace(place, "".join(pieces))
    # its expressions may be anybody's
    with unheard(), border("the tokenizer cannot read the prompt", AGAIN):
        found_ids = tokenizer(f"{text}{prefill}", add_special_tokens=False)["input_ids"]
    ids = torch.tensor(found_ids)
    places = ids == video_token_id
    found = int(places.sum())
    if found != shown * runs:
        raise UserError(
            f"the chat template gave {found} video places for {shown * runs} runs of video "
            f"tokens; use the folder the model was published with"
        )
    if shown:
        ids = ids.repeat_interleave(torch.where(places, video_tokens // runs, 1))
    refuse_long(len(ids), video_tokens, max_prompt_tokens, user)
    return ids


def refuse_long(tokens: int, video_tokens: int, limit: int | None, user: str) -> None:
    """Raise `UserError` for a prompt over its limit: it is never cut."""
    if limit is not None and tokens > limit:
        raise UserError(
            f"a prompt of {tokens} tokens ({video_tokens} of them video) came; at most {limit} are "
            f"allowed: use fewer frames or pixels, or raise the limit (prompt: {user[:60]!r})"
        )


@torch.no_grad()
def try_out(found: Any, source: str) -> None:
    """The next token after one word about two black frames; whatever is wrong raises.

    Sizes that fit the weights and still make no model (a rotary section, a window, a head's width)
    show only here.
    """
    rows, ends = len(found.model.get_output_embeddings().weight), found.eos_ids
    if not all(0 <= end < rows for end in ends):
        raise UserError(
            f"{source}: an answer ends with the tokens {list(ends)}, the model has {rows}; correct "
            "eos_token_id in generation_config.json"
        )
    frames = np.zeros((2, 28, 28, 3), dtype=np.uint8)
    prompt = found.encode("Yes?", found.to_video(frames, 1.0, min_pixels=1))
    if not found.model(**found.inputs(prompt)).logits[0, -1].isfinite().all():
        raise UserError(f"{source}: {not_finite(found, prompt, 0)}")


def not_finite(found: Any, prompt: Prompt, drawn: int) -> UserError:
    """What to say of logits that are no numbers after `drawn` tokens of an answer."""
    words = found.tokenizer.decode(prompt.input_ids_P, skip_special_tokens=True)
    numbers = str(found.model.dtype).removeprefix("torch.")
    after = f"after {drawn} tokens of an answer to" if drawn else "at the end of"
    advice = "take another checkpoint" if numbers == "float32" else "give --dtype float32"
    return UserError(
        f"the model's logits are not finite numbers in {numbers} {after} the prompt "
        f"{words[-80:]!r}; {advice}"
    )


def digest_weights(state: Mapping[str, Tensor]) -> str:
    """sha256 over every tensor's name, type, shape and bytes, in the order of names."""
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hand_over(tensor, total.update)
    return total.hexdigest()
