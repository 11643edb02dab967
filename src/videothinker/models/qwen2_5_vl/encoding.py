"""Where every token of a Qwen2.5-VL prompt stands."""

from typing import Any

import torch
from torch import Tensor

from videothinker.models.base import Prompt
from videothinker.models.positions import lay_out
from videothinker.models.qwen_vl.videos import QwenVideo, VisionSettings, prepare_video

__all__ = ["QwenVideo", "VisionSettings", "positions", "prepare_video"]


def positions(config: Any, prompt: Prompt) -> Tensor:
    """Time, height and width position of every prompt token: int64 `[3, P]`, on the CPU.

    Grid step i of a video lies floor(i * seconds a step * `tokens_per_second`) after step 0, as
    first published (transformers' pull request 35569, by the model's authors) and in vLLM.
    """
    if prompt.video is None:
        return torch.arange(prompt.prompt_tokens).expand(3, -1)
    vision = config.vision_config
    steps, *sides = (int(n) for n in prompt.video.grid_thw[0])
    seconds = torch.tensor(prompt.video.second_per_grid)  # float32, as the processor hands it over
    times = (torch.arange(steps) * seconds * vision.tokens_per_second).long()
    rows, columns = (torch.arange(side // vision.spatial_merge_size) for side in sides)
    return lay_out(prompt.video_P, [torch.cartesian_prod(times, rows, columns).T])
