"""Goldens of the plain path: what the published processors make of small made videos.

Run in an environment of its own, where torch and torchvision fit each other (num2words is asked for
by SmolVLM's processor); it imports nothing of ours:

    pip install torch torchvision transformers num2words
    python tests/models/plain/make_golden.py tests/models/plain/golden
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from num2words import num2words
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

SPECIAL = ["<video>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
SPECIAL += ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
SPECIAL += ["<|video_pad|>", "<|image_pad|>"]
LLAVA = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} "
    "{% for c in m['content'] if c['type'] == 'video' %}<video>{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}\n{{ c['text'] }}{% endfor %}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN = LLAVA.replace("<video>", "<|vision_start|><|video_pad|><|vision_end|>")
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SAID = [{"role": "system", "content": [{"type": "text", "text": "Look."}]}]
SAID += [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Which one?"}]}]


def words() -> PreTrainedTokenizerFast:
    """Enough of a tokenizer for a processor; the text it is given is what is kept."""
    vocabulary = {word: number for number, word in enumerate(["?", *SPECIAL])}
    found = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="?")), unk_token="?"
    )
    found.add_special_tokens({"additional_special_tokens": SPECIAL})
    return found


def llava(settings: dict) -> LlavaOnevisionProcessor:
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(),
        video_processor=LlavaOnevisionVideoProcessor(**settings),
        tokenizer=words(),
        num_image_tokens=(settings["size"]["height"] // 14) ** 2,
        vision_feature_select_strategy="full",
        chat_template=LLAVA,
    )


def smolvlm(settings: dict) -> SmolVLMProcessor:
    return SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(),
        video_processor=SmolVLMVideoProcessor(**settings),
        tokenizer=words(),
        image_seq_len=4,
    )


def qwen3_5(settings: dict) -> Qwen3VLProcessor:
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        video_processor=Qwen3VLVideoProcessor(**settings),
        tokenizer=words(),
        chat_template=QWEN,
    )


SMOL = {"resample": 1, "max_image_size": {"longest_edge": 28}, **HALF}
OFFICIAL = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 384}}
BICUBIC = {"resample": 3, "video_sampling": {**OFFICIAL, "video_size": {"longest_edge": 33}}}
CASES = {
    # processor, settings, frames, height, width, seconds
    "llava_onevision.wide": (llava, {"size": {"height": 42, "width": 42}, **HALF}, 3, 40, 61, 9.0),
    "llava_onevision.own_size": (
        *(llava, {"size": {"height": 42, "width": 42}, **HALF}, 1, 42, 42, 0.5),
    ),
    "smolvlm.wide": (smolvlm, {"size": {"longest_edge": 45}, **SMOL}, 3, 31, 50, 130.5),
    "smolvlm.tall": (
        *(smolvlm, {"size": {"longest_edge": 40}, "video_sampling": dict(OFFICIAL), **SMOL}),
        *(2, 50, 30, 3700.0),
    ),
    "smolvlm.bicubic": (
        *(
            smolvlm,
            SMOL
            | {"resample": 3, "video_sampling": {**OFFICIAL, "video_size": {"longest_edge": 33}}},
        ),
        *(1, 20, 30, 1.0),
    ),
    "qwen3_5.shrunk": (
        *(qwen3_5, {"size": {"shortest_edge": 64, "longest_edge": 3 * 64 * 64}, **HALF}),
        *(3, 100, 140, 4.5),
    ),
    "qwen3_5.grown": (
        *(qwen3_5, {"size": {"shortest_edge": 4 * 64 * 64, "longest_edge": 40000}, **HALF}),
        *(4, 40, 50, 60.0),
    ),
}


def main(out: Path) -> None:
    arrays: dict[str, np.ndarray] = {}
    cases: dict[str, dict] = {}
    stream = np.random.default_rng(7)
    for name, (make, settings, frames, height, width, seconds) in CASES.items():
        kept = json.loads(json.dumps(settings))
        processor = make(settings)
        small = stream.integers(0, 256, (frames, height // 8 + 1, width // 8 + 1, 3), np.uint8)
        large = small.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
        rate = frames / seconds
        text = processor.apply_chat_template(SAID, tokenize=False, add_generation_prompt=True)
        given = {
            "videos": [large],
            "video_metadata": [
                {
                    "fps": rate,
                    "duration": seconds,
                    "total_num_frames": frames,
                    "frames_indices": list(range(frames)),
                }
            ],
            "do_sample_frames": False,
        }
        made = processor(text=[text], return_tensors="pt", **given)
        seen = processor.video_processor(return_tensors="pt", return_metadata=True, **given)
        replaced = processor.replace_video_token(seen, video_idx=0)
        whole = processor.get_text_with_replacements([text], [], [replaced], [])[0][0]
        assert made["input_ids"][0].tolist() == processor.tokenizer(whole)["input_ids"]
        arrays[f"{name}.frames"] = large
        text_keys = ("input_ids", "attention_mask", "mm_token_type_ids")
        for key, value in made.items():
            if key not in text_keys:
                arrays[f"{name}.{key}"] = value.numpy()
        cases[name] = {"settings": kept, "seconds": seconds, "rendered": text, "text": whole}
    counts = [*range(1, 131), 199, 200, 256, 768, 999, 1000, 1024]
    golden = {
        "transformers": transformers.__version__,
        "torchvision": torchvision.__version__,
        "torch": torch.__version__,
        "llava_template": LLAVA,
        "qwen_template": QWEN,
        "said": SAID,
        "cases": cases,
        "numbers": {str(n): num2words(n) for n in counts},
    }
    np.savez_compressed(out / "processors.npz", **arrays)
    (out / "processors.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
