"""One process or several (torchrun): who am I, and the few things processes say to each other."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from videothinker.errors import UserError
from videothinker.ranks import size

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among all; groups are dealt out by their index, a group is never split."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Does this process write the records?"""
        return self.rank == 0

    def owner(self, index: int) -> int:
        """Whose the group number `index` of the global batch is to compute."""
        return index % self.size

    def mine(self, index: int) -> bool:
        """Is the group number `index` of the global batch this process's to compute?"""
        return self.owner(index) == self.rank

    def gather(self, values: list[T]) -> list[T]:
        """Everyone's values, in the order of ranks."""
        if self.size == 1:
            return values
        from accelerate.utils import gather_object  # noqa: PLC0415 (for several alone)

        return gather_object(values)

    def say(self, value: T) -> T:
        """The main process's value."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list  # noqa: PLC0415 (for several alone)

        box: list[Any] = [value]
        broadcast_object_list(box, from_process=0)
        return box[0]

    def add(self, tensor: torch.Tensor) -> None:
        """Sum a tensor over all processes, in place."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)

    def wait(self) -> None:
        """Until everyone is here."""
        if self.size > 1:
            torch.distributed.barrier()


def find_processes() -> Processes:
    """What torchrun (or nothing) set up: gloo on CPU, NCCL on GPUs.

    Raises:
        UserError: processes that do not know their GPU: each would run the whole job.
    """
    from accelerate import PartialState  # noqa: PLC0415 (a second, for what trains)

    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes < size():
        raise UserError(
            f"WORLD_SIZE is {size()}, but LOCAL_RANK is not set; give each process, as its "
            "LOCAL_RANK, the number of its GPU on its machine"
        )
    return Processes(state.process_index, state.num_processes, torch.device(state.device or "cpu"))


def everyone() -> Processes:
    """This process among those that share a list of questions; alone without torchrun."""
    return find_processes() if size() > 1 else Processes(0, 1, torch.device("cpu"))
