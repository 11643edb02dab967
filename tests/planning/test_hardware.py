"""A GPU too small or too old is refused in a sentence that says what would do."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.planning.paper import paper
from videothinker.algorithms.grpo import GrpoConfig
from videothinker.errors import UserError
from videothinker.planning.hardware import check_fits, check_hardware, parse_memory
from videothinker.planning.plan import GIB, make_plan


def test_a_gpu_too_small_is_refused_with_what_would_do() -> None:
    plan = make_plan(paper())
    with pytest.raises(UserError, match=r"needs 7\d\.\d GiB .*GPU has 48\.0; add --optimizer-dev"):
        check_fits(plan, 48 * GIB)
    with pytest.raises(UserError, match="no memory option is enough"):
        check_fits(plan, 4 * GIB)
    check_fits(plan, 80 * GIB)


@pytest.mark.parametrize("text", ["", "48", "GB", "0GB", "-1GB", "48TB"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="allowed is a size such as 24GB"):
        parse_memory(text)


class Card:
    """A GPU that is not there."""

    total_memory = 2 * GIB


def test_hardware_is_refused_before_anything_is_loaded(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cuda = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old Card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Card)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    config = GrpoConfig(model=str(base), out=Path("never"))
    with pytest.raises(UserError, match="Old Card .*bfloat16; use --dtype"):
        check_hardware(config, (), Path(), cuda, ranks=1)
    plain = replace(config, dtype="float32")
    check_hardware(plain, (), Path(), cuda, ranks=1)
    with pytest.raises(UserError, match="8bit' came with 2 processes"):
        check_hardware(replace(plain, moments="8bit"), (), Path(), cuda, ranks=2)
    big = replace(plain, model="Qwen/Qwen2.5-VL-3B-Instruct")
    with pytest.raises(UserError, match=r"GiB\) and the GPU has 2\.0"):
        check_hardware(big, (), Path(), cuda, ranks=1)
    (tmp_path / "config.json").write_text('{"model_type": "smolvlm"}')
    check_hardware(replace(plain, model=str(tmp_path)), (), Path(), cuda, ranks=1)
    assert "watch Old Card's memory" in capsys.readouterr().err
    cpu = torch.device("cpu")
    with pytest.raises(UserError, match="need a GPU"):
        check_hardware(replace(plain, moments="8bit"), (), Path(), cpu, ranks=1)
