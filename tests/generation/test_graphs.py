"""The decoding step recorded once and replayed draws the same tokens."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.generation.recorded_graph import Graph, recorded  # noqa: F401 (a fixture)
from videothinker.generation import shared_prefix as module
from videothinker.generation.base import Sampling
from videothinker.generation.cache import RowsPlan
from videothinker.generation.shared_prefix import GraphedStep, generate
from videothinker.models.loaded import Policy

SAMPLING = Sampling(num_generations=4, max_completion_length=14, temperature=1.5)


def test_a_replay_reads_new_tokens_and_keeps_its_output(recorded: type[Graph]) -> None:  # noqa: F811
    """Inputs are copied in, state changes in place, the output is overwritten where it lies."""
    table, state = torch.arange(12.0).view(6, 2), torch.zeros(2)

    def step(tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return table[tokens] + places[:, None] + state

    first = torch.tensor([1, 2]), torch.tensor([0, 0])
    graphed = GraphedStep(step, *first)
    assert graphed.logits_AV.isnan().all()  # recorded, not computed
    assert torch.equal(graphed(*first), step(*first))
    state.fill_(0.5)
    second = torch.tensor([5, 0]), torch.tensor([7, 8])
    out = graphed(*second)
    assert torch.equal(out, step(*second))
    assert out is graphed.logits_AV
    assert torch.equal(first[0], torch.tensor([1, 2]))
    assert graphed.graph.replays == 2


def test_reading_a_value_back_is_an_error(recorded: type[Graph]) -> None:  # noqa: F811
    with pytest.raises(RuntimeError, match="reads a value back"):
        GraphedStep(lambda t, p: t * int(p.sum()), torch.ones(2), torch.ones(2))


def drawn(policy: Policy, *, static: bool) -> list[list[list[int]]]:
    frames = np.random.default_rng(0).integers(0, 256, (6, 56, 84, 3), dtype=np.uint8)
    video = policy.to_video(frames, 3.0)
    prompts = [
        policy.encode("Which one hits the cube?", video),
        policy.encode("Text alone."),
        policy.encode("Which sphere?", video, prefill="<think>"),
    ]
    # an early end for many completions: rows leave, and the graph must be made anew
    policy.model.generation_config.eos_token_id = list(range(0, len(policy.tokenizer), 7))
    groups = generate(policy, prompts, SAMPLING, [1, 2, 3], static=static)
    return [
        [ids[mask].tolist() for ids, mask in zip(g.completion_ids_GC, g.mask_GC, strict=True)]
        for g in groups
    ]


def test_a_replayed_rollout_draws_the_same_tokens(
    policy: Policy,
    recorded: type[Graph],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = drawn(policy, static=False)
    kept: list[int] = []
    keep = RowsPlan.keep
    monkeypatch.setattr(RowsPlan, "keep", lambda *a: (kept.append(len(a[1])), keep(*a)))
    monkeypatch.setattr(module, "can_record", lambda _: True)
    assert drawn(policy, static=True) == expected
    assert len(kept) >= 2
    assert recorded.made == 1 + len(kept)


def leave_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask put in a new place at each step: the graph goes on reading the old one."""
    advance = RowsPlan.advance

    def moved(rows: RowsPlan) -> None:
        rows.suffix_hidden = None
        advance(rows)

    monkeypatch.setattr(RowsPlan, "advance", moved)


def move_the_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot counted up in a new tensor: the graph goes on writing to the old slot."""
    advance = RowsPlan.advance

    def moved(rows: RowsPlan) -> None:
        rows.slots_S = rows.slots_S.clone()
        advance(rows)

    monkeypatch.setattr(RowsPlan, "advance", moved)


@pytest.mark.parametrize("fault", [leave_the_graph, move_the_slot])
def test_state_that_moves_shows(
    policy: Policy,
    recorded: type[Graph],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
) -> None:
    expected = drawn(policy, static=False)
    monkeypatch.setattr(module, "can_record", lambda _: True)
    fault(monkeypatch)
    assert drawn(policy, static=True) != expected
    assert recorded.made > 0
