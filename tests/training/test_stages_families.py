"""Every family of the engine is asked, probed, evaluated and trained, in full and by LoRA."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.answering_toys import build_tiny
from tests.models.conftest import ENGINE
from tests.training.toy_training import TINY, corpus, make_question
from videothinker import cli
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.records import Diagnosis, Question, Sample, Step, read_jsonl, write_jsonl
from videothinker.training.stages import train

OTHERS = [family for family in ENGINE if family != "qwen2_5_vl"]
"""Those that the rest of the suite does not train."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, clip: bytes) -> Path:
    """Four questions about one video, as `diagnose` leaves them."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "a.mp4").write_bytes(clip)
    questions = []
    for number in range(4):
        plain = make_question(number)
        told = {name: getattr(plain, name) for name in Question.__struct_fields__}
        questions.append(Question(**(told | {"context": None, "video": "a.mp4"})))
    write_jsonl(folder / "questions.jsonl", questions)
    write_jsonl(folder / "bias.jsonl", questions)
    rows = [
        Diagnosis(question_id=q.id, rule="same_truth", label="observational") for q in questions
    ]
    write_jsonl(folder / "diagnosis.jsonl", rows)
    return folder


@pytest.fixture(scope="module", params=OTHERS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of them, tiny."""
    own = {"family": request.param, "patch_size": 16, "initializer_range": 0.2}
    return build_tiny(tmp_path_factory.mktemp(request.param), corpus(), **(TINY | own))


@pytest.fixture
def settings(quick: dict[str, Any], model: Path, data: Path) -> dict[str, Any]:
    """One step over the video."""
    shown = {"model": str(model), "frames": 4, "max_steps": 1, "eval_steps": 0}
    return quick | shown | {"data_root": data}


def test_it_is_asked_probed_and_evaluated(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--frames", "4", "--max-new-tokens", "3"]
    words = ["ask", str(data / "a.mp4"), "Who?", "--choice", "a", "b", "--model", str(model)]
    assert cli.main([*words, *few, "--json"]) == cli.DONE
    asked = json.loads(capsys.readouterr().out)
    assert (asked["frames"], asked["video_position"] > 0) == (4, True)
    out = tmp_path / "evaluate"
    words = ["evaluate", "--data", str(data / "questions.jsonl"), "--split", "train"]
    words += ["--model", str(model), "--variants", "full", "shuffled", "--max-new-tokens", "3"]
    assert cli.main([*words, "--out", str(out)]) == cli.DONE
    samples = read_jsonl(out / "samples.jsonl", Sample)
    assert {(s.variant, s.frames > 0) for s in samples} == {("full", True), ("shuffled", True)}
    out = tmp_path / "diagnose"
    words = ["diagnose", str(data / "questions.jsonl"), "--probe", str(model), "--samples", "2"]
    words += ["--probes", "full", "blind", "--max-new-tokens", "3", "--out", str(out)]
    assert cli.main(words) == cli.DONE


def test_adapters_train_from_bias_to_cdpo(
    data: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    lora = settings | {"lora_rank": 4, "freeze_vision": True}
    bias = train(data, BiasConfig(out=tmp_path / "bias", **lora))
    out = train(data, CdpoConfig(out=tmp_path / "cdpo", bias=str(bias), guard=False, **lora))
    (step,) = read_jsonl(out / "metrics.jsonl", Step)
    assert step.divergence is not None
    tensors = load_file(out / "model" / "adapter_model.safetensors")
    assert any(tensor.any() for name, tensor in tensors.items() if "lora_B" in name)


def test_all_weights_train_the_towers_too(
    model: Path, data: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    grpo = train(data, GrpoConfig(out=tmp_path / "grpo", **settings))
    before, after = (load_file(at / "model.safetensors") for at in (model, grpo / "model"))
    still = [name for name in before if torch.equal(before[name], after[name])]
    assert still == []
    other = settings | {"model": str(model), "gradient_checkpointing": True}
    out = train(data, CdpoConfig(out=tmp_path / "cdpo", bias=str(grpo), guard=False, **other))
    (step,) = read_jsonl(out / "metrics.jsonl", Step)
    assert step.divergence is not None
    assert step.divergence > 0
