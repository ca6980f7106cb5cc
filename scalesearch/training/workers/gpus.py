"""The GPUs of this machine: their names, where a study's trainings go, and what several of them on one share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from scalesearch.errors import StudyError, UsageError
from scalesearch.study.config import StudyConfig
from scalesearch.study.config.places import Places, kind_of
from scalesearch.study.manifest import Manifest
from scalesearch.training.proxy import resolve_device
from scalesearch.training.workers.local import default_workers

Groups = tuple[tuple[str, ...], ...]
"""Devices by seat: those of one train one network together."""

MPS_FOLDER = Path("/tmp/nvidia-mps")
"""Where NVIDIA's multi-process service listens, unless CUDA_MPS_PIPE_DIRECTORY says otherwise."""


def gpu_names() -> tuple[str, ...]:
    """What the maker calls each GPU that torch can use, by number."""
    if not torch.cuda.is_available():
        return ()
    return tuple(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))


def places_of(config: StudyConfig, made: Manifest | None = None) -> Places:
    """Where the trainings of a study run on this machine; `auto` trainings on a device are one until they are timed.

    Args:
        made: of a study that is there: its device and workers hold where the definition leaves them open.

    Raises:
        UsageError: GPUs that are not there or of several kinds; several trainings on a device that is a CPU.
        DeviceError: a device that is not there.
        StudyError: GPUs of another kind than the study has been trained on.
    """
    devices, kind = _there(config.devices, made.device if made else config.device)
    if config.per_device and devices[0] == "cpu":
        raise UsageError("--per-device is for GPUs; allowed on a CPU: --workers")
    before = made.places if made else Places()
    _check_kind(before.kind, kind, "start another by run --new")
    if config.per_device == "auto":
        return Places(devices, before.per_device, kind)
    if config.devices or config.per_device:
        return Places(devices, int(config.per_device) or 1, kind)
    return Places(devices, config.workers or (made.workers if made else default_workers(devices[0])), kind)


def whole_places(
    device: str, workers: int, per_training: int, kind: str, devices: Sequence[int] = ()
) -> tuple[Places, Groups]:
    """For trainings in full on this machine: where they run, and which devices train one network together.

    Args:
        device: by its name, or `auto`.
        workers: trainings at once; 0 is one a core on CPU and one on a GPU.
        per_training: GPUs, or processes on a CPU, that train one network together.
        kind: of the GPUs that have trained what these are compared with; empty where that is open.
        devices: numbers of the GPUs that train at once, instead of `device` and `workers`.

    Returns:
        The places, whose devices are the first of each group where devices were named, and the group of each seat;
        no groups where every training has the one device.

    Raises:
        UsageError: GPUs that are not there, of several kinds, or that are not divided by `per_training`.
        StudyError: GPUs of another kind.
    """
    named, own = _there(devices, device)
    _check_kind(kind, own, "remove the folders of those trainings, and train them again here")
    if devices:
        groups = grouped(named, per_training)
        return Places(tuple(group[0] for group in groups), 1, own), groups
    together = devices_together(named[0], per_training)
    places = Places(named, workers or max(1, default_workers(named[0]) // per_training), own)
    return places, (together,) if together else ()


def grouped(devices: Sequence[str], per_training: int) -> Groups:
    """GPUs in the order they were named, so many together.

    Raises:
        UsageError: some would be left over.

    Example:
        >>> grouped(("cuda:0", "cuda:1"), 1), grouped(("cuda:3", "cuda:2", "cuda:1", "cuda:0"), 2)
        ((('cuda:0',), ('cuda:1',)), (('cuda:3', 'cuda:2'), ('cuda:1', 'cuda:0')))
    """
    if len(devices) % per_training:
        fitting = [str(n) for n in range(1, len(devices) + 1) if not len(devices) % n]
        raise UsageError(
            f"--per-training is {per_training}, and --devices names {len(devices)}; allowed: {', '.join(fitting)}, so "
            "that none is left over"
        )
    return tuple(tuple(devices[first : first + per_training]) for first in range(0, len(devices), per_training))


def _there(devices: Sequence[int], device: str) -> tuple[tuple[str, ...], str]:
    """The GPUs of these numbers, or the one device where none is named; and what the maker calls them."""
    if devices:
        return tuple(f"cuda:{number}" for number in devices), kind_of(devices, gpu_names())
    where = resolve_device(device)
    return (str(where),), torch.cuda.get_device_name(where) if where.type == "cuda" else ""


def _check_kind(before: str, now: str, instead: str) -> None:
    """Refuse GPUs of another kind than those that have trained.

    Raises:
        StudyError: saying what else can be done.
    """
    if before and now and before != now:
        raise StudyError(
            f"the study was trained on {before}, and this is {now}: networks that are compared are trained on one kind "
            f"of GPU; go on where it was begun, or {instead}"
        )


def devices_together(device: str, count: int) -> tuple[str, ...]:
    """The devices of one training: `count` processes on a CPU, or so many GPUs from the first; none for one.

    Args:
        device: as `resolve_device` names it.

    Raises:
        UsageError: so many are not there, or this kind of device cannot share a training.

    Example:
        >>> devices_together("cpu", 2), devices_together("cpu", 1)
        (('cpu', 'cpu'), ())
    """
    if count == 1:
        return ()
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return (device,) * count
    there = torch.cuda.device_count() if kind == "cuda" else 1
    if count > there:
        raise UsageError(f"--per-training is {count}; allowed: 1 to {there}, which is what this machine has of {kind}")
    if index:
        raise UsageError(
            f"--per-training {count} takes the first GPUs, and --device is {device!r}; allowed: --device cuda"
        )
    return tuple(f"cuda:{number}" for number in range(count))


def mps_runs(environment: Mapping[str, str] = os.environ, usual: Path = MPS_FOLDER) -> bool:
    """Whether NVIDIA's multi-process service runs, through which kernels of several processes run at once."""
    return (Path(environment.get("CUDA_MPS_PIPE_DIRECTORY") or usual) / "control").exists()
