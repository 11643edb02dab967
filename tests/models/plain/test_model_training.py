"""Every algorithm on every plain family, full and LoRA, from a folder of videos to a report."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.answering_toys import ask_about, write_video
from tests.training.conftest import own_cache
from tests.training.toy_training import dying_at
from videothinker.algorithms.bias import BiasConfig
from videothinker.algorithms.cdpo import CdpoConfig
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.evaluation.config import EvaluateConfig
from videothinker.evaluation.stage import evaluate
from videothinker.export.config import ExportConfig
from videothinker.export.stage import export
from videothinker.models.catalog import load_policy
from videothinker.records import Diagnosis, Step, read_jsonl, write_jsonl
from videothinker.report.config import ReportConfig
from videothinker.report.stage import report
from videothinker.runs import digest_path
from videothinker.training.stages import train

__all__ = ["own_cache"]
REWARDS = ("tests.training.toy_training:length_reward", "format")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diagnose folder of eight questions about two videos."""
    root = tmp_path_factory.mktemp("data")
    write_video(root / "a.mp4", 0)
    write_video(root / "b.mp4", 1)
    asked = [ask_about(i, "ab"[i % 2] + ".mp4", split="train") for i in range(8)]
    write_jsonl(root / "questions.jsonl", asked)
    labels = ["observational" if i % 2 else "inferential" for i in range(8)]
    write_jsonl(
        root / "diagnosis.jsonl",
        [
            Diagnosis(question_id=q.id, rule="same_truth", label=label)
            for q, label in zip(asked, labels, strict=True)
        ],
    )
    write_jsonl(root / "bias.jsonl", asked[1::2])
    return root


@pytest.fixture
def quick(data: Path) -> dict[str, Any]:
    return {
        "data_root": data,
        "dtype": "float32",
        "frames": 2,
        "sampling": "uniform",
        "learning_rate": 1e-2,
        "prompts_per_step": 2,
        "num_generations": 3,
        "max_completion_length": 4,
        "max_steps": 2,
        "save_steps": 1,
        "eval_steps": 0,
        "reward_funcs": REWARDS,
    }


def metadata(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


@pytest.mark.parametrize("kind", ["llava_onevision", "smolvlm", "qwen3_5"])
@pytest.mark.parametrize("lora", [0, 2])
def test_the_whole_line(folders, data, quick, tmp_path, kind, lora, capsys) -> None:  # noqa: PLR0917
    given = quick | {"model": str(folders[kind]), "lora_rank": lora, "max_steps": 1}
    bias = train(data, BiasConfig(out=tmp_path / "bias", **given))
    assert "plain path: slower" in capsys.readouterr().err
    cdpo = train(data, CdpoConfig(out=tmp_path / "cdpo", bias=str(bias), guard=False, **given))
    runs = [bias, cdpo]
    if not lora:
        runs.append(train(data, GrpoConfig(out=tmp_path / "grpo", **given)))
    for run in runs:
        told = metadata(run)["facts"]
        assert (told["path"], told["weights_changed"]) == ("plain path: slower", True)
        assert len(read_jsonl(run / "metrics.jsonl", Step)) == 1
        assert (run / "model" / "adapter_config.json").is_file() == bool(lora)
    steps = read_jsonl(cdpo / "metrics.jsonl", Step)
    assert steps[0].divergence is not None
    policy: Any = load_policy(cdpo)
    start: Any = load_policy(folders[kind])
    assert policy.digest != start.digest
    before = dict(start.model.named_parameters())
    moved = {
        name.replace(".base_layer", "")
        for name, weight in policy.model.named_parameters()
        if ".lora_" not in name and not torch.equal(weight, before[name.replace(".base_layer", "")])
    }
    assert bool(moved) == (not lora)
    if lora:
        merged = export(ExportConfig(merge=str(cdpo), out=tmp_path / "merged"))
        assert load_policy(merged).base is None
    tested = evaluate(
        data / "questions.jsonl",
        EvaluateConfig(
            out=tmp_path / "e",
            model=str(cdpo),
            benchmark="jsonl",
            split="train",
            variants=("full",),
            frames=2,
            max_new_tokens=4,
        ),
    )
    assert metadata(tested)["facts"]["path"] == "plain path: slower"
    if kind == "smolvlm":
        page = report([tested, bias, cdpo], ReportConfig(out=tmp_path / "r.html"))
        assert page.read_text().count("plain path: slower") >= 3


def test_a_killed_run_ends_in_the_same_bytes(
    folders: dict[str, Path], data: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    given = quick | {"model": str(folders["smolvlm"]), "freeze_vision": True}
    whole = train(data, GrpoConfig(out=tmp_path / "whole", **given))
    with dying_at(2), pytest.raises(KeyboardInterrupt):
        train(data, GrpoConfig(out=tmp_path / "killed", **given))
    killed = train(data, GrpoConfig(out=tmp_path / "killed", **given))
    assert digest_path(killed) == digest_path(whole)
