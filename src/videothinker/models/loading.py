"""A checkpoint to weights and a tokenizer, or one sentence why not.

What a folder says is parsed and checked before a library sees it (`checkpoint`); what the library
makes of it is checked again here, because it fills in what is missing and leaves out what is new.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from videothinker import hub
from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models.border import AGAIN, parse, read_object, unheard
from videothinker.models.checkpoint import Checkpoint, read_checkpoint
from videothinker.models.templates import chat_text
from videothinker.models.tokenizer_file import refuse_growth


@dataclass(frozen=True)
class TemplateFile:
    """`chat_template.json`: where processors kept the template before `chat_template.jinja`."""

    chat_template: str


def open_checkpoint(source: str | Path, kinds: Mapping[str, str | None]) -> Checkpoint:
    """The checkpoint in a folder, or of a hub id, which is fetched.

    Raises:
        UserError: no such folder or hub id, or see `read_checkpoint`.
    """
    folder = Path(source)
    return read_checkpoint(folder if folder.is_dir() else hub.fetch_id(str(source)), kinds)


def read_weights(checkpoint: Checkpoint, kind: Any, dtype: torch.dtype) -> Any:
    """The model of transformers' class `kind`, with exactly the tensors that the folder holds.

    Raises:
        UserError: a config of no model, or tensors that are missing, too many or of other shapes.
    """
    folder = checkpoint.folder
    with _silent(), border(f"{folder}/config.json describes no {kind.__name__}", AGAIN):
        config = kind.config_class.from_pretrained(folder, local_files_only=True)
    with _silent(), border(f"{folder} could not be loaded", "give a complete model folder"):
        _check_size(checkpoint, kind, config)
        model, info = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # they are told below, by name
            output_loading_info=True,
        )
    shapes = [
        f"{name} of {list(has)} for {list(needs)}" for name, has, needs in info["mismatched_keys"]
    ]
    for what, names in (
        ("lack", info["missing_keys"]),
        ("hold, beyond the config,", info["unexpected_keys"]),
        ("hold in another shape", shapes),
    ):
        if names:
            told = f"{len(names)} tensor{'s' * (len(names) > 1)} ({', '.join(sorted(names)[:3])})"
            raise UserError(
                f"{folder}: the weights {what} {told}, so that config.json and weights are not of "
                "one model; take both from one"
            )
    head, embeddings = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    if config.tie_word_embeddings and head is not embeddings:
        raise UserError(
            f"{folder}: config.json says that the head is the embeddings, and the weights hold "
            "another head; set tie_word_embeddings to false, or take both from one model"
        )
    return model.eval()


def _check_size(checkpoint: Checkpoint, kind: Any, config: Any) -> None:
    """Refuse a config of a far larger model than the weights are, before it takes memory."""
    folder, parts = checkpoint.folder, (config, *(getattr(config, n) for n in config.sub_configs))
    for part in parts:
        for name in ("num_hidden_layers", "depth"):
            if getattr(part, name, 0) > len(checkpoint.tensors):
                raise UserError(
                    f"{folder}: config.json has {name} {getattr(part, name)}, the weights have "
                    f"{len(checkpoint.tensors)} tensors in all; take both from one model"
                )
    described = _count(kind, type(config), (folder / "config.json").read_bytes())
    if described > 2 * checkpoint.parameters:
        raise UserError(
            f"{folder}: config.json describes {described:,} parameters, the weights hold "
            f"{checkpoint.parameters:,}; take both from one model"
        )


@lru_cache(maxsize=8)
def _count(kind: Any, config: Any, described: bytes) -> int:
    """Parameters of a config.json; policy and bias model, or a model and its base, have one."""
    with torch.device("meta"):
        model = kind(config.from_dict(json.loads(described)))
    return sum(weight.numel() for weight in model.parameters())


def read_tokenizer(checkpoint: Checkpoint, model: Any) -> PreTrainedTokenizerBase:
    """The tokenizer, with a chat template that was tried, and ids that the model has.

    Raises:
        UserError: it cannot be read, does not fit the model, or its template does not work.
    """
    tokenizer = bare_tokenizer(str(checkpoint.folder), model.config)
    number = model.config.video_token_id
    if number not in tokenizer.get_vocab().values():
        raise UserError(
            f"{checkpoint.folder}: config.json has video_token_id {number}, which is no token of "
            "its tokenizer; take both from one model"
        )
    place = str(tokenizer.convert_ids_to_tokens(number))
    check_tokenizer(checkpoint.folder, tokenizer, model, place)
    return tokenizer


def check_tokenizer(
    folder: Path, tokenizer: Any, model: Any, place: str, *, listed: bool = False
) -> None:
    """Refuse ids that the model has not, and a template that does not show `place` for a video.

    `listed`: see `chat_text`.

    Raises:
        UserError: with what is wrong.
    """
    highest = max(tokenizer.get_vocab().values(), default=0)
    rows = len(model.get_input_embeddings().weight)
    if highest >= rows:
        raise UserError(
            f"{folder}: its tokenizer has tokens up to {highest}, the model {rows} embeddings; "
            "take both from one model"
        )
    for video in (False, True):
        try:
            shown = chat_text(tokenizer, "", video=video, listed=listed).count(place)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from error
        if shown != video:
            raise UserError(
                f"{folder}: the chat template shows the video token {place} {shown} times for "
                f"{int(video)} videos; {AGAIN}"
            )


def bare_tokenizer(source: str, config: Any = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder, or of a hub id that was fetched before, untried.

    `config` is its model's, which the library reads where none is given.

    Raises:
        UserError: it cannot be read.
    """
    # the library writes this word into what it saves: only a hub id needs it
    fetched = {} if Path(source).is_dir() else {"local_files_only": True}
    if (file := Path(source) / "tokenizer.json").is_file():
        refuse_growth(read_object(file), file)
    with _silent(), unheard(), border(f"{source}: its tokenizer could not be loaded", AGAIN):
        tokenizer = AutoTokenizer.from_pretrained(
            source, config=config, trust_remote_code=False, **fetched
        )
    old = Path(source) / "chat_template.json"
    if tokenizer.chat_template is None and old.is_file():
        tokenizer.chat_template = parse(TemplateFile, read_object(old), old).chat_template
    return tokenizer


def refuse_not_finite(model: nn.Module, checkpoint: Checkpoint, dtype: torch.dtype) -> None:
    """Refuse weights that hold nan or infinity; the first is named.

    A sum is finite only where all its terms are, so one number a tensor is looked at.
    """
    weights = list(model.named_parameters())
    sums = torch.stack([weight.detach().sum() for _, weight in weights])
    odd = [
        name
        for (name, weight), fine in zip(weights, sums.isfinite().tolist(), strict=True)
        if not fine and not weight.isfinite().all()  # a sum can overflow where no term is infinite
    ]
    if not odd:
        return
    narrowed = dtype == torch.float16 and checkpoint.dtype != "float16"
    raise UserError(
        f"{checkpoint.folder}: {len(odd)} of {len(weights)} weights hold values that are not "
        f"finite numbers, the first is {odd[0]}; "
        + ("give --dtype float32" if narrowed else "take a checkpoint from before that")
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Inside, transformers neither draws bars nor warns: what is wrong is said in one sentence."""
    usual = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(usual)
