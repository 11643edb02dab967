"""LoRA in training: the adapter that trains, and the bias model as a second, frozen one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from videothinker.algorithms.base import TrainConfig
from videothinker.errors import UserError
from videothinker.models import adapters
from videothinker.models.adapters import BIAS_ADAPTER, POLICY_ADAPTER
from videothinker.models.folders import read_base
from videothinker.models.loaded import Policy
from videothinker.training.step import Bias


def add_adapter(policy: Policy, config: TrainConfig) -> None:
    """Put a fresh LoRA adapter into the language model; all else is frozen."""
    from peft import LoraConfig  # noqa: PLC0415 (only where asked for)

    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=policy.lora_targets,
        lora_dropout=0.0,
    )
    policy.model.requires_grad_(requires_grad=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        adapters.inject(policy.model, lora, POLICY_ADAPTER)
    adapters.activate(policy, POLICY_ADAPTER)


def train_further(policy: Policy, folder: Path, config: TrainConfig) -> None:
    """Train the adapter that was read with the policy.

    Raises:
        UserError: the settings ask for an adapter of another rank or scale.
    """
    lora = policy.model.peft_config[POLICY_ADAPTER]
    if (lora.r, lora.lora_alpha) != (config.lora_rank, config.lora_alpha):
        raise UserError(
            f"{folder} is a LoRA adapter of rank {lora.r} and alpha {lora.lora_alpha}, and "
            f"lora_rank {config.lora_rank}, lora_alpha {config.lora_alpha} came; give its own to "
            "train it further"
        )
    adapters.activate(policy, POLICY_ADAPTER)


def load_adapter_bias(folder: Path, policy: Policy) -> "AdapterBias":
    """The adapter in `folder` as a second, frozen one on the policy's weights.

    Raises:
        UserError: the adapter was made for another base.
    """
    base = read_base(folder)
    if policy.base is None or base.digest != policy.base.digest:
        raise UserError(
            f"bias adapter {folder} was trained on another base ({base.model}) than the model's "
            "weights; give an adapter of the same base, or the --model it was trained on"
        )
    adapters.attach(policy, folder, BIAS_ADAPTER)
    adapters.activate(policy, POLICY_ADAPTER)
    return AdapterBias(policy)


class AdapterBias(Bias):
    """A second frozen adapter on the policy's own weights: one copy of the base in memory."""

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside, the shared weights compute with the bias adapter."""
        adapters.activate(self.policy, BIAS_ADAPTER)
        try:
            yield
        finally:
            adapters.activate(self.policy, POLICY_ADAPTER)

    def is_policy(self) -> bool:
        """Do both adapters add the same?"""
        model = self.policy.model
        return adapters.same_added(
            adapters.added(model, POLICY_ADAPTER), adapters.added(model, BIAS_ADAPTER)
        )
