"""How frames are prepared, as a Qwen-VL folder says it: read, checked, written."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.image_processing_base import ImageProcessingMixin

from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models.border import AGAIN, parse, read_object
from videothinker.models.qwen_vl.videos import VisionSettings

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Processor:
    """The classes that a published folder names, and what they take where it says nothing."""

    name: str
    video: str
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    pixels: tuple[int, int] = (56 * 56, 28 * 28 * 1280)
    """Fewest and most."""
    whole_video: bool = False
    """They bound all frames together, and stand apart from an image's."""


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


def vision_settings(folder: Path, model: Any, processor: Processor) -> VisionSettings:
    """Mean, deviation and pixel budget from the preprocessor config, patch sizes from the model."""
    with border(f"{folder}: its preprocessor config could not be read", AGAIN):
        content: Any = ImageProcessingMixin.get_image_processor_dict(folder)[0]
    where = f"{folder}, preprocessor config"
    image_pixels = None
    if processor.whole_video:
        size = parse(SizeEntry, content.get("size") or {}, f"{where}, size")
        if size.shortest_edge and size.longest_edge:
            image_pixels = (size.shortest_edge, size.longest_edge)
        content = _video_part(folder, content)
    prepared = parse(PreprocessorFile, content, where)
    size = parse(SizeEntry, prepared.size or {}, f"{where}, size")
    vision = model.config.vision_config
    settings = VisionSettings(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.spatial_merge_size,
        mean=tuple(prepared.image_mean or processor.mean),
        std=tuple(prepared.image_std or processor.std),
        min_pixels=prepared.min_pixels or size.shortest_edge or processor.pixels[0],
        max_pixels=prepared.max_pixels or size.longest_edge or processor.pixels[1],
        whole_video=processor.whole_video,
        image_pixels=image_pixels,
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


def _video_part(folder: Path, image: dict[str, Any]) -> dict[str, Any]:
    """What is said of videos, in the order in which transformers looks for it; else of images."""
    both = folder / "processor_config.json"
    inside = read_object(both).get("video_processor") if both.is_file() else None
    own = folder / "video_preprocessor_config.json"
    if isinstance(inside, dict):
        return inside
    return read_object(own) if own.is_file() else image


def write_preprocessor_configs(
    folder: Path, settings: VisionSettings, processor: Processor
) -> None:
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
        "processor_class": processor.name,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "temporal_patch_size": settings.temporal_patch_size,
    }
    own = (settings.min_pixels, settings.max_pixels)
    kinds = {
        "preprocessor_config.json": (
            {"image_processor_type": "Qwen2VLImageProcessor"},
            settings.image_pixels or own,
        ),
        "video_preprocessor_config.json": ({"video_processor_type": processor.video}, own),
    }
    for name, (kind, (fewest, most)) in kinds.items():
        size = {"size": {"shortest_edge": fewest, "longest_edge": most}}
        text = json.dumps(shared | size | kind, indent=2, sort_keys=True) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
