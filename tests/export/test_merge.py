"""`export --merge`: a complete folder in which every weight is the float32 sum, and what moved."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from tests.answering_toys import build_tiny
from videothinker import cli
from videothinker.export.merge import Moved
from videothinker.models import adapters
from videothinker.models.catalog import load_policy

WORDS = ["What happens without the red cube? The blue sphere stays where it is. A. B. C."] * 20
MAPS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Dtype of the base -> a run that nobody changes."""
    dtypes = ("float32", "bfloat16")
    return {dtype: make_run(tmp_path_factory.mktemp(dtype), dtype) for dtype in dtypes}


def make_run(folder: Path, dtype: str) -> Path:
    """A base that is stored in `dtype`, and a run folder whose adapter was trained on it."""
    small = load_policy(build_tiny(folder / "float32", WORDS, initializer_range=0.02), dtype=dtype)
    policy = load_policy(small.save(folder / "base"), dtype=dtype)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=rf".*language_model.*\.({'|'.join(MAPS)})")
    adapters.inject(policy.model, lora, adapters.POLICY_ADAPTER)
    adapters.activate(policy, adapters.POLICY_ADAPTER)
    policy.base = adapters.find_base(str(folder / "base"))
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, param in adapters.factors(policy.model, adapters.POLICY_ADAPTER).items():
            scale = 0.02 if ".lora_B." in name else 0.1
            param.copy_(scale * torch.randn(param.shape, generator=stream))
    adapters.save_adapter(policy, folder / "run" / "model")
    return folder / "run"


def sums(run: Path) -> dict[str, Tensor]:
    """W + 8 / 4 B A in float64, from what the run and its base have on disk."""
    stored = load_file(run / "model" / "adapter_model.safetensors")
    plain = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        run.parent / "base", dtype=torch.float64
    ).state_dict()
    for name, down in stored.items():
        if ".lora_A." in name:
            place = name.removeprefix("base_model.model.").replace(".lora_A", "")
            plain[place] += 2.0 * stored[name.replace("_A", "_B")].double() @ down.double()
    return plain


def merged(run: Path, out: Path, *flags: str) -> dict[str, Tensor]:
    assert cli.main(["export", "--merge", str(run), "--out", str(out), "--json", *flags]) == 0
    model, info = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        out, output_loading_info=True, dtype="auto"
    )
    assert not any(info.values())
    return model.state_dict()


@pytest.mark.parametrize(
    ("stored", "flags", "written"),
    [
        ("float32", (), torch.float32),
        ("bfloat16", (), torch.bfloat16),
        ("float32", ("--dtype", "bfloat16"), torch.bfloat16),
        ("bfloat16", ("--dtype", "float32"), torch.float32),
    ],
)
def test_every_weight_is_the_sum_rounded_once(
    runs: dict[str, Path], tmp_path: Path, stored: str, flags: tuple[str, ...], written: torch.dtype
) -> None:
    found = merged(runs[stored], tmp_path / "merged", *flags)
    for name, exact in sums(runs[stored]).items():
        assert found[name].dtype == written
        if written == torch.float32:
            torch.testing.assert_close(found[name], exact.float(), rtol=1e-6, atol=1e-8)
        else:  # where the float32 sum falls between two, either is right
            assert (found[name] != exact.to(written)).float().mean() < 0.002, name


def test_in_float32_the_logits_hardly_move_and_in_bfloat16_they_do(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {}
    for dtype, run in runs.items():
        merged(run, tmp_path / dtype)
        said = capsys.readouterr()
        facts = json.loads(said.out)["facts"]
        told[dtype] = facts["logits_moved"]
        assert facts["dtype"] == dtype
        assert facts["base"] == str((run.parent / "base").resolve())
        words = " ".join(said.err.split())
        largest, mean = told[dtype]["max"], told[dtype]["mean"]
        assert f"logits moved by {largest:.3g} at most and {mean:.3g} in the mean" in words
        assert "a made video of 4 frames of 112x112" in words
        assert f"written in {dtype}" in words
    assert 0 < told["float32"]["mean"] < told["float32"]["max"] < 1e-4
    assert told["bfloat16"]["max"] > 100 * told["float32"]["max"]
    assert told["float32"]["other_top_tokens"] == 0


def test_the_numbers_by_hand() -> None:
    before = torch.tensor([[1.0, 2.0, 0.0], [5.0, 4.0, 0.0]])
    after = torch.tensor([[1.0, 2.5, 0.0], [4.0, 4.5, 0.0]])
    found = Moved(before, after).numbers
    assert found == {"max": 1.0, "mean": pytest.approx(2.0 / 6), "other_top_tokens": 1}


def test_what_cannot_be_merged_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, "float32")
    for words, says in (
        (["--merge", str(tmp_path / "base"), "--out", str(tmp_path / "m")], "is no LoRA adapter"),
        (["--merge", str(run), "--out", str(tmp_path / "base")], "is not empty"),
        (["--merge", str(run), "--out", str(tmp_path / "m"), "--dtype", "int8"], "int8"),
    ):
        assert cli.main(["export", *words]) == cli.USER_ERROR
        assert says in " ".join(capsys.readouterr().err.split())
    (tmp_path / "base").rename(tmp_path / "moved")
    assert cli.main(["export", "--merge", str(run), "--out", str(tmp_path / "m")]) == 2
    assert "which is not there" in " ".join(capsys.readouterr().err.split())
