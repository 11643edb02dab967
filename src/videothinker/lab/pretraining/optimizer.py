"""Muon for the matrices inside the blocks, AdamW for everything else, one schedule for both.

Muon is PyTorch's own, with its step matched to AdamW's size. Checkpoints are safetensors.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from videothinker.lab.pretraining.config import PretrainConfig
from videothinker.records import write_atomic

MATRICES = (
    "language_model.layers.",
    "visual.blocks.",
    "visual.merger.mlp.",
    "visual.merger.linear_",
    "visual.deepstack_merger_list.",
)
"""Where the matrices that Muon moves are."""


class PretrainOptimizer:
    """Both optimisers over the model and its training-time heads."""

    def __init__(self, modules: Iterable[nn.Module], config: PretrainConfig) -> None:
        self.config = config
        named = {
            f"{place}.{name}": parameter
            for place, module in enumerate(modules)
            for name, parameter in module.named_parameters()
        }
        self.named = named
        inside = [n for n, p in named.items() if p.ndim == 2 and any(m in n for m in MATRICES)]
        chosen = set(inside)
        self.parts: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                [named[name] for name in inside],
                lr=config.learning_rate,
                weight_decay=0.01,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                [p for name, p in named.items() if name not in chosen],
                lr=config.adam_learning_rate,
                betas=(0.9, 0.98),
                weight_decay=0.0,
            ),
        )
        self.rates = (config.learning_rate, config.adam_learning_rate)

    def step(self, step: int) -> None:
        """One update with the rates of this step; gradients are clipped to norm 1, then cleared."""
        scale = schedule(step, self.config)
        nn.utils.clip_grad_norm_(list(self.named.values()), 1.0)
        for part, rate in zip(self.parts, self.rates, strict=True):
            for group in part.param_groups:
                group["lr"] = rate * scale
            part.step()
            part.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and the optimisers' memory, flat."""
        found = {f"parameter/{name}": p.detach() for name, p in self.named.items()}
        names = {id(p): name for name, p in self.named.items()}
        for part in self.parts:
            for parameter, memory in part.state.items():
                for key, value in memory.items():
                    kept = value if isinstance(value, Tensor) else torch.tensor(value)
                    found[f"{key}/{names[id(parameter)]}"] = kept
        return {key: value.contiguous().clone() for key, value in found.items()}

    def save(self, path: Path) -> None:
        """Write all of it, atomically."""
        write_atomic(path, save(self.tensors()))

    def load(self, path: Path) -> None:
        """Take up what `save` wrote."""
        found = load_file(path)
        parts = {
            name: part
            for part in self.parts
            for group in part.param_groups
            for name, p in self.named.items()
            if any(p is other for other in group["params"])
        }
        for key, value in found.items():
            kind, _, name = key.partition("/")
            if kind == "parameter":
                self.named[name].data.copy_(value)
            else:
                where = self.named[name].device if value.ndim else "cpu"  # a count stays here
                parts[name].state[self.named[name]][kind] = value.to(where)


def schedule(step: int, config: PretrainConfig) -> float:
    """Rises over the warm-up, stays, falls linearly to 0 at the end."""
    rising = min(1.0, (step + 1) / max(1, config.warmup))
    left = (config.steps - step) / max(1.0, config.steps * config.decay)
    return min(rising, 1.0, left)
