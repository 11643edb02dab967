"""Which models the plain path takes: by `model_type`, the class that transformers loads."""

from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import (
    VIDEO_PROCESSOR_MAPPING_NAMES,  # pyright: ignore[reportPrivateImportUsage]
)

CLASSES: dict[str, str] = {
    kind: name
    for kind, name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.items()
    if kind in VIDEO_PROCESSOR_MAPPING_NAMES and isinstance(name, str)
}
"""Those behind `AutoModelForImageTextToText` that have a video processor."""
LABEL = "plain path: slower"
"""What is said of a model that runs here, wherever it is named."""
