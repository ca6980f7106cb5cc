"""A cluster as a place for trainings: what each of them takes of a node, and the executors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

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
        """An executor of all seats, however many there come to be; how many trainings a study plans for is no limit."""
        if self._pool is None:
            self._pool = Pool(self._ray, self._need, self._request.most)
        shared = 0 < self._need.gpus < 1
        return RayExecutor(self._pool, LimitedSetup(setup, self._need.gpus) if shared else setup)

    def close(self) -> None:
        """Send all seats away."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


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
