"""How frames are prepared, as a Qwen2.5-VL folder says it: read, checked, written."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.image_processing_base import ImageProcessingMixin

from videothinker.errors import UserError
from videothinker.models.border import AGAIN, border, parse
from videothinker.models.qwen2_5_vl.encoding import VisionSettings

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class PreprocessorFile:
    """What is read of a preprocessor's config."""

    image_mean: list[float] | None = None
    image_std: list[float] | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    size: dict[str, Any] | None = None


@dataclass(frozen=True)
class SizeEntry:
    """The pixel budget in the form of later releases."""

    shortest_edge: int | None = None
    longest_edge: int | None = None


def vision_settings(folder: Path, model: Any) -> VisionSettings:
    """Mean, deviation and pixel budget from the preprocessor config, patch sizes from the model."""
    with border(f"{folder}: its preprocessor config could not be read", AGAIN):
        content: Any = ImageProcessingMixin.get_image_processor_dict(folder)[0]
    where = f"{folder}, preprocessor config"
    prepared = parse(PreprocessorFile, content, where)
    size = parse(SizeEntry, prepared.size or {}, f"{where}, size")
    vision = model.config.vision_config
    settings = VisionSettings(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.spatial_merge_size,
        mean=tuple(prepared.image_mean or CLIP_MEAN),
        std=tuple(prepared.image_std or CLIP_STD),
        min_pixels=prepared.min_pixels or size.shortest_edge or 56 * 56,
        max_pixels=prepared.max_pixels or size.longest_edge or 28 * 28 * 1280,
    )
    colors = (*settings.mean, *settings.std)
    if len(settings.mean) != 3 or len(settings.std) != 3 or not all(map(math.isfinite, colors)):
        raise UserError(f"{where}: image_mean and image_std need three numbers each; {AGAIN}")
    if min(settings.std) <= 0 or not 0 < settings.min_pixels <= settings.max_pixels:
        raise UserError(
            f"{where}: image_std {settings.std} and pixels from {settings.min_pixels} to "
            f"{settings.max_pixels} came; both must be above 0, and the range not empty: {AGAIN}"
        )
    return settings


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
