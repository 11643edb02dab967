"""The plug-in's loss against the training loop's own, and its steering against a run's records."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.answering_toys import build_tiny
from tests.training.toy_training import OPEN, TINY, corpus, make_question
from videothinker import prompts
from videothinker.algorithms.base import Objective
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.export.swift_objective import MicroBatch, Steering, step_loss
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.loaded import Policy
from videothinker.records import Step, read_jsonl, write_jsonl
from videothinker.training.stages import train
from videothinker.training.step import Bias, accumulate_gradients

ADVANTAGES = [torch.tensor([1.0, -0.5, 0.2, -0.7]), torch.tensor([-1.0, 0.3, 0.9, 0.0])]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A policy and another model with its tokenizer."""
    folder = tmp_path_factory.mktemp("models")
    base = build_tiny(folder / "base", corpus(), **TINY)
    other = load_policy(base)
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=stream))
    return base, other.save(folder / "other")


def roll(policy: Policy) -> list[Group]:
    questions = [make_question(number) for number in range(2)]
    encoded = [
        policy.encode(prompts.render(q.question, q.choices, context=q.context)) for q in questions
    ]
    return generate(policy, encoded, Sampling(num_generations=4, max_completion_length=7), [0, 1])


def logits_of(policy: Policy, group: Group) -> Tensor:
    """As a trainer has them: prompt and completions through the model, no prefix shared."""
    count, length = group.completion_ids_GC.shape
    ids = torch.cat([group.prompt.input_ids_P.expand(count, -1), group.completion_ids_GC], dim=1)
    return policy.model(input_ids=ids, use_cache=False).logits[:, -length - 1 : -1]


def gradients(policy: Policy) -> dict[str, Tensor]:
    found = {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}
    policy.model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("repulsion", [0.3, -0.3])
@pytest.mark.parametrize(
    ("divergence", "loss_type"),
    [("exact", "grpo"), ("js", "dapo"), ("k3", "grpo"), ("rho_k3", "dapo"), ("k2", "grpo")],
)
def test_loss_and_gradient_are_those_of_our_training_step(
    folders: tuple[Path, Path], divergence: Any, loss_type: Any, repulsion: float
) -> None:
    policy, bias = load_policy(folders[0]), load_policy(folders[1])
    groups = roll(policy)
    objective = Objective(loss_type, 0.2, 0.28, 0.9, divergence, repulsion=repulsion)
    completions, tokens = 8, sum(int(group.mask_GC.sum()) for group in groups)
    sums = accumulate_gradients(
        *(policy, Bias(bias), groups, ADVANTAGES, objective), completions=completions, tokens=tokens
    )
    ours = gradients(policy)
    loss = kl = entropy = 0.0
    for group, advantages_G in zip(groups, ADVANTAGES, strict=True):
        with torch.no_grad():
            other = logits_of(bias, group)
        batch = MicroBatch(
            logits_of(policy, group), other, group.completion_ids_GC, group.mask_GC, advantages_G
        )
        found = step_loss(batch, objective, completions=completions, tokens=tokens)
        found.loss.backward()
        loss, kl, entropy = (
            loss + float(found.loss.detach()),
            kl + found.kl,
            entropy + found.entropy,
        )
    theirs = gradients(policy)
    assert loss == pytest.approx(sums.loss, rel=1e-4, abs=1e-6)
    assert kl == pytest.approx(sums.kl, rel=1e-4, abs=1e-6)
    assert entropy == pytest.approx(sums.entropy, rel=1e-4)
    assert ours.keys() == theirs.keys()
    scale = max(float(gradient.abs().max()) for gradient in ours.values())
    assert scale > 0
    for name, gradient in ours.items():
        assert float((gradient - theirs[name]).abs().max()) < 1e-4 * scale, name


def test_the_clip_looks_at_the_policy_that_drew(folders: tuple[Path, Path]) -> None:
    policy = load_policy(folders[0])
    group = roll(policy)[0]
    logits = logits_of(policy, group).detach().requires_grad_()
    now = logits.log_softmax(-1).gather(2, group.completion_ids_GC[..., None])[..., 0].detach()
    plain = Objective("grpo", 0.2, 0.28, 1.0)

    def gradient(shift: float, advantage: float) -> float:
        batch = MicroBatch(
            *(logits, None, group.completion_ids_GC, group.mask_GC),
            advantages_G=torch.full((4,), advantage),
            old_logps_GC=now - shift,
        )
        loss = step_loss(batch, plain, completions=4, tokens=1).loss
        (found,) = torch.autograd.grad(loss, logits)
        return float(found.abs().sum())

    # a ratio of e^0.3 = 1.35 is above 1.28, one of e^-0.3 = 0.74 below 0.8
    assert gradient(0.3, 1.0) == 0.0
    assert gradient(-0.3, -1.0) == 0.0
    assert gradient(0.3, -1.0) > 0.0
    assert gradient(-0.3, 1.0) > 0.0


def test_the_steering_is_that_of_a_run(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """What the loop put in force at each step follows from the step before, as recorded."""
    write_jsonl(tmp_path / "questions.jsonl", [make_question(number) for number in range(60)])
    config = CdpoConfig(
        model=str(folders[0]), bias=str(folders[1]), out=tmp_path / "run", dtype="float32",
        gradient_checkpointing=False, max_completion_length=8, num_generations=2, max_steps=5,
        eval_steps=0, learning_rate=1e-3, divergence_target=0.05, divergence="exact",
        repulsion=0.3, schedule="controller", **OPEN,
    )  # fmt: skip
    train(tmp_path / "questions.jsonl", config)
    steps = read_jsonl(tmp_path / "run/metrics.jsonl", Step)
    steering = Steering(config)
    assert steering.needs_measure
    for before, step in pairwise(steps):
        tokens = 100.0
        assert before.entropy is not None
        steering.remember(before.metrics["kl"] * tokens, before.entropy * tokens, tokens)
        assert steering.weigh(step.valid) is None
        assert steering.objective.repulsion == pytest.approx(step.repulsion, rel=1e-6)
    assert len({step.repulsion for step in steps}) > 1
    guarded = Steering(CdpoConfig(model="m", bias="b", out=tmp_path, schedule="constant"))
    guarded.remember(1.0, 1.0, 10.0)
    assert "valid format 0.00 < 0.50" in (guarded.weigh(0.0) or "")
    assert guarded.objective.repulsion == 0.0
    guarded.remember(float("nan"), 1.0, 10.0)
    assert guarded.divergence == pytest.approx(0.1)
