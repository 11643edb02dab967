"""The decoding step recorded once and replayed draws the same tokens."""

import math
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tests.generation.recorded_graph import Graph, recorded  # noqa: F401 (a fixture)
from videothinker.errors import Slower
from videothinker.generation import shared_prefix as module
from videothinker.generation.base import Sampling
from videothinker.generation.graphs import (
    NOT_RECORDED,
    ROOM,
    WARM_UP,
    GraphedStep,
    Known,
    recorded_of,
)
from videothinker.generation.pages import Pages
from videothinker.generation.shared_prefix import generate
from videothinker.models.loaded import Policy

SAMPLING = Sampling(num_generations=4, max_completion_length=14, temperature=1.5)


def test_a_replay_goes_on_in_place(recorded: type[Graph]) -> None:  # noqa: F811
    """The first steps count; state changes where it lies, and what is recorded is not computed."""
    state, table = torch.zeros(1, dtype=torch.long), torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    total = torch.zeros(1)

    def step() -> None:
        total.add_(table[state])
        state.add_(1)

    graphed = GraphedStep(step, torch.device("cpu"))
    for done in range(1, 6):
        graphed()
        assert float(total) == 2**done - 1
    assert graphed.graph is not None
    assert graphed.graph.replays == 5 - WARM_UP


def test_what_was_recorded_before_is_recorded_at_once(recorded: type[Graph]) -> None:  # noqa: F811
    known: Known = {}
    total = torch.zeros(1)
    for kind, waits in (("a", WARM_UP), ("a", 0), ("b", WARM_UP), ("a", 0)):
        graphed = GraphedStep(lambda: total.add_(1), torch.device("cpu"), kind, known)
        for _ in range(waits):
            graphed()
            assert graphed.graph is None
        graphed()
        assert graphed.graph is not None
    assert float(total) == 2 * WARM_UP + 4
    assert known == {"a": 0, "b": 0}


def test_memory_is_given_back_only_where_there_is_little(
    recorded: type[Graph],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append(1))
    for free, times in ((ROOM, 0), (ROOM - 1, 1)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 80 * ROOM))
        GraphedStep(lambda: None, torch.device("cpu"), "a", {"a": 0})()
        assert len(given) == times


def test_reading_a_value_back_is_an_error(recorded: type[Graph]) -> None:  # noqa: F811
    graphed = GraphedStep(lambda: int(torch.ones(2).sum()), torch.device("cpu"))
    with pytest.raises(Slower, match="reads a value back"):  # noqa: PT012 (warnings are errors)
        for _ in range(WARM_UP + 1):
            graphed()


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
    keep = Pages.keep
    monkeypatch.setattr(Pages, "keep", lambda *a: (kept.append(len(a[1])), keep(*a)))
    record(monkeypatch)
    assert drawn(policy, static=True) == expected
    assert kept
    assert kept == sorted(kept, reverse=True)
    made, kinds = recorded.made, recorded_of(policy.model).copy()
    assert made >= 1
    assert kinds
    assert drawn(policy, static=True) == expected  # no step waits for its kernels any more
    assert recorded.made >= made + len(kinds)
    assert recorded_of(policy.model).items() >= kinds.items()
    assert set(kinds.values()) == {0}


class Breaks(Graph):
    """Recordings break off in the middle of a step: the first ones, or from then on all."""

    left = 0.0

    def capture_begin(self, pool: Any = None) -> None:
        super().capture_begin(pool)
        type(self).left -= 1
        self.capturing.breaks = self.left >= 0

    def capture_end(self) -> None:
        super().capture_end()
        if self.capturing.breaks:
            raise RuntimeError("the capture was broken off")


@pytest.mark.parametrize(("times", "said"), [(1, "2 come first"), (math.inf, "slower")])
def test_where_a_recording_fails_the_rollout_goes_on(
    policy: Policy,
    recorded: type[Graph],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    times: float,
    said: str,
) -> None:
    """Steps of a known kind are recorded at once; where that fails, after steps; then never."""
    expected = drawn(policy, static=False)
    record(monkeypatch)
    drawn(policy, static=True)
    known, waits = recorded_of(policy.model), []
    monkeypatch.setattr(Breaks, "left", times)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Breaks)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: waits.append(list(known.values())))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", Slower)
        assert drawn(policy, static=True) == expected
    assert re.search(f"{NOT_RECORDED}.*{said}.*a kernel cannot be loaded", str(told[-1].message))
    assert (WARM_UP in known.values()) == (times == 1)
    assert (math.inf in known.values()) == (times > 1)
    assert len(waits) == len(told) == (1 if times == 1 else 2 * len(known))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is tried again that failed twice
        assert drawn(policy, static=True) == expected
    assert recorded.made > 0


def record(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, but ask often enough for rows to leave a short completion."""
    monkeypatch.setattr(module, "can_record", lambda _: True)
    monkeypatch.setattr(module, "ASK_EVERY", 4)
    monkeypatch.setattr(module, "FEW", 2)


def move_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask put in a new place at each step: the graph goes on reading the old one."""
    advance = Pages.advance

    def moved(pages: Pages) -> None:
        pages.own_mask_RL = pages.own_mask_RL.clone()
        advance(pages)

    monkeypatch.setattr(Pages, "advance", moved)


def move_the_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot counted up in a new tensor: the graph goes on writing to the old slot."""
    advance = Pages.advance

    def moved(pages: Pages) -> None:
        pages.slot = pages.slot.clone()
        advance(pages)

    monkeypatch.setattr(Pages, "advance", moved)


@pytest.mark.parametrize("fault", [move_the_mask, move_the_slot])
def test_state_that_moves_shows(
    policy: Policy,
    recorded: type[Graph],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
) -> None:
    expected = drawn(policy, static=False)
    record(monkeypatch)
    fault(monkeypatch)
    assert drawn(policy, static=True) != expected
    assert recorded.made > 0
