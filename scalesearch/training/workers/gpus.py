"""The GPUs of this machine: their names, where a study's trainings go, and what several of them on one share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch

from scalesearch.errors import StudyError, UsageError
from scalesearch.study.config import StudyConfig
from scalesearch.study.config.places import Places, kind_of
from scalesearch.study.manifest import Manifest
from scalesearch.training.proxy import resolve_device
from scalesearch.training.workers.local import default_workers

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
    if config.devices:
        kind, devices = kind_of(config.devices, gpu_names()), tuple(f"cuda:{number}" for number in config.devices)
    else:
        device = resolve_device(made.device if made else config.device)
        devices, kind = (str(device),), torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    if config.per_device and devices[0] == "cpu":
        raise UsageError("--per-device is for GPUs; allowed on a CPU: --workers")
    before = made.places if made else Places()
    if before.kind and kind and kind != before.kind:
        raise StudyError(
            f"the study was trained on {before.kind}, and this is {kind}: networks that are compared are trained on "
            "one kind of GPU; go on where it was begun, or start another by run --new"
        )
    if config.per_device == "auto":
        return Places(devices, before.per_device, kind)
    if config.devices or config.per_device:
        return Places(devices, int(config.per_device) or 1, kind)
    return Places(devices, config.workers or (made.workers if made else default_workers(devices[0])), kind)


def mps_runs(environment: Mapping[str, str] = os.environ, usual: Path = MPS_FOLDER) -> bool:
    """Whether NVIDIA's multi-process service runs, through which kernels of several processes run at once."""
    return (Path(environment.get("CUDA_MPS_PIPE_DIRECTORY") or usual) / "control").exists()
