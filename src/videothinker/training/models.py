"""The model in training and the frozen bias model beside it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from videothinker import console
from videothinker.algorithms.base import BiasSource, TrainConfig
from videothinker.algorithms.choices import DIVERGENCES
from videothinker.errors import UserError
from videothinker.models.adapters import find_base, same_weights, save_adapter
from videothinker.models.catalog import load_policy, refuse_other_family
from videothinker.models.folders import ModelPlace, find_model, merging
from videothinker.models.loaded import Policy
from videothinker.run_file import RunFile, read_run_file
from videothinker.training.adapters import add_adapter, load_adapter_bias, train_further
from videothinker.training.step import Bias


def load_trainee(config: TrainConfig, device: torch.device, *, recomputes: bool = True) -> Policy:
    """The policy to train, with gradients on exactly what trains.

    Args:
        config: the run's settings.
        device: where it trains.
        recomputes: are activations made again in the backward pass? What the settings say goes
            before.

    Raises:
        UserError: an adapter came, and no rank to train it further.
    """
    model = find_model(config.model)
    given = model.adapter
    if given and not config.lora_rank:
        raise UserError(
            f"model {config.model} is a LoRA adapter, of which all weights cannot be trained; give "
            f"its --lora-rank and --lora-alpha to train it further, or make a complete model: "
            f"{merging(config.model)}"
        )
    policy = load_policy(
        model, dtype=config.dtype, device=str(device), freeze_vision=config.freeze_vision
    )
    if given:
        train_further(policy, given, config)
    elif config.lora_rank:
        add_adapter(policy, config)
        policy.base = find_base(model)
    asked = config.gradient_checkpointing
    if recomputes if asked is None else asked:
        policy.enable_gradient_checkpointing()
    return policy


def load_bias(wanted: BiasSource, policy: Policy, config: TrainConfig) -> Bias:
    """The frozen bias model, checked against the policy it is to steer.

    Under LoRA an adapter is put beside the policy's; anything else is a model of its own.

    Raises:
        UserError: another family, tokenizer or chat template, the policy itself, or one that
            learned nothing.
    """
    model = find_model(wanted.model)
    if not wanted.may_be_policy:
        check_learned(model)
    if config.sampling == "bias-failure":
        warn_of_removed_premises(model)
    if model.adapter is not None and config.lora_rank:
        second = load_adapter_bias(model.adapter, policy)
        _check_other(model, wanted, config, same=second.is_policy())
        return second
    frozen = load_policy(model, dtype=config.dtype, device=str(policy.device))
    frozen.model.requires_grad_(requires_grad=False)
    check_pair(policy, frozen, wanted.model, config.objective().divergence)
    _check_other(model, wanted, config, same=same_weights(policy, frozen))
    policy.share_videos(frozen)
    return OffloadedBias(frozen, policy.device) if wanted.offload else Bias(frozen)


def _made_by(bias: ModelPlace) -> RunFile:
    """The run whose `model/` it is; an empty record of a model from elsewhere."""
    path = Path(bias.files).parent / "run.json"
    return read_run_file(path) if path.is_file() else RunFile()


def check_learned(bias: ModelPlace) -> None:
    """Refuse a bias model whose own run says that it is still what it started from.

    Raises:
        UserError: with what that run says.
    """
    facts = _made_by(bias).known
    if facts.weights_changed is False:
        said = "".join(facts.warnings[-1:]).partition(";")[0]  # the rest is that run's
        raise UserError(
            f"bias {bias.source} is the model it started from ({said}). "
            "Mend and run that `train bias` again, or give another bias model"
        )


def warn_of_removed_premises(bias: ModelPlace) -> None:
    """Say that a bias model whose failures will be measured never saw a question as it is."""
    if _made_by(bias).config.get("as_is") is False:
        console.say(
            f"warning: bias {bias.source} was trained on questions without their premise, and "
            "bias-failure sampling goes by what it answers to whole questions: train it with "
            "--as-is, or give --sampling uniform"
        )


def _check_other(model: ModelPlace, wanted: BiasSource, config: TrainConfig, *, same: bool) -> None:
    if not same and model.files != find_model(config.model).files:
        return
    if not wanted.may_be_policy:
        raise UserError(
            f"bias {wanted.model} is the policy itself; give the model that `train bias` made "
            "(repelling the initial policy is an ablation: allow_self_bias)"
        )
    console.say(f"warning: bias {wanted.model} is the policy itself: the ablation that collapses")


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


def check_pair(policy: Policy, bias: Policy, source: str, divergence: str | None) -> None:
    """Refuse a bias model whose tokens or frames mean something else than the policy's.

    Another size of the same family may stand beside it: a stronger model is an ablation. Sizes can
    differ in rows of the head that no token uses, which a divergence over all rows cannot compare.
    """
    ours, theirs = policy.tokenizer, bias.tokenizer
    refuse_other_family(source, bias.model.config.model_type, policy.model.config.model_type)
    for what, mine, other in (
        ("vocabulary", ours.get_vocab(), theirs.get_vocab()),
        ("tokenizer", _splitting(policy), _splitting(bias)),
        ("chat template", ours.chat_template, theirs.chat_template),
        ("preparation of frames", _prepared(policy), _prepared(bias)),
    ):
        if mine != other:
            raise UserError(
                f"bias {source} has another {what} than the model; "
                "give a bias model trained from the same base"
            )
    rows = [len(one.head_VD) for one in (policy, bias)]
    if rows[0] != rows[1] and divergence and DIVERGENCES[divergence].whole_vocabulary:
        raise UserError(
            f"bias {source} has {rows[1]} output rows and the model {rows[0]}, which divergence "
            f"{divergence!r} compares one by one; give --divergence k3, or a model with as many"
        )


def _prepared(policy: Policy) -> str:
    """What the tower is shown of two frames, whatever budget of pixels its folder has."""
    frames = (np.arange(2 * 56 * 56 * 3) % 256).astype(np.uint8).reshape(2, 56, 56, 3)
    return policy.to_video(frames, 1.0, min_pixels=1, max_pixels=56 * 56).digest


def _splitting(policy: Policy) -> list[object]:
    """How the tokenizer cuts text: its normaliser, its splitting rule, its merges."""
    parts = json.loads(policy.tokenizer.backend_tokenizer.to_str())
    return [parts["normalizer"], parts["pre_tokenizer"], parts["model"].get("merges")]


def save_model(policy: Policy, folder: Path) -> str:
    """Write what was trained; returns what it is, in words."""
    if policy.base is None:
        policy.save(folder)
        return "a complete model"
    save_adapter(policy, folder)
    return f"a LoRA adapter on {policy.base.model}"
