"""The training loop: draw, forward, update, now and then save and measure."""

from collections.abc import Callable
from pathlib import Path

import torch

from videothinker.console import progress
from videothinker.policy.model import Policy
from videothinker.pretraining import dense
from videothinker.pretraining.batches import Batches, Drawn
from videothinker.pretraining.config import PretrainConfig
from videothinker.pretraining.curriculum import kinds_at
from videothinker.pretraining.heads import Heads
from videothinker.pretraining.optimizer import Optimizer
from videothinker.pretraining.spelling import Speller
from videothinker.records import Step
from videothinker.runs import Journal
from videothinker.seeds import derive


def in_bfloat16(precision: str) -> bool:
    """Whether matrix products are done in bfloat16."""
    if precision != "auto":
        return precision == "bfloat16"
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - no public name


def losses_of(
    policy: Policy, heads: Heads | None, drawn: Drawn, speller: Speller, precision: str
) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss to minimise, and its parts."""
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16(precision)):
        hidden, seen, state = dense.forward(policy.model, drawn.batch, speller.layout)
        words, right = dense.losses(policy.model, hidden, drawn.batch)
    parts = {"words": words.item(), "teacher_forced": right.item()}
    if heads is None or drawn.truth is None or seen is None:
        return words, parts
    start = speller.layout.video_start
    over = state[:, start : start + speller.layout.video_tokens]
    look, touch = heads.losses(seen.float(), over.float(), drawn.truth)
    return words + look + touch, {**parts, "look": look.item(), "touch": touch.item()}


def train(
    policy: Policy,
    batches: Batches,
    config: PretrainConfig,
    *,
    checkpoints: Path,
    journal: Journal[Step],
    measure: Callable[[int], object],
) -> None:
    """Train in place from the last checkpoint on.

    Args:
        policy: its weights are changed.
        batches: draws every step's batch.
        config: settings.
        checkpoints: folder of `step-N.safetensors`; the newest is taken up.
        journal: one record a step.
        measure: called every `measure_every` steps with the steps done, once words are taught.
    """
    torch.manual_seed(derive(config.seed, "pretraining heads"))
    heads = Heads(config.shape.hidden) if config.tier == "video" else None
    modules = [policy.model, *([heads] if heads is not None else [])]
    optimizer = Optimizer(modules, config)
    checkpoints.mkdir(parents=True, exist_ok=True)
    saved = sorted(checkpoints.glob("step-*.safetensors"))
    first = 0
    if saved:
        optimizer.load(saved[-1])
        first = int(saved[-1].stem.partition("-")[2])
    journal.keep(lambda loss: loss.step < first)
    policy.model.train()
    with progress(f"pretrain ({config.tier})", config.steps, done=first) as bar:
        for step in range(first, config.steps):
            loss, parts = losses_of(
                policy, heads, batches.step(step), batches.speller, config.precision
            )
            loss.backward()
            optimizer.step(step)
            journal.append(Step(step=step, loss=parts.pop("words"), metrics=parts))
            bar.note(f"loss {journal.records[-1].loss:.3f}")
            bar.advance()
            done = step + 1
            if done % config.save_every == 0 and done < config.steps:
                path = checkpoints / f"step-{done:07d}.safetensors"
                optimizer.save(path)
                for old in sorted(checkpoints.glob("step-*.safetensors"))[:-1]:
                    old.unlink()
            speaks = bool(kinds_at(step, config))
            if speaks and done % config.measure_every == 0 and done < config.steps:
                policy.model.eval()
                measure(done)
                policy.model.train()
    policy.model.eval()
