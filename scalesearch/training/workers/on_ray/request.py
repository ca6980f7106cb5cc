"""What a command asks of a cluster, and what a seat there takes of a node; without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scalesearch.errors import UsageError
from scalesearch.study.config import StudyConfig


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """Where trainings should run, and what each of them takes, as a checked definition says it.

    Attributes:
        address: `auto` or HOST:PORT of a cluster; None starts Ray on this machine, for this command alone.
        gpus: of each training; None takes one where the cluster has any.
        cpus: of each training.
        insecure: use a cluster that asks nobody for a token.
        most: trainings at once; None takes as many as the cluster holds, whatever it grows to.
    """

    address: str | None = None
    gpus: float | None = None
    cpus: float = 1.0
    insecure: bool = False
    most: int | None = None


def request_of(config: StudyConfig, *, insecure: bool = False) -> ClusterRequest:
    """The request of a definition.

    Example:
        >>> request_of(StudyConfig(executor="ray", address="auto", gpus_per_training=0.25, workers=8))
        ClusterRequest(address='auto', gpus=0.25, cpus=1.0, insecure=False, most=8)
    """
    gpus = None if isinstance(config.gpus_per_training, str) else config.gpus_per_training
    return ClusterRequest(
        config.address or None, gpus, config.cpus_per_training or 1.0, insecure, config.workers or None
    )


@dataclass(frozen=True, slots=True)
class Need:
    """What one seat takes of a node: GPUs and cores, shares of one or whole numbers of them."""

    cpus: float
    gpus: float

    @property
    def words(self) -> str:
        """The need in words.

        Example:
            >>> Need(1.0, 0.25).words, Need(2.0, 0.0).words
            ('0.25 GPUs and 1 CPUs', '2 CPUs')
        """
        cpus = f"{self.cpus:g} CPUs"
        return f"{self.gpus:g} GPUs and {cpus}" if self.gpus else cpus

    @property
    def sharing(self) -> int:
        """Seats on one GPU.

        Example:
            >>> [Need(1, gpus).sharing for gpus in (0, 0.25, 1 / 3, 0.4, 1, 4)]
            [1, 4, 3, 2, 1, 1]
        """
        return shares_in_one(self.gpus) if 0 < self.gpus < 1 else 1


CLOSE = 1e-6
"""A third of a GPU fits three times."""


def shares_in_one(share: float) -> int:
    """How often a part of one device fits it."""
    return int(1 / share + CLOSE)


def device_there(asked: str, gpus: float) -> str:
    """The device of a seat: it sees the GPUs that it was given, and no other.

    Args:
        asked: of a definition, or of the study that goes on.

    Raises:
        UsageError: the study's device and the seat's are not of one kind.

    Example:
        >>> device_there("auto", 0), device_there("auto", 0.5), device_there("cuda:1", 1), device_there("cpu", 0)
        ('cpu', 'cuda', 'cuda', 'cpu')
    """
    kind = asked.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"the study's device is {asked!r}, and a cluster trains on cpu or cuda; allowed: --executor local"
        )
    if gpus and kind == "cpu":
        raise UsageError(
            f"--gpus-per-training is {gpus:g}, and the study's device is the CPU; allowed with it: 0, or another study"
        )
    if not gpus and kind == "cuda":
        raise UsageError(
            f"the study's device is {asked!r}, and a training is given no GPU; allowed: --gpus-per-training 1 or a "
            "part of one, on a cluster that has GPUs"
        )
    return "cuda" if gpus else "cpu"


def need_of(request: ClusterRequest, device: str, resources: Mapping[str, float]) -> Need:
    """What a seat takes where the request leaves GPUs open: one where there are any, unless the device is the CPU.

    Args:
        resources: of the whole cluster.

    Example:
        >>> open = ClusterRequest()
        >>> [need_of(open, *given).gpus for given in (("auto", {"GPU": 2}), ("cpu", {"GPU": 2}), ("auto", {}))]
        [1.0, 0.0, 0.0]
    """
    there = 1.0 if resources.get("GPU") and device.partition(":")[0] != "cpu" else 0.0
    return Need(request.cpus, there if request.gpus is None else request.gpus)
