"""Several processes that train one network together, each on a device of its own and an equal part of every batch.

Gradients are averaged by torch's DistributedDataParallel. What all must agree on beside them (whether to stop, which
checkpoint to go on from, losses) is told over the network between processes, because a device's own way of talking
(NCCL) waits for ever for a process that has died.
"""

from __future__ import annotations

import contextlib
import datetime
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from scalesearch.data.device import Split
from scalesearch.training.batches import draw_key

PATIENCE = datetime.timedelta(hours=6)
"""How long one waits for another that is alive: it may be writing a checkpoint, or reading images from a slow disk."""


class Next(IntEnum):
    """What all do before a step."""

    GO_ON = 0
    SAVE = 1
    STOP = 2


@dataclass(frozen=True)
class Team:
    """One process among those that train a network together; alone, it does everything itself.

    Attributes:
        rank: of this process; the first one (0) leads: it decides, writes and tells.
        size: processes.
        group: over which they talk; None for one.
    """

    rank: int = 0
    size: int = 1
    group: Any = None

    @property
    def leads(self) -> bool:
        """Whether this process writes checkpoints and tells epochs."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """This process's part of `count` rows in order; parts differ by one row at most.

        Example:
            >>> [Team(rank, 3).rows(10) for rank in range(3)]
            [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
        """
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def weight(self, count: int) -> float:
        """By what the mean loss of this process's part of `count` images goes into the mean over processes.

        Example:
            >>> [round(Team(rank, 3).weight(10), 2) for rank in range(3)], Team().weight(10)
            ([0.9, 0.9, 1.2], 1.0)
        """
        own = self.rows(count)
        images: int = own.stop - own.start
        return images * self.size / count

    def part(self, split: Split) -> Split:
        """This process's part of a split."""
        return split if self.size == 1 else split.part(self.rows(len(split.labels)))

    def joined(self, module: nn.Module, device: torch.device) -> nn.Module:
        """The module as a step runs it: its gradients are the mean over all processes.

        Buffers are the leader's: each forward pass begins with them.
        """
        if self.size == 1:
            return module
        own, group = None, self.group
        if device.type == "cuda":
            torch.cuda.set_device(device)  # where NCCL puts what it needs itself
            own, group = [device], distributed.new_group(backend="nccl")
        # A stranger's network may leave a parameter out of a step, and another one in another process.
        return DistributedDataParallel(module, device_ids=own, process_group=group, find_unused_parameters=True)

    def draws(self, seed: int, epoch: int, step: int) -> None:
        """Let what a network draws in a step (dropout) be a function of these numbers and the process.

        So a training that goes on needs no generator's state but the numbers. Alone, a generator goes on by itself.
        """
        if self.size > 1:
            torch.manual_seed(draw_key(seed, epoch, step, self.rank))

    def agreed(self, own: Next) -> Next:
        """What the leader says comes next."""
        return Next(self._told(int(own))) if self.size > 1 else own

    def name(self, own: str) -> str:
        """What the leader names, such as a checkpoint."""
        return str(self._told(own)) if self.size > 1 else own

    def _told(self, own: Any) -> Any:
        said = [own]
        distributed.broadcast_object_list(said, src=0, group=self.group)
        return said[0]

    def mean(self, values: Sequence[float]) -> list[float]:
        """The mean over processes of each value, in float64."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(summed, group=self.group)
        return [value / self.size for value in summed.tolist()]

    def copy(self, state: dict[str, Tensor]) -> None:
        """Write the leader's tensors into those of all others."""
        if self.size == 1:
            return
        for tensor in state.values():
            there = tensor.detach().cpu()
            distributed.broadcast(there, src=0, group=self.group)
            if not self.leads:
                tensor.copy_(there)


ALONE = Team()
"""One process trains the network, as it is without this module."""


@contextlib.contextmanager
def met(rank: int, size: int, place: Path) -> Iterator[Team]:
    """This process among those that meet at a file which does not exist yet; all of them leave at the end.

    Raises:
        RuntimeError: another did not come, or has died.
    """
    distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=size, timeout=PATIENCE)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
            yield Team(rank, size, distributed.group.WORLD)
    finally:
        distributed.destroy_process_group()
