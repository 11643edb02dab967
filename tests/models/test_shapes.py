"""Costs counted from a shape, against a built model and against torch's own counter."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.models.conftest import ENGINE
from videothinker.errors import UserError
from videothinker.models.catalog import find_shape, load_policy, published, read_shape
from videothinker.models.shapes import (
    Grid,
    causal_pairs,
    head_flops,
    language_flops,
    parameters,
    step_flops,
    vision_flops,
)

BILLIONS = {
    "Qwen/Qwen2.5-VL-3B-Instruct": 3.755,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8.292,
    "Qwen/Qwen2-VL-2B-Instruct": 2.209,
    "Qwen/Qwen2-VL-7B-Instruct": 8.291,
    "Qwen/Qwen3-VL-2B-Instruct": 2.128,
    "Qwen/Qwen3-VL-4B-Instruct": 4.438,
    "Qwen/Qwen3-VL-8B-Instruct": 8.767,
}
"""Parameters of the published weights."""


@pytest.mark.parametrize("name", published())
def test_the_published_models_have_their_published_size(name: str) -> None:
    count = sum(parameters(find_shape(name)).values())
    assert count / 1e9 == pytest.approx(BILLIONS[name], abs=0.002)


@pytest.mark.parametrize("family", ENGINE)
def test_parameters_are_those_of_the_built_model(
    family: str, tiny_folders: dict[str, Path]
) -> None:
    model = load_policy(tiny_folders[family]).model
    counted = parameters(find_shape(str(tiny_folders[family])))
    assert counted["vision"] == sum(p.numel() for p in model.model.visual.parameters())
    assert sum(counted.values()) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("family", ENGINE)
def test_operations_are_those_torch_counts(family: str, tiny_folders: dict[str, Path]) -> None:
    model = load_policy(tiny_folders[family]).model
    shape = find_shape(str(tiny_folders[family]))
    model.set_attn_implementation("eager")
    grid = Grid(3, 16, 20)  # 8 x 10 merged: Qwen2.5-VL's windows of 4 x 4 do not tile it evenly
    pixels = torch.randn(grid.patches, 3 * 2 * shape.vision.patch**2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.model.visual(pixels, grid_thw=torch.tensor([[3, 16, 20]]))
    assert vision_flops(shape, grid) == pytest.approx(counter.get_total_flops(), rel=0.02)

    length = 50
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.model.language_model(
            inputs_embeds=torch.randn(1, length, shape.hidden),
            position_ids=torch.arange(length).expand(3, 1, -1),
        )
    # Eager attention computes the whole square; ours counts the causal half.
    square = language_flops(shape, length, length * length)
    assert square == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_pairs_and_head_by_hand() -> None:
    assert causal_pairs(3) == 6
    assert causal_pairs(3, past=10) == 36
    assert head_flops(find_shape("Qwen/Qwen2.5-VL-3B-Instruct"), 1) == 2 * 2048 * 151936


def test_sharing_at_the_true_shape_has_the_ceilings_counted_elsewhere() -> None:
    shape = find_shape("Qwen/Qwen2.5-VL-3B-Instruct")
    grid = Grid(8, 18, 26)  # 936 video tokens
    ratios = []
    for completion in (128, 256, 512):
        naive, ours = (
            sum(step_flops(shape, grid, 1146, 8, completion, shared=s).values())
            for s in (False, True)
        )
        ratios.append(naive / ours)
    assert ratios == pytest.approx([5.7, 4.4, 3.2], abs=0.3)


def test_a_foreign_configuration_is_refused() -> None:
    with pytest.raises(UserError, match="no 'num_hidden_layers'"):
        read_shape({"model_type": "qwen2_5_vl", "hidden_size": 8})
    with pytest.raises(UserError, match="'llava_onevision'; only 'qwen2_5_vl' .* are planned"):
        read_shape({"model_type": "llava_onevision"})
    with pytest.raises(UserError, match="has no 'vision_config'"):
        read_shape({"model_type": "qwen3_vl"} | dict.fromkeys(SIZES, 8))
    with pytest.raises(UserError, match="nothing is not in .* known here: Qwen/"):
        find_shape("./nothing")


SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("intermediate_size", "vocab_size"),
)
