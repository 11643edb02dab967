"""Write a safetensors file tensor by tensor, so that saving needs room for one of them."""

import ctypes
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from videothinker.files import writing

PLAIN = (Tensor, nn.Parameter)
NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.bool: "BOOL",
}


def write_tensors(path: Path | None, tensors: Mapping[str, Any]) -> None:
    """Write `tensors` beside `path`, sync, rename; any safetensors reader opens it.

    Of tensors that lie in pieces on several processes (DTensors) all call this, one with a path;
    the others, without, only give their pieces. The library's own `save_file` holds the copies of
    all tensors that lie on a GPU at once: of a 3B optimizer 45 GB of main memory.
    """
    # as the library orders them: wide types first, so that every tensor is aligned
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    if path is None:
        for name in order:
            hand_over(tensors[name], lambda _: None)
        return
    header, end = {}, 0
    for name in order:
        start, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": NAMES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with writing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            hand_over(tensors[name], file.write)


def hand_over(tensor: Any, take: Callable[[Any], object]) -> None:
    """Let `take` have a tensor's bytes.

    As they lie in memory: numpy would fix the size of a storage, which sharding frees and fills.
    """
    whole = tensor if type(tensor) in PLAIN else tensor.full_tensor()
    here = whole.detach().cpu().contiguous()
    take((ctypes.c_char * here.nbytes).from_address(here.data_ptr()))
