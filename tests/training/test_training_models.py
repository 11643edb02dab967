"""The bias model is checked; LoRA keeps one copy of the base; pixels reach the trained tower."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_training import TINY, corpus, make_question
from transformers import Qwen2_5_VLForConditionalGeneration

from videothinker import prompts
from videothinker.errors import UserError
from videothinker.policy.logprobs import group_logps
from videothinker.policy.model import Policy, load_policy
from videothinker.policy.rollout import rollout
from videothinker.policy.sampling import Group, Sampling
from videothinker.policy.small import SmallConfig, build_small
from videothinker.records import Question, Step, read_jsonl, write_jsonl
from videothinker.training.adapters import POLICY_ADAPTER, AdapterBias
from videothinker.training.config import BiasConfig, CdpoConfig, GrpoConfig
from videothinker.training.models import load_bias, load_trainee
from videothinker.training.stages import train_bias, train_cdpo, train_grpo
from videothinker.training.step import Objective, accumulate_gradients

CPU = torch.device("cpu")


def one_group(policy: Policy, **kwargs: Any) -> Group:
    question = make_question(1)
    words = prompts.render(question.question, question.choices, context=question.context)
    encoded = policy.encode(words, **kwargs)
    return rollout(policy, [encoded], Sampling(4, 6), [0])[0]


def cdpo_config(base: Path, **changes: Any) -> CdpoConfig:
    given = {"model": str(base), "out": Path("o"), "bias": "b", "dtype": "float32"}
    return CdpoConfig(**(given | changes))


@pytest.mark.parametrize("rank", [0, 4])
def test_the_policy_itself_is_refused_unless_the_ablation_is_named(
    base: Path, rank: int, capsys: pytest.CaptureFixture[str]
) -> None:
    config = cdpo_config(base, lora_rank=rank)
    policy = load_trainee(config, CPU)
    with pytest.raises(UserError, match="is the policy itself.*train bias"):
        load_bias(str(base), policy, config, allow_self=False)
    assert load_bias(str(base), policy, config, allow_self=True).policy is not policy
    assert "warning: bias" in capsys.readouterr().err


def test_another_tokenizer_vocabulary_or_chat_template_is_refused(
    base: Path, tmp_path: Path
) -> None:
    config = cdpo_config(base)
    policy = load_trainee(config, CPU)
    words = build_small(tmp_path / "words", SmallConfig(**TINY, seed=1), ["entirely other"] * 9)
    with pytest.raises(UserError, match="another vocabulary"):
        load_bias(str(words), policy, config, allow_self=False)
    chat = tmp_path / "chat"
    shutil.copytree(build_small(tmp_path / "c", SmallConfig(**TINY, seed=1), corpus()), chat)
    template = chat / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "helper"))
    with pytest.raises(UserError, match="another chat template"):
        load_bias(str(chat), policy, config, allow_self=False)
    merges = tmp_path / "merges"
    shutil.copytree(tmp_path / "c", merges)
    tokenizer = json.loads((merges / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][::-1]
    (merges / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match="another tokenizer"):
        load_bias(str(merges), policy, config, allow_self=False)


def test_the_bias_model_stays_frozen(base: Path, other: Path) -> None:
    config = cdpo_config(base)
    bias = load_bias(str(other), load_trainee(config, CPU), config, allow_self=False)
    assert not any(parameter.requires_grad for parameter in bias.policy.model.parameters())


@pytest.fixture
def lora(toy: Path, quick: dict[str, Any], tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    settings = quick | {"lora_rank": 4, "learning_rate": 1e-2, "eval_steps": 0}
    return train_bias(toy, BiasConfig(out=tmp_path / "bias", **settings)), settings


def test_a_merged_model_computes_what_base_and_adapter_do(
    base: Path, lora: tuple[Path, dict[str, Any]]
) -> None:
    out, _ = lora
    merged = load_policy(out / "model")
    assert Qwen2_5_VLForConditionalGeneration.from_pretrained(out / "model").num_parameters() == (
        load_policy(base).model.num_parameters()
    )
    config = cdpo_config(base, lora_rank=4)
    policy = load_trainee(config, CPU)
    bias = load_bias(str(out), policy, config, allow_self=False)
    assert isinstance(bias, AdapterBias)
    assert bias.policy is policy  # one copy of the base
    group = one_group(policy)
    fresh = group_logps(policy, group).logps_GC
    torch.testing.assert_close(fresh, group_logps(load_policy(base), group).logps_GC)
    with bias.active():
        pushed = group_logps(policy, group).logps_GC
    torch.testing.assert_close(pushed, group_logps(merged, group).logps_GC, rtol=1e-4, atol=1e-5)
    assert (pushed - fresh).abs().max() > 1e-4
    torch.testing.assert_close(group_logps(policy, group).logps_GC, fresh)


def test_an_adapter_of_another_base_is_refused(
    base: Path, other: Path, lora: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = lora
    config = cdpo_config(other, lora_rank=4)
    with pytest.raises(UserError, match="trained on another base"):
        load_bias(str(out), load_trainee(config, CPU), config, allow_self=False)
    wider = build_small(tmp_path / "w", SmallConfig(**(TINY | {"intermediate": 96})), corpus())
    adapter = Path(shutil.copytree(out / "adapter", tmp_path / "adapter"))
    (adapter / "base.json").unlink()  # made elsewhere: its shapes still tell
    config = cdpo_config(wider, lora_rank=4)
    with pytest.raises(UserError, match="does not fit the model in .* tensors.*same base"):
        load_bias(str(adapter), load_trainee(config, CPU), config, allow_self=False)
    config = cdpo_config(base, lora_rank=4, dtype="bfloat16")  # another precision is no other base
    load_bias(str(out), load_trainee(config, CPU), config, allow_self=False)


def test_only_the_policys_adapter_trains(base: Path, lora: tuple[Path, dict[str, Any]]) -> None:
    out, _ = lora
    config = cdpo_config(base, lora_rank=4, gradient_checkpointing=True)
    policy = load_trainee(config, CPU)
    bias = load_bias(str(out), policy, config, allow_self=False)
    objective = Objective(divergence="exact", repulsion=1.0)
    advantages = [torch.tensor([1.0, -1.0, 0.5, -0.5])]
    accumulate_gradients(
        policy, bias, [one_group(policy)], advantages, objective, completions=4, tokens=24
    )
    named = dict(policy.model.named_parameters())
    touched = {name for name, parameter in named.items() if parameter.grad is not None}
    trained = {name for name, parameter in named.items() if parameter.requires_grad}
    assert touched == trained == {n for n in named if f".{POLICY_ADAPTER}." in n}


def test_cdpo_under_lora_repels_a_bias_adapter(
    toy: Path, lora: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    bias, settings = lora
    given = settings | {"bias": str(bias), "guard_valid": 0.0, "guard_entropy": 9.0}
    whole = train_cdpo(toy, CdpoConfig(out=tmp_path / "whole", **given))
    steps = read_jsonl(whole / "metrics.jsonl", Step)
    assert all(step.divergence is not None and step.repulsion != 0 for step in steps)
    assert (whole / "adapter" / "adapter_model.safetensors").is_file()
    saved = set(load_file(whole / "checkpoints/step-4/optimizer.safetensors"))
    assert all(".lora_" in name for name in saved)


def test_an_adapter_without_lora_is_refused(
    base: Path, lora: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = lora
    config = cdpo_config(base)
    with pytest.raises(UserError, match="is a LoRA adapter"):
        load_bias(str(out / "adapter"), load_trainee(config, CPU), config, allow_self=False)


def video_question(folder: Path) -> Question:
    from videothinker.world.encode import write_mp4

    rng = np.random.default_rng(0)
    write_mp4(folder / "a.mp4", rng.integers(0, 255, (8, 56, 56, 3), dtype=np.uint8), 8)
    plain = make_question(0)
    return Question(
        id="toy/video",
        dataset="toy",
        split="train",
        video="a.mp4",
        question=plain.question,
        choices=plain.choices,
        answer=plain.answer,
        type=plain.type,
    )


@pytest.mark.parametrize("freeze", [False, True])
def test_pixels_reach_the_policy_and_gradients_the_vision_tower(
    base: Path, quick: dict[str, Any], tmp_path: Path, freeze: bool
) -> None:
    write_jsonl(tmp_path / "questions.jsonl", [video_question(tmp_path)])
    settings = quick | {"frames": 4, "eval_steps": 0, "max_steps": 1, "freeze_vision": freeze}
    out = train_grpo(tmp_path, GrpoConfig(out=tmp_path / "run", data_root=tmp_path, **settings))
    before = load_file(base / "model.safetensors")
    after = load_file(out / "model" / "model.safetensors")
    tower = [name for name in before if "visual" in name]
    assert len(tower) > 5
    moved = [name for name in tower if not torch.equal(before[name], after[name])]
    assert len(moved) == (0 if freeze else len(tower))


def test_a_bad_video_is_named_before_the_first_step(
    base: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "questions.jsonl", [video_question(tmp_path)])
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(UserError, match=r"1 of 1 videos cannot be read.*\n.*'a\.mp4' is missing"):
        train_grpo(tmp_path, GrpoConfig(out=tmp_path / "run", **quick))


def test_a_video_over_the_prompt_limit_is_never_cut(
    base: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "questions.jsonl", [video_question(tmp_path)])
    settings = quick | {"frames": 8, "max_prompt_length": 60}
    with pytest.raises(UserError, match=r"question 'toy/video'.*tokens .* at most 60"):
        train_grpo(tmp_path, GrpoConfig(out=tmp_path / "run", **settings))
