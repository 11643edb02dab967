"""Costs counted from a shape, against a built model and against torch's own counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from videothinker.errors import UserError
from videothinker.models.qwen2_5_vl.shapes import (
    OFFICIAL,
    Grid,
    causal_pairs,
    find_shape,
    head_flops,
    language_flops,
    parameters,
    read_shape,
    step_flops,
    vision_flops,
)


@pytest.mark.parametrize(("name", "billions"), [("3B", 3.755), ("7B", 8.292)])
def test_the_published_models_have_their_published_size(name: str, billions: float) -> None:
    count = sum(parameters(find_shape(f"Qwen/Qwen2.5-VL-{name}-Instruct")).values())
    assert count / 1e9 == pytest.approx(billions, abs=0.002)


def tiny() -> tuple[Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration]:
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 96,
            "vocab_size": 200,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [2, 3, 3],
                "rope_theta": 1e4,
            },
        },
        vision_config={
            "hidden_size": 32,
            "depth": 4,
            "num_heads": 2,
            "intermediate_size": 48,
            "out_hidden_size": 64,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [1],
        },
        tie_word_embeddings=True,
    )
    return config, Qwen2_5_VLForConditionalGeneration(config)


def test_parameters_are_those_of_the_built_model() -> None:
    config, model = tiny()
    counted = parameters(read_shape(config.to_dict()))
    assert counted["vision"] == sum(p.numel() for p in model.model.visual.parameters())
    assert sum(counted.values()) == sum(p.numel() for p in model.parameters())


def test_operations_are_those_torch_counts() -> None:
    config, model = tiny()
    shape = read_shape(config.to_dict())
    model.set_attn_implementation("eager")
    grid = Grid(3, 16, 20)  # 8 x 10 merged: windows of 4 x 4 do not tile it evenly
    pixels = torch.randn(grid.patches, 3 * 2 * 14 * 14)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.model.visual(pixels, grid_thw=torch.tensor([[3, 16, 20]]))
    assert vision_flops(shape, grid) == pytest.approx(counter.get_total_flops(), rel=0.02)

    length = 50
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.model.language_model(
            inputs_embeds=torch.randn(1, length, 64),
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
        read_shape({"hidden_size": 8})
    with pytest.raises(UserError, match="no known name"):
        find_shape("nobody/nothing")
    assert len(OFFICIAL) == 2
