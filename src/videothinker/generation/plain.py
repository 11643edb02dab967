"""Generate by the library's own `generate`, one completion at a time; nothing is shared.

For any model that transformers loads (`loaded.Loaded`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from videothinker.generation.base import Sampling
from videothinker.models.base import Group, Prompt
from videothinker.models.loaded import Loaded, not_finite


@torch.no_grad()
def generate(
    model: Loaded, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]
) -> list[Group]:
    """See `base.Generator`."""
    training, own = model.model.training, model.model.generation_config
    # a published one may penalise repetition, or cut the likeliest off: no draw of the policy's
    bare = GenerationConfig(eos_token_id=list(model.eos_ids), pad_token_id=model.pad_id)
    model.model.eval()
    try:
        model.model.generation_config = bare
        return [
            _group(model, prompt, seed, sampling)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
    finally:
        model.model.generation_config = own
        model.model.train(training)


def _group(model: Loaded, prompt: Prompt, seed: int, sampling: Sampling) -> Group:
    drawn: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        drawn = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0}
        drawn["top_p"] = sampling.top_p
    rows: list[Tensor] = []
    for index in range(sampling.num_generations):
        with torch.random.fork_rng():
            torch.manual_seed((seed + index) % 2**63)
            out = model.model.generate(
                **model.inputs(prompt),
                **drawn,
                max_new_tokens=sampling.max_completion_length,
                synced_gpus=False,  # a sharded model's weights are whole here: no rank waits
                logits_processor=LogitsProcessorList([_Finite(model, prompt)]),
            )
        rows.append(out[0, prompt.prompt_tokens :].cpu())
    ends = torch.tensor(model.eos_ids)
    lengths = torch.tensor([len(row) for row in rows])
    ids_GC = pad_sequence(rows, batch_first=True, padding_value=model.pad_id)
    return Group(
        prompt=prompt,
        completion_ids_GC=ids_GC,
        mask_GC=torch.arange(ids_GC.shape[1]) < lengths[:, None],
        truncated_G=torch.tensor([not bool(torch.isin(row[-1], ends)) for row in rows]),
    )


class _Finite(LogitsProcessor):
    """Ends an answer whose next token cannot be chosen."""

    def __init__(self, model: Loaded, prompt: Prompt) -> None:
        self.model, self.prompt = model, prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`scores` as they came; raises `UserError` where they are not finite."""
        if not scores.isfinite().all():
            drawn = input_ids.shape[1] - self.prompt.prompt_tokens
            raise not_finite(self.model, self.prompt, drawn)
        return scores
