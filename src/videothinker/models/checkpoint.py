"""What a model folder holds, read before anything is loaded: its kind, its dtype, its tensors.

Everything is told by `config.json` and the headers of the weights, so that a folder that cannot be
used is refused in a moment, and a model is counted before it takes memory. Standard library alone.
"""

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videothinker.errors import UserError
from videothinker.files import border, load_json
from videothinker.models.border import AGAIN, parse, read_object
from videothinker.models.folders import no_model

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
OBJECTS = (
    *("generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"),
)
"""What may lie beside `config.json` in a published folder."""
PICKLES = ("*.bin", "*.pt", "*.pth")
PLAIN = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
"""Types of weights that are run, as safetensors and as torch call them."""
NO_WEIGHTS = ("position_ids", "inv_freq")
"""Ends of the names of constants that old checkpoints hold beside their weights."""
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the format."""
POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class ConfigFile:
    """What is read of `config.json` here; the model's own class reads the rest."""

    model_type: str
    dtype: str | None = None
    torch_dtype: str | None = None
    quantization_config: dict[str, Any] | None = None
    text_config: dict[str, Any] | None = None
    vision_config: dict[str, Any] | None = None


@dataclass(frozen=True)
class NestedConfig:
    """The same of the language model's part."""

    dtype: str | None = None
    torch_dtype: str | None = None
    quantization_config: dict[str, Any] | None = None


@dataclass(frozen=True)
class GenerationFile:
    """What is read of `generation_config.json`."""

    bos_token_id: int | list[int] | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None


@dataclass(frozen=True)
class IndexFile:
    """`model.safetensors.index.json`: tensor name -> file."""

    weight_map: dict[str, str]


@dataclass(frozen=True)
class Stored:
    """A tensor as a header describes it."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose files are there, whole, and of a form that can be run."""

    folder: Path
    kind: str
    """`model_type` of its config."""
    dtype: str
    """The config's; where it has none, that of most weights."""
    tensors: Mapping[str, Stored]

    @property
    def parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def read_checkpoint(folder: Path, kinds: Mapping[str, str | None]) -> Checkpoint:
    """The checkpoint in `folder`; `kinds` says which `model_type`s are supported, with their names.

    A kind without a name runs by the plain path as well.

    Raises:
        UserError: files that are missing, damaged or cut off, another kind of model, weights that
            are pickled, quantized or empty, or an index that points out of the folder.
    """
    if not (folder / "config.json").is_file():
        raise no_model(folder)
    content = read_object(folder / "config.json")
    config = parse(ConfigFile, content, folder / "config.json")
    if config.model_type not in kinds:
        raise UserError(_unknown(folder, config.model_type, kinds))
    text = parse(NestedConfig, config.text_config or {}, f"{folder}/config.json, text_config")
    _refuse_quantized(folder, config.quantization_config or text.quantization_config)
    for name in OBJECTS:  # whoever reads them next takes them for objects
        if os.path.lexists(folder / name):
            content = read_object(folder / name)
            if name == "generation_config.json":
                parse(GenerationFile, content, folder / name)
    tensors: dict[str, Stored] = {}
    for file in _weight_files(folder):
        for name, tensor in read_header(file).items():
            if name in tensors:
                raise UserError(f"{folder} holds the tensor {name} in two files; {AGAIN}")
            tensors[name] = tensor
    refuse_odd_tensors(folder, tensors)
    said = config.dtype or config.torch_dtype or text.dtype or text.torch_dtype
    return Checkpoint(folder, config.model_type, said or _commonest(tensors), tensors)


def _unknown(folder: Path, kind: str, kinds: Mapping[str, str | None]) -> str:
    named = ", ".join(f"{one!r} ({name})" for one, name in kinds.items() if name)
    plain = [one for one, name in kinds.items() if not name]
    more = f"; so {'is' if len(plain) == 1 else 'are'}, by the plain path, " if plain else ""
    return (
        f"{folder} holds a model of type {kind!r}; only {named} "
        f"{'is' if named.count('(') == 1 else 'are'} supported{more}{', '.join(sorted(plain))}: "
        "choose another model"
    )


def _refuse_quantized(folder: Path, found: Mapping[str, Any] | None) -> None:
    if found is None:
        return
    method = found.get("quant_method") or found.get("quant_type") or "of an unnamed method"
    bits = found.get("bits") or found.get("w_bit") or 4 * bool(found.get("load_in_4bit"))
    told = f"{method}, {bits} bits" if bits else f"{method}"
    raise UserError(
        f"{folder} holds quantized weights ({told}); only plain float32, bfloat16 and float16 "
        "weights are run: give the model that it was made from"
    )


def _weight_files(folder: Path) -> list[Path]:
    """The files of the weights; all of them lie in the folder and are there."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        found = parse(IndexFile, read_object(folder / INDEX), folder / INDEX)
        shards = sorted(set(found.weight_map.values()))
        for name in shards:
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise UserError(
                    f"{folder / INDEX} names the weight file {name!r}; only safetensors in the "
                    f"folder itself are read: {AGAIN}"
                )
        there = {path.name for path in folder.iterdir() if path.is_file()}
        missing = [name for name in shards if name not in there]
        if missing or not shards:
            raise UserError(
                f"{folder} lacks {len(missing)} of {len(shards)} weight files "
                f"({', '.join(name[:100] for name in missing[:3])}); download the model again"
            )
        return [folder / name for name in shards]
    if any(any(folder.glob(pattern)) for pattern in PICKLES):
        raise UserError(
            f"{folder} holds only pickled weights, which can run code when read; "
            "only safetensors are allowed: convert the weights first"
        )
    raise UserError(
        f"{folder} has no weights ({WEIGHTS} or {INDEX}); point to the complete folder of a model"
    )


def read_header(path: Path) -> dict[str, Stored]:
    """Name -> tensor of one safetensors file, whose size is held against what its header says.

    Raises:
        UserError: absent, empty, cut off, a stand-in of Git LFS, or not safetensors.
    """
    if not path.is_file():
        raise UserError(f"{path} is not there; {AGAIN}")
    not_weights = f"{path} is not a safetensors file"
    with border(not_weights, AGAIN), path.open("rb") as file:
        size = path.stat().st_size
        if not size:
            raise UserError(f"{path} is empty (0 bytes); download it again")
        start = file.read(len(POINTER))
        if start == POINTER:
            raise UserError(
                f"{path} is a pointer of Git LFS, not the weights themselves; "
                "run `git lfs pull` in its folder"
            )
        length = int.from_bytes(start[:8], "little")
        if length > LONGEST_HEADER or start[8:9] not in (b"{", b""):
            raise UserError(f"{not_weights} (it begins with {start[:16]!r}); {AGAIN}")
        if size < 8 + length:
            raise UserError(
                f"{path} is cut off within its header ({size:,} of at least {8 + length:,} bytes); "
                "download it again"
            )
        file.seek(8)
        header = _header(file.read(length), path)
    end = 8 + length + max((tensor.data_offsets[1] for tensor in header.values()), default=0)
    if size < end:
        raise UserError(f"{path} is cut off ({size:,} of {end:,} bytes); download it again")
    return header


def _header(raw: bytes, path: Path) -> dict[str, Stored]:
    content = load_json(raw.decode("utf-8"))
    if not isinstance(content, dict):
        raise TypeError("its header is no object")
    found = {
        name: parse(Stored, entry, f"{path}, tensor {name}")
        for name, entry in content.items()
        if name != "__metadata__"
    }
    for name, tensor in found.items():
        if len(tensor.data_offsets) != 2 or min([*tensor.shape, *tensor.data_offsets]) < 0:
            raise ValueError(f"tensor {name} is nowhere in the file")
    return found


def refuse_odd_tensors(folder: Path, tensors: Mapping[str, Stored]) -> None:
    """Weights that hold nothing, or numbers of a type that only a quantizer's code can read."""
    for name, tensor in tensors.items():
        if not math.prod(tensor.shape):
            raise UserError(
                f"{folder}: the tensor {name} is empty (shape {tensor.shape}), as a sharded "
                "training (ZeRO-3, FSDP) leaves it; save the model again with its weights gathered"
            )
        if tensor.dtype not in PLAIN and not name.endswith(NO_WEIGHTS):
            raise UserError(
                f"{folder}: the tensor {name} is of type {tensor.dtype}; only plain float32, "
                "bfloat16 and float16 weights are run: give the model that it was made from"
            )


def _commonest(tensors: Mapping[str, Stored]) -> str:
    counts: Counter[str] = Counter()
    for tensor in tensors.values():
        counts[PLAIN.get(tensor.dtype, "float32")] += math.prod(tensor.shape)
    return counts.most_common(1)[0][0] if counts else "float32"
