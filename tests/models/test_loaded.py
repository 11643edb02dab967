"""Weights and logits that are no numbers end in a sentence, never in tokens."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.conftest import CORPUS, TINY
from videothinker.errors import UserError
from videothinker.generation.base import Sampling
from videothinker.generation.shared_prefix import generate
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.models.qwen2_5_vl.small import build_small

UP = "model.layers.1.mlp.up_proj.weight"
GREEDY = Sampling(1, 6, temperature=0.0)


def rewritten(folder: Path, name: str, value: float, place: tuple[int, ...]) -> Path:
    held = load_file(folder / "model.safetensors")
    held[name][place] = value
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_named(copy: Path, value: float) -> None:
    rewritten(copy, UP, value, (95, 63))
    with pytest.raises(UserError, match=r"1 of 68 weights hold .* first is .*layers\.1.*up_proj"):
        load_policy(copy)


def test_large_weights_are_numbers(copy: Path) -> None:
    """Their sum is not: 4 x 1e38."""
    held = load_file(copy / "model.safetensors")
    held["visual.patch_embed.proj.weight"].flatten(1)[:4, 0] = 1e38
    held["visual.blocks.0.norm1.weight"].zero_()
    held["visual.blocks.1.norm1.weight"].zero_()
    held["visual.merger.ln_q.weight"].zero_()
    save_file(held, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_policy(copy)


def test_a_weight_too_large_for_float16(copy: Path) -> None:
    rewritten(copy, UP, 1e6, (0, 0))
    assert load_policy(copy)
    with pytest.raises(UserError, match=r"up_proj.weight; give --dtype float32"):
        load_policy(copy, dtype="float16")


def test_logits_that_overflow_are_found_when_it_is_loaded(copy: Path) -> None:
    held = load_file(copy / "model.safetensors")
    held["model.norm.weight"] *= 1e38
    save_file(held, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="copy: .*not finite numbers in float32"):
        load_policy(copy)


@pytest.fixture
def untied(tmp_path: Path) -> Policy:
    """Its embeddings can be changed without its head."""
    return load_policy(
        build_small(tmp_path / "untied", replace(TINY, tie_embeddings=False), CORPUS)
    )


def poison(policy: Policy, token: int) -> None:
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[token] = float("nan")


def test_the_prompt_is_told(untied: Policy) -> None:
    good, bad = untied.encode("The red cube."), untied.encode("Which sphere hits?")
    (token, *_) = set(bad.input_ids_P.tolist()) - set(good.input_ids_P.tolist())
    poison(untied, token)
    assert generate(untied, [good], GREEDY, [0])
    for temperature in (0.0, 1.0):  # a greedy draw would give token 0, a drawn one an index error
        with pytest.raises(UserError, match="in float32 at the end of the prompt '.*sphere hits"):
            generate(untied, [good, bad], Sampling(2, 6, temperature), [0, 1])


def test_so_is_how_far_an_answer_came(untied: Policy) -> None:
    untied.model.generation_config.eos_token_id = [len(untied.head_VD) - 1]
    prompt = untied.encode("The red cube.")
    (group,) = generate(untied, [prompt], GREEDY, [0])
    drawn = group.completion_ids_GC[0].tolist()
    fresh = next(i for i in range(1, 6) if drawn[i] not in (*drawn[:i], *prompt.input_ids_P))
    poison(untied, drawn[fresh])
    with pytest.raises(UserError, match=rf"after {fresh + 1} tokens of an answer to the prompt"):
        generate(untied, [prompt], GREEDY, [0])
    untied.model.bfloat16()
    poison(untied, int(prompt.input_ids_P[-1]))
    with pytest.raises(UserError, match="in bfloat16 .*; give --dtype float32"):
        generate(untied, [prompt], GREEDY, [0])


def test_rows_that_have_ended_do_not_matter(untied: Policy) -> None:
    """With fixed shapes they go on being computed, from their own end token."""
    sampling, prompt = Sampling(6, 8, temperature=1.5), untied.encode("The red cube.")
    (group,) = generate(untied, [prompt], sampling, [3])
    end = int(group.completion_ids_GC[0, 1])
    assert end not in prompt.input_ids_P
    untied.model.generation_config.eos_token_id = [end]
    (before,) = generate(untied, [prompt], sampling, [3], static=True)
    assert before.truncated_G.any()
    assert not before.truncated_G.all()
    poison(untied, end)
    (after,) = generate(untied, [prompt], sampling, [3], static=True)
    assert torch.equal(before.completion_ids_GC, after.completion_ids_GC)
