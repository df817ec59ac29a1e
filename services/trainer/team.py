"""
One training in several processes (torchrun, a Kubeflow TrainJob): each holds its shard of the tickets, gradients are
added up, and the weights stay the same everywhere. The first process prepares, judges, exports and registers alone.

Started without torchrun there is one process, and nothing here does anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATIENCE = timedelta(hours=24)  # the others wait while the first one judges


@dataclass(frozen=True)
class Team:
    """This process's place among `size`."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def hand_out(self, parts: Sequence[Any]) -> Any:
        """Each process gets its own of the first one's `parts`; the others call with none."""
        if self.size == 1:
            return parts[0]
        got: list[Any] = [None]
        _torch().scatter_object_list(got, list(parts) if self.leads else None, src=0)
        return got[0]

    def tell(self, word: Any) -> Any:
        """What the first process says, in all of them."""
        if self.size == 1:
            return word
        told = [word]
        _torch().broadcast_object_list(told, src=0)
        return told[0]

    def gather(self, own: Any) -> list[Any]:
        """What each process says, in all of them."""
        if self.size == 1:
            return [own]
        found: list[Any] = [None] * self.size
        _torch().all_gather_object(found, own)
        return found

    def add_up(self, tensors: Sequence[Any]) -> None:
        """Each tensor becomes the sum over all processes, in place; one message for all of them."""
        if self.size == 1:
            return
        from torch import cat

        flat = cat([tensor.reshape(-1) for tensor in tensors])
        _torch().all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def owns(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the rows that lie in this process's shard."""
        return places if self.size == 1 else places[places % self.size == self.rank]


ALONE = Team()


def join() -> Team:
    """The team that torchrun has started this process in; ALONE without."""
    distributed = _torch()
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        return ALONE
    if not distributed.is_initialized():
        distributed.init_process_group(_backend(), timeout=PATIENCE)
    return Team(distributed.get_rank(), distributed.get_world_size())


def leave() -> None:
    distributed = _torch()
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _backend() -> str:
    """A GPU for each process, or the processors. (`Team` speaks of objects, too, which go over gloo.)"""
    from torch import cuda

    if not cuda.is_available():
        return "gloo"
    cuda.set_device(_torch().get_node_local_rank(0))
    return "cpu:gloo,cuda:nccl"


def _torch() -> Any:
    from torch import distributed

    return distributed
