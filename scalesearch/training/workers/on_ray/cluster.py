"""A cluster as the place for the trainings of one command."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from typing_extensions import override

from scalesearch.errors import ScaleSearchError, UsageError
from scalesearch.study.config import Places, StudyConfig
from scalesearch.study.manifest import Manifest
from scalesearch.training.workers.calls import NothingToTrain
from scalesearch.training.workers.gpus import Groups
from scalesearch.training.workers.losses import TRIES
from scalesearch.training.workers.on_ray.capacity import check_placeable, nodes_of
from scalesearch.training.workers.on_ray.executor import RayExecutor
from scalesearch.training.workers.on_ray.pool import Owner, Pool, PutSetup
from scalesearch.training.workers.on_ray.request import ClusterRequest, device_there, need_of
from scalesearch.training.workers.on_ray.seat import Raised, Told
from scalesearch.training.workers.on_ray.session import connected
from scalesearch.training.workers.process import Call, Called, Request
from scalesearch.training.workers.site import Site

T = TypeVar("T")


class Cluster(Site):
    """Seats of a cluster, ordered when it is first asked for its places.

    Raises:
        ScaleSearchError: by `places` and `whole`: see `session.connected`; no node can ever hold one training.
    """

    def __init__(self, request: ClusterRequest) -> None:
        self.request = request
        self._stack = contextlib.ExitStack()
        self._pool: Pool | None = None
        self._bare: PutSetup | None = None

    @override
    def places(self, config: StudyConfig, made: Manifest | None = None) -> Places:
        pool = self._opened(made.device if made else config.device, made.places.kind if made else "")
        device = "cuda" if pool.need.gpus else "cpu"
        planned = 0 if made else config.workers
        return Places((device,), pool.need.sharing, pool.kind if pool.need.gpus else "", planned or pool.size)

    @override
    def whole(self, config: StudyConfig, device: str, per_training: int, kind: str = "") -> tuple[Places, Groups]:
        given = config.gpus_per_training
        if given == "auto" and per_training > 1 and device.partition(":")[0] != "cpu":
            self.request = dataclasses.replace(self.request, gpus=float(per_training))
        pool = self._opened(device, kind)
        gpus = pool.need.gpus
        together = per_training if per_training > 1 or gpus < 1 else int(gpus)
        if gpus and together > 1 and together != gpus:
            raise UsageError(
                f"--per-training is {per_training}, and --gpus-per-training {gpus:g}; allowed: the same number of "
                "GPUs, which train one network together"
            )
        devices = tuple(f"cuda:{number}" for number in range(together)) if gpus else ("cpu",) * together
        return self.places(config), (devices,) if together > 1 else ()

    def _opened(self, device: str, kind: str) -> Pool:
        if self._pool is None:
            ray = self._stack.enter_context(connected(self.request))
            need = need_of(self.request, device, ray.cluster_resources())
            device_there(device, need.gpus)
            check_placeable(nodes_of(ray.nodes()), need)
            self._pool = Pool(ray, need, self.request.most, kind)
            self._pool.open()
        return self._pool

    @property
    def _there(self) -> Pool:
        if self._pool is None:
            raise ScaleSearchError("a cluster was asked to do something before it was asked for its places")
        return self._pool

    @override
    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        if self._bare is None:
            self._bare = self._there.put(NothingToTrain())
        asked = _Asked(self._there, self._bare, Call(function, arguments))
        return asked.answer()  # type: ignore[no-any-return]

    @override
    def executor(self, setup: Any, workers: int) -> RayExecutor:
        """An executor of all seats, however many there come to be; how many trainings a study plans for is no limit."""
        return RayExecutor(self._there, setup)

    def close(self) -> None:
        """Send all seats away, and leave the cluster."""
        pool, self._pool = self._pool, None
        try:
            if pool is not None:
                pool.close()
        finally:
            self._stack.close()


class _Asked(Owner):
    """One call on its way."""

    def __init__(self, pool: Pool, setup: PutSetup, call: Call) -> None:
        self._pool, self._setup, self._call = pool, setup, call
        self._lost = 0
        self._answer: Called | Raised | None = None

    def answer(self) -> Any:
        """What the call gives, or raises."""
        self._pool.ask(self, self._setup, self._call, first=True)
        try:
            while self._answer is None:
                self._pool.listen(1.0)
        except BaseException:
            self._pool.forget(self)
            raise
        if isinstance(self._answer, Raised):
            raise self._answer.error
        return self._answer.value

    @override
    def told(self, request: Request, message: Told) -> None:
        if isinstance(message, Called | Raised):
            self._answer = message

    @override
    def lost(self, request: Request, how: str) -> None:
        self._lost += 1
        if self._lost >= TRIES:
            raise ScaleSearchError(f"seats that measure ({self._call.function.__name__}) are lost, by {how}")
        self._pool.ask(self, self._setup, self._call, first=True)
