"""The step of its own gives the library's logits, and leaves the weights as they were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.generation import pages as module
from videothinker.generation.base import Sampling
from videothinker.generation.cache import RowsPlan
from videothinker.generation.decoder import Decoder, Heads, decoder_of, rotated
from videothinker.generation.graphs import as_it_is
from videothinker.generation.pages import PAGE, Pages
from videothinker.generation.shared_prefix import (
    _prefill,
    generate,
    share_beginnings,
)
from videothinker.models import lora
from videothinker.models.base import Prompt
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import PrefixPolicy
from videothinker.training.adapters import add_adapter

STEPS, GROUP = 6, 3
SAMPLING = Sampling(num_generations=GROUP, max_completion_length=STEPS, temperature=1.3)


def adapted(folder: Path) -> PrefixPolicy:
    """With an adapter that adds much."""
    policy = load_policy(folder)
    config = CdpoConfig(model="m", out=Path("o"), bias="b", lora_rank=4, lora_alpha=8)
    add_adapter(policy, config)
    policy.merges = True
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, param in policy.model.named_parameters():
            if "lora_B" in name:
                param.copy_(0.1 * torch.randn(param.shape, generator=stream))
    return policy


def asked(policy: PrefixPolicy, frames_THW3: Any) -> list[Prompt]:
    video = policy.to_video(frames_THW3, 3.0)
    words = ("Which one hits the cube?", "Which sphere moves first, and why does it?")
    return [*(policy.encode(one, video) for one in words), policy.encode("Text alone.")]


def started(policy: PrefixPolicy, prompts: list[Prompt]) -> tuple[RowsPlan, Tensor]:
    """Rows whose prompts are computed, and their next positions."""
    portions = [[one] for one in share_beginnings(prompts)]
    rows, _, next_nX = _prefill(policy, prompts, portions, STEPS)
    rows.repeat(GROUP)
    return rows, next_nX.repeat_interleave(GROUP, dim=0)


Step = Callable[[int, Tensor], Tensor]


def librarys(policy: PrefixPolicy, rows: RowsPlan, next_RX: Tensor) -> Step:
    """The decoder's own forward over one token a row."""

    def step(number: int, tokens_A: Tensor) -> Tensor:
        rows.advance()
        places_X = (next_RX + number).T[:, :, None]
        hidden_A1D = policy.hidden_states(tokens_A[:, None], places_X, rows)
        return hidden_A1D[:, 0] @ policy.head_VD.T

    return step


def own(decoder: Decoder, rows: RowsPlan, next_RX: Tensor, *, static: bool) -> Step:
    cache = Pages(rows, as_it_is) if static else rows
    rotations = decoder.rotations(next_RX.T[:, :, None] + torch.arange(STEPS))

    def step(number: int, tokens_A: Tensor) -> Tensor:
        cache.advance()
        return decoder.logits(tokens_A, rotations[:, :, number], cache)

    return step


def logits(step: Step, rows: int) -> Tensor:
    """Log-probabilities `[steps, R, V]` of given tokens."""
    tokens_SR = torch.randint(0, 300, (STEPS, rows), generator=torch.Generator().manual_seed(2))
    found = [step(number, tokens_R) for number, tokens_R in enumerate(tokens_SR)]
    return torch.stack(found).float().log_softmax(dim=-1)


@torch.no_grad()
def compared(policy: PrefixPolicy, frames_THW3: Any, *, static: bool) -> tuple[Tensor, Tensor]:
    """The library's log-probabilities and our step's, of the same tokens."""
    prompts = asked(policy, frames_THW3)
    rows, next_RX = started(policy, prompts)
    theirs = logits(librarys(policy, rows, next_RX), len(next_RX))
    rows, next_RX = started(policy, prompts)
    with decoder_of(policy, as_it_is, join=static) as decoder:
        ours = logits(own(decoder, rows, next_RX, static=static), len(next_RX))
    return theirs, ours


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("lora", [False, True])
def test_the_librarys_logits_in_float32(
    tiny_folder: Path, frames_THW3: Any, static: bool, lora: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 16)  # several pages of a prefix and of a row
    policy = adapted(tiny_folder) if lora else load_policy(tiny_folder)
    theirs, ours = compared(policy, frames_THW3, static=static)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-4)
    if not static and not lora:
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("lora", [False, True])
def test_in_bfloat16_no_further_from_float32_than_the_library(
    tiny_folder: Path, frames_THW3: Any, lora: bool
) -> None:
    """The distance is bfloat16's own: mean and largest stay within a third of the library's."""
    load: Any = adapted if lora else load_policy
    exact, _ = compared(load(tiny_folder), frames_THW3, static=False)
    narrow = load(tiny_folder)
    narrow.model.bfloat16()
    theirs, ours = compared(narrow, frames_THW3, static=True)
    assert not torch.equal(theirs, ours)
    gaps = [(one - exact).abs() for one in (theirs, ours)]
    assert gaps[1].mean() < 1.3 * gaps[0].mean()
    assert gaps[1].max() < 1.3 * gaps[0].max()


@pytest.mark.parametrize("lora", [False, True])
def test_weights_are_put_back_to_the_bit(tiny_folder: Path, lora: bool) -> None:
    policy = adapted(tiny_folder) if lora else load_policy(tiny_folder)
    before = {name: one.clone() for name, one in policy.model.state_dict().items()}
    digest = policy.digest
    attention = policy.decoder.layers[0].self_attn
    three = [attention.q_proj, attention.k_proj, attention.v_proj]
    places = [one.weight.data_ptr() for one in three]
    with decoder_of(policy, as_it_is, join=True) as decoder:
        inside: Any = decoder.layers[0].attention
        weight = inside.keywords["weight"]
        assert {one.weight.untyped_storage().data_ptr() for one in three} == {
            weight.untyped_storage().data_ptr()
        }
        assert (policy.digest != digest) == lora
    assert policy.digest == digest
    assert all(torch.equal(before[n], one) for n, one in policy.model.state_dict().items())
    assert len({one.weight.untyped_storage().data_ptr() for one in three}) == 3
    if lora:  # never copied
        assert [one.weight.data_ptr() for one in three] == places


def test_a_merged_adapter_is_read_by_prompts_too(
    tiny_folder: Path, frames_THW3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = adapted(tiny_folder)
    prompts, calls = asked(policy, frames_THW3), []
    factors = lora.Quick.forward

    def watched(*args: Any, **named: Any) -> Any:
        calls.append(policy.merges)
        return factors(*args, **named)

    monkeypatch.setattr(lora.Quick, "forward", watched)
    drawn = []
    for merges in (True, False):
        policy.merges = merges
        drawn.append(generate(policy, prompts, SAMPLING, [1, 2, 3], static=True)[0])
    assert set(calls) == {False}
    assert torch.equal(drawn[0].completion_ids_GC, drawn[1].completion_ids_GC)
    policy.merges = True
    policy.hidden(drawn[0])  # and what trains computes with the factors again
    assert calls[-1]


def test_weights_are_put_back_after_an_error(tiny_folder: Path) -> None:
    policy = load_policy(tiny_folder)
    digest = policy.digest
    with pytest.raises(KeyError), decoder_of(policy, as_it_is, join=True):
        raise KeyError
    assert policy.digest == digest
    gate = policy.decoder.layers[1].mlp.gate_proj.weight
    assert gate.untyped_storage().nbytes() == gate.nbytes


def test_merged_and_apart_draw_the_same(tiny_folder: Path, frames_THW3: Any) -> None:
    drawn = []
    for merges in (True, False):
        policy = adapted(tiny_folder)
        policy.merges = merges
        for static in (True, False):
            groups = generate(
                policy, asked(policy, frames_THW3), SAMPLING, [1, 2, 3], static=static
            )
            drawn.append([group.completion_ids_GC.tolist() for group in groups])
    assert all(one == drawn[0] for one in drawn)


def test_heads_are_normed_and_turned_as_the_library_does() -> None:
    """With norms of heads, as Qwen3 has them; values stay as they came."""
    stream = torch.Generator().manual_seed(0)
    rows, own_heads, shared, width = 3, 4, 2, 8
    packed = torch.randn(rows, (own_heads + 2 * shared) * width, generator=stream)
    angles = torch.rand(rows, width // 2, generator=stream).repeat(1, 2)
    weights = torch.rand(2, width, generator=stream)
    query, key, value = (
        part.view(rows, -1, width).transpose(0, 1)[None]
        for part in packed.split([own_heads * width, shared * width, shared * width], dim=1)
    )
    query, key = (
        torch.nn.functional.rms_norm(one, (width,), weight, 1e-6)
        for one, weight in zip((query, key), weights, strict=True)
    )
    query, key = apply_rotary_pos_emb(query, key, angles.cos()[None], angles.sin()[None])
    sign = torch.cat([-torch.ones(width // 2), torch.ones(width // 2)])
    rotation = torch.stack([angles.cos(), angles.sin() * sign])
    left = torch.stack([torch.ones(rows, width), torch.zeros(rows, width)])
    heads = Heads(shared, width, 1.0, 1e-6, *weights)
    found, both = rotated(packed, heads, torch.stack([rotation, left], dim=2))
    torch.testing.assert_close(found, query[0].transpose(0, 1))
    torch.testing.assert_close(both[:, 0], key[0].transpose(0, 1))
    assert torch.equal(both[:, 1], value[0].transpose(0, 1))


def test_lengths_are_what_tensor_cores_want() -> None:
    assert PAGE % 16 == 0


def test_another_activation_is_refused(tiny_folder: Path) -> None:
    policy = load_policy(tiny_folder)
    policy.decoder.config.hidden_act = "gelu"
    with (
        pytest.raises(Exception, match="activation 'gelu' came"),
        decoder_of(policy, as_it_is, join=False),
    ):
        pass
