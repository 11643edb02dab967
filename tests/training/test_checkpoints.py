"""A checkpoint whose files were changed is refused in a sentence that says what to do."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from videothinker.errors import UserError
from videothinker.training.checkpoints import (
    Progress,
    last_checkpoint,
    load_checkpoint,
    prune,
    read_progress,
)
from videothinker.training.optimizer import MasterAdamW

GOOD = '{"step": 3, "position": 6, "entropy": 1.5, "divergence": null, "bad_in_a_row": 0}'


def write(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "step-3"
    folder.mkdir(exist_ok=True)
    (folder / "state.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (GOOD, ""),
        (GOOD, "[3, 6]"),
        (GOOD, "[" * 100_000),
        ("}", ', "step": 3}'),
        ("3", "4"),
        ("6", "-6"),
        ("6", '"6"'),
        ("6", "6.5"),
        ("6", "true"),
        ("1.5", "NaN"),
        ("1.5", "1e999"),
        ("1.5", "[1.5]"),
    ],
)
def test_a_mutated_state_is_one_sentence(tmp_path: Path, was: str, now: str) -> None:
    assert read_progress(write(tmp_path, GOOD)) == Progress(3, 6, 1.5)
    with pytest.raises(UserError, match=r"step-3/state\.json.*(remove this|take the file)"):
        read_progress(write(tmp_path, GOOD.replace(was, now, 1)))


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"weight/master": torch.zeros(2, 2)},
        {"other/master": torch.zeros(2, 3)},
        {"weight": torch.zeros(2, 3)},
        None,
    ],
)
def test_a_mutated_optimizer_is_one_sentence(
    tmp_path: Path, tensors: dict[str, torch.Tensor] | None
) -> None:
    folder = write(tmp_path, GOOD)
    path = folder / "optimizer.safetensors"
    path.write_bytes(b"{}") if tensors is None else save_file(tensors, path)
    layer = nn.Linear(3, 2, bias=False)
    optimizer = MasterAdamW(layer.named_parameters(), lr=0.1, weight_decay=0)
    with pytest.raises(UserError, match="no optimizer's state of this model"):
        load_checkpoint(folder, optimizer)


def test_a_folder_that_only_looks_like_a_checkpoint_is_none(tmp_path: Path) -> None:
    folder = write(tmp_path, GOOD)
    for name in ("step-x", "step-", "step-4"):
        (tmp_path / name).mkdir()
    (tmp_path / "step-x/state.json").write_text(GOOD)
    assert last_checkpoint(tmp_path) == folder


def test_what_a_kill_left_while_checkpoints_were_changed_is_gone(tmp_path: Path) -> None:
    """The third is there and the first not yet deleted; one half deleted, one half written."""
    for name in ("step-1", "step-2", "step-3", ".step-4.tmp", "step-0", "step-x"):
        (tmp_path / name).mkdir()
        if name in ("step-1", "step-2", "step-3"):
            (tmp_path / name / "state.json").write_text(GOOD)
    prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-2", "step-3", "step-x"]
