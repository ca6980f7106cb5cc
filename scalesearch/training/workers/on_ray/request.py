"""What a training asks of a cluster, checked without Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scalesearch.errors import UsageError

LEAST_SHARE = 0.01
"""Part of a GPU or a core at least: a hundred trainings on one are more than any has room for."""


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """Where trainings should run, and what each of them takes.

    Attributes:
        address: `auto` or HOST:PORT of a cluster; None starts Ray on this machine, for this command alone.
        gpus: of each training; None takes one where the cluster has any.
        cpus: of each training.
        insecure: use a cluster that asks nobody for a token.
        most: trainings at once; None takes as many as the cluster holds, whatever it grows to.

    Raises:
        UsageError: an address or a share that cannot be.
    """

    address: str | None = None
    gpus: float | None = None
    cpus: float = 1.0
    insecure: bool = False
    most: int | None = None

    def __post_init__(self) -> None:
        if self.address is not None:
            check_address(self.address)
        check_share("cpus", self.cpus)
        if self.gpus is not None:
            check_share("gpus", self.gpus, none=True)


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


def check_share(name: str, value: float, *, none: bool = False) -> None:
    """Refuse what is neither a part of one GPU or core nor a whole number of them, as Ray counts.

    Args:
        none: whether 0 is allowed.

    Raises:
        UsageError: anything else.
    """
    whole = value >= 1 and float(value).is_integer() and value <= 1024
    if not (whole or LEAST_SHARE <= value < 1 or (none and value == 0)):
        allowed = f"a part of one such as 0.25, or a whole number such as 1 or 4{', or 0' if none else ''}"
        raise UsageError(f"{name} of a training is {value:g}; allowed: {allowed}")


def check_address(address: str) -> tuple[str, int] | None:
    """Host and port of an address; None for `auto`.

    Raises:
        UsageError: it is neither.

    Example:
        >>> check_address("10.0.0.1:6379"), check_address("[::1]:6379"), check_address("auto")
        (('10.0.0.1', 6379), ('::1', 6379), None)
    """
    if address == "auto":
        return None
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(
            f"address is {address!r}; allowed: auto, or HOST:PORT of a cluster's head, on a machine that is one of "
            "its nodes"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def device_there(asked: str, gpus: float) -> str:
    """The device of a seat: it sees the GPUs that it was given, and no other.

    Raises:
        UsageError: the study's device and the seat's are not of one kind.

    Example:
        >>> device_there("auto", 0), device_there("auto", 0.5), device_there("cuda:1", 1), device_there("cpu", 0)
        ('cpu', 'cuda', 'cuda', 'cpu')
    """
    kind = asked.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise UsageError(f"the device is {asked!r}, and a cluster trains on: cpu, cuda")
    if gpus and kind == "cpu":
        raise UsageError(f"gpus of a training is {gpus:g}, and the device is cpu; allowed with it: 0")
    if not gpus and kind == "cuda":
        raise UsageError(
            f"the device is {asked!r}, and a training is given no GPU; allowed: gpus 1 or a part of one, on "
            "a cluster that has GPUs"
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
