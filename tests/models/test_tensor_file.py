"""Our writer of safetensors against the library's reader, and what it holds in memory meanwhile."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from videothinker.models.tensor_file import NAMES, write_tensors
from videothinker.planning.live_bytes import LiveBytes


def test_the_library_reads_every_kind_of_tensor_back(tmp_path: Path) -> None:
    stream = torch.Generator().manual_seed(0)
    tensors = {
        f"{dtype}": (10 * torch.randn(3, 5, generator=stream)).to(dtype) for dtype in NAMES
    } | {
        "scalar": torch.tensor(7.0),
        "empty": torch.zeros(0, 4),
        "turned": torch.randn(4, 6, generator=stream).T,
        "part": torch.arange(12).view(3, 4)[:, 1:3],
        "odd": torch.ones(3, dtype=torch.uint8),
        "weight": torch.nn.Parameter(torch.randn(2, 2, generator=stream)),
    }
    write_tensors(tmp_path / "a.safetensors", tensors)
    found = load_file(tmp_path / "a.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert set(file.keys()) == set(tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_one_tensor_is_copied_at_a_time(tmp_path: Path) -> None:
    """Tensors that must be copied before they are written, as those on a GPU."""
    tensors = {str(n): torch.randn(64, 32 + n).T for n in range(8)}
    with LiveBytes(tensors.values()) as live:
        start = live.now
        write_tensors(tmp_path / "a.safetensors", tensors)
    largest = max(tensor.nbytes for tensor in tensors.values())
    assert 0 < live.peak - start <= largest
