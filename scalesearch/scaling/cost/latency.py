"""How long a network takes on a device: warm-up, the median of repeats, and how much they spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scalesearch.errors import DeviceError, InfeasibleError

if TYPE_CHECKING:
    import torch
    from torch import nn

WARM_UPS = 3
REPEATS, SECONDS = 15, 0.1
"""A measurement takes this many repeats or more, and this long or longer."""
STEADY, MOST_SECONDS = 0.1, 1.0
"""While its repeats spread by more than this, it goes on, at most for this long: another process may pass by."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds of one forward pass of a batch, in eval mode.

    Attributes:
        low: first quartile of the repeats; `high`: the third.
        threads: that torch used on a CPU.
    """

    median: float
    low: float
    high: float
    repeats: int
    batch_size: int
    device: str
    threads: int

    @property
    def spread(self) -> float:
        """Distance between the quartiles over the median."""
        return (self.high - self.low) / self.median


def measure_latency(
    build: Callable[[], nn.Module], resolution_px: int, in_channels: int, *, batch_size: int = 1, device: str = "cpu"
) -> Latency:
    """Time the network on images of zeros, in the memory layout in which the proxy trains it.

    The median is taken because what disturbs a timing (another process, a clock that changes) only makes it longer.
    torch's global generator is left as it was.

    Raises:
        DeviceError: a device on which a pass cannot be waited for, or that has not the memory.
        InfeasibleError: the network does not run on such an image.
    """
    import torch

    from scalesearch.networks.placed import in_its_layout, placed

    where = torch.device(device)
    wait = _waiting(where)
    with torch.random.fork_rng(devices=[]):
        module = build()
    images = torch.zeros(batch_size, in_channels, resolution_px, resolution_px, device=where)

    def timed(layout: torch.memory_format) -> list[float]:
        network, given = placed(module, where, layout).eval(), images.contiguous(memory_format=layout)
        with torch.no_grad():  # as trainings evaluate
            return _repeat(lambda: network(given), wait)

    try:
        seconds = in_its_layout(timed)
    except torch.OutOfMemoryError as error:
        raise DeviceError(f"a batch of {batch_size} images of {resolution_px} px does not fit on {device}") from error
    except RuntimeError as error:
        shape = f"{in_channels} x {resolution_px} x {resolution_px}"
        raise InfeasibleError(f"the network does not run on images of {shape}: {str(error).splitlines()[0]}") from error
    low, median, high, _ = _quartiles(seconds)
    return Latency(median, low, high, len(seconds), batch_size, device, torch.get_num_threads())


def _waiting(device: torch.device) -> Callable[[], None]:
    import torch

    if device.type == "cpu":
        return lambda: None
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    raise DeviceError(f"latency cannot be measured on {device}; allowed: cpu, cuda, mps")


def _enough(seconds: list[float], elapsed: float) -> bool:
    if len(seconds) < REPEATS or elapsed < SECONDS:
        return False
    return elapsed >= MOST_SECONDS or _quartiles(seconds)[3] <= STEADY


def _quartiles(seconds: list[float]) -> tuple[float, float, float, float]:
    """The three quartiles, and the distance of the outer ones over the median."""
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return low, median, high, (high - low) / median


def _repeat(run: Callable[[], object], wait: Callable[[], None]) -> list[float]:
    for _ in range(WARM_UPS):
        run()
    wait()
    seconds: list[float] = []
    started = time.perf_counter()
    while not _enough(seconds, time.perf_counter() - started):
        before = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - before)
    return seconds
