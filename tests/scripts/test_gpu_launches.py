"""A step launches no more than it did; a change that adds one launch fails here."""

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RECORD = json.loads((BENCHMARKS / "results" / "gpu_launches.json").read_text(encoding="utf-8"))
"""Made again by `python benchmarks/gpu_launches.py --out benchmarks/results/gpu_launches.json`."""
LAYER = 15
"""Kernels, with a row's few pages: the goal."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`benchmarks/gpu_launches.py`."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return import_module("gpu_launches")
    finally:
        sys.path.remove(str(BENCHMARKS))


def held(found: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """As the record has it, by name; with other libraries about as many, for they differ."""
    same = torch.__version__.partition("+")[0] == RECORD["torch"].partition("+")[0]
    if same and transformers.__version__ == RECORD["transformers"]:
        assert found == kept
    else:
        assert total(found) <= 1.1 * total(kept)


def total(found: Mapping[str, Any]) -> int:
    """Of all names and phases."""
    return sum(total(one) if isinstance(one, Mapping) else one for one in found.values())


@pytest.mark.parametrize("kind", ["full", "LoRA"])
def test_kernels_of_a_step(script: ModuleType, kind: str) -> None:
    found = script.table(lora=kind == "LoRA", fused=True)
    held(found, RECORD["kernels"][f"{kind}, fused"])
    assert sum(found["layer"].values()) <= LAYER, found["layer"]
    products = ("aten::mm", "aten::addmm", "aten::_scaled_dot_product_flash_attention_for_cpu")
    assert [found["layer"][name] for name in products] == [3, 1, 2]


@pytest.mark.parametrize("kind", ["full", "LoRA"])
def test_operations_beside_the_steps(script: ModuleType, kind: str) -> None:
    """Each is launched by the host."""
    found = script.beside_steps(lora=kind == "LoRA")
    assert min(found.values()) > 0
    held(found, RECORD["beside the steps"][kind])


@pytest.mark.parametrize("kind", ["full", "LoRA", "LoRA, activations kept"])
def test_operations_of_the_rest_of_a_step(script: ModuleType, kind: str) -> None:
    """As above; AdamW's first update apart, which makes its moments."""
    found = script.training(lora="LoRA" in kind, keeps="kept" in kind)
    assert set(found) == {"bias", "forward", "backward", "update"}
    assert min(total(names) for names in found.values()) > 0
    held(found, RECORD["training"][kind])
    assert found["update"].get("aten::copy_", 0) == 0  # all weights together


@pytest.mark.parametrize("family", RECORD["other families"])
def test_the_other_families(script: ModuleType, family: str) -> None:
    """A decoding step, and a rollout of one token by a model of two layers and two blocks."""
    found = script.table(lora=False, fused=True, family=family)
    found["two layers"] = dict(script.parts(2, 2, family))
    held(found, RECORD["other families"][family])
    assert sum(found["layer"].values()) <= LAYER, found["layer"]


def test_every_family_is_counted(script: ModuleType) -> None:
    from videothinker.models.catalog import FAMILIES

    engine = {name for name, family in FAMILIES.items() if family.shapes}
    assert {script.FAMILY, *RECORD["other families"]} == engine


def test_what_is_counted(script: ModuleType) -> None:
    """Views are free; three operations are three kernels, or one where they are fused."""

    def three(states: torch.Tensor) -> torch.Tensor:
        return (states.t() * 2 + 1).relu()

    with script.Launches() as launches:
        three(torch.ones(4, 5))
        launches.fuse(three)(torch.ones(4, 5))
    del launches.counts["aten::ones"]
    assert launches.counts == {
        "aten::mul": 1,
        "aten::add": 1,
        "aten::relu": 1,
        "fused three": 1,
    }


def test_an_added_operation_is_seen(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that is not fused with its neighbour, as each of the three was before."""
    decoder = import_module("videothinker.generation.decoder")
    product = decoder._product

    def apart(policy: object, modules: object, moved: object, *, join: bool) -> object:
        del join
        return product(policy, modules, moved, join=False)

    few = sum(script.table(lora=False, fused=True)["layer"].values())
    monkeypatch.setattr(decoder, "_product", apart)
    assert sum(script.table(lora=False, fused=True)["layer"].values()) == few + 5  # and two cats


def test_bytes_of_a_step_are_near_the_least(script: ModuleType) -> None:
    """By hand for one prompt of 128 tokens and completions of 100: a page each."""
    shape = script.read_shape(script.official().to_dict())
    found = script.step_bytes(shape, 128, 1, 100)
    token = 36 * 2 * 2 * 128 * 2
    assert found["keys and values"] == token * 128 * (1 + 8)
    assert found["least keys and values"] == token * (128 + 8 * 50)
    read = found["weights"] + found["keys and values"] + found["queries and means of every page"]
    assert read < 1.1 * (found["weights"] + found["least keys and values"])
