"""A folder as the hub has it for Qwen2.5-VL: shards, flat config, one processor file, no .jinja."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.qwen2_5_vl.test_model import official_layout
from videothinker.errors import UserError
from videothinker.models.base import Group
from videothinker.models.catalog import find_shape, load_policy, read_shape
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps

# the published template's form: messages may hold parts, a part is a video by type or by key
TEMPLATE = (
    "{% set count = namespace(video=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or 'image' in part %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' or 'video' in part %}{% set count.video = count.video + 1 %}"
    "{% if add_vision_id %}Video {{ count.video }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def official(tiny_folder: Path, tmp_path: Path) -> Path:
    folder = official_layout(tmp_path / "hub", tiny_folder)
    (folder / "chat_template.jinja").unlink()
    (folder / "video_preprocessor_config.json").unlink()
    settings_file = folder / "tokenizer_config.json"
    settings = json.loads(settings_file.read_text()) | {"chat_template": TEMPLATE}
    settings_file.write_text(json.dumps(settings))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    processor = {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_it_is_the_same_policy(
    official: Path, policy: Policy, group: Group, frames_THW3: np.ndarray
) -> None:
    again = load_policy(official)
    assert again.digest == policy.digest
    assert (again.vision.min_pixels, again.vision.max_pixels) == (3136, 12845056)
    assert again.vision.mean == policy.vision.mean
    asked, shown = "Which one hits the cube?", (frames_THW3, 4.2)
    ours = policy.encode(asked, policy.to_video(*shown))
    largest = policy.vision.max_pixels
    theirs = again.encode(asked, again.to_video(*shown, max_pixels=largest))
    assert torch.equal(ours.input_ids_P, theirs.input_ids_P)
    assert torch.equal(group_logps(again, group).logps_GC, group_logps(policy, group).logps_GC)


def test_its_shape_is_read_from_the_flat_config(official: Path, tiny_folder: Path) -> None:
    assert find_shape(str(official)) == find_shape(str(tiny_folder))


def test_an_index_that_names_a_missing_shard(official: Path) -> None:
    next(official.glob("model-00001-*")).unlink()
    with pytest.raises(UserError, match="lacks 1 of 2 weight files"):
        load_policy(official)


def test_the_published_configuration_in_its_own_form() -> None:
    """Flat, as the hub has it; what it leaves out of `vision_config` is the class's default."""
    published = {
        "model_type": "qwen2_5_vl",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
        "vision_config": {
            "model_type": "qwen2_5_vl",
            "hidden_size": 1280,
            "in_chans": 3,
            "spatial_patch_size": 14,
            "tokens_per_second": 2,
        },
    }
    assert read_shape(published) == find_shape("Qwen/Qwen2.5-VL-7B-Instruct")
