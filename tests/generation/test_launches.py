"""A decoding step launches no more kernels than it did; a change that adds one fails here."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LAYER, BESIDE = 14, 12
"""Kernels, with a row's few pages; the goal is 15 a layer."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`benchmarks/gpu_launches.py`."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return import_module("gpu_launches")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("lora", [False, True])
def test_kernels_of_a_step(script: ModuleType, lora: bool) -> None:
    found = script.table(lora=lora, fused=True)
    assert sum(found["layer"].values()) <= LAYER, found["layer"]
    assert sum(found["beside"].values()) <= BESIDE, found["beside"]
    products = ("aten::mm", "aten::addmm", "aten::_scaled_dot_product_flash_attention_for_cpu")
    assert [found["layer"][name] for name in products] == [3, 1, 2]


@pytest.mark.parametrize(("lora", "counted"), [(False, 4014), (True, 5348)])
def test_operations_beside_the_steps(script: ModuleType, lora: bool, counted: int) -> None:
    """Each is launched by the host; most are the library's, whose versions may differ a little."""
    found = script.beside_steps(lora=lora)
    assert min(found.values()) > 0
    assert sum(found.values()) == pytest.approx(counted, rel=0.1), found


@pytest.mark.parametrize(
    ("lora", "keeps", "counted"),
    [(False, False, 33303), (True, False, 22551), (True, True, 18321)],
)
def test_operations_of_the_rest_of_a_step(
    script: ModuleType, lora: bool, keeps: bool, counted: int
) -> None:
    """As above; AdamW's first update apart, which makes its moments."""
    found = script.training(lora=lora, keeps=keeps)
    assert set(found) == {"bias", "forward", "backward", "update"}
    assert min(sum(names.values()) for names in found.values()) > 0
    assert sum(sum(names.values()) for names in found.values()) == pytest.approx(counted, rel=0.1)
    assert found["update"].get("aten::copy_", 0) == 0  # all weights together


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
