"""What any network of a baseline costs in the currency of a budget: counted, estimated or measured, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import Excess, NetworkSpec
from scalesearch.scaling.cost.latency import Latency, measure_latency
from scalesearch.scaling.cost.memory import training_bytes
from scalesearch.scaling.units import CURRENCIES, Currency, memory_is_estimate


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which latency and memory are measured.

    Attributes:
        latency_batch: images of the batch that is timed.
        training_batch: images of a training step.
        optimizer: whose state takes memory.
    """

    device: str = "cpu"
    latency_batch: int = 1
    training_batch: int = 50
    optimizer: str = "sgd"


def timed_latency(baseline: Baseline, task: Task, spec: NetworkSpec, given: Conditions) -> Latency:
    """Time a network on the device of the conditions, in the process that has it; see `measure_latency`."""
    return measure_latency(
        lambda: baseline.build(spec, task),
        spec.resolution_px,
        task.in_channels,
        batch_size=given.latency_batch,
        device=given.device,
    )


def step_bytes(baseline: Baseline, task: Task, spec: NetworkSpec, given: Conditions) -> float:
    """Bytes of a training step under the conditions; see `training_bytes`."""
    return training_bytes(
        lambda: baseline.build(spec, task),
        spec.resolution_px,
        task.in_channels,
        batch_size=given.training_batch,
        optimizer=given.optimizer,
        device=given.device,
    )


def measured_here(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in this process."""
    return function(*arguments)


@dataclass(frozen=True)
class CostMeter:
    """The cost of any network of a baseline.

    Attributes:
        currency: name of the currency.
        measure: where latency and a device's memory are measured.
    """

    baseline: Baseline
    task: Task
    currency: str = "macs"
    conditions: Conditions = Conditions()
    measure: Callable[..., Any] = field(default=measured_here, repr=False, compare=False)
    _bytes: dict[NetworkSpec, float] = field(default_factory=dict, repr=False, compare=False)
    _first: dict[NetworkSpec, Latency] = field(default_factory=dict, repr=False, compare=False)
    _second: dict[NetworkSpec, Latency] = field(default_factory=dict, repr=False, compare=False)

    @property
    def unit(self) -> Currency:
        """The currency with its labels."""
        return CURRENCIES[self.currency]

    @property
    def arithmetic(self) -> bool:
        """Whether a cost takes microseconds, so that thousands can be asked for."""
        return self.unit.counted and isinstance(self.baseline, ClosedFormBaseline)

    def cost(self, spec: NetworkSpec) -> float:
        """The cost of a network; one that is measured is measured once.

        Raises:
            InfeasibleError, DeviceError: it cannot be built, run or measured.
        """
        if self.unit.counted:
            return self.baseline.amount(self.currency, spec, self.task)
        return self.memory(spec) if self.currency == "memory" else self._timed(self._first, spec).median

    def settled(self, spec: NetworkSpec) -> float:
        """The cost as it is reported: a latency is measured again.

        What a search has chosen among noisy timings looks nearer to its target than it is.
        """
        return self.latency(spec).median if self.currency == "latency" else self.cost(spec)

    def latency(self, spec: NetworkSpec) -> Latency:
        """Seconds of a batch with their spread; never the timing that a search has chosen by."""
        return self._timed(self._second, spec)

    def memory(self, spec: NetworkSpec) -> float:
        """Bytes of a training step."""
        if spec not in self._bytes:
            estimated = memory_is_estimate(self.conditions.device)  # from shapes, which need no device
            measure = measured_here if estimated else self.measure
            self._bytes[spec] = measure(step_bytes, self.baseline, self.task, spec, self.conditions)
        return self._bytes[spec]

    def recall(self, spec: NetworkSpec, latency: Latency | None, memory: float | None) -> None:
        """Keep what a study has stored of a network, instead of measuring it again."""
        if latency:
            self._second[spec] = latency
        if memory is not None:
            self._bytes[spec] = memory

    def _timed(self, known: dict[NetworkSpec, Latency], spec: NetworkSpec) -> Latency:
        if spec not in known:
            known[spec] = self.measure(timed_latency, self.baseline, self.task, spec, self.conditions)
        return known[spec]


@dataclass(frozen=True, slots=True)
class Limits:
    """Second limits; 0 has none.

    Attributes:
        params: weights.
        latency: seconds of a batch.
        memory: bytes of a training step.
    """

    params: float = 0.0
    latency: float = 0.0
    memory: float = 0.0

    def excess(self, meter: CostMeter, spec: NetworkSpec) -> Excess:
        """Every limit that is set: its name, and cost / limit - 1, which is above 0 where the limit is broken."""
        found = []
        if self.params:
            found.append(("max_params", meter.baseline.amount("params", spec, meter.task) / self.params - 1))
        if self.latency:
            found.append(("max_latency", meter.latency(spec).median / self.latency - 1))
        if self.memory:
            found.append(("max_memory", meter.memory(spec) / self.memory - 1))
        return tuple(found)
