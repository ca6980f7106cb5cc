"""The worker of a study: splits cached by resolution, one training at a time.

This module is the only part of the executors that loads torch, and it does so in the worker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from scalesearch.data import Dataset
from scalesearch.errors import BaseError, ScaleSearchError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.config import LEFT_OPEN, Engine, ProxyRecipe
from scalesearch.study.manifest import utc_now
from scalesearch.study.record import OUT_OF_MEMORY, EpochPoint, TrainingOutcome
from scalesearch.training.pixels import store_files
from scalesearch.training.workers.base import Job, Setup, Worker
from scalesearch.user_code.hidden import hidden_library

if TYPE_CHECKING:
    import torch

    from scalesearch.training.batches import ProxyData
    from scalesearch.training.execution import Execution

T = TypeVar("T")

WARM_STEPS, TIMED_STEPS = 3, 8
REPLAYED_STEPS = 64
"""Steps that are timed where they are replayed: the first of them are not, and one is recorded."""
CACHE_BYTES = 2**30
"""Images of other resolutions are let go when they take more than this."""


def _size(data: ProxyData) -> int:
    return data.train.held + data.val.held


@contextmanager
def telling_whose(baseline: Baseline, spec: NetworkSpec) -> Iterator[None]:
    """What a network raises that is not of this package is its author's to mend."""
    import torch

    try:
        yield
    except (ScaleSearchError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if wants_memory(error):
            raise torch.OutOfMemoryError(str(error)) from error
        if isinstance(baseline, ClosedFormBaseline):
            raise
        if hidden := hidden_library(error):
            raise BaseError(hidden) from error
        reason = str(error).strip().partition("\n")[0]
        raise BaseError(
            f"{baseline.name} fails in training at {spec.resolution_px} px: {type(error).__name__}: {reason} "
            f"(look closer with: scalesearch check-base {baseline.name})"
        ) from error


@dataclass(frozen=True)
class WorkerSetup(Setup):
    """What a worker needs to train any candidate of a study by its proxy.

    Attributes:
        devices: of each seat, where they differ; `device` for all where it is empty.
        sharing: processes on one device, which share its memory.
    """

    baseline: Baseline
    task: Task
    dataset: Dataset
    recipe: ProxyRecipe
    device: str
    threads: int = 1
    engine: Engine = LEFT_OPEN
    devices: tuple[str, ...] = ()
    sharing: int = 1

    @property
    @override
    def files(self) -> tuple[Path, ...]:
        return store_files(self.dataset)

    @override
    def seat(self, number: int) -> WorkerSetup:
        return replace(self, device=self.devices[number % len(self.devices)], devices=()) if self.devices else self

    @override
    def worker(self) -> Worker:
        return ProxyWorker(self)


def wants_memory(error: BaseException) -> bool:
    """Whether a device without an error of its own for that has run out of memory: the CPU, MPS, cuBLAS.

    Example:
        >>> [wants_memory(RuntimeError(f"{text} (x)")) for text in ("DefaultCPUAllocator: can't allocate memory", "x")]
        [True, False]
    """
    said = str(error).lower()
    known = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(text in said for text in known))


def _once(on_epoch: Callable[[EpochPoint], None] | None) -> Callable[[EpochPoint], None]:
    """Tells each epoch once: a training that begins again in smaller parts has told its first ones."""
    told = 0

    def tell(point: EpochPoint) -> None:
        nonlocal told
        if on_epoch and point.epoch > told:
            told = point.epoch
            on_epoch(point)

    return tell


class ProxyWorker(Worker):
    """Trains candidates of one study on one device."""

    def __init__(self, setup: WorkerSetup) -> None:
        import torch

        from scalesearch.training.execution import set_switches
        from scalesearch.training.memory import limit_share
        from scalesearch.training.proxy import device_name, resolve_device

        if setup.threads:
            torch.set_num_threads(setup.threads)
        self.setup = setup
        self.device: torch.device = resolve_device(setup.device)
        limit_share(self.device, setup.sharing)
        set_switches(setup.engine, self.device)
        self.name = device_name(self.device)
        self._splits: dict[int, ProxyData] = {}

    def data(self, px: int) -> ProxyData:
        """Both splits for networks at `px`."""
        from scalesearch.data.device import normalization_of, to_device
        from scalesearch.training.batches import ProxyData

        if px not in self._splits:
            while self._splits and sum(map(_size, self._splits.values())) > CACHE_BYTES:
                del self._splits[next(iter(self._splits))]
            images = self.setup.dataset.train
            train, val = to_device(images, px, self.device), to_device(self.setup.dataset.val, px, self.device)
            self._splits[px] = ProxyData(train, val, normalization_of(images, train), px)
        return self._splits[px]

    @override
    def run(self, job: Job, on_epoch: Callable[[EpochPoint], None], should_stop: Callable[[], bool]) -> TrainingOutcome:
        return self.train(job.spec, job.seed, on_epoch, should_stop, job.recipe)

    def train(
        self,
        spec: NetworkSpec,
        seed: int,
        on_epoch: Any = None,
        should_stop: Callable[[], bool] = lambda: False,
        recipe: ProxyRecipe | None = None,
    ) -> TrainingOutcome:
        """One seeded training of one network, by the setup's recipe unless another is given."""
        import torch

        from scalesearch.training.memory import NoRoomError
        from scalesearch.training.proxy import train_proxy

        given, told = recipe or self.setup.recipe, _once(on_epoch)

        def trained(data: ProxyData, execution: Execution) -> TrainingOutcome:
            with telling_whose(self.setup.baseline, spec):
                outcome = train_proxy(lambda: self._build(spec), data, given, seed, told, should_stop, execution)
            return replace(
                outcome, learning_rate=given.learning_rate, micro_batches=execution.parts, trained_on=self.name
            )

        try:
            return self._fitted(spec, given, trained)
        except (torch.OutOfMemoryError, NoRoomError) as error:
            note = f"{OUT_OF_MEMORY} on {self.device}: {str(error).splitlines()[0]}"
            return TrainingOutcome(seed, "failed", None, None, 0.0, (), utc_now(), note, trained_on=self.name)

    def _fitted(self, spec: NetworkSpec, recipe: ProxyRecipe, run: Callable[[ProxyData, Execution], T]) -> T:
        """Give `run` the data, and how the device is used so that a batch of the recipe fits."""
        from scalesearch.training.memory import fitted, needs
        from scalesearch.training.steps import settled_precision

        data, setup = self.data(spec.resolution_px), self.setup
        steps = needs(
            setup.baseline, spec, setup.task, lambda: self._build(spec), optimizer=recipe.optimizer,
            copies=2 if recipe.ema else 0,
            halved=settled_precision(self.device, setup.engine.precision) == "bfloat16",
        )  # fmt: skip
        batch = min(recipe.batch_size, len(data.train.labels))
        return fitted(lambda execution: run(data, execution), setup.engine, steps, batch, self.device)

    def _build(self, spec: NetworkSpec) -> Any:
        recipe = self.setup.recipe
        return self.setup.baseline.build(
            spec, self.setup.task, dropout=recipe.dropout, stochastic_depth=recipe.stochastic_depth
        )

    def estimate(self, spec: NetworkSpec) -> float:
        """Seconds of a whole training, from a few steps of it; what the first steps set up is not counted.

        Raises:
            ScaleSearchError: it does not fit the device.
        """
        import torch

        from scalesearch.training.batches import EVAL_BATCH
        from scalesearch.training.memory import NoRoomError
        from scalesearch.training.proxy import train_proxy
        from scalesearch.training.steps import whole_seconds

        recipe = self.setup.recipe

        def seconds(full: ProxyData, steps: int, execution: Execution) -> float:
            count = min(steps * recipe.batch_size, len(full.train.labels))
            short = replace(recipe, epochs=1)
            data = replace(full, train=full.train.part(slice(count)), val=full.val.part(slice(EVAL_BATCH)))
            with telling_whose(self.setup.baseline, spec):
                outcome = train_proxy(lambda: self._build(spec), data, short, 0, execution=execution)
            if outcome.eager:
                sys.stderr.write(f"note: steps of {self.setup.baseline.name} are timed as they are: {outcome.eager}\n")
            return outcome.seconds - outcome.compile_seconds

        def whole(full: ProxyData, execution: Execution) -> float:
            seconds(full, WARM_STEPS, execution)
            images = len(full.train.labels), len(full.val.labels)
            steps = REPLAYED_STEPS if self.setup.engine.graph == "on" else TIMED_STEPS
            timed = min(steps * recipe.batch_size, images[0]), min(EVAL_BATCH, images[1])
            return whole_seconds(seconds(full, steps, execution), timed, images, recipe.epochs)

        try:
            return self._fitted(spec, recipe, whole)
        except (torch.OutOfMemoryError, NoRoomError):
            raise ScaleSearchError(
                f"{OUT_OF_MEMORY} on {self.device}: a training of {self.setup.baseline.name} at "
                f"{spec.resolution_px} px, even in parts of batches of {recipe.batch_size}; allowed: a smaller "
                "--batch-size, fewer --workers, a smaller --budget"
            ) from None
