"""One step's batch: which scenes, what is asked about them, and their pixels."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from videothinker.clevrer.compact import render_compact
from videothinker.clevrer.programs import COLORS
from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.lab.pretraining.curriculum import draw
from videothinker.lab.pretraining.dense import DenseBatch
from videothinker.lab.pretraining.light_maps import paint, read_light_maps, recolored
from videothinker.lab.pretraining.pool import CHUNK, SceneFacts, read_chunk
from videothinker.lab.pretraining.probe_heads import (
    ProbeTargets,
    mirrored,
    probe_targets,
    token_labels,
)
from videothinker.lab.pretraining.segments import SegmentTokenizer
from videothinker.models.qwen_vl.videos import VisionSettings
from videothinker.seeds import derive, numpy_generator

T = TypeVar("T", bound=Any)
NOISE = 2.0
"""Standard deviation of the pixel noise added in training, of 255: compression leaves as much."""


@dataclass(frozen=True)
class StepBatch:
    """What one step trains on."""

    inputs: DenseBatch
    targets: ProbeTargets | None
    has_words: bool = True
    """False while looking alone is trained."""

    def to(self, device: torch.device) -> "StepBatch":
        """The same on a device."""
        truth = None if self.targets is None else moved(self.targets, device)
        return StepBatch(moved(self.inputs, device), truth, self.has_words)


def moved(tensors: T, device: torch.device) -> T:
    """A dataclass of tensors on a device."""
    held = {one.name: getattr(tensors, one.name) for one in fields(tensors)}
    there = {k: None if v is None else v.to(device, non_blocking=True) for k, v in held.items()}
    return replace(tensors, **there)


class Batches:
    """Draws every step's batch from (seed, step) alone."""

    def __init__(self, config: PretrainConfig, folder: Path, tokenizer: SegmentTokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        count = -(-config.pool.scenes // CHUNK)
        self.facts: list[SceneFacts] = []
        self.lights: list[np.ndarray] = []
        for number in range(count):
            self.facts += read_chunk(folder, number, config.seed, config.pool)
            if config.tier == "video":
                self.lights.append(read_light_maps(folder, number, config.seed, config.pool))

    def scenes(self, step: int) -> list[int]:
        """Places in the pool: each epoch is a fresh permutation."""
        size, pool = self.config.batch, self.config.pool.scenes
        found = []
        for position in range(step * size, (step + 1) * size):
            epoch, place = divmod(position, pool)
            found.append(int(self._order(epoch)[place]))
        return found

    @cache  # noqa: B019 - one object a run, and two epochs at most are asked for at a time
    def _order(self, epoch: int) -> np.ndarray:
        rng = numpy_generator(self.config.seed, "pretraining order", epoch)
        return rng.permutation(self.config.pool.scenes)

    def step(self, step: int) -> StepBatch:
        """The batch of a step."""
        config, tokenizer = self.config, self.tokenizer
        rng = numpy_generator(config.seed, "pretraining step", step)
        chosen = self.scenes(step)
        facts = [self.facts[place] for place in chosen]
        flipped = rng.random(len(chosen)) < 0.5
        facts = [recolored(one, rng.permutation(len(COLORS))) for one in facts]
        if config.tier == "transcript":
            facts = [
                one.flipped() if mirror else one for one, mirror in zip(facts, flipped, strict=True)
            ]
        tasks = draw(facts, step, config, rng, flipped.tolist())
        ids, weights = tokenizer.segments(tasks or [("", "")] * len(chosen))
        if not tasks:
            weights = torch.zeros_like(weights)
        shape = (len(chosen), len(ids) // len(chosen), -1)
        if config.tier == "transcript":
            drawn = [derive(config.seed, "pretraining misses", step, place) for place in chosen]
            prefix, lengths = tokenizer.contexts(
                [
                    render_compact(
                        one.motion(),
                        frames=config.pool.frames,
                        miss_rate=config.miss_rate,
                        seed=seed,
                    )
                    for one, seed in zip(facts, drawn, strict=True)
                ]
            )
            return StepBatch(
                DenseBatch(prefix, lengths, ids.view(shape), weights.view(shape)), None
            )
        lights = np.stack([self.lights[place // CHUNK][place % CHUNK] for place in chosen])
        lights[flipped] = lights[flipped][..., ::-1]
        frames = paint(lights, [[color for color, _, _ in one.looks] for one in facts])
        prefix = torch.tensor(tokenizer.prefix_ids).expand(len(chosen), -1)
        pixels = patches(frames, tokenizer.policy.vision, rng)
        lengths = torch.full((len(chosen),), prefix.shape[1])
        batch = DenseBatch(prefix, lengths, ids.view(shape), weights.view(shape), pixels)
        return StepBatch(batch, self._truth(facts, flipped), bool(tasks))

    def prefetched(self, first: int, end: int) -> Iterator[StepBatch]:
        """The batches of steps `first` to `end`, drawn by `workers` processes if there are any."""
        steps = range(first, end)
        if not self.config.workers:
            yield from map(self.step, steps)
            return
        # forked, so that scenes and tokenizer are there once
        yield from DataLoader(
            _Steps(self, steps),
            batch_size=None,
            num_workers=self.config.workers,
            prefetch_factor=4,
            multiprocessing_context="fork",
        )

    def _truth(self, facts: list[SceneFacts], flipped: np.ndarray) -> ProbeTargets:
        pool = self.config.pool
        side = 2 * self.config.shape.patch_size
        columns, rows = pool.width // side, pool.height // side
        labels = [token_labels(one, columns, rows, pool.radius) for one in facts]
        turned = [
            mirrored(one, columns) if mirror else one
            for one, mirror in zip(labels, flipped, strict=True)
        ]
        return probe_targets(turned, pool.frames // 2, columns * rows)


class _Steps(Dataset):
    """Batches by number, for the loader's processes."""

    def __init__(self, batches: Batches, steps: range) -> None:
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, place: int) -> StepBatch:
        return self.batches.step(self.steps[place])


def patches(
    frames_BTHW3: Tensor, vision: VisionSettings, rng: np.random.Generator | None = None
) -> Tensor:
    """Many videos to `B N F`, each cut as `policy.patches` cuts one; noise if `rng` is given."""
    batch, count, height, width, _ = frames_BTHW3.shape
    pixels = frames_BTHW3.float()
    if rng is not None:
        size = pixels[0].numel()
        bank = torch.from_numpy(rng.standard_normal(3 * size, dtype=np.float32)) * NOISE
        starts = rng.integers(2 * size, size=batch).tolist()
        noise = torch.stack([bank[start : start + size] for start in starts])
        pixels = pixels + noise.view_as(pixels)
    mean, std = (torch.tensor(side) * 255.0 for side in (vision.mean, vision.std))
    pixels = (pixels - mean) / std
    size, merge, slot = vision.patch_size, vision.merge_size, vision.temporal_patch_size
    rows, columns = height // size, width // size
    blocks = pixels.view(
        batch, count // slot, slot, rows // merge, merge, size, columns // merge, merge, size, 3
    )
    blocks = blocks.permute(0, 1, 3, 6, 4, 7, 9, 2, 5, 8)
    return blocks.reshape(batch, count // slot * rows * columns, -1)
