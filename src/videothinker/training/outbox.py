"""Gradients on their way from a GPU to float32 sums in main memory, while the backward goes on."""

from collections import deque
from threading import Condition, Thread
from typing import Any

import torch
from torch import Tensor

from videothinker.planning.plan import IN_FLIGHT


class GradientSums:
    """Summed gradients of masters; a sum's memory is kept from step to step.

    Memory that is given back and asked for again is cleared page by page, which takes longer than
    the sum itself.
    """

    def __init__(self) -> None:
        self.kept: dict[int, Tensor] = {}

    @torch.no_grad()
    def add(self, master: Tensor, gradient: Tensor) -> None:
        """Add a gradient of any precision to the master's float32 one."""
        if master.grad is not None:
            master.grad.add_(gradient)
            return
        held = self.kept.pop(id(master), None)
        held = torch.empty_like(master) if held is None else held
        master.grad = held.copy_(gradient)

    def empty(self, masters: list[Tensor]) -> None:
        """Forget the sums, and keep their memory."""
        for master in masters:
            if master.grad is not None:
                self.kept[id(master)] = master.grad
                master.grad = None


class Outbox:
    """Copies gradients out on a stream of their own and sums them in a thread of its own.

    One thread at a time takes them in the order they were sent: sums are the same in every run.
    """

    def __init__(self, sums: GradientSums, device: torch.device) -> None:
        self.sums, self.device = sums, device
        self.stream = torch.cuda.Stream(device)
        self.sent: deque[tuple[Tensor, Tensor, Any]] = deque()
        self.flying = 0
        self.changed = Condition()
        self.failed: BaseException | None = None
        self.working = False

    def send(self, master: Tensor, gradient: Tensor) -> None:
        """Let a gradient leave; its place on the device is free when it has been copied."""
        with self.changed:
            self.changed.wait_for(lambda: not self.flying or self.flying < IN_FLIGHT)
            self.flying += gradient.nbytes
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            arriving = gradient.to("cpu", non_blocking=True)  # in pinned memory
            gradient.record_stream(self.stream)
            arrived = self.stream.record_event()
        with self.changed:
            self.sent.append((master, arriving, arrived))
            start, self.working = not self.working, True
        if start:  # and it ends when there is nothing left: no thread holds these sums
            Thread(target=self._take, daemon=True).start()

    def wait(self) -> None:
        """Until all that was sent has been summed; raises what went wrong on the way."""
        with self.changed:
            self.changed.wait_for(lambda: not self.flying)
            failed, self.failed = self.failed, None
        if failed is not None:
            raise failed

    def _take(self) -> None:
        while True:
            with self.changed:
                if not self.sent:
                    self.working = False
                    return
                master, gradient, arrived = self.sent.popleft()
            try:
                arrived.synchronize()
                self.sums.add(master, gradient)
            except BaseException as error:  # noqa: BLE001 (told by `wait`, in the thread that asks)
                self.failed = error
            with self.changed:
                self.flying -= gradient.nbytes
                self.changed.notify_all()


class Publisher:
    """Float32 masters in main memory to a device's weights: rounded there, copied meanwhile."""

    def __init__(self) -> None:
        self.buffers: dict[torch.dtype, list[tuple[Tensor, Any]]] = {}
        self.turn = 0

    @torch.no_grad()
    def publish(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        """Give every weight its master's value."""
        here = [pair for pair in pairs if pair[0].device == pair[1].device]
        if here:  # all by a few kernels
            masters, params = zip(*here, strict=True)
            torch._foreach_copy_(params, masters)  # pyright: ignore[reportPrivateImportUsage]
        for master, param in pairs:
            if master.device != param.device:
                self._send(master, param, max(p.numel() for _, p in pairs))

    def _send(self, master: Tensor, param: Tensor, largest: int) -> None:
        """Through two pinned buffers in turn: one is filled while the other is on its way."""
        pair = self.buffers.setdefault(param.dtype, [])
        if len(pair) < 2:
            pair.append((torch.empty(largest, dtype=param.dtype).pin_memory(), None))
            self.turn = len(pair) - 1
        buffer, left = pair[self.turn]
        if left is not None:
            left.synchronize()
        rounded = buffer[: master.numel()].view_as(master).copy_(master)
        param.copy_(rounded, non_blocking=True)
        pair[self.turn] = buffer, torch.cuda.current_stream(param.device).record_event()
        self.turn = 1 - self.turn
