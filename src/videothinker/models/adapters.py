"""LoRA adapters: how one is put into a model, read, written beside its base's name, and merged.

peft is imported only where there is an adapter. Adapters are injected in place, so the model stays
what it was and the engine need not know. On disk an adapter is in peft's own format.
"""

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.utils.hub import cached_file

from videothinker.errors import UserError
from videothinker.files import border
from videothinker.models.border import read_object
from videothinker.models.checkpoint import read_header, refuse_odd_tensors
from videothinker.models.folders import ADAPTER_CONFIG, BASE, Base, ModelPlace, find_model
from videothinker.models.lora import quicken
from videothinker.models.tensor_file import write_tensors

if TYPE_CHECKING:
    from videothinker.models.loaded import Policy

POLICY_ADAPTER, BIAS_ADAPTER = "policy", "bias"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft writes before every name."""
READING = (
    *("config.json", "generation_config.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
)
"""Beside the weights, what decides how a model reads; each counts where it is there."""
NOTE = """\
# A LoRA adapter, not a complete model

Rank {rank}, alpha {alpha}, trained by VideoThinker on `{model}`
(sha256 of its weights and configuration: `{digest}`).

    videothinker evaluate --model FOLDER ...                 base and adapter, unmerged
    videothinker export --merge FOLDER --out MERGED          a complete model folder
    peft.PeftModel.from_pretrained(base_model, "FOLDER")     in plain peft
"""


def inject(model: nn.Module, lora: Any, name: str) -> None:
    """Put a fresh adapter into `model`; the random state outside is left alone."""
    from peft import inject_adapter_in_model  # noqa: PLC0415 (only where there is an adapter)

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # that there is one adapter already is the intention
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        inject_adapter_in_model(lora, model, adapter_name=name)
    for _, layer in layers(model):
        quicken(layer, name)


def layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Name and module of every layer with adapters."""
    from peft.tuners.lora import LoraLayer  # noqa: PLC0415

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def factors(model: nn.Module, name: str) -> dict[str, nn.Parameter]:
    """The adapter's parameters by the names they have on disk: `....q_proj.lora_A.weight`."""
    tails = (f".lora_A.{name}.weight", f".lora_B.{name}.weight")
    return {
        place.removesuffix(f".{name}.weight") + ".weight": param
        for place, param in model.named_parameters()
        if place.endswith(tails)
    }


def activate(policy: "Policy", name: str) -> None:
    """Let the model compute with this adapter and no other."""
    for _, layer in layers(policy.model):
        layer.set_adapter(name)  # which sets gradients as well
    for place, param in policy.model.named_parameters():
        if ".lora_" in place:
            param.requires_grad = f".{POLICY_ADAPTER}." in place
    policy.adapter = name


def attach(policy: "Policy", folder: Path, name: str) -> None:
    """Put the adapter that lies in `folder` into the model under `name`, and freeze all there is.

    Raises:
        UserError: it cannot be read, or does not fit this model.
    """
    from peft import LoraConfig, PeftConfig  # noqa: PLC0415

    read_object(folder / ADAPTER_CONFIG)
    header = read_header(folder / WEIGHTS)
    refuse_odd_tensors(folder, header)
    advice = "give a run of `train`, or its model/"
    with border(f"adapter {folder} could not be read", advice):
        lora = PeftConfig.from_pretrained(str(folder))
    if not isinstance(lora, LoraConfig):
        raise UserError(f"adapter {folder} is of type {lora.peft_type}; LoRA alone is supported")
    longest = max((side for tensor in header.values() for side in tensor.shape), default=0)
    with border(f"adapter {folder} could not be read", advice):
        if lora.r > longest:  # before it takes memory
            raise ValueError(f"rank {lora.r}, and no tensor is longer than {longest}")
        inject(policy.model, lora, name)
        stored = load_file(folder / WEIGHTS)
    stored = {key.removeprefix(PREFIX): tensor for key, tensor in stored.items()}
    places = factors(policy.model, name)
    wrong = sorted(
        at
        for at in places.keys() | stored.keys()
        if at not in places or at not in stored or places[at].shape != stored[at].shape
    )
    if wrong:
        raise UserError(
            f"adapter {folder} does not fit the model in {len(wrong)} tensors "
            f"({wrong[0]} first); give an adapter of the same base"
        )
    with torch.no_grad():
        for at, param in places.items():
            param.copy_(stored[at])
            if not param.isfinite().all():
                raise UserError(
                    f"adapter {folder}: {at} holds values that are not finite numbers; take a "
                    "checkpoint from before that"
                )
    activate(policy, name)
    policy.model.requires_grad_(requires_grad=False)


def save_adapter(policy: "Policy", folder: Path) -> None:
    """The policy's adapter alone, in peft's own format, with the name and digest of its base."""
    assert policy.base is not None
    folder.mkdir(parents=True, exist_ok=True)
    lora = policy.model.peft_config[POLICY_ADAPTER]
    config = lora.to_dict() | {"base_model_name_or_path": policy.base.model, "inference_mode": True}
    words = NOTE.format(rank=lora.r, alpha=lora.lora_alpha, **asdict(policy.base))
    tensors = {PREFIX + at: param for at, param in factors(policy.model, POLICY_ADAPTER).items()}
    write_tensors(folder / WEIGHTS, tensors)
    for name, content in ((ADAPTER_CONFIG, config), (BASE, asdict(policy.base))):
        text = json.dumps(content, indent=2, sort_keys=True, default=str) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(words, encoding="utf-8")


def find_base(model: str | ModelPlace) -> Base:
    """The name and digest of a complete model that is at hand, wherever it lies (see `folders`)."""
    found = find_model(model)
    return Base(found.name, base_digest(found))


def base_digest(model: str | ModelPlace) -> str:
    """sha256 of a model as it is stored: every tensor, and the small files that decide its reading.

    Independent of the precision it is loaded in and of how its tensors are spread over files.
    """
    config = cached_file(find_model(model).files, "config.json")
    assert config is not None
    folder, total = Path(config).parent, hashlib.sha256()
    for name in READING:
        if (folder / name).is_file():
            total.update(f"{name}\n".encode() + (folder / name).read_bytes())
    files = [safe_open(path, "pt") for path in sorted(folder.glob("model*.safetensors"))]
    places = {name: file for file in files for name in file.keys()}  # noqa: SIM118
    for name in sorted(places):
        tensor = places[name].get_tensor(name)
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        content: Any = tensor.contiguous().view(-1).view(torch.uint8).numpy()
        total.update(content)
    return total.hexdigest()


def check_base(adapter: Path, base: Base) -> None:
    """Refuse a base that is no longer what `adapter` was trained on.

    Raises:
        UserError: its weights or what reads them changed.
    """
    found = base_digest(base.model)
    if found != base.digest:
        raise UserError(
            f"{adapter} was trained on {base.model} as it was ({base.digest[:12]}), and what lies "
            f"there now is another model ({found[:12]}): its weights, tokenizer or configuration "
            "changed; put the original back, or train the adapter again"
        )


def added(model: nn.Module, name: str | None) -> dict[str, tuple[float, Tensor, Tensor]]:
    """Scale, A and B of every layer to which the adapter adds anything; empty without one."""
    if name is None:
        return {}
    found = {
        place: (layer.scaling[name], layer.lora_A[name].weight, layer.lora_B[name].weight)
        for place, layer in layers(model)
    }
    return {place: sba for place, sba in found.items() if sba[1].any() and sba[2].any()}


def same_added(mine: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Are two results of `added` equal?"""
    return mine.keys() == other.keys() and all(
        scale == other[place][0]
        and torch.equal(a, other[place][1])
        and torch.equal(b, other[place][2])
        for place, (scale, a, b) in mine.items()
    )


def same_weights(mine: "Policy", other: "Policy") -> bool:
    """Do two models compute the same: equal bases, and adapters that add the same?"""
    ours, theirs = (
        {
            name.replace(".base_layer", ""): tensor
            for name, tensor in policy.model.state_dict().items()
            if ".lora_" not in name
        }
        for policy in (mine, other)
    )
    return (
        ours.keys() == theirs.keys()
        and all(torch.equal(ours[name], theirs[name]) for name in ours)
        and same_added(added(mine.model, mine.adapter), added(other.model, other.adapter))
    )


def plain_state(state: Mapping[str, Tensor], adapter: str) -> dict[str, Tensor]:
    """What the model computes with: all but the other adapters, and no word of their names."""
    return {
        name.replace(f".{adapter}.", "."): tensor
        for name, tensor in state.items()
        if ".lora_" not in name or f".{adapter}." in name
    }


@torch.no_grad()
def merge(policy: "Policy") -> None:
    """Make a plain model of base and adapter: W + scale B A in float32, one layer at a time.

    The sum is rounded once, to the precision the model is in.
    """
    name = policy.adapter
    assert name is not None
    for place, layer in list(layers(policy.model)):
        plain = layer.get_base_layer()
        plain.weight.copy_(_summed(layer, name))
        parent, _, child = place.rpartition(".")
        setattr(policy.model.get_submodule(parent), child, plain)
    cast("Any", policy.model).__dict__.pop("peft_config", None)
    policy.adapter = policy.base = None


def is_adapted(module: nn.Module, name: str | None) -> bool:
    """Does the adapter `name` add to this linear map?"""
    if name is None:
        return False
    from peft.tuners.lora import LoraLayer  # noqa: PLC0415

    return isinstance(module, LoraLayer) and name in module.lora_A


def merged_weight(module: Any, name: str | None) -> Tensor:
    """What a linear map multiplies by: its weight, or a new W + scale B A rounded once."""
    if name is None or not is_adapted(module, name):
        return module.weight.detach()
    return _summed(module, name).to(module.get_base_layer().weight.dtype).detach()


@contextmanager
def merged_as(module: Any, name: str | None, weight: Tensor) -> Iterator[None]:
    """Inside, a linear map multiplies by `weight`, its `merged_weight`, and by nothing else."""
    if name is None or not is_adapted(module, name):
        yield
        return
    held = module.get_base_layer().weight
    own, held.data = held.data, weight
    module.merged_adapters.append(name)  # as peft notes it
    try:
        yield
    finally:
        module.merged_adapters.remove(name)
        held.data = own


def _summed(layer: Any, name: str) -> Tensor:
    """W + scale B A of one layer, in float32."""
    product = layer.lora_B[name].weight.float() @ layer.lora_A[name].weight.float()
    return product.mul_(layer.scaling[name]).add_(layer.get_base_layer().weight)
