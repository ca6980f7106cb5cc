"""What a training asks of a cluster, as a definition and the command line say it. Pure: no cluster is asked here."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Final, Literal

from scalesearch.errors import UsageError, choice_error

ExecutorName = Literal["local", "ray"]
EXECUTORS: tuple[ExecutorName, ...] = ("local", "ray")

LEAST_SHARE = 0.01
"""Part of a GPU or a core at least: a hundred trainings on one are more than any has room for."""

MOST_WHOLE = 1024
"""Whole GPUs or cores of one training at most: no machine has more."""

OPEN: Final = "auto"
"""A share that is left open: one GPU where the cluster has any."""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What one run says of the executor of its trainings; None was not said, and is as the study has it.

    Attributes:
        executor: `local` or `ray`.
        address: `auto` or HOST:PORT of a cluster; empty starts Ray on this machine, for this command alone.
        gpus_per_training: a part of one, whole ones, 0, or `auto`.
        cpus_per_training: the same of cores; 0 is one.
        insecure: use a cluster that asks nobody for a token; said anew each time, and kept nowhere.
    """

    executor: ExecutorName | None = None
    address: str | None = None
    gpus_per_training: float | Literal["auto"] | None = None
    cpus_per_training: float | None = None
    insecure: bool = False


UNSAID = ClusterOptions()


def parse_cluster(
    executor: str | None, address: str | None, gpus: str | None, cpus: float | None, insecure: bool
) -> ClusterOptions:
    """The options of the command line as they are typed.

    Raises:
        UnknownNameError: no such executor.
        UsageError: a share that is none.

    Example:
        >>> parse_cluster("ray", "auto", "0.25", None, False).gpus_per_training
        0.25
    """
    if executor is not None and executor not in EXECUTORS:
        raise choice_error("executor", executor, EXECUTORS)
    if cpus == 0:  # in a definition 0 is not given
        raise UsageError(f"--cpus-per-training is 0; allowed: {share_words()}; without it 1")
    return ClusterOptions(executor, address, parse_share(gpus), cpus, insecure)


def parse_share(text: str | None) -> float | Literal["auto"] | None:
    """Part of a GPU as it is typed; None where the option is not given.

    Raises:
        UsageError: neither a number nor `auto`.

    Example:
        >>> parse_share("0.25"), parse_share("4"), parse_share("auto"), parse_share(None)
        (0.25, 4.0, 'auto', None)
    """
    if text is None or text == OPEN:
        return None if text is None else OPEN
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(text)):
            return value
    raise UsageError(f"--gpus-per-training is {text!r}; allowed: auto, {share_words(none=True)}")


def is_share(value: float, *, none: bool = False) -> bool:
    """Whether a number is a part of one GPU or core, or a whole number of them, as Ray counts.

    Args:
        none: whether 0 is allowed.

    Example:
        >>> [is_share(value) for value in (0.25, 1, 4, 1.5, 0, -1, 0.001, float("nan"))]
        [True, True, True, False, False, False, False, False]
    """
    whole = 1 <= value <= MOST_WHOLE and float(value).is_integer()
    return whole or LEAST_SHARE <= value < 1 or (none and value == 0)


def share_words(*, none: bool = False) -> str:
    """What `is_share` allows, in words."""
    return f"{'0, ' if none else ''}a part of one such as 0.25, or a whole number such as 1 or 4"


def host_and_port(address: str) -> tuple[str, int] | None:
    """Host and port of a cluster's head; None for what is no such address.

    Example:
        >>> host_and_port("10.0.0.1:6379"), host_and_port("[::1]:6379"), host_and_port("ray://head:10001")
        (('10.0.0.1', 6379), ('::1', 6379), None)
    """
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)
