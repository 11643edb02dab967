"""How far bfloat16 and sharing move a log-probability, for `gpu_step.py`."""

from copy import deepcopy
from typing import Any

import torch
from gpu_naive import GENERATIONS, naive_logps, repeated
from gpu_sides import build
from torch import Tensor

from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group, Prompt
from videothinker.models.logprobs import group_logps
from videothinker.models.qwen_vl.policy import QwenVL


def agreement(
    config: Any, device: torch.device, prompt: Prompt, length: int
) -> dict[str, dict[str, float]]:
    """bfloat16 log-probabilities, shared and naive, against each other and against float32."""
    narrow = build(config, device, 0)
    (group,) = generate(narrow, [prompt], Sampling(GENERATIONS, length), [0])
    found = {}
    for name, policy in (("bfloat16", narrow), ("float32", wide(narrow))):
        ids_GL = torch.cat(
            [prompt.input_ids_P.expand(GENERATIONS, -1), group.completion_ids_GC], dim=1
        ).to(device)
        with torch.no_grad():
            found[f"shared {name}"] = group_logps(policy, group).logps_GC
            given = repeated(policy, [prompt], ids_GL)
            found[f"naive {name}"] = naive_logps(policy, given, length)
    drawn_GC = usable(group, narrow).to(device)
    exact = found["naive float32"]
    pairs = {
        "shared and naive, bfloat16": (found["shared bfloat16"], found["naive bfloat16"]),
        "shared and naive, float32": (found["shared float32"], exact),
        "shared bfloat16 and float32": (found["shared bfloat16"], exact),
        "naive bfloat16 and float32": (found["naive bfloat16"], exact),
    }
    gaps = {name: (a - b).abs()[drawn_GC] for name, (a, b) in pairs.items()}
    return {name: {"mean": float(g.mean()), "max": float(g.max())} for name, g in gaps.items()}


def usable(group: Group, policy: QwenVL) -> Tensor:
    """Completions without a drawn video token, which the library takes for a missing video."""
    drawn_GC = group.completion_ids_GC == policy.model.config.video_token_id
    return (~drawn_GC.any(dim=1))[:, None].expand_as(drawn_GC)


def wide(policy: QwenVL) -> QwenVL:
    """The same weights in float32."""
    return type(policy)(deepcopy(policy.model).float(), policy.tokenizer, policy.vision)
