"""The bias model is checked; pixels reach the trained tower. LoRA has a file of its own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.answering_toys import build_tiny
from tests.training.toy_training import TINY, corpus, make_question
from videothinker import prompts
from videothinker.algorithms.base import BiasSource
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.generation.base import Sampling, generate
from videothinker.models.base import Group
from videothinker.models.catalog import load_policy
from videothinker.models.folders import find_model
from videothinker.models.loaded import Policy
from videothinker.models.logprobs import group_logps
from videothinker.records import Question, write_jsonl
from videothinker.training.models import (
    check_learned,
    load_bias,
    load_trainee,
    warn_of_removed_premises,
)
from videothinker.training.stages import train

CPU = torch.device("cpu")


def one_group(policy: Policy, **kwargs: Any) -> Group:
    question = make_question(1)
    words = prompts.render(question.question, question.choices, context=question.context)
    encoded = policy.encode(words, **kwargs)
    return generate(policy, [encoded], Sampling(4, 6), [0])[0]


def cdpo_config(base: Path, **changes: Any) -> CdpoConfig:
    given = {"model": str(base), "out": Path("o"), "bias": "b", "dtype": "float32"}
    return CdpoConfig(**(given | changes))


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("asked", [None, False, True])
def test_activations_are_made_again_as_asked_else_as_planned(
    base: Path, asked: bool | None, planned: bool
) -> None:
    config = cdpo_config(base, gradient_checkpointing=asked)
    policy = load_trainee(config, CPU, recomputes=planned)
    assert policy.recomputes is (planned if asked is None else asked)
    told = {getattr(one, "gradient_checkpointing", False) for one in policy.model.modules()}
    assert (True in told) is policy.recomputes


@pytest.mark.parametrize("drops", ["", "module", "setting"])
def test_a_layer_that_draws_is_made_again_with_the_same_draws(base: Path, drops: str) -> None:
    policy: Any = load_policy(base)
    if drops == "module":
        policy.model.extra = torch.nn.Dropout(0.1)
    if drops == "setting":
        policy.model.config.text_config.attention_dropout = 0.1
    told: list[Any] = []
    policy.model.gradient_checkpointing_enable = told.append
    policy.enable_gradient_checkpointing()
    assert told == [{"use_reentrant": False, "preserve_rng_state": bool(drops)}]


@pytest.mark.parametrize("rank", [0, 4])
def test_the_policy_itself_is_refused_unless_the_ablation_is_named(
    base: Path, rank: int, capsys: pytest.CaptureFixture[str]
) -> None:
    config = cdpo_config(base, lora_rank=rank)
    policy = load_trainee(config, CPU)
    with pytest.raises(UserError, match="is the policy itself.*train bias"):
        load_bias(BiasSource(str(base)), policy, config)
    assert load_bias(BiasSource(str(base), may_be_policy=True), policy, config).policy is not policy
    assert "warning: bias" in capsys.readouterr().err


def test_another_tokenizer_vocabulary_or_chat_template_is_refused(
    base: Path, tmp_path: Path
) -> None:
    config = cdpo_config(base)
    policy = load_trainee(config, CPU)
    words = build_tiny(tmp_path / "words", ["entirely other"] * 9, **TINY, seed=1)
    with pytest.raises(UserError, match="another vocabulary"):
        load_bias(BiasSource(str(words)), policy, config)
    chat = tmp_path / "chat"
    shutil.copytree(build_tiny(tmp_path / "c", corpus(), **TINY, seed=1), chat)
    template = chat / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "helper"))
    with pytest.raises(UserError, match="another chat template"):
        load_bias(BiasSource(str(chat)), policy, config)
    merges = tmp_path / "merges"
    shutil.copytree(tmp_path / "c", merges)
    tokenizer = json.loads((merges / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][::-1]
    (merges / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match="another tokenizer"):
        load_bias(BiasSource(str(merges)), policy, config)


def test_a_bias_model_of_another_family_is_refused(base: Path, tmp_path: Path) -> None:
    config = cdpo_config(base)
    policy = load_trainee(config, CPU)
    foreign = build_tiny(tmp_path / "b", corpus(), **TINY, family="qwen2_vl")
    with pytest.raises(UserError, match=r"Qwen2-VL .*Qwen2\.5-VL"):
        load_bias(BiasSource(str(foreign)), policy, config)


def test_a_stronger_bias_model_of_the_same_family_is_allowed(base: Path, tmp_path: Path) -> None:
    """Other widths and depths, as many rows of the head; its log-probabilities are its own."""
    larger = TINY | {"hidden": 64, "layers": 3, "heads": 2, "vision_hidden": 48, "vision_layers": 2}
    folder = build_tiny(tmp_path / "larger", corpus(), **larger, seed=5)
    config = cdpo_config(base)
    policy = load_trainee(config, CPU)
    bias = load_bias(BiasSource(str(folder)), policy, config)
    frames = np.random.default_rng(0).integers(0, 256, (4, 56, 56, 3), np.uint8)
    encoded = policy.encode("Who?", policy.to_video(frames, 2.0))
    (group,) = generate(policy, [encoded], Sampling(2, 4), [0])
    alone = load_policy(folder)
    own = replace(group, prompt=alone.encode("Who?", alone.to_video(frames, 2.0)))
    with torch.no_grad():
        assert torch.equal(
            group_logps(bias.policy, group).logps_GC, group_logps(alone, own).logps_GC
        )


def test_a_head_of_more_rows_meets_no_divergence_over_all_rows(
    base: Path, other: Path, tmp_path: Path
) -> None:
    """As Qwen2.5-VL's 3B and 7B: one vocabulary, another number of unused rows."""
    padded = load_policy(other)
    padded.model.resize_token_embeddings(len(padded.head_VD) + 8, mean_resizing=False)
    folder = str(padded.save(tmp_path / "padded"))
    config = cdpo_config(base, divergence="k3")
    policy = load_trainee(config, CPU)
    assert len(load_bias(BiasSource(folder), policy, config).policy.head_VD) > len(policy.head_VD)
    with pytest.raises(UserError, match="output rows and the model .* divergence 'exact'"):
        load_bias(BiasSource(folder), policy, replace(config, divergence="exact"))


def test_the_bias_model_stays_frozen(base: Path, other: Path) -> None:
    config = cdpo_config(base)
    bias = load_bias(BiasSource(str(other)), load_trainee(config, CPU), config)
    assert not any(parameter.requires_grad for parameter in bias.policy.model.parameters())


def video_question(folder: Path) -> Question:
    from videothinker.video.encode import write_mp4

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
    out = train(tmp_path, GrpoConfig(out=tmp_path / "run", data_root=tmp_path, **settings))
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
    with pytest.raises(UserError, match=r"1 of 1 videos.*\n.*'a\.mp4' is missing"):
        train(tmp_path, GrpoConfig(out=tmp_path / "run", **quick))


def test_a_video_over_the_prompt_limit_is_never_cut(
    base: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    write_jsonl(tmp_path / "questions.jsonl", [video_question(tmp_path)])
    settings = quick | {"frames": 8, "max_prompt_length": 60}
    with pytest.raises(UserError, match=r"question 'toy/video'.*tokens .* at most 60"):
        train(tmp_path, GrpoConfig(out=tmp_path / "run", **settings))


@pytest.mark.parametrize("given", ["run", "run/model"])
def test_a_bias_model_that_learned_nothing_is_refused_with_what_its_run_says(
    tmp_path: Path, given: str
) -> None:
    (tmp_path / "run/model").mkdir(parents=True)
    facts: dict[str, Any] = {"weights_changed": True, "warnings": []}
    path = tmp_path / "run/run.json"
    path.write_bytes(msgspec.json.encode({"facts": facts}))
    check_learned(find_model(tmp_path / given))
    facts = {"weights_changed": False, "warnings": ["in run no group had a signal: so it is"]}
    path.write_bytes(msgspec.json.encode({"facts": facts}))
    with pytest.raises(UserError, match="in run no group had a signal"):
        check_learned(find_model(tmp_path / given))


@pytest.mark.parametrize(("config", "said"), [({"as_is": False}, 1), ({"as_is": True}, 0), ({}, 0)])
def test_a_bias_model_of_struck_questions_is_noted_where_its_failures_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], config: dict[str, Any], said: int
) -> None:
    warn_of_removed_premises(find_model(tmp_path / "run"))  # no record: a model from elsewhere
    (tmp_path / "run/model").mkdir(parents=True)
    (tmp_path / "run/run.json").write_bytes(msgspec.json.encode({"config": config}))
    warn_of_removed_premises(find_model(tmp_path / "run"))
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("train it with --as-is") == said
