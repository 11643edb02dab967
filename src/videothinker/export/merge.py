"""`videothinker export --merge`: one complete folder of adapter and base, and what the sum changed.

A run's model is the adapter beside its base, and that is what is evaluated. Merged, every weight is
rounded once to the precision of the folder, and in bfloat16 that can be most of a small update: so
both models are asked the same, in the precision that was written, and the difference is printed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig

from videothinker import hub
from videothinker.console import say
from videothinker.errors import UserError
from videothinker.export.config import ExportConfig
from videothinker.models.adapters import merge
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.folders import Base, find_model, read_base
from videothinker.models.loaded import Policy
from videothinker.models.placement import DTYPES
from videothinker.prompts import render
from videothinker.runs import Run

QUESTION, CHOICES = "What happens without the red cube?", ("The blue sphere moves.", "Nothing.")
ANSWER = (
    "<think>The red cube pushes the blue sphere. Without it the sphere stays where it is.</think>"
    "<answer>B</answer>"
)
SIDE, FRAMES = 112, 4
"""Pixels and number of the probe's frames: a bright square that crosses a dark field."""


def write_merged(adapter: Path, config: ExportConfig, run: Run) -> None:
    """Write the complete folder, and print how far its logits are from those of the run's model.

    Args:
        adapter: its folder.
        config: the precision, and where the models are compared.
        run: the export's folder; its run.json gets the differences.

    Raises:
        UserError: the adapter's base has moved or changed.
    """
    base = read_base(adapter)
    dtype = base_dtype(base) if config.dtype == "base" else config.dtype
    before = _merged(str(adapter), base, config, dtype)
    merged = load_policy(config.out, dtype=dtype, device=config.device)
    moved = Moved(before, probe_logits(merged))
    run.facts |= {"base": base.model, "base_digest": base.digest, "dtype": dtype}
    run.facts |= {"logits_moved": moved.numbers, "probe": moved.probe}
    say(f"merged {adapter} into {base.model} in float32, written in {dtype}")
    for line in moved.lines():
        say(line)
    model = hub.as_given(config.out)
    say(f"wrote {config.out}; next: videothinker evaluate --model {model} --data DATA")


def adapter_of(merge: str) -> Path:
    """The adapter's folder.

    Raises:
        UserError: there is none.
    """
    adapter = find_model(merge).adapter
    if adapter is None:
        raise UserError(
            f"merge {merge}: is no LoRA adapter, so there is nothing to merge; give a run "
            "that was trained with --lora-rank"
        )
    return adapter


def base_dtype(base: Base) -> str:
    """The precision in which the base is stored."""
    found = AutoConfig.from_pretrained(find_model(base.model).files, trust_remote_code=False).dtype
    name = str(found or torch.float32).removeprefix("torch.")
    if name not in DTYPES:
        raise UserError(f"{base.model} is stored in {name}; give --dtype float32 or bfloat16")
    return name


def _merged(adapter: str, base: Base, config: ExportConfig, dtype: str) -> Tensor:
    """Write the folder; returns the logits before, computed in what is written.

    The sum is taken in the wider of both precisions, so that no weight is rounded twice.
    """
    before = probe_logits(load_policy(adapter, dtype=dtype, device=config.device))
    wide = torch.promote_types(DTYPES[base_dtype(base)], DTYPES[dtype])
    policy = load_policy(adapter, dtype=str(wide).removeprefix("torch."), device=config.device)
    merge(policy)
    policy.model.to(DTYPES[dtype])
    policy.save(config.out)
    return before


@torch.no_grad()
def probe_logits(policy: Policy) -> Tensor:
    """Logits [C, V] of each token of a fixed answer to a fixed question about a made video."""
    frames = np.full((FRAMES, SIDE, SIDE, 3), 40, dtype=np.uint8)
    for time in range(FRAMES):
        frames[time, 40:70, 20 * time : 20 * time + 30] = (220, 60, 50)
    prompt = policy.encode(render(QUESTION, CHOICES), policy.to_video(frames, FRAMES / 2.0))
    ids = policy.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    ids_1C = torch.tensor([ids])
    group = Group(prompt, ids_1C, torch.ones_like(ids_1C, dtype=torch.bool), torch.tensor([True]))
    return (policy.hidden(group)[0] @ policy.head_VD.T).float().cpu()


@dataclass(frozen=True, eq=False)
class Moved:
    """Logits before and after, [C, V] each."""

    before_CV: Tensor
    after_CV: Tensor

    @property
    def numbers(self) -> dict[str, float]:
        """The largest and the mean absolute difference, and how many top tokens are others."""
        gap_CV = (self.after_CV - self.before_CV).abs()
        other_C = self.after_CV.argmax(dim=1) != self.before_CV.argmax(dim=1)
        return {
            "max": float(gap_CV.max()),
            "mean": float(gap_CV.double().mean()),
            "other_top_tokens": int(other_C.sum()),
        }

    @property
    def probe(self) -> str:
        """What was asked, in words."""
        tokens, vocabulary = self.before_CV.shape
        return (
            f"{tokens} tokens of a fixed answer about a made video of {FRAMES} frames of "
            f"{SIDE}x{SIDE}, {vocabulary} logits each"
        )

    def lines(self) -> list[str]:
        """The numbers for a person."""
        found = self.numbers
        spread = float(self.before_CV.std())
        moved = f"logits moved by {found['max']:.3g} at most and {found['mean']:.3g} in the mean"
        return [
            f"{moved} (their own deviation is {spread:.3g}), over {self.probe}",
            f"the top token is another at {found['other_top_tokens']} of {len(self.before_CV)}",
        ]
