"""TRL's GRPOTrainer doing the same step, still images standing in for the video.

TRL 1.16 trains wrongly on video and silently so (the policy's forward sees no pixels), but rightly
on images; eight images of the video's size give as many tokens and patches as its eight temporal
slices. TRL is needed for this file alone: `pip install trl==1.16.0` into a separate environment,
then `benchmarks/step.py --trl`.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from transformers import (
    AutoTokenizer,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    TrainerCallback,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer

GENERATIONS = 8
IMAGES, HEIGHT, WIDTH = 8, 252, 364  # 8 x 9 x 13 = 936 tokens
QUESTION = "Which of these will happen without the red cube? " * 4


class ImagesOnly(Qwen2_5_VLProcessor):
    """The library's processor without its video half, which needs torchvision."""

    def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        self.image_processor, self.tokenizer = image_processor, tokenizer
        self.chat_template = chat_template

    def get_attributes(self) -> list[str]:
        """What `ProcessorMixin` looks for."""
        return ["image_processor", "tokenizer"]


class Seconds(TrainerCallback):
    """CPU seconds of each optimisation step, rollout included."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.begun = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.begun = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Keep the step's seconds."""
        self.taken.append(time.process_time() - self.begun)


def train(folder: Path, length: int, repeats: int, *, frozen: bool) -> list[float]:
    """CPU seconds of each of `repeats` steps on one prompt and its completions of full length."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    size = {"shortest_edge": 784, "longest_edge": HEIGHT * WIDTH}
    processor = ImagesOnly(Qwen2VLImageProcessorPil(size=size), tokenizer, tokenizer.chat_template)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.model.visual.requires_grad_(requires_grad=not frozen)
    stream = np.random.default_rng(0)
    images = [
        Image.fromarray(stream.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
        for _ in range(IMAGES)
    ]
    row = {"prompt": [{"role": "user", "content": QUESTION}], "images": images}
    seconds = Seconds()
    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            output_dir=scratch,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=GENERATIONS,
            num_generations=GENERATIONS,
            max_completion_length=length,
            max_steps=repeats,
            beta=-0.01,
            loss_type="grpo",
            learning_rate=1e-6,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            generation_kwargs={
                "min_new_tokens": length,
                "suppress_tokens": [processor.video_token_id, processor.image_token_id],
            },
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **_: [float(i) for i in range(len(completions))],
            args=config,
            train_dataset=Dataset.from_list([row] * 8),
            processing_class=processor,
            callbacks=[seconds],
        )
        trainer.train()
    return seconds.taken
