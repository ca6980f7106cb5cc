"""The inside of a process that trains in full: splits cached by resolution, one training at a time."""

from __future__ import annotations

import importlib.metadata
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from typing_extensions import override

from scalesearch.data import Dataset
from scalesearch.data.device import Split, normalization_of, to_device
from scalesearch.errors import ScaleSearchError
from scalesearch.networks.placed import placed
from scalesearch.networks.spec import NetworkSpec, spec_to_dict
from scalesearch.study.config import LEFT_OPEN, Engine
from scalesearch.study.manifest import library_versions, utc_now
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.training.batches import EVAL_BATCH
from scalesearch.training.execution import Execution, set_switches
from scalesearch.training.full.checkpoint import clear_checkpoints
from scalesearch.training.full.files import RECIPE, WEIGHTS, Trained, read_trained, write_trained
from scalesearch.training.full.loop import FullData, FullTraining
from scalesearch.training.full.members import together
from scalesearch.training.full.planned import Planned
from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.full.team import Team
from scalesearch.training.full.weight_facts import weights_metadata
from scalesearch.training.logs import LogRun, open_logs
from scalesearch.training.memory import NoRoomError, fitted, limit_share, needs
from scalesearch.training.pixels import store_files
from scalesearch.training.proxy import StoppedEarly, device_name, evaluate, resolve_device
from scalesearch.training.steps import settled_precision, whole_seconds
from scalesearch.training.weights import save_weights
from scalesearch.training.workers.base import Job, Setup, Worker
from scalesearch.training.workers.gpus import Groups
from scalesearch.training.workers.inside import telling_whose

WARM_BATCHES, TIMED_BATCHES = 2, 6
T = TypeVar("T")
COPIES = 3
"""How often weights are kept beside the optimizer's: an average, the best, and those that an evaluation puts aside."""


@dataclass(frozen=True)
class TrainSetup(Setup):
    """What a worker needs; it is sent to other processes.

    Attributes:
        planned: by the number that jobs carry as their trial.
        loaders: processes that prepare images, for each worker.
        seats: devices of each seat; empty where all have `device` alone.
        devices: of one seat, that train one network together, each by a process of its own; `device` alone where empty.
        sharing: processes on one device, which share its memory.
    """

    study: str
    dataset: Dataset
    planned: tuple[Planned, ...]
    device: str
    threads: int = 1
    loaders: int = 0
    logs: tuple[str, ...] = ()
    engine: Engine = LEFT_OPEN
    seats: Groups = ()
    devices: tuple[str, ...] = ()
    sharing: int = 1

    @property
    @override
    def files(self) -> tuple[Path, ...]:
        """Results and checkpoints are written beside the recipes."""
        return (*(one.folder / RECIPE for one in self.planned), *store_files(self.dataset))

    @override
    def seat(self, number: int) -> TrainSetup:
        if not self.seats:
            return self
        own = self.seats[number % len(self.seats)]
        return replace(self, device=own[0], seats=(), devices=own if len(own) > 1 else ())

    @override
    def worker(self) -> FullWorker:
        return FullWorker(self)


@dataclass(frozen=True)
class _Splits:
    """All splits at one resolution."""

    full: FullData
    scored: Split
    split: str


class FullWorker(Worker):
    """Trains the planned networks of one study on one device."""

    def __init__(self, setup: TrainSetup) -> None:
        if setup.threads:
            torch.set_num_threads(setup.threads)
        self.setup = setup
        self.device = resolve_device(setup.device)
        limit_share(self.device, setup.sharing)
        set_switches(setup.engine, self.device)
        self._px = 0
        self._splits: _Splits | None = None

    def splits(self, px: int) -> _Splits:
        """Train, validation and test at `px`; those of the last resolution are kept."""
        if self._splits is None or self._px != px:
            self._splits = None  # before the others are there, which may need its room
            self._px, self._splits = px, self._loaded(px)
        return self._splits

    def _loaded(self, px: int) -> _Splits:
        data = self.setup.dataset
        train = to_device(data.train, px, torch.device("cpu"))
        val = to_device(data.val, px, self.device)
        full = FullData(train, train.labels.to(self.device), val, normalization_of(data.train, train), px)
        if data.test is None:
            return _Splits(full, val, "validation")
        return _Splits(full, to_device(data.test, px, self.device), "test")

    @override
    def run(self, job: Job, on_epoch: Callable[[EpochPoint], None], should_stop: Callable[[], bool]) -> TrainingOutcome:
        """Train, or go on; then the test images, once."""
        planned = self.setup.planned[job.number]
        folder = planned.place(job.seed)
        done = read_trained(folder)
        if done is not None:
            return done.outcome
        with self._telling(planned):
            return self._fitted(planned, lambda how: self._trained(planned, job.seed, how, on_epoch, should_stop))

    def _fitted(self, planned: Planned, run: Callable[[Execution], T]) -> T:
        """Give `run` how the device is used so that a batch of the recipe fits."""
        optimizer = "rmsprop" if planned.recipe.optimizer == "rmsprop_torch" else planned.recipe.optimizer
        steps = needs(
            planned.baseline, planned.spec, planned.task, planned.build, optimizer=optimizer,
            copies=COPIES, halved=settled_precision(self.device, self.setup.engine.precision) == "bfloat16",
        )  # fmt: skip
        return fitted(run, self.setup.engine, steps, self._images_a_step(planned), self.device)

    @property
    def _devices(self) -> tuple[str, ...]:
        return self.setup.devices or (str(self.device),)

    def _images_a_step(self, planned: Planned) -> int:
        """Images of the largest part of a batch that one device gets."""
        return math.ceil(min(planned.recipe.batch_size, len(self.setup.dataset.train)) / len(self._devices))

    @contextmanager
    def _telling(self, planned: Planned) -> Iterator[None]:
        """Errors of the network and of the device's memory, in one line."""
        try:
            with telling_whose(planned.baseline, planned.spec):
                yield
        except (torch.OutOfMemoryError, NoRoomError):
            raise ScaleSearchError(
                f"out of memory on {self.device}: {planned.label} at {planned.spec.resolution_px} px in batches of "
                f"{planned.recipe.batch_size}; allowed: a smaller --batch-size, fewer --workers"
            ) from None

    def _trained(
        self,
        planned: Planned,
        seed: int,
        execution: Execution,
        on_epoch: Callable[[EpochPoint], None],
        should_stop: Callable[[], bool],
    ) -> TrainingOutcome:
        work = _Following(self.setup, self.setup.planned.index(planned), seed)
        with together(self.setup.devices, work, execution) as team:
            return self._led(planned, seed, execution, team, on_epoch, should_stop)

    def training(
        self, planned: Planned, seed: int, execution: Execution, team: Team, note: Callable[[str], None]
    ) -> FullTraining:
        """One training, begun or gone on with."""
        return FullTraining(
            planned.build, self.splits(planned.spec.resolution_px).full, planned.recipe, seed, planned.place(seed),
            loaders=self.setup.loaders, note=note, execution=execution, team=team,
        )  # fmt: skip

    def _led(
        self,
        planned: Planned,
        seed: int,
        execution: Execution,
        team: Team,
        on_epoch: Callable[[EpochPoint], None],
        should_stop: Callable[[], bool],
    ) -> TrainingOutcome:
        note = _noter(planned.place(seed))
        training = self.training(planned, seed, execution, team, note)
        logs = open_logs(self.setup.logs, self._log_run(planned, seed), note)

        def told(point: EpochPoint) -> None:
            for log in logs:
                log.write(point.epoch, {name: value for name, value in asdict(point).items() if name != "epoch"})
            on_epoch(point)

        try:
            problem = training.run(told, should_stop)
        except StoppedEarly:
            said = f"stopped after epoch {training.at.epoch - 1}; the same command goes on"
            curve = tuple(EpochPoint(*point) for point in training.at.curve)
            return TrainingOutcome(seed, "stopped", None, None, training.seconds, curve, utc_now(), said)
        finally:
            for log in logs:
                log.close()
        return self._closed(planned, seed, training, self.splits(planned.spec.resolution_px), problem).outcome

    def _log_run(self, planned: Planned, seed: int) -> LogRun:
        config = {**asdict(planned.recipe), "network": spec_to_dict(planned.spec), "macs": planned.macs, "seed": seed}
        return LogRun(self.setup.study, f"{planned.label} seed {seed}", config, planned.place(seed) / "tensorboard")

    def _closed(self, planned: Planned, seed: int, training: FullTraining, splits: _Splits, problem: str) -> Trained:
        """Score the best epoch's weights, keep them, and write the result."""
        at, failed = training.at, bool(problem)
        trained = Trained(
            label=planned.label, without=planned.without, phi=planned.phi, roles=planned.roles, budget=planned.budget,
            base=planned.baseline.name, spec=planned.spec, macs=planned.macs, params=planned.params, seed=seed,
            status="failed" if failed else "complete", scored="test" if splits.split == "test" else "validation",
            accuracy=None, loss=None, val_accuracy=None if failed else at.best_accuracy, best_epoch=at.best,
            seconds=round(training.seconds, 3), curve=tuple(EpochPoint(*point) for point in at.curve),
            recipe=asdict(planned.recipe), device=", ".join(self._devices), versions=_versions(planned.recipe),
            finished_at=utc_now(), note=problem, sha256="", folder=planned.place(seed),
            micro_batches=training.execution.parts, processes=training.team.size,
            trained_on=device_name(self.device),
        )  # fmt: skip
        if not failed:
            trained = self._scored(planned, training, splits, trained)
        write_trained(trained)
        clear_checkpoints(trained.folder)
        return trained

    def _scored(self, planned: Planned, training: FullTraining, splits: _Splits, trained: Trained) -> Trained:
        network = placed(planned.build(), self.device, training.layout)
        network.load_state_dict(training.best_state)
        normal = splits.full.normalization
        precision = training.execution.precision
        loss, accuracy = evaluate(network, training.batches(splits.scored), self.device, precision)
        scored = replace(trained, loss=loss, accuracy=accuracy)
        facts = weights_metadata(self.setup.study, planned, scored, normal)
        return replace(scored, sha256=save_weights(trained.folder / WEIGHTS, training.best_state, facts))

    @override
    def estimate(self, spec: NetworkSpec) -> float:
        """A few batches, scaled up; what the first ones set up is not counted.

        Where several devices train together, one is timed on its part of each batch; what they tell each other is
        not counted.
        """
        planned = next(one for one in self.setup.planned if one.spec == spec)
        splits, size = self.splits(spec.resolution_px), self._images_a_step(planned)
        recipe = replace(planned.recipe, batch_size=size)

        def seconds(batches: int, execution: Execution) -> float:
            count = min(batches * size, len(splits.full.labels))
            full = splits.full
            val = full.val.part(slice(EVAL_BATCH))
            few = replace(full, images=full.images.part(slice(count)), labels=full.labels[:count], val=val)
            with tempfile.TemporaryDirectory() as folder:
                training = FullTraining(
                    planned.build, few, replace(recipe, epochs=1), 0, Path(folder), execution=execution
                )
                training.run(lambda _: None, lambda: False)
                return training.seconds

        def both(execution: Execution) -> float:
            seconds(WARM_BATCHES, execution)
            return seconds(TIMED_BATCHES, execution)

        with self._telling(planned):
            timed = self._fitted(planned, both)
        images = len(splits.full.labels), len(splits.full.val.labels)
        shared = images[0] // len(self._devices), images[1] // len(self._devices)
        few = min(TIMED_BATCHES * size, images[0]), min(EVAL_BATCH, images[1])
        return whole_seconds(timed, few, shared, recipe.epochs)


@dataclass(frozen=True)
class _Following:
    """What the other processes of a training do, each on a device of its own."""

    setup: TrainSetup
    number: int
    seed: int

    def prepared(self, rank: int) -> Callable[[Execution, Team], None]:
        """Read the images; the training itself waits for the others."""
        worker, planned = replace(self.setup, device=self.setup.devices[rank]).worker(), self.setup.planned[self.number]
        worker.splits(planned.spec.resolution_px)

        def follow(execution: Execution, team: Team) -> None:
            with telling_whose(planned.baseline, planned.spec), suppress(StoppedEarly):
                training = worker.training(planned, self.seed, execution, team, lambda _: None)
                training.run(lambda _: None, lambda: False)

        return follow


def _versions(recipe: TrainRecipe) -> dict[str, str]:
    """The versions of what decides the numbers: with a policy its pixels are torchvision's and Pillow's."""
    drawn = () if recipe.policy == "none" else ("torchvision", "pillow")
    return library_versions() | {name: importlib.metadata.version(name) for name in drawn}


def _noter(folder: Path) -> Callable[[str], None]:
    """Tells on stderr, naming the training: a worker has no other way to be heard."""

    def note(text: str) -> None:
        sys.stderr.write(f"note: {folder.parent.name}/{folder.name}: {text}\n")

    return note
