"""The training loop: draw, forward, update, now and then save and measure."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videothinker.console import progress, say
from videothinker.lab.pretraining import dense
from videothinker.lab.pretraining.batches import Batches, StepBatch, moved, patches
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.cuda_graphs import GraphedBackward, Parts
from videothinker.lab.pretraining.curriculum import kinds_at
from videothinker.lab.pretraining.measure import HeldOutScenes
from videothinker.lab.pretraining.optimizer import PretrainOptimizer
from videothinker.lab.pretraining.probe_heads import ProbeHeads, probe_metrics
from videothinker.lab.pretraining.segments import SegmentTokenizer
from videothinker.models.qwen_vl.policy import QwenVL
from videothinker.records import Step
from videothinker.runs import Journal
from videothinker.seeds import derive

LOSSES = ("look", "touch", "near", "moves")
SHOWN = ("color_sets_exact", "contact_auc", "contact_break_even")
PROBED = 32
"""Held-out videos the heads look at together."""


def in_bfloat16(precision: str, device: str) -> bool:
    """Whether matrix products are done in bfloat16."""
    if precision != "auto":
        return precision == "bfloat16"
    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - no public name


def backward(
    policy: QwenVL,
    heads: ProbeHeads | None,
    batch: StepBatch,
    tokenizer: SegmentTokenizer,
    precision: str,
) -> Parts:
    """The parts of the loss; its gradients are added to those there are."""
    words = right = torch.zeros((), device=policy.device)
    device = policy.device.type
    with torch.autocast(device, torch.bfloat16, enabled=in_bfloat16(precision, device)):
        if batch.has_words:
            hidden, vision, state = dense.forward(policy.model, batch.inputs, tokenizer.layout)
            words, right = dense.losses(policy.model, hidden, batch.inputs)
        else:
            vision, state = dense.video_states(policy.model, batch.inputs, tokenizer.layout)
    parts = {"words": words, "teacher_forced": right}
    total = words
    if heads is not None and batch.targets is not None and vision is not None and state is not None:
        found = heads.losses(vision.float(), state.float(), batch.targets)
        total = words + torch.stack(list(found.values())).sum()
        parts |= found
    total.backward()
    return {name: value.detach() for name, value in parts.items()}


@torch.no_grad()
def probe_accuracy(
    policy: QwenVL,
    heads: ProbeHeads,
    scenes: HeldOutScenes,
    tokenizer: SegmentTokenizer,
    precision: str,
) -> dict[str, float]:
    """What the heads tell of held-out scenes: the curve of the stage without words."""
    colors, pairs = [], []
    device = policy.device
    frames = scenes.frames or ()
    for start in range(0, len(frames), PROBED):
        shown = torch.from_numpy(np.stack(frames[start : start + PROBED]))
        pixels = patches(shown, policy.vision)
        prefix = torch.tensor(tokenizer.prefix_ids).expand(len(shown), -1)
        batch = dense.DenseBatch(prefix, torch.empty(0), torch.empty(0), torch.empty(0), pixels)
        batch = moved(batch, device)
        bfloat16 = in_bfloat16(precision, device.type)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            vision, state = dense.video_states(policy.model, batch, tokenizer.layout)
        colors.append(heads.colors(vision.float()).cpu())
        pairs.append(heads.pairs(state.float()).cpu())
    return probe_metrics(torch.cat(colors), torch.cat(pairs), scenes.facts)


def _load_checkpoint(optimizer: PretrainOptimizer, checkpoints: Path) -> int:
    """Load the newest checkpoint, if any; returns the steps done."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    saved = sorted(checkpoints.glob("step-*.safetensors"))
    if not saved:
        return 0
    optimizer.load(saved[-1])
    return int(saved[-1].stem.partition("-")[2])


def _save_checkpoint(optimizer: PretrainOptimizer, checkpoints: Path, done: int) -> None:
    """Save after `done` steps, then drop the older checkpoints."""
    optimizer.save(checkpoints / f"step-{done:07d}.safetensors")
    for old in sorted(checkpoints.glob("step-*.safetensors"))[:-1]:
        old.unlink()


def _repeat_on_gpu() -> None:
    """Let the same sums be the same bits from run to run, where torch can."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else sums change their order
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # nothing here reads it


def train(
    policy: QwenVL,
    batches: Batches,
    config: PretrainConfig,
    *,
    checkpoints: Path,
    journal: Journal[Step],
    measure: Callable[[int], object],
    held_out: HeldOutScenes,
) -> None:
    """Train in place from the last checkpoint on.

    Args:
        policy: its weights are changed.
        batches: draws every step's batch.
        config: settings.
        checkpoints: folder of `step-N.safetensors`; the newest is taken up.
        journal: one record a step.
        measure: called every `measure_every` steps with the steps done, once words are taught.
        held_out: scenes that the heads are asked about before that.
    """
    torch.manual_seed(derive(config.seed, "pretraining heads"))
    if config.device == "cuda":
        _repeat_on_gpu()
    heads = ProbeHeads(config.shape.hidden).to(policy.device) if config.tier == "video" else None
    modules = [policy.model, *([heads] if heads is not None else [])]
    optimizer = PretrainOptimizer(modules, config)
    first = _load_checkpoint(optimizer, checkpoints)
    journal.keep(lambda loss: loss.step < first)
    policy.model.train()

    def run(batch: StepBatch) -> Parts:
        return backward(policy, heads, batch, batches.tokenizer, config.precision)

    if config.device == "cuda":
        run = GraphedBackward(run, list(optimizer.named.values()))
    with progress(f"pretrain ({config.tier})", config.steps, done=first) as bar:
        for step, batch in enumerate(batches.prefetched(first, config.steps), start=first):
            found = run(batch.to(policy.device))
            optimizer.step(step)
            parts = dict(zip(found, torch.stack([*found.values()]).tolist(), strict=True))
            done = step + 1
            due = done % config.measure_every == 0 and done < config.steps
            if due and heads is not None:
                told = probe_accuracy(policy, heads, held_out, batches.tokenizer, config.precision)
                say(f"step {done}: the heads' " + ", ".join(f"{k} {told[k]:.3f}" for k in SHOWN))
                parts |= told
            journal.append(Step(step=step, loss=parts.pop("words"), metrics=parts))
            total = journal.records[-1].loss + sum(parts.get(key, 0.0) for key in LOSSES)
            bar.note(f"loss {total:.3f}")
            bar.advance()
            if done % config.save_every == 0 or done == config.steps:
                _save_checkpoint(optimizer, checkpoints, done)
            if due and kinds_at(step, config):
                policy.model.eval()
                measure(done)
                policy.model.train()
    policy.model.eval()
