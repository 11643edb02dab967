"""The model in training and the frozen bias model beside it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from videothinker import console
from videothinker.errors import UserError
from videothinker.policy.folders import model_folder
from videothinker.policy.model import Policy, load_policy, save_policy
from videothinker.training.adapters import (
    adapter_folder,
    add_adapter,
    load_adapter_bias,
    merged_weights,
)
from videothinker.training.config import CdpoConfig, GrpoConfig, TrainConfig
from videothinker.training.step import Bias


def load_trainee(config: TrainConfig, device: torch.device) -> Policy:
    """The policy to train, with gradients on exactly what trains."""
    policy = load_policy(
        model_folder(config.model),
        dtype=config.dtype,
        device=str(device),
        freeze_vision=config.freeze_vision,
    )
    if config.lora_rank:
        add_adapter(policy, config)
    if config.gradient_checkpointing:
        policy.enable_gradient_checkpointing()
    return policy


def load_bias(source: str, policy: Policy, config: TrainConfig, *, allow_self: bool) -> Bias:
    """The frozen bias model, checked against the policy it is to steer.

    Raises:
        UserError: another tokenizer, vocabulary or chat template, or the policy itself.
    """
    adapter = adapter_folder(source)
    if adapter is not None and config.lora_rank:
        return load_adapter_bias(adapter, policy)
    if adapter is not None and not (Path(model_folder(source)) / "config.json").is_file():
        raise UserError(f"bias {source} is a LoRA adapter; give --lora_rank or a merged model")
    frozen = load_policy(model_folder(source), dtype=config.dtype, device=str(policy.device))
    frozen.model.requires_grad_(requires_grad=False)
    check_pair(policy, frozen, source)
    if model_folder(source) == model_folder(config.model) or same_weights(policy, frozen):
        if not allow_self:
            raise UserError(
                f"bias {source} is the policy itself; give the model that `train bias` made "
                "(repelling the initial policy is an ablation: allow_self_bias)"
            )
        console.say(f"warning: bias {source} is the policy itself: the ablation that collapses")
    policy.share_videos(frozen)
    offload = isinstance(config, CdpoConfig | GrpoConfig) and config.offload_bias
    return OffloadedBias(frozen, policy.device) if offload else Bias(frozen)


class OffloadedBias(Bias):
    """A bias model that lies on the CPU between its uses: the same numbers, its weights copied in.

    Args:
        policy: the bias model, frozen.
        device: where it computes.
    """

    def __init__(self, policy: Policy, device: torch.device) -> None:
        super().__init__(policy)
        self.device = device
        self.params = list(policy.model.parameters())
        self.home = [_on_cpu(param, pinned=device.type == "cuda") for param in self.params]
        self._point_to(self.home)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Inside, the weights are on the device; what still refers to one there keeps it."""
        self._point_to([at.to(self.device, copy=True, non_blocking=True) for at in self.home])
        try:
            yield
        finally:
            self._point_to(self.home)

    def _point_to(self, tensors: Sequence[torch.Tensor]) -> None:
        for param, tensor in zip(self.params, tensors, strict=True):
            param.data = tensor


def _on_cpu(param: torch.Tensor, *, pinned: bool) -> torch.Tensor:
    here = param.detach().cpu()
    return here.pin_memory() if pinned else here


def check_pair(policy: Policy, bias: Policy, source: str) -> None:
    """Refuse a bias model whose tokens mean something else than the policy's."""
    ours, theirs = policy.tokenizer, bias.tokenizer
    for what, mine, other in (
        ("vocabulary", ours.get_vocab(), theirs.get_vocab()),
        ("tokenizer", _splitting(policy), _splitting(bias)),
        ("chat template", ours.chat_template, theirs.chat_template),
        ("number of output tokens", len(policy.head_VD), len(bias.head_VD)),
    ):
        if mine != other:
            raise UserError(
                f"bias {source} has another {what} than the model; "
                "give a bias model trained from the same base"
            )


def same_weights(policy: Policy, bias: Policy) -> bool:
    """Are all tensors equal?"""
    mine, other = policy.model.state_dict(), bias.model.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[k], other[k]) for k in mine)


def _splitting(policy: Policy) -> list[object]:
    """How the tokenizer cuts text: its normaliser, its splitting rule, its merges."""
    parts = json.loads(policy.tokenizer.backend_tokenizer.to_str())
    return [parts["normalizer"], parts["pre_tokenizer"], parts["model"].get("merges")]


def save_model(policy: Policy, folder: Path, config: TrainConfig) -> None:
    """A complete transformers folder; under LoRA with the adapter merged in."""
    if not config.lora_rank:
        save_policy(policy, folder)
        return
    plain = load_policy(model_folder(config.model), dtype=config.dtype, device="cpu")
    plain.model.load_state_dict(merged_weights(policy))
    save_policy(plain, folder)
