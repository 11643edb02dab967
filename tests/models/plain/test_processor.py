"""Where torchvision is: the published processors themselves, whole prompts against ours."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers.utils import is_torchvision_available

from tests.models.toy_family import build_toy
from videothinker.generation.base import Sampling, generate
from videothinker.models import catalog
from videothinker.models.catalog import load_policy, place
from videothinker.models.logprobs import group_logps
from videothinker.models.plain.processor import ProcessorFrames
from videothinker.models.templates import chat_text

pytestmark = pytest.mark.skipif(
    not is_torchvision_available(), reason="the published processors need torchvision"
)
FRAMES = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
SHOWN = {"times": [0.25, 1.5, 62.0], "min_pixels": None, "max_pixels": None}


def processor_of(kind: str, policy: Any) -> Any:
    settings = json.loads((policy.frames.folder / "video_preprocessor_config.json").read_text())
    made = {"tokenizer": policy.tokenizer, "chat_template": policy.tokenizer.chat_template}
    if kind == "llava_onevision":
        return transformers.LlavaOnevisionProcessor(
            image_processor=transformers.LlavaOnevisionImageProcessor(),
            video_processor=transformers.LlavaOnevisionVideoProcessor(**settings),
            num_image_tokens=9,
            vision_feature_select_strategy="full",
            **made,
        )
    if kind == "smolvlm":
        pytest.importorskip("num2words")
        return transformers.SmolVLMProcessor(
            image_processor=transformers.SmolVLMImageProcessor(),
            video_processor=transformers.SmolVLMVideoProcessor(**settings),
            image_seq_len=4,
            **made,
        )
    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(),
        video_processor=transformers.Qwen3VLVideoProcessor(cap_pixels_per_frame=False, **settings),
        **made,
    )


@pytest.mark.parametrize("kind", ["llava_onevision", "smolvlm", "qwen3_5"])
def test_ours_is_the_processors(folders: dict[str, Path], kind: str) -> None:
    policy: Any = load_policy(folders[kind])
    processor = processor_of(kind, policy)
    theirs = ProcessorFrames(folders[kind], policy.model.config, policy.tokenizer, processor)
    text = chat_text(policy.tokenizer, "Which one?", video=True, listed=True)
    if kind == "qwen3_5":  # 5.23 keeps the marks of the place; see the module
        text = text.replace(policy.frames.place, theirs.place)
    video, given = policy.to_video(FRAMES, 70.0, **SHOWN), theirs.to_video(FRAMES, 70.0, **SHOWN)
    ours, read = policy.encode("Which one?", video), theirs.read(text, given)
    assert torch.equal(ours.input_ids_P, read.input_ids_P)
    assert torch.equal(ours.video_P, read.video_P)
    assert (video.tokens, video.height, video.width) == (given.tokens, given.height, given.width)
    for name, value in video.values.items():
        torch.testing.assert_close(value, given.values[name], atol=1e-5, rtol=0)
    for name, kinds_P in ours.kinds.items():
        assert torch.equal(kinds_P, read.kinds[name])


def test_a_family_without_a_file_runs_by_its_processor(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2-VL stands for it."""
    monkeypatch.delitem(catalog.FAMILIES, "qwen2_vl", raising=False)
    toy = build_toy(tmp_path / "toy", tiny_folder)
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        settings = json.loads((tiny_folder / name).read_text())
        (toy / name).write_text(json.dumps(settings | {"processor_class": "Qwen2VLProcessor"}))
    assert place(toy).path == "plain path: slower"
    policy: Any = load_policy(toy)
    video = policy.to_video(FRAMES, 2.0)
    # 48 x 64 becomes 56 x 56 by its least pixels; two pairs of frames, 2 x 2 merged patches each
    assert (video.height, video.width, video.tokens) == (56, 56, 8)
    prompt = policy.encode("Which one?", video)
    assert int(prompt.video_P.sum()) == 8
    sampling = Sampling(num_generations=2, max_completion_length=4, temperature=1.5)
    (group,) = generate(policy, [prompt], sampling, [7])
    with torch.no_grad():
        first_V = policy.model(**policy.inputs(prompt)).logits[0, -1].log_softmax(-1)
    found_GC = group_logps(policy, group).logps_GC
    torch.testing.assert_close(found_GC[:, 0], first_V[group.completion_ids_GC[:, 0]])
    found_GC.sum().backward()
    assert all(weight.grad is not None for weight in policy.model.parameters())
    again: Any = load_policy(policy.save(tmp_path / "saved"))
    assert again.to_video(FRAMES, 2.0).digest == video.digest
