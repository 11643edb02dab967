"""Qwen3.5 with experts: frames and words are those of Qwen3.5, by the same published processor."""

from videothinker.models.plain.qwen3_5 import FRAMES

__all__ = ["FRAMES"]
