"""Which model families there are, one line each, and the one way from a name to a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from videothinker import hub
from videothinker.errors import Unplanned, UserError
from videothinker.files import border
from videothinker.models import adapters
from videothinker.models.attention import leave_cudnn_out
from videothinker.models.base import Load, Model
from videothinker.models.border import AGAIN, RUNS_NOT, read_object
from videothinker.models.folders import ModelPlace, find_model, no_model, read_base
from videothinker.models.loaded import Policy, try_out
from videothinker.models.loading import open_checkpoint, refuse_not_finite
from videothinker.models.placement import (
    AUTO,
    DTYPES,
    Placement,
    resolve_device,
    resolve_dtype,
    where_auto_runs,
)
from videothinker.models.plain.kinds import CLASSES, LABEL
from videothinker.models.shapes import Shape


@dataclass(frozen=True)
class Family:
    """A line of the catalog."""

    name: str
    """As its authors write it."""
    loader: str
    """`module:function` of a `base.Load`."""
    trains: bool
    """Its models are a `loaded.Policy`."""
    shapes: str = ""
    """The module with its `read_shape` and its published configurations, for plans; none without
    the engine."""
    in_swift: bool = False
    """ms-swift calls it as its `config.json` does."""
    tested: str = "random weights, tiny"
    """What its tests and benchmarks ran; nobody of us has published weights (`models --verify`)."""


def _engine(folder: str, name: str, tested: str = Family.tested) -> Family:
    """The line of a Qwen-VL, whose models share prompts, train, can be planned and exported."""
    here = f"videothinker.models.{folder}"
    load, shapes = f"{here}.model:load", f"{here}.shapes"
    return Family(name, load, trains=True, shapes=shapes, in_swift=True, tested=tested)


PLAIN = "videothinker.models.plain.model:load"
"""Loads any of `plain.kinds.CLASSES`; without a line below it has no name but its class's."""
FAMILIES = {
    "qwen2_5_vl": _engine(
        "qwen2_5_vl",
        "Qwen2.5-VL",
        "random weights, tiny and of the 3B's size; small bases",
    ),
    "qwen3_vl": _engine("qwen3_vl", "Qwen3-VL"),
    "qwen2_vl": _engine("qwen2_vl", "Qwen2-VL"),
    "llava_onevision": Family("LLaVA-OneVision", PLAIN, trains=True),
    "smolvlm": Family("SmolVLM2", PLAIN, trains=True),
    "qwen3_5": Family("Qwen3.5", PLAIN, trains=True, in_swift=True),
}
"""By the `model_type` of config.json."""


def place(model: str | Path | ModelPlace, device: str = AUTO, dtype: str = AUTO) -> Placement:
    """Resolve `auto` for the model in a folder or under a hub id, without loading it.

    Args:
        model: a folder, a run folder with `model/`, or a hub id, which is fetched.
        device: `auto` is a GPU where torch sees one, else the CPU.
        dtype: `auto` is the checkpoint's own.

    Raises:
        UserError: a device that is not there, a dtype that is not run, or a bad folder.
    """
    found = find_model(model)
    checkpoint = open_checkpoint(found.complete, _names())
    family = _family(checkpoint.kind)
    return Placement(
        model=found,
        weights=checkpoint.folder,
        device=resolve_device(device),
        dtype=resolve_dtype(dtype, checkpoint.dtype, found.source),
        parameters=checkpoint.parameters,
        path=LABEL if family.loader == PLAIN else None,
    )


def load_model(model: str | Path | ModelPlace, *, dtype: str = AUTO, device: str = AUTO) -> Model:
    """Read a folder, a run folder's `model/`, or a hub id: safetensors, no remote code, eval mode.

    A LoRA adapter is read onto its base, unmerged; the base must be the one it was trained on.
    `auto` is the checkpoint's own dtype, and a GPU where there is one; see `placement`.

    Raises:
        UserError: a folder that cannot be used, with the reason; an unknown dtype; or an adapter
            whose base has moved or changed.
    """
    return _load(find_model(model), dtype, device, trains=False)


def load_policy(
    model: str | Path | ModelPlace,
    *,
    dtype: str = AUTO,
    device: str = AUTO,
    freeze_vision: bool = False,
) -> Policy:
    """As `load_model`, a model that can be trained.

    Raises:
        UserError: as `load_model`, or a family that can only be asked.
    """
    policy = _load(find_model(model), dtype, device, trains=True)
    if freeze_vision:
        policy.freeze_vision()
    return policy


def family_name(kind: str) -> str:
    """What people call the family of a `model_type`."""
    return FAMILIES[kind].name if kind in FAMILIES else kind


def published() -> dict[str, tuple[str, dict[str, Any]]]:
    """Hub name -> kind and configuration, of the models that can be planned without their files."""
    return {
        name: (kind, config)
        for kind, family in FAMILIES.items()
        if family.shapes
        for name, config in import_module(family.shapes).OFFICIAL.items()
    }


def find_shape(model: str | ModelPlace) -> Shape:
    """The sizes that decide what a model costs: of a folder (of an adapter its base's), a published
    name, or any other hub name, whose configuration is fetched.

    Raises:
        UserError: no such folder, name or configuration, or one of a family without a plan.
    """
    return read_shape(*_configuration(find_model(model)))


def refuse_other_family(bias: str, bias_type: str, model_type: str) -> None:
    """Raise `UserError` where the two `model_type`s read other tokens."""
    theirs, ours = family_name(bias_type), family_name(model_type)
    if theirs != ours:
        raise UserError(
            f"bias {bias} is of the family {theirs} and the model of {ours}, which read other "
            "tokens; give a bias model of the same family, of any size"
        )


def model_type(model: ModelPlace) -> str:
    """The `model_type` of what `find_shape` finds; it raises the same."""
    return str(_configuration(model)[0].get("model_type"))


def _configuration(found: ModelPlace) -> tuple[Mapping[str, Any], str]:
    """The content of its `config.json`, and where that was found."""
    model, known = found.source, published()
    folder = Path(found.complete)
    if model in known and not folder.is_dir():
        kind, config = known[model]
        return config | {"model_type": kind}, model
    if not folder.is_dir():
        remedy = f"give a folder, or a name that is known here: {', '.join(known)}"
        folder = hub.fetch_id(model, ["config.json"], remedy)
    path = folder / "config.json"
    if not path.is_file():
        raise no_model(folder)
    return read_object(path), str(path)


def read_shape(config: Mapping[str, Any], name: str = "config.json") -> Shape:
    """The shape in the content of a model's `config.json`.

    Raises:
        UserError: it is not of a family that can be planned, or its sizes are missing.
    """
    kind = config.get("model_type")
    family = FAMILIES.get(str(kind))
    if family is None or not family.shapes:
        planned = ", ".join(f"{k!r} ({f.name})" for k, f in FAMILIES.items() if f.shapes)
        raise Unplanned(
            f"{name} is of type {kind!r}; only {planned} are planned: run it without --dry-run, or "
            "give a model of these"
        )
    return import_module(family.shapes).read_shape(config, name)


def _load(model: ModelPlace, dtype: str, device: str, *, trains: bool) -> Any:
    source, adapter = model.source, model.adapter
    if adapter is not None:
        base = read_base(adapter)
        policy = _load(find_model(base.model), dtype, device, trains=trains)
        adapters.check_base(adapter, base)
        adapters.attach(policy, adapter, adapters.POLICY_ADAPTER)
        policy.base = base
        with border(f"{source}: its adapter cannot be run", AGAIN):
            try_out(policy, source)
        return policy
    checkpoint = open_checkpoint(model.files, _names())
    family = _family(checkpoint.kind)
    if trains and not family.trains:
        others = " or ".join(one.name for one in FAMILIES.values() if one.trains)
        raise UserError(
            f"{source} is of the family {family.name}, which can be asked but not trained; give a "
            f"{others}"
        )
    numbers = DTYPES[resolve_dtype(dtype, checkpoint.dtype, source)]
    where = torch.device(where_auto_runs() if device == AUTO else device)
    module, _, function = family.loader.partition(":")
    load: Load = getattr(import_module(module), function)
    found = load(checkpoint, numbers, where)
    leave_cudnn_out(where)
    with border(f"{source} could not be put on {where}", "give another --device or --dtype"):
        found.model.to(where)
    refuse_not_finite(found.model, checkpoint, numbers)
    with border(f"{source}: its model cannot be run", RUNS_NOT):
        try_out(found, source)
        if trains:
            found.check_trains(source)
    return found


def _family(kind: str) -> Family:
    """The line of this `model_type`, or the plain path's."""
    return FAMILIES.get(kind) or Family(CLASSES[kind], PLAIN, trains=True)


def _names() -> dict[str, str | None]:
    """`model_type` -> the family's name, None for one of the plain path that has no line."""
    named: dict[str, str | None] = {kind: family.name for kind, family in FAMILIES.items()}
    return named | {kind: None for kind in CLASSES if kind not in named}
