"""One token of one small prompt, before a model is handed out: what its config says must run."""

import torch

from videothinker.errors import UserError
from videothinker.generation.sampling import Sampling
from videothinker.generation.shared_prefix import rollout
from videothinker.models.qwen2_5_vl.encoding import Video, encode_prompt
from videothinker.models.qwen2_5_vl.model import Policy


def try_out(policy: Policy, source: str) -> None:
    """Answer one word about one black patch of video; whatever is wrong raises.

    Sizes that fit the weights and still make no model (a rotary section, a window, a head's width)
    show only here.
    """
    rows, ends = len(policy.head_VD), policy.eos_ids
    if not all(0 <= end < rows for end in ends):
        raise UserError(
            f"{source}: an answer ends with the tokens {list(ends)}, the model has {rows}; correct "
            "eos_token_id in generation_config.json"
        )
    vision, merge = policy.vision, policy.vision.merge_size
    values = 3 * vision.temporal_patch_size * vision.patch_size**2
    video = Video(
        pixel_values=torch.zeros(merge**2, values),
        grid_thw=torch.tensor([[1, merge, merge]]),
        second_per_grid=1.0,
        frames=vision.temporal_patch_size,
        height=merge * vision.patch_size,
        width=merge * vision.patch_size,
        tokens=1,
        digest="trial",
    )
    prompt = encode_prompt(policy.tokenizer, policy.model.config.video_token_id, "Yes?", video)
    try:
        rollout(policy, [prompt], Sampling(1, 1, temperature=0.0), [0])
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    policy.videos.entries.clear()
