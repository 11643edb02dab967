"""What Qwen3-VL's own processor makes of frames: the arrays that tests hold ours against.

    python -m venv golden && golden/bin/pip install torch torchvision transformers==5.23.0
    golden/bin/python benchmarks/golden_qwen3_vl.py tests/models/qwen3_vl/golden
    golden/bin/pip install transformers==4.57.1
    golden/bin/python benchmarks/golden_qwen3_vl.py tests/models/qwen3_vl/golden --prompts

It needs a torchvision that fits its torch, and nothing of this project. The prompts are those of
4.57.1, which the models were published with, and of vLLM: each step of a video stands in the place
of the three tokens of the chat template. In 5.23 the middle one alone is replaced, so that
the other two stand around all steps; frames smaller than a token are refused by 4.57.1.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import Qwen2TokenizerFast, Qwen2VLImageProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.video_utils import VideoMetadata

CASES = {
    # frames, height, width, fewest and most pixels of all frames
    "as_it_is_4x64": (4, 64, 96, 4096, 10**7),
    "odd_3x76": (3, 76, 108, 4096, 3 * 64 * 96),
    "shrunk_6x120": (6, 120, 72, 4096, 6 * 64 * 64),
    "grown_2x40": (2, 40, 72, 2 * 96 * 96, 10**7),
    "below_a_token_2x20": (2, 20, 44, 4096, 10**7),
    "rounded_up_7x64": (7, 64, 64, 4096, 7 * 64 * 64),
}
"""Shapes that take every branch of its smart resize; the last is over its budget by rounding."""
PROMPTS = [
    {"frames": 4, "fps": 25.0, "indices": [0, 42, 85, 127]},
    {"frames": 5, "fps": 10.0, "indices": [0, 5, 10, 15, 20]},
    {"frames": 2, "fps": 29.97, "indices": [300, 1000]},
]
SPECIAL = ("<|vision_start|>", "<|vision_end|>", "<|video_pad|>", "<|image_pad|>", "<|im_end|>")


def characters() -> Qwen2TokenizerFast:
    """A tokenizer that loses nothing: one token a byte, and the special ones."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core = Tokenizer(models.BPE({token: i for i, token in enumerate(sorted(alphabet))}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(one, special=True) for one in SPECIAL])
    return Qwen2TokenizerFast(tokenizer_object=core)


def prompts(videos: Qwen3VLVideoProcessor) -> list[dict]:
    tokenizer = characters()
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(), tokenizer=tokenizer, video_processor=videos
    )
    found = []
    for case in PROMPTS:
        frames = np.zeros((case["frames"], 64, 64, 3), np.uint8)
        shown = VideoMetadata(
            total_num_frames=case["indices"][-1] + 1,
            fps=case["fps"],
            frames_indices=list(case["indices"]),
        )
        out = processor(
            text=["user\n<|vision_start|><|video_pad|><|vision_end|>Who?"],
            videos=[torch.from_numpy(frames).permute(0, 3, 1, 2)],
            video_metadata=[shown],
            do_sample_frames=False,
            size={"shortest_edge": 4096, "longest_edge": 10**7},
            return_tensors="pt",
        )
        text = tokenizer.decode(out["input_ids"][0], clean_up_tokenization_spaces=False)
        found.append(case | {"size": [64, 64], "text": text})
    return found


def arrays(videos: Qwen3VLVideoProcessor) -> dict[str, np.ndarray]:
    rng, found = np.random.default_rng(0), {}
    for name, (count, height, width, fewest, most) in CASES.items():
        coarse = rng.integers(0, 256, (count, height // 4, width // 4, 3), dtype=np.uint8)
        frames = coarse.repeat(4, axis=1).repeat(4, axis=2)  # which packs well
        out = videos(
            [torch.from_numpy(frames).permute(0, 3, 1, 2)],
            size={"shortest_edge": fewest, "longest_edge": most},
            do_sample_frames=False,
            return_tensors="pt",
        )
        found[f"{name}.frames"] = frames
        found[f"{name}.pixel_values"] = out["pixel_values_videos"].numpy()
        found[f"{name}.grid_thw"] = out["video_grid_thw"].numpy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", action="store_true", help="the prompts, not the arrays")
    arguments = parser.parse_args()
    videos = Qwen3VLVideoProcessor()
    found = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
    if arguments.prompts:
        name, found["prompts"] = "prompts.json", prompts(videos)
    else:
        name = "video_patches.json"
        found |= {"image_mean": list(videos.image_mean), "image_std": list(videos.image_std)}
        found["cases"] = {case: {"pixels": given[3:]} for case, given in CASES.items()}
        np.savez_compressed(arguments.folder / "video_patches.npz", **arrays(videos))
    (arguments.folder / name).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
