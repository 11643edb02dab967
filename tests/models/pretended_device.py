"""A second device on a machine that has one: tensors that say they are on `cuda`, and mind it.

Every storage carries the device it pretends to be on; numbers are computed on the CPU. What CUDA
refuses is refused: tensors of two devices in one operation, NumPy on a device tensor, a CPU
generator for a draw on the device. What makes the host wait is counted in `waits`.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext, _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU, CUDA, META = torch.device("cpu"), torch.device("cuda", 0), torch.device("meta")
MOVES = ("aten::copy_", "aten::_to_copy", "aten::set_")
PUTS = ("aten::index_put_", "aten::index_put", "aten::_index_put_impl_")
INDEXED = ("aten::index", *PUTS)
"""Their indices may lie on the CPU; the host then waits for the copy."""
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select")
WAITS = (*WAITS, "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive")
EFFICIENT = "aten::_scaled_dot_product_efficient_attention"
NEW = ("tensor", "as_tensor", "arange", "zeros", "ones", "full", "empty", "linspace", "eye")
NEW = (*NEW, "rand", "randn", "randint", "randperm", "empty_strided")
FROM_VALUES = (torch.tensor, torch.as_tensor)
LIKE = ("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like")
NEW_OF = ("new_zeros", "new_empty", "new_full", "new_ones", "new_tensor")


class Devices:
    """Where every storage pretends to be, and how often the host waited for the device."""

    def __init__(self) -> None:
        self.of: dict[int, torch.device] = {}
        self.waits: Counter[str] = Counter()
        self.capturing = False

    def at(self, tensor: Tensor) -> torch.device:
        """The pretended device."""
        if tensor.is_meta:
            return META
        return self.of.get(tensor.untyped_storage()._cdata, CPU)

    def put(self, tensor: Tensor, device: torch.device) -> None:
        """Say that the tensor's storage is there."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.of:
            weakref.finalize(storage, self.of.pop, storage._cdata, None)
        self.of[storage._cdata] = device

    def wait(self, what: str) -> None:
        """The host waits for the device."""
        if self.capturing:
            raise RuntimeError(f"{what} makes the host wait while a graph is captured")
        self.waits[what] += 1


def full(device: Any) -> torch.device:
    """With its number."""
    device = torch.device(device)
    return CUDA if device.type == "cuda" else device


def ambient() -> torch.device:
    """What `with torch.device(...)` says."""
    modes = reversed(_get_current_function_mode_stack())
    return next((mode.device for mode in modes if isinstance(mode, DeviceContext)), CPU)


def maker(devices: Devices, real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A tensor made on the device asked for, or on that of the tensor it is made like."""

    def make(*args: Any, **kwargs: Any) -> Tensor:
        device = full(kwargs.pop("device", None) or ambient())
        source = kwargs.get("generator")
        if source is not None and source.device.type != device.type:
            raise RuntimeError(f"a generator on {source.device} cannot draw on {device}")
        out = real(*args, **kwargs, device=device if device == META else CPU)
        if device == CUDA:
            if real in FROM_VALUES:
                devices.wait("a tensor made of host values")
            devices.put(out, device)
        return out

    return make


def liker(devices: Devices, real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same for what is made like another tensor."""

    def like(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        device = full(kwargs.pop("device", None) or devices.at(tensor))
        out = real(tensor, *args, **kwargs, device=device if device == META else CPU)
        devices.put(out, device)
        return out

    return like


def mover(devices: Devices) -> Callable[..., Tensor]:
    """`Tensor.to`: a copy where the device changes."""
    to = Tensor.to

    def move(tensor: Tensor, *rest: Any, **kwargs: Any) -> Tensor:
        here, given = devices.at(tensor), (*rest, *kwargs.values())
        target = next((full(one) for one in given if isinstance(one, str | torch.device)), here)
        dtype = next((one for one in given if isinstance(one, torch.dtype)), tensor.dtype)
        for other in given:
            if isinstance(other, Tensor):
                target, dtype = devices.at(other), other.dtype
        if target.type == "meta" or tensor.is_meta:
            return to(tensor, *rest, **kwargs)
        if target == here:
            return to(tensor, dtype, copy=kwargs.get("copy", False))
        if not kwargs.get("non_blocking"):
            devices.wait(f"a copy from {here.type} to {target.type}")
        out = to(tensor, dtype, copy=True)
        devices.put(out, target)
        return out

    return move


def words(devices: Devices) -> Iterator[tuple[Any, str, Any]]:
    """Python's side: what a tensor says of itself, where it is made, where it is sent."""

    def on_host(real: Callable[..., Any]) -> Callable[..., Any]:
        def read(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
            if devices.at(tensor) == CUDA:
                raise TypeError("can't convert cuda:0 device type tensor to numpy; use cpu()")
            return real(tensor, *args, **kwargs)

        return read

    def tolist(tensor: Tensor, real: Callable[..., Any] = Tensor.tolist) -> Any:
        if devices.at(tensor) == CUDA:
            devices.wait("tolist")
        return real(tensor)

    def deepcopy(tensor: Tensor, memo: Any, real: Callable[..., Any] = Tensor.__deepcopy__) -> Any:
        out = real(tensor, memo)  # copies bytes, without an operation
        devices.put(out, devices.at(tensor))
        return out

    yield Tensor, "__deepcopy__", deepcopy
    yield Tensor, "device", property(devices.at)
    yield Tensor, "is_cuda", property(lambda tensor: devices.at(tensor) == CUDA)
    yield Tensor, "tolist", tolist
    yield Tensor, "pin_memory", lambda tensor: tensor.clone()
    yield Tensor, "record_stream", lambda *_: None
    yield Tensor, "to", mover(devices)
    yield Tensor, "cpu", lambda tensor: tensor.to(CPU)
    yield Tensor, "cuda", lambda tensor: tensor.to(CUDA)
    yield from ((Tensor, name, on_host(getattr(Tensor, name))) for name in ("numpy", "__array__"))
    yield from ((torch, name, maker(devices, getattr(torch, name))) for name in NEW)
    yield from ((torch, name, liker(devices, getattr(torch, name))) for name in LIKE)
    yield from ((Tensor, name, liker(devices, getattr(Tensor, name))) for name in NEW_OF)


def refused(name: str, given: list[Tensor], places: list[torch.device]) -> str:
    """Why CUDA does not take an operation's tensors; empty where it does."""
    if name in INDEXED and places[0] == CPU and CUDA in places[1:]:
        return "indices on cuda for a tensor on the CPU"
    if name in PUTS and places[-1] != places[0] and given[-1].dim():
        return f"values on {places[-1]} for a tensor on {places[0]}"
    if name in MOVES or name in INDEXED or CUDA not in places:
        return ""
    if any(p == CPU and t.dim() for p, t in zip(places, given, strict=True)):
        shown = ", ".join(f"{list(t.shape)} on {p}" for p, t in zip(places, given, strict=True))
        return f"expected all tensors on the same device, came {shown}"
    return ""  # a number on the CPU may meet what is on the device


def waited(name: str, given: list[Tensor], places: list[torch.device]) -> str:
    """For what the host waits; empty where it does not."""
    if CUDA not in places:
        return ""
    if name in WAITS:
        return name
    if name in INDEXED and any(one.dtype == torch.bool for one in given[1:]):
        return f"{name} by a mask"
    if name in INDEXED and CPU in places[1:]:
        return f"{name} by indices on the CPU"
    return "copy_ between devices" if name == "aten::copy_" and CPU in places else ""


def efficient(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, log_sums: bool, *, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """CUDA's kernel by the definition; it wants every head's bias, and pads its sums to 32."""
    assert bias.shape == (*query.shape[:3], key.shape[2])
    assert bias.dtype == query.dtype
    assert key.shape[2] % 16 == 0
    assert log_sums
    scores = (query @ key.transpose(-1, -2)).float() * scale + bias
    mixed = (scores.softmax(dim=-1) @ value.float()).to(query.dtype)
    sums = pad(scores.logsumexp(dim=-1), (0, -query.shape[2] % 32), value=float("nan"))
    return mixed.transpose(1, 2).contiguous().transpose(1, 2), sums, sums[:0], sums[:0]


class Operations(TorchDispatchMode):
    """The machine's side: every operation's inputs are on one device, its outputs too."""

    def __init__(self, devices: Devices) -> None:
        super().__init__()
        self.devices = devices

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func._schema.name, kwargs or {}
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        places = [self.devices.at(one) for one in given]
        if refusal := refused(name, given, places):
            raise RuntimeError(f"{name}: {refusal}")
        if wait := waited(name, given, places):
            self.devices.wait(wait)
        there = places[0] if name in MOVES or name in INDEXED else max(places, key=str, default=CPU)
        out = efficient(*args, **kwargs) if name == EFFICIENT else func(*args, **kwargs)
        if not func._schema.is_mutable:
            known = {one.untyped_storage()._cdata for one in given}
            for one in tree_leaves(out):
                if isinstance(one, Tensor) and one.untyped_storage()._cdata not in known:
                    self.devices.put(one, there)
        return out


@contextmanager
def pretend() -> Iterator[Devices]:
    """Inside, there is a `cuda`."""
    devices = Devices()
    _device_constructors()  # torch remembers them at the first use: not ours
    with pytest.MonkeyPatch.context() as patch:
        for name in ("synchronize", "reset_peak_memory_stats"):
            patch.setattr(torch.cuda, name, lambda *_: None)
        patch.setattr(torch.cuda, "max_memory_allocated", lambda *_: 1)
        for owner, name, instead in list(words(devices)):
            patch.setattr(owner, name, instead)
        with Operations(devices):
            yield devices
