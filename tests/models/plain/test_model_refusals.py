"""What the plain path cannot run is told in one sentence, and the run goes on once it is mended."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import is_torchvision_available

from tests.answering_toys import ask_about, write_video
from tests.models.toy_family import build_toy
from videothinker import cli
from videothinker.errors import UserError
from videothinker.models import catalog
from videothinker.models.catalog import load_model, load_policy
from videothinker.models.plain.processor import ProcessorFrames
from videothinker.records import write_jsonl


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A LLaVA-OneVision, to be changed."""
    return Path(shutil.copytree(folders["llava_onevision"], tmp_path / "copy"))


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", ["llava", "unheard_of"])
def test_another_family(copy: Path, kind: str) -> None:
    """One that takes no video, and one that is not known at all."""
    rewrite(copy / "config.json", model_type=kind)
    with pytest.raises(
        UserError, match=rf"type '{kind}'; only 'qwen2_5_vl' \(Qwen2.5-VL\)"
    ) as told:
        load_model(copy)
    assert "by the plain path, " in str(told.value)
    assert "llava_onevision" in str(told.value)
    assert "\n" not in str(told.value)


def test_config_and_weights_that_disagree(copy: Path) -> None:
    held = load_file(copy / "model.safetensors")
    held.pop("language_model.model.layers.1.mlp.up_proj.weight")
    save_file(held, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"the weights lack 1 tensor \(.*up_proj.weight\)"):
        load_model(copy)


def test_a_template_without_a_place(copy: Path) -> None:
    template_file = copy / "chat_template.json"
    template = json.loads(template_file.read_text())["chat_template"].replace("<video>", "")
    rewrite(template_file, chat_template=template)
    with pytest.raises(UserError, match="<video> 0 times for 1 videos"):
        load_model(copy)


def test_no_settings_of_frames(copy: Path) -> None:
    (copy / "video_preprocessor_config.json").unlink()
    with pytest.raises(UserError, match="video processor's config"):
        load_model(copy)


class Stand:
    """A processor that sees text alone."""

    video_token = "<video>"

    def __call__(self, text: list[str], **more: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.ones(1, len(text[0]), dtype=torch.long)}


def test_a_processor_that_returns_no_video(tmp_path: Path) -> None:
    config = SimpleNamespace(video_token_id=3)
    frames = ProcessorFrames(tmp_path, config, SimpleNamespace(bos_token=None), Stand())
    with pytest.raises(UserError, match="Stand, .*no video for 2 frames, only input_ids"):
        frames.to_video(
            np.zeros((2, 8, 8, 3), np.uint8), 1.0, times=None, min_pixels=None, max_pixels=None
        )


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there")
def test_what_is_to_be_installed_is_named(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2-VL stands for a family of which nothing is ours: its processor wants torchvision."""
    monkeypatch.delitem(catalog.FAMILIES, "qwen2_vl", raising=False)
    toy = build_toy(tmp_path / "toy", tiny_folder)
    for name in ("preprocessor_config.json", "video_preprocessor_config.json"):
        shutil.copy(tiny_folder / name, toy / name)
    with pytest.raises(UserError, match="package torchvision"):
        load_model(toy)


def test_logits_that_are_changed_after_the_head_are_not_trained(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the head has a bias; such a model is still asked."""
    policy: Any = load_policy(copy)
    policy.model.lm_head.bias = torch.nn.Parameter(torch.full((policy.head_VD.shape[0],), 0.1))
    with pytest.raises(UserError, match="changes its logits after the head"):
        policy.check_trains("it")


def test_a_mended_run_goes_on(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The template is broken when the run begins; it ends when the same command is given again."""
    data = tmp_path / "data"
    data.mkdir()
    write_video(data / "a.mp4", 0)
    write_jsonl(data / "questions.jsonl", [ask_about(0, "a.mp4")])
    words = ["evaluate", "--data", str(data / "questions.jsonl"), "--model", str(copy)]
    words += ["--variants", "full", "--max-new-tokens", "3", "--frames", "2"]
    words += ["--out", str(tmp_path / "run")]
    template_file = copy / "chat_template.json"
    good = template_file.read_text()
    template_file.write_text(json.dumps({"chat_template": "nothing"}))
    assert cli.main(words) == cli.USER_ERROR
    told = capsys.readouterr().err
    assert "does not show the words" in told
    assert "Traceback" not in told
    template_file.write_text(good)
    assert cli.main(words) == cli.DONE
