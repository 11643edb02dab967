"""Toy videos, questions, and the one toy model of all rooms."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from videothinker.models.qwen2_5_vl.small import SmallConfig, build_small
from videothinker.records import Question

WORDS = (
    "Which of the following will happen if the red cube is removed without the blue sphere",
    "the red cube and the blue sphere collide Think first, then answer with the letter",
    "Write your reasoning letters, separated by commas A. B. C. D. of every correct choice",
)


def write_video(path: Path, seed: int, frames: int = 24) -> None:
    """A moving square on noise, 64 x 48, 12 frames a second."""
    noise = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in range(frames):
            picture = noise.copy()
            picture[10:20, 2 * t : 2 * t + 10] = (255, 0, 0)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def ask_about(number: int, video: str | None, **changes: object) -> Question:
    values: dict[str, object] = {
        "id": f"toy/{number}",
        "dataset": "toy",
        "split": "validation",
        "video": video,
        "question": f"Which of the following will happen if the red cube is removed? {number}",
        "question_struck": "Which of the following will happen?",
        "choices": ("the red cube", "the blue sphere", "collide"),
        "answer": ("A", "C"),
        "type": "counterfactual",
    }
    return Question(**{**values, **changes})


SHAPE = {
    "hidden": 64,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "intermediate": 96,
    "vision_hidden": 32,
    "vision_layers": 2,
    "vision_heads": 2,
    "vision_intermediate": 48,
    "vision_full_attention": (1,),
    "initializer_range": 0.3,
}


def build_tiny(folder: Path, words: Sequence[str] = WORDS, **changes: object) -> Path:
    """The toy model of every room: random weights, so noise, but the same noise every time.

    Args:
        folder: where it is written.
        words: what its tokenizer is made of.
        changes: what a test needs otherwise than in SHAPE.
    """
    return build_small(folder, SmallConfig(**(SHAPE | changes)), list(words))
