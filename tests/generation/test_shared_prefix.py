"""Rollouts draw what the naive loop draws, whatever shares the batch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.conftest import ENGINE
from tests.models.naive_policy import inputs, load_naive, naive_rollout
from videothinker.generation import pages
from videothinker.generation import shared_prefix as module
from videothinker.generation.base import Sampling
from videothinker.generation.drawing import draw, invert
from videothinker.generation.pages import Pages
from videothinker.generation.shared_prefix import generate, share_beginnings
from videothinker.models.base import Group, Prompt, Video
from videothinker.models.loaded import Policy

SAMPLING = Sampling(num_generations=3, max_completion_length=12, temperature=1.3)


@pytest.fixture(params=ENGINE)
def tiny_folder(request: pytest.FixtureRequest, tiny_folders: dict[str, Path]) -> Path:
    """Each family of the engine in turn."""
    return tiny_folders[request.param]


def tokens(group: Group) -> list[list[int]]:
    return [
        ids[mask].tolist() for ids, mask in zip(group.completion_ids_GC, group.mask_GC, strict=True)
    ]


@pytest.fixture
def prompts(policy: Policy, frames_THW3: np.ndarray) -> list[Prompt]:
    """Two videos, three questions about the first, one without video; all lengths differ."""
    video = policy.to_video(frames_THW3, 3.0)
    other = policy.to_video(frames_THW3[::-1, :, :56].copy(), 6.0)
    return [
        policy.encode("Which one hits the cube?", video),
        policy.encode("What happens first? A. one B. two C. three", other, prefill="<think>"),
        policy.encode("Which of these will happen without the red cube?", video),
        policy.encode("Text alone."),
        policy.encode("Which sphere?", video, prefill="<think>"),
    ]


@pytest.mark.parametrize(
    "sampling",
    [
        SAMPLING,
        Sampling(num_generations=1, max_completion_length=12, temperature=0),
        Sampling(num_generations=2, max_completion_length=12, temperature=1.5, top_p=0.8),
    ],
    ids=["drawn", "greedy", "nucleus"],
)
def test_draws_what_the_naive_loop_draws(
    policy: Policy, prompts: list[Prompt], tiny_folder: Path, sampling: Sampling
) -> None:
    """Operation by operation, and with fixed shapes."""
    naive = load_naive(tiny_folder)
    # the library takes a drawn <|video_pad|> for a place without its video: let it end the text
    policy.model.generation_config.eos_token_id = [
        *policy.eos_ids,
        policy.model.config.video_token_id,
        policy.model.config.image_token_id,
    ]
    seeds = [11, 12, 13, 14, 15]
    ways = [generate(policy, prompts, sampling, seeds, static=static) for static in (False, True)]
    for prompt, seed, *groups in zip(prompts, seeds, *ways, strict=True):
        expected = naive_rollout(naive, prompt, seed, sampling, policy.eos_ids)
        assert [group.prompt for group in groups] == [prompt, prompt]
        assert [tokens(group) for group in groups] == [expected, expected]


def test_faults_show_in_what_is_drawn(
    policy: Policy, prompts: list[Prompt], frames_THW3: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative controls: what sharing could hide. DeepStack is Qwen3-VL's alone."""

    def drawn(video: Video | None = None) -> list[list[int]]:
        prompt = replace(prompts[0], video=video or prompts[0].video)
        return tokens(generate(policy, [prompt], SAMPLING, [11], static=True)[0])

    right = drawn()
    assert drawn() == right
    assert drawn(policy.to_video(frames_THW3[::-1].copy(), 3.0)) != right
    assert drawn(policy.to_video(frames_THW3 * 0, 3.0)) != right
    places_3P = policy.positions(prompts[0]).clone()
    places_3P[:, -1] += 1
    with monkeypatch.context() as shifted:
        shifted.setattr(policy, "positions", lambda _: places_3P)
        assert drawn() != right
    with monkeypatch.context() as leaking:
        leaking.setattr(pages, "_summand", lambda seen, dtype: 0 * seen.to(dtype))
        assert drawn() != right
    monkeypatch.setattr(policy, "deeper", lambda *_: {})
    assert (drawn() == right) == (policy.model.config.model_type != "qwen3_vl")


def test_greedy_is_the_librarys_generate(
    policy: Policy, prompts: list[Prompt], tiny_folder: Path
) -> None:
    naive = load_naive(tiny_folder)
    given = inputs(naive, prompts[1], prompts[1].input_ids_P[None])
    length = prompts[1].prompt_tokens
    expected = naive.generate(**given, max_new_tokens=10, do_sample=False)[0, length:].tolist()
    sampling = Sampling(num_generations=1, max_completion_length=10, temperature=0)
    assert tokens(generate(policy, prompts[1:2], sampling, [0])[0])[0] == expected


def test_a_prompt_does_not_depend_on_its_batch(policy: Policy, prompts: list[Prompt]) -> None:
    together = generate(policy, prompts, SAMPLING, [1, 2, 3, 4, 5])
    for index, prompt in enumerate(prompts):
        alone = generate(policy, [prompt], SAMPLING, [index + 1])[0]
        assert tokens(together[index]) == tokens(alone)


def test_ends_padding_and_truncation(policy: Policy, prompts: list[Prompt]) -> None:
    # every token but one ends: with 40 % of the vocabulary ending, both kinds occur
    ends = list(range(0, len(policy.tokenizer), 5))
    policy.model.generation_config.eos_token_id = ends
    sampling = Sampling(num_generations=8, max_completion_length=6, temperature=2.0)
    groups = generate(policy, prompts, sampling, list(range(5)))
    seen = set()
    for group in groups:
        rows = zip(group.completion_ids_GC, group.mask_GC, group.truncated_G, strict=True)
        for ids_C, mask_C, truncated in rows:
            count = int(mask_C.sum())
            drawn = ids_C[:count].tolist()
            assert mask_C[:count].all()
            assert (ids_C[count:] == policy.pad_id).all()
            assert not any(token in ends for token in drawn[:-1])
            assert bool(truncated) == (drawn[-1] not in ends)
            assert count == 6 or not truncated
            seen.add(bool(truncated))
        assert int(group.mask_GC.sum(dim=1).max()) == group.mask_GC.shape[1]
    assert seen == {True, False}


def test_the_video_is_encoded_once(
    policy: Policy, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = policy.model.model.visual
    seen: list[int] = []
    tower.register_forward_hook(lambda *args: seen.append(len(args[1][0])))
    generate(policy, prompts, SAMPLING, [1, 2, 3, 4, 5])
    assert len(seen) == 2


@pytest.mark.parametrize(("static", "most"), [(True, 4096), (True, 1), (False, 4096)])
def test_prompts_are_computed_together_where_launches_cost(
    policy: Policy,
    prompts: list[Prompt],
    monkeypatch: pytest.MonkeyPatch,
    static: bool,
    most: int,
) -> None:
    """Whole, but for what comes after a beginning that several share."""
    calls = [3] if static and most > 1 else [1, 1, 1]
    monkeypatch.setattr(module, "TOGETHER", most)
    seen: list[int] = []
    policy.model.model.language_model.register_forward_pre_hook(
        lambda _, args, given: seen.append(len(given["inputs_embeds"])), with_kwargs=True
    )
    sampling = Sampling(num_generations=2, max_completion_length=1)
    generate(policy, prompts, sampling, [1, 2, 3, 4, 5], static=static)
    assert seen == [*calls, len(prompts)]
    seen.clear()
    generate(policy, [prompts[i] for i in (0, 1, 3)], sampling, [1, 2, 4], static=static)
    assert seen == calls


def test_which_prompts_share(policy: Policy, prompts: list[Prompt]) -> None:
    beginnings = share_beginnings(prompts)
    assert [one.prompts for one in beginnings] == [[0, 2, 4], [1], [3]]
    shared = prompts[0].input_ids_P[: beginnings[0].length]
    assert all(torch.equal(prompts[i].input_ids_P[: len(shared)], shared) for i in (2, 4))
    assert beginnings[2].length == prompts[3].prompt_tokens


def test_another_system_message_does_not_share(policy: Policy, frames_THW3: np.ndarray) -> None:
    video = policy.to_video(frames_THW3, 6.0)
    pair = [policy.encode("Who?", video), policy.encode("Who?", video, system="Be brief.")]
    beginnings = share_beginnings(pair)
    assert [one.prompts for one in beginnings] == [[0], [1]]


def test_training_mode_is_left_as_it_was(policy: Policy, prompts: list[Prompt]) -> None:
    policy.model.train()
    generate(policy, prompts[:1], SAMPLING, [0])
    assert policy.model.training


def test_draws_follow_the_distribution() -> None:
    """The share of each token over an even grid of uniform numbers is its probability."""
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3])
    uniform_R = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    drawn = draw(probabilities.log().expand(1000, -1), uniform_R, Sampling())
    assert torch.bincount(drawn, minlength=4).tolist() == [100, 0, 600, 300]
    nucleus = draw(probabilities.log().expand(1000, -1), uniform_R, Sampling(top_p=0.85))
    assert torch.bincount(nucleus, minlength=4).tolist() == [0, 0, 667, 333]


@pytest.mark.parametrize("block", [1, 3, 8, 64])
def test_blocks_draw_what_one_running_sum_draws(block: int) -> None:
    """Zeros among the weights, at a block's end and in a whole block too."""
    stream = torch.Generator().manual_seed(0)
    weights_RV = torch.rand(2000, 29, generator=stream)
    weights_RV = weights_RV.where(torch.rand(2000, 29, generator=stream) < 0.4, 0.0)
    weights_RV[:, 7] = 0.1  # none is all zeros
    uniform_R = torch.rand(2000, generator=stream, dtype=torch.float64)
    uniform_R[:3] = torch.tensor([0.0, 1 - 2**-53, 0.5])
    sums_RV = weights_RV.double().cumsum(dim=-1)
    target_R1 = uniform_R[:, None] * sums_RV[:, -1:]
    expected = torch.searchsorted(sums_RV, target_R1, right=True).squeeze(1)
    expected[1] = weights_RV[1].nonzero().max()
    found = invert(weights_RV, uniform_R, block)
    assert torch.equal(found, expected)
    assert (weights_RV.gather(1, found[:, None]) > 0).all()


def test_static_steps_change_tensors_in_place(
    policy: Policy, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a CUDA graph recorded must stay where it was until rows leave."""
    true = Pages.step
    seen: dict[int, set[tuple[object, ...]]] = {}

    def watched(pages: Pages, *args: object) -> torch.Tensor:
        parts = (pages.slot, pages.own_mask_RL, pages.own_pages[0], pages.prefix_pages[0])
        places = tuple((t.data_ptr(), t.shape) for t in (*parts, pages.prefix_mask_BP))
        seen.setdefault(len(pages.place_R), set()).add(places)
        return true(pages, *args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Pages, "step", watched)
    monkeypatch.setattr(module, "ASK_EVERY", 3)
    monkeypatch.setattr(module, "FEW", 2)
    policy.model.generation_config.eos_token_id = list(range(0, len(policy.tokenizer), 7))
    generate(policy, prompts, SAMPLING, [1, 2, 3, 4, 5], static=True)
    assert len(seen) > 1
    assert all(len(places) == 1 for places in seen.values())


@pytest.mark.parametrize("static", [False, True])
def test_mixed_precision(policy: Policy, prompts: list[Prompt], static: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        groups = generate(policy, prompts, SAMPLING, [1, 2, 3, 4, 5], static=static)
    exact = generate(policy, prompts, SAMPLING, [1, 2, 3, 4, 5])
    pairs = zip(groups, exact, strict=True)
    first = [(a.completion_ids_GC[:, 0] == b.completion_ids_GC[:, 0]) for a, b in pairs]
    # a flat distribution moves a few draws; unrelated tokens agree in 1 % of cases
    assert torch.cat(first).float().mean() > 0.5
