"""Read a model folder or hub id, refusing what is not Qwen2.5-VL in safetensors."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.image_processing_base import ImageProcessingMixin
from transformers.utils import logging as transformers_logging

from videothinker.errors import UserError
from videothinker.policy.encoding import QwenModel, VisionSettings

ARCHITECTURE = "qwen2_5_vl"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def check_folder(folder: Path) -> None:
    """Refuse a folder without a readable Qwen2.5-VL config or without complete safetensors."""
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"{folder} has no config.json; give a complete Qwen2.5-VL model folder")
    kind = _read_json(config).get("model_type")
    if kind != ARCHITECTURE:
        raise UserError(
            f"{folder} holds a model of type {kind!r}; only {ARCHITECTURE!r} "
            "(Qwen2.5-VL) is supported: choose another model"
        )
    if (folder / "model.safetensors").is_file():
        return
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(_read_json(index).get("weight_map", {}).values()))
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing or not shards:
            raise UserError(
                f"{folder} lacks {len(missing)} of {len(shards)} weight files "
                f"({', '.join(missing[:3])}); download the model again"
            )
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise UserError(
            f"{folder} holds only pickled weights, which can run code when read; "
            "only safetensors are allowed: convert the weights first"
        )
    raise UserError(
        f"{folder} has no weights (model.safetensors or model.safetensors.index.json); "
        "download the model again or point to its complete folder"
    )


def read_model(
    source: str, *, dtype: torch.dtype
) -> tuple[QwenModel, PreTrainedTokenizerBase, VisionSettings]:
    """Model (in evaluation mode), tokenizer and vision settings of a folder or hub id."""
    transformers_logging.disable_progress_bar()
    safe: dict[str, Any] = {"trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(source, **safe).model_type
        if kind != ARCHITECTURE:
            raise UserError(
                f"{source} is a model of type {kind!r}; only {ARCHITECTURE!r} (Qwen2.5-VL) "
                "is supported: choose another model"
            )
        reader: Any = Qwen2_5_VLForConditionalGeneration
        model, info = reader.from_pretrained(
            source, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **safe)
        vision = vision_settings(source, model)
    except (OSError, ValueError, KeyError, HFValidationError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{source} could not be loaded ({reason}); give a Qwen2.5-VL folder or hub id"
        ) from error
    wrong = sorted({*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])})
    if wrong:
        raise UserError(
            f"{source} lacks {len(wrong)} tensors of its own config or has them in another shape "
            f"({', '.join(wrong[:3])}); download the model again"
        )
    if "sliding_attention" in model.config.text_config.layer_types:
        raise UserError(
            f"{source} uses sliding-window attention, which shared prompts do not support; "
            "set use_sliding_window to false"
        )
    return model.eval(), tokenizer, vision


def vision_settings(source: str, model: QwenModel) -> VisionSettings:
    """Mean, deviation and pixel budget from the preprocessor config, patch sizes from the model."""
    prepared: Mapping[str, Any] = ImageProcessingMixin.get_image_processor_dict(source)[0]
    size = prepared.get("size") or {}
    vision = model.config.vision_config
    return VisionSettings(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.spatial_merge_size,
        mean=tuple(prepared.get("image_mean", CLIP_MEAN)),
        std=tuple(prepared.get("image_std", CLIP_STD)),
        min_pixels=prepared.get("min_pixels") or size.get("shortest_edge") or 56 * 56,
        max_pixels=prepared.get("max_pixels") or size.get("longest_edge") or 28 * 28 * 1280,
    )


def write_preprocessor_configs(folder: Path, settings: VisionSettings) -> None:
    """`preprocessor_config.json` and `video_preprocessor_config.json`, in the official form."""
    shared = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(settings.mean),
        "image_std": list(settings.std),
        "merge_size": settings.merge_size,
        "patch_size": settings.patch_size,
        "processor_class": "Qwen2_5_VLProcessor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": settings.min_pixels, "longest_edge": settings.max_pixels},
        "temporal_patch_size": settings.temporal_patch_size,
    }
    kinds = {
        "preprocessor_config.json": {"image_processor_type": "Qwen2VLImageProcessor"},
        "video_preprocessor_config.json": {"video_processor_type": "Qwen2VLVideoProcessor"},
    }
    for name, kind in kinds.items():
        text = json.dumps(shared | kind, indent=2, sort_keys=True) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


def digest_weights(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 over every tensor's name, type, shape and bytes, in the order of names."""
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        content: Any = tensor.view(-1).view(torch.uint8).numpy()
        total.update(content)
    return total.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; a JSON object is needed")
    return content
