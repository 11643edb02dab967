"""A model that cannot be used, given to every verb that asks one: a sentence and exit code 2."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.answering_toys import build_tiny
from videothinker import cli
from videothinker.records import Question, write_jsonl
from videothinker.video.encode import write_mp4


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four of text alone, and a video beside them."""
    root = tmp_path_factory.mktemp("questions")
    write_jsonl(
        root / "questions.jsonl",
        [
            Question(
                id=f"q{i}",
                dataset="toy",
                split="train",
                context="Objects: red cube.",
                question="Without the sphere, what moves?",
                question_struck="What moves?",
                choices=("the cube", "nothing"),
                answer=("A",),
                type="counterfactual",
            )
            for i in range(4)
        ],
    )
    frames = np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), np.uint8)
    write_mp4(root / "clip.mp4", frames, fps=4)
    return root / "questions.jsonl"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build_tiny(tmp_path / "model")


def poisoned(model: Path) -> Path:
    held = load_file(model / "model.safetensors")
    held["model.layers.0.mlp.down_proj.weight"][3, 3] = float("nan")
    save_file(held, model / "model.safetensors", metadata={"format": "pt"})
    return model


VERBS = {
    "evaluate": ("evaluate", "--data", "{data}", "--split", "train", "--model", "{model}"),
    "diagnose": ("diagnose", "{data}", "--probe", "{model}"),
    "train grpo": ("train", "grpo", "--data", "{data}", "--model", "{model}"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_nan_ends_every_verb_with_its_tensor(
    questions: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    words = [word.format(data=questions, model=poisoned(model)) for word in VERBS[verb]]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == cli.USER_ERROR
    told = capsys.readouterr()
    assert "not finite" in told.err
    assert "layers.0.mlp.down_proj.weight" in told.err
    assert not told.out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_ask_says_the_same_and_no_answer(
    questions: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ask", str(questions.parent / "clip.mp4"), "What moves?", "--choice", "a", "b"]
    words += ["--frames", "4", "--max-new-tokens", "3", "--json", "--model", str(model)]
    assert cli.main(words) == cli.DONE
    told = capsys.readouterr()
    asked = json.loads(told.out)
    assert (asked["device"], asked["dtype"]) == ("cpu", "float32")
    assert "parameters, float32 on cpu" in told.err
    poisoned(model)
    assert cli.main(words) == cli.USER_ERROR
    told = capsys.readouterr()
    assert "layers.0.mlp.down_proj.weight" in told.err
    assert "answer:" not in told.err
    assert not told.out


@pytest.mark.parametrize("verb", VERBS)
def test_quantized_weights_end_every_verb_before_it_starts(
    questions: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    config = json.loads((model / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (model / "config.json").write_text(json.dumps(config))
    words = [word.format(data=questions, model=model) for word in VERBS[verb]]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == cli.USER_ERROR
    assert "holds quantized weights (awq, 4 bits)" in capsys.readouterr().err


def test_what_auto_stood_for_is_printed_and_kept(
    questions: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((model / "config.json").read_text()) | {"dtype": "bfloat16"}
    (model / "config.json").write_text(json.dumps(config))
    asked = ["--max-new-tokens", "3"]
    training = ["--max-steps", "1", "--max-completion-length", "3", "--eval-steps", "0"]
    for verb, more, code in (
        ("evaluate", [*asked, "--variants", "full"], cli.DONE),
        ("diagnose", [*asked, "--samples", "2", "--probes", "full", "struck"], cli.DONE),
        ("train grpo", training, cli.WITH_FAILURES),  # noise earns nothing to learn from
    ):
        out = tmp_path / verb
        words = [word.format(data=questions, model=model) for word in VERBS[verb]]
        assert cli.main([*words, *more, "--out", str(out), "--json"]) == code
        told = capsys.readouterr()
        assert "parameters, bfloat16 on cpu" in told.err
        facts = json.loads(told.out)["facts"]
        assert (facts["device"], facts["dtype"]) == ("cpu", "bfloat16")
        kept = json.loads((out / "run.json").read_text())["config"]
        assert kept["dtype"] == "bfloat16"
        if "device" in kept:
            assert kept["device"] == "cpu"
        assert cli.main([*words, *more, "--out", str(out)]) == code  # the same once more
        capsys.readouterr()
