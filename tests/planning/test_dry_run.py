"""`--dry-run` from the command line: it prints a plan and writes nothing."""

import json
from pathlib import Path

import pytest

from videothinker import cli

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("clevrer-*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_has_a_plan(
    path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = path.stem.rsplit("-", 1)[-1]
    verb = kind if kind in ("bias", "grpo") else "cdpo"
    assert cli.main(["train", verb, "--config", str(path), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "936 video tokens" in text
    assert all(f"{card}: " in text for card in ("24GB", "48GB", "80GB", "141GB"))
    assert list(tmp_path.iterdir()) == []  # a dry run writes nothing
    words = ["train", verb, "--config", str(path), "--dry-run", "--gpu-memory", "6GB", "--json"]
    assert cli.main(words) == cli.USER_ERROR
    told = capsys.readouterr()
    assert json.loads(told.out)["fits"] == {"6GB": False}
    assert "GiB and the GPU has 6.0" in told.err.replace("GiB)", "GiB")


def test_a_recipe_for_another_architecture_is_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((base / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    words = ["train", "grpo", "--data", "absent", "--out", "o", "--model", str(tmp_path)]
    assert cli.main([*words, "--dry-run"]) == cli.USER_ERROR
    assert "is of type 'llama'; only 'qwen2_5_vl'" in capsys.readouterr().err
    assert cli.main([*words, "--gpu-memory", "24GB"]) == cli.USER_ERROR
    assert "add --dry-run" in capsys.readouterr().err
