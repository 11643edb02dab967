"""LoRA: the policy's adapter, the bias model as a second frozen one, and how they are saved.

peft is imported only where LoRA is asked for. Adapters are injected in place, so the model stays a
Qwen2.5-VL and the engine need not know.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from videothinker.errors import UserError
from videothinker.policy.loading import digest_weights
from videothinker.policy.model import Policy
from videothinker.training.config import TrainConfig
from videothinker.training.step import Bias

POLICY_ADAPTER, BIAS_ADAPTER = "policy", "bias"
BASE = "base.json"
"""Beside an adapter: which weights it was trained on."""
BEGINNING = 1024
"""Values of every tensor that go into the fingerprint: under 2 MB at 3B, where all are 7.5 GB."""
LORA_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
"""Every linear map of the language model; the vision tower stays as it is."""


def add_adapter(policy: Policy, config: TrainConfig) -> None:
    """Put fresh LoRA adapters into the language model; all else is frozen."""
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 (only where asked for)

    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=LORA_TARGETS,
        lora_dropout=0.0,
    )
    policy.model.requires_grad_(requires_grad=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        inject_adapter_in_model(lora, policy.model, adapter_name=POLICY_ADAPTER)


def adapter_folder(source: str) -> Path | None:
    """Where an adapter lies: the folder itself, or `adapter/` in a run folder."""
    for folder in (Path(source), Path(source) / "adapter"):
        if (folder / "adapter_config.json").is_file():
            return folder
    return None


def load_adapter_bias(folder: Path, policy: Policy) -> Bias:
    """The adapter in `folder` as a second, frozen one on the policy's weights.

    Raises:
        UserError: the adapter was made for another base.
    """
    from peft import (  # noqa: PLC0415
        PeftConfig,
        get_peft_model_state_dict,
        inject_adapter_in_model,
        set_peft_model_state_dict,
    )
    from safetensors.torch import load_file  # noqa: PLC0415

    book = folder / BASE
    if book.is_file() and json.loads(book.read_text())["fingerprint"] != fingerprint(policy):
        raise UserError(
            f"bias adapter {folder} was trained on another base than the model's weights; "
            "give an adapter of the same base, or the --model it was trained on"
        )
    lora = PeftConfig.from_pretrained(str(folder))
    with warnings.catch_warnings():  # that there is one adapter already is the intention
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        inject_adapter_in_model(lora, policy.model, adapter_name=BIAS_ADAPTER)
    weights = load_file(folder / "adapter_model.safetensors")
    places = get_peft_model_state_dict(policy.model, adapter_name=BIAS_ADAPTER)
    wrong = sorted(
        name
        for name in places.keys() | weights.keys()
        if name not in places or name not in weights or places[name].shape != weights[name].shape
    )
    if wrong:
        raise UserError(
            f"bias adapter {folder} does not fit the model in {len(wrong)} tensors "
            f"({wrong[0]} first); give an adapter of the same base"
        )
    set_peft_model_state_dict(policy.model, weights, adapter_name=BIAS_ADAPTER)
    _activate(policy.model, POLICY_ADAPTER)
    return AdapterBias(policy)


def fingerprint(policy: Policy) -> str:
    """Tells one base from another: the beginning of every base tensor, in whatever precision."""
    beginnings = {
        name.replace(".base_layer", ""): tensor.flatten()[:BEGINNING].bfloat16()
        for name, tensor in policy.model.state_dict().items()
        if ".lora_" not in name
    }
    return digest_weights(beginnings)


class AdapterBias(Bias):
    """A second frozen adapter on the policy's own weights: one copy of the base in memory."""

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside, the shared weights compute with the bias adapter."""
        _activate(self.policy.model, BIAS_ADAPTER)
        try:
            yield
        finally:
            _activate(self.policy.model, POLICY_ADAPTER)


def _activate(model: nn.Module, adapter: str) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: PLC0415

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            module.set_adapter(adapter)
    for name, param in model.named_parameters():
        if f".{BIAS_ADAPTER}." in name:
            param.requires_grad = False
        elif f".{POLICY_ADAPTER}." in name:
            param.requires_grad = True


def save_adapter(policy: Policy, folder: Path) -> None:
    """The policy's adapter in peft's own format."""
    from peft import get_peft_model_state_dict  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    weights = get_peft_model_state_dict(policy.model, adapter_name=POLICY_ADAPTER)
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "adapter_model.safetensors")
    policy.model.peft_config[POLICY_ADAPTER].save_pretrained(folder)
    (folder / BASE).write_text(json.dumps({"fingerprint": fingerprint(policy)}) + "\n")


def merged_weights(policy: Policy) -> dict[str, Tensor]:
    """The weights of a plain model that computes what base and policy adapter compute."""
    from peft.tuners.lora import LoraLayer  # noqa: PLC0415

    deltas = {
        f"{name}.weight": cast("Any", module).get_delta_weight(POLICY_ADAPTER)
        for name, module in policy.model.named_modules()
        if isinstance(module, LoraLayer)
    }
    merged = {}
    for name, tensor in policy.model.state_dict().items():
        if ".lora_" not in name:
            plain = name.replace(".base_layer", "")
            merged[plain] = tensor + deltas[plain] if plain in deltas else tensor
    return merged
