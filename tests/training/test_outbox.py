"""Gradients that leave a device are summed in order, and what goes wrong on the way is told."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from videothinker.training import outbox as module
from videothinker.training.outbox import GradientSums, Outbox, Publisher


class Slow:
    """An event that comes late."""

    def synchronize(self) -> None:
        time.sleep(0.01)


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    """Over streams that do nothing, and copies that arrive late."""
    stream = SimpleNamespace(wait_stream=lambda _: None, record_event=Slow)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(Tensor, "record_stream", lambda *_: None)
    return Outbox(GradientSums(), torch.device("cpu"))


def test_sums_are_those_of_the_order_sent(outbox: Outbox) -> None:
    """In float32 1e8 + 1 - 1e8 is 0, and in any other order 1."""
    masters = [torch.zeros(3, requires_grad=True) for _ in range(4)]
    for value in (1e8, 1.0, -1e8):
        for master in masters:
            outbox.send(master, torch.full((3,), value))
    outbox.wait()
    assert [m.grad.tolist() for m in masters if m.grad is not None] == [[0, 0, 0]] * 4


def test_no_more_leaves_than_may_be_in_flight(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 40)
    most, master = 0, torch.zeros(4, requires_grad=True)
    for _ in range(8):
        outbox.send(master, torch.ones(4))  # 16 bytes
        most = max(most, outbox.flying)
    outbox.wait()
    assert 16 <= most <= 40 + 16
    assert master.grad is not None
    assert torch.equal(master.grad, torch.full((4,), 8.0))


def test_what_goes_wrong_is_told_where_it_is_waited_for(outbox: Outbox) -> None:
    outbox.send(torch.zeros(3, requires_grad=True), torch.zeros(5))
    with pytest.raises(RuntimeError, match="size"):
        outbox.wait()
    master = torch.zeros(2, requires_grad=True)
    outbox.send(master, torch.ones(2))
    outbox.wait()  # it goes on
    assert master.grad is not None
    assert master.grad.tolist() == [1, 1]


def test_a_sums_memory_is_kept() -> None:
    sums, master = GradientSums(), torch.zeros(3, requires_grad=True)
    places = set()
    for value in (1.0, 2.0):
        sums.add(master, torch.full((3,), value, dtype=torch.bfloat16))
        sums.add(master, torch.ones(3, dtype=torch.bfloat16))
        assert master.grad is not None
        assert master.grad.dtype == torch.float32
        assert master.grad.tolist() == [value + 1] * 3
        places.add(master.grad.data_ptr())
        sums.empty([master])
        assert master.grad is None
    assert len(places) == 1


def test_weights_get_their_masters_through_two_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is waited for before it is filled again."""
    waited: list[int] = []

    def event() -> Any:
        number = len(waited)
        return SimpleNamespace(synchronize=lambda: waited.append(number))

    stream = SimpleNamespace(record_event=event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    monkeypatch.setattr(Tensor, "pin_memory", Tensor.clone)
    publisher = Publisher()
    masters = [torch.full((n, 2), float(n)) for n in (3, 1, 5, 2)]
    params = [torch.zeros(n, 2, dtype=torch.bfloat16) for n in (3, 1, 5, 2)]
    for master, param in zip(masters, params, strict=True):
        publisher._send(master, param, 10)
    assert all(torch.equal(p.float(), m) for p, m in zip(params, masters, strict=True))
    assert len(waited) == 2
    assert len(publisher.buffers[torch.bfloat16]) == 2
