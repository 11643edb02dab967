"""Where a model runs and in which numbers, told before it is loaded."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from videothinker.errors import UserError
from videothinker.models.catalog import load_policy, place


def in_dtype(folder: Path, stored: torch.dtype, config: dict[str, str]) -> Path:
    """The folder's weights in another dtype, of which its config says only what is given."""
    file = folder / "model.safetensors"
    held = {name: weight.to(stored) for name, weight in load_file(file).items()}
    save_file(held, file, metadata={"format": "pt"})
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for part in (content, content["text_config"], content["vision_config"]):
        part.pop("dtype", None)
    (folder / "config.json").write_text(json.dumps(content | config), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("stored", "config", "expected"),
    [
        (torch.float32, {}, "float32"),
        (torch.bfloat16, {}, "bfloat16"),
        (torch.float16, {"torch_dtype": "float16"}, "float16"),
        (torch.bfloat16, {"dtype": "float32"}, "float32"),  # kept small, meant to run in float32
        (torch.float32, {"torch_dtype": "bfloat16"}, "bfloat16"),
    ],
)
def test_the_checkpoints_own_dtype(
    copy: Path, stored: torch.dtype, config: dict[str, str], expected: str
) -> None:
    folder = in_dtype(copy, stored, config)
    placed = place(folder)
    assert placed.facts == {"device": "cpu", "dtype": expected}
    assert load_policy(folder).model.dtype == getattr(torch, expected)
    assert place(folder, dtype="float16").dtype == "float16"
    assert load_policy(folder, dtype="float16").model.dtype == torch.float16


def test_a_model_is_counted_before_it_is_loaded(tiny_folder: Path) -> None:
    placed = place(tiny_folder)
    count = load_policy(tiny_folder).model.num_parameters()
    assert placed.parameters == count
    assert placed.lines == [f"{tiny_folder}: {count:,} parameters, float32 on cpu"]


def test_auto_takes_a_gpu_where_there_is_one(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "A Card")
    assert place(tiny_folder).device == "cuda"
    assert place(tiny_folder, "cpu").device == "cpu"
    assert place(tiny_folder, "cuda:1").lines[0].endswith("float32 on cuda:1 (A Card)")
    with pytest.raises(UserError, match="'cuda:2' came, but 2 CUDA devices"):
        place(tiny_folder, "cuda:2")


def test_a_device_that_is_not_there(tiny_folder: Path) -> None:
    assert not torch.cuda.is_available()
    with pytest.raises(UserError, match="'cuda' came, but 0 CUDA.*--device auto"):
        place(tiny_folder, "cuda")
    for name in ("mps", "gpu", "cuda:x", "cpu:-1", ""):
        with pytest.raises(UserError, match="allowed are auto, cpu, cuda, cuda:1"):
            place(tiny_folder, name)
    with pytest.raises(UserError, match="could not be put on"):
        load_policy(tiny_folder, device="cuda")


def large(folder: Path, parameters: int) -> None:
    """Weights of zeros that take no room: a header, and a hole in the file."""
    header = {"a": {"dtype": "F16", "shape": [parameters], "data_offsets": [0, 2 * parameters]}}
    raw = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + 2 * parameters)


def test_over_a_billion_parameters_on_a_cpu_are_warned_of(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(copy, 3_754_622_976)
    first, warning = place(copy).lines
    assert first == f"{copy}: 3,754,622,976 parameters, float32 on cpu"
    assert warning.startswith("warning: 3.8 billion parameters")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "A Card")
    assert "--device cuda takes A Card" in place(copy, "cpu").lines[1]
    assert len(place(copy).lines) == 1
    large(copy, 999_999_999)
    assert len(place(copy, "cpu").lines) == 1
