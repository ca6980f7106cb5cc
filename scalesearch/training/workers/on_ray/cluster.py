"""A cluster as a place for trainings: what each of them takes of a node, and the executors."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from types import ModuleType

from scalesearch.errors import DeviceError
from scalesearch.training.workers.base import Setup
from scalesearch.training.workers.on_ray.capacity import check_placeable, nodes_of
from scalesearch.training.workers.on_ray.executor import RayExecutor
from scalesearch.training.workers.on_ray.pool import Pool
from scalesearch.training.workers.on_ray.request import ClusterRequest, device_there, need_of
from scalesearch.training.workers.on_ray.seat import LimitedSetup
from scalesearch.training.workers.on_ray.session import connected


class Cluster:
    """A cluster that this process is connected to; seats are ordered when the first executor is made.

    Args:
        device: of the study; see `request.device_there`.

    Attributes:
        device: of a training, `cpu` or `cuda`.

    Raises:
        ScaleSearchError: no node can ever hold one training.
    """

    def __init__(self, ray: ModuleType, request: ClusterRequest, device: str = "auto") -> None:
        self._ray, self._request = ray, request
        self._need = need_of(request, device, ray.cluster_resources())
        self.device = device_there(device, self._need.gpus)
        check_placeable(nodes_of(ray.nodes()), self._need)
        self._pool: Pool | None = None

    def executor(self, setup: Setup, workers: int) -> RayExecutor:
        """An executor of all seats, however many there come to be; how many trainings a study plans for is no limit.

        Raises:
            DeviceError: the study was prepared for another kind of device than seats have.
        """
        if self._pool is None:
            self._pool = Pool(self._ray, self._need, self._request.most)
        own, shared = seated(setup, self.device), 0 < self._need.gpus < 1
        return RayExecutor(self._pool, LimitedSetup(own, self._need.gpus) if shared else own)

    def close(self) -> None:
        """Send all seats away."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def seated(setup: Setup, device: str) -> Setup:
    """A setup as a seat takes it, which sees the GPU that it was given and no other.

    Args:
        device: of a seat, `cpu` or `cuda`.

    Raises:
        DeviceError: it was made for another kind: its trainings would leave the GPUs idle, or find none.
    """
    made: str = getattr(setup, "device", device)
    if made.partition(":")[0] != device:
        raise DeviceError(
            f"the study trains on {made}, and a seat of the cluster on {device}; allowed: a script that runs on a "
            "machine with a GPU where seats have GPUs, and gpus=0 where the study's device is the CPU"
        )
    if made == device or not dataclasses.is_dataclass(setup):
        return setup
    here = {"device": device} | ({"devices": ()} if hasattr(setup, "devices") else {})
    return dataclasses.replace(setup, **here)


@contextlib.contextmanager
def cluster(request: ClusterRequest, device: str = "auto") -> Iterator[Cluster]:
    """A cluster, connected to for as long as the block lasts.

    Raises:
        ScaleSearchError: see `session.connected` and `Cluster`.
    """
    with connected(request) as ray:
        found = Cluster(ray, request, device)
        try:
            yield found
        finally:
            found.close()
