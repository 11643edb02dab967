"""Another architecture through the same room: LLaVA-OneVision, Video-UTR-7B's class, tiny."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2Config,
    SiglipVisionConfig,
)

from tests.answering_toys import WORDS, ask_about
from videothinker.answering.ask import answer_questions, read_frames
from videothinker.benchmarks.catalog import resolve
from videothinker.benchmarks.protocols import render
from videothinker.errors import UserError
from videothinker.models.llava_onevision.model import PlainModel, load_model
from videothinker.models.qwen2_5_vl.model import Policy
from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% for c in m['content'] if c['type'] == 'video' %}<video>\n{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEMO = resolve("demo", "jsonl", frames=3, max_new_tokens=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("words")
    build_small(base, SmallConfig(hidden=32, layers=1, heads=2, kv_heads=1), WORDS)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<video>", "<image>"]})
    tokenizer.chat_template = None
    torch.manual_seed(0)
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=42,
            patch_size=14,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            initializer_range=0.3,
            eos_token_id=tokenizer.eos_token_id,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
    )
    out = tmp_path_factory.mktemp("onevision")
    LlavaOnevisionForConditionalGeneration(config).save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return out


@pytest.fixture(scope="module")
def plain(folder) -> PlainModel:
    found = load_model(str(folder))
    assert isinstance(found, PlainModel)
    return found


def test_it_is_asked_in_the_same_room(plain, videos, tmp_path, journal):
    asked = [ask_about(0, "a.mp4"), ask_about(1, "b.mp4"), ask_about(2, "gone.mp4")]
    book = journal(tmp_path / "samples.jsonl")
    found = answer_questions(plain, asked, videos, DEMO, journal=book)
    assert [s.verdict == "failed" for s in found] == [False, False, True]
    # 42 / 14 = 3 patches a side, pooled to 2: 3 frames x 4 + 1 video tokens
    clip = read_frames(videos, "a.mp4", DEMO)
    prompt = plain.encode(render(DEMO, asked[0]), plain.to_video(clip.frames, clip.seconds))
    assert int((prompt.input_ids_P == plain.model.config.video_token_id).sum()) == 13
    assert (found[0].frames, found[0].height, found[0].width) == (3, 42, 42)
    assert found[0].prompt_tokens == prompt.prompt_tokens
    assert answer_questions(plain, asked, videos, DEMO, journal=book) == found
    for variant in ("blind", "shuffled", "struck"):
        assert answer_questions(plain, asked[:2], videos, DEMO, variant=variant, journal=book)


def test_what_it_sees_matters_and_is_what_pillow_resizes(plain, videos):
    clip = read_frames(videos, "a.mp4", DEMO)
    video = plain.to_video(clip.frames, clip.seconds)
    by_hand = np.asarray(Image.fromarray(clip.frames[1]).resize((42, 42), Image.Resampling.BICUBIC))
    expected = torch.tensor(by_hand / 127.5 - 1).permute(2, 0, 1).float()
    torch.testing.assert_close(video.pixel_values[0, 1], expected)
    prompt = plain.encode("Which?", video)
    black = plain.encode("Which?", plain.to_video(clip.frames * 0, clip.seconds))
    with torch.no_grad():
        logits = [
            plain.model(
                input_ids=p.input_ids_P[None], pixel_values_videos=p.video.pixel_values
            ).logits[0, -1]
            for p in (prompt, black)
        ]
    assert not torch.allclose(*logits)


def test_its_samples_are_seeded(plain, videos, tmp_path, journal):
    hot = resolve("demo", "jsonl", frames=3, max_new_tokens=5, temperature=1.0)
    asked = [ask_about(0, "a.mp4")]
    runs = [
        [
            s.text
            for s in answer_questions(
                plain, asked, videos, hot, samples=3, seed=seed, journal=journal(tmp_path / name)
            )
        ]
        for name, seed in (("1.jsonl", 0), ("2.jsonl", 0), ("3.jsonl", 1))
    ]
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) > 1


def test_loading_tells_the_architectures_apart(folder, tiny_policy, tmp_path):
    base = tmp_path / "qwen"
    build_small(base, SmallConfig(hidden=32, layers=1, heads=2, kv_heads=1), WORDS)
    assert isinstance(load_model(str(base)), Policy)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UserError, match="gpt2"):
        load_model(str(other))
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError):
        load_model(str(tmp_path / "bare"))
    unread = tmp_path / "unread"
    unread.mkdir()
    (unread / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(UserError, match="has no weights"):
        load_model(str(unread))
