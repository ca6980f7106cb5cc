"""The inside of a process that trains in full: splits cached by resolution, one training at a time."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from typing_extensions import override

from scalesearch.data import Dataset
from scalesearch.data.device import Normalization, Split, normalization_of, to_device
from scalesearch.errors import ScaleSearchError, StudyError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.placed import placed
from scalesearch.networks.spec import NetworkSpec, spec_to_dict
from scalesearch.study.config import LEFT_OPEN, Engine
from scalesearch.study.manifest import library_versions, utc_now
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.training.batches import EVAL_BATCH
from scalesearch.training.execution import Execution, set_switches
from scalesearch.training.full.checkpoint import clear_checkpoints
from scalesearch.training.full.files import WEIGHTS, Trained, read_trained, write_trained
from scalesearch.training.full.logs import LogRun, open_logs
from scalesearch.training.full.loop import FullData, FullTraining
from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.memory import NoRoomError, fitted, needs
from scalesearch.training.proxy import StoppedEarly, evaluate, resolve_device
from scalesearch.training.steps import settled_precision, whole_seconds
from scalesearch.training.weights import save_weights
from scalesearch.training.workers.base import Job, Setup, Worker
from scalesearch.training.workers.inside import telling_whose

WARM_BATCHES, TIMED_BATCHES = 2, 6
T = TypeVar("T")
COPIES = 3
"""How often weights are kept beside the optimizer's: an average, the best, and those that an evaluation puts aside."""
REFERENCE_PHI = 1.0
"""References are of the budget that phi = 1 is of, and get its dropout."""


@dataclass(frozen=True)
class Planned:
    """One network that will be trained, with everything that its seeds share.

    Attributes:
        label: see `Trained`; the same for without, phi, roles and budget.
        baseline: as the recipe wants it (see `altered`).
        folder: of its trainings, one folder a seed in it.
    """

    label: str
    without: str
    phi: float | None
    roles: tuple[str, ...]
    budget: str
    baseline: Baseline
    task: Task
    spec: NetworkSpec
    macs: int
    params: int
    recipe: TrainRecipe
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The label, as the progress view asks for it."""
        return (self.label,)

    def place(self, seed: int) -> Path:
        """Folder of one training."""
        return self.folder / f"seed-{seed:04d}"

    def build(self) -> torch.nn.Module:
        """The network, from torch's global generator, with the rates of the recipe."""
        rates = {
            "dropout": self.recipe.dropout_at(REFERENCE_PHI if self.phi is None else self.phi),
            "stochastic_depth": self.recipe.stochastic_depth,
        }
        return self.baseline.build(self.spec, self.task, **rates)


@dataclass(frozen=True)
class TrainSetup(Setup):
    """What a worker needs; it is sent to other processes.

    Attributes:
        planned: by the number that jobs carry as their trial.
        loaders: processes that prepare images, for each worker.
    """

    study: str
    dataset: Dataset
    planned: tuple[Planned, ...]
    device: str
    threads: int = 1
    loaders: int = 0
    logs: tuple[str, ...] = ()
    engine: Engine = LEFT_OPEN

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
        batch = min(planned.recipe.batch_size, len(self.setup.dataset.train))
        return fitted(run, self.setup.engine, steps, batch, self.device)

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
        folder, splits = planned.place(seed), self.splits(planned.spec.resolution_px)
        note = _noter(folder)
        training = FullTraining(
            planned.build,
            splits.full,
            planned.recipe,
            seed,
            folder,
            loaders=self.setup.loaders,
            note=note,
            execution=execution,
        )
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
        return self._closed(planned, seed, training, splits, problem).outcome

    def _log_run(self, planned: Planned, seed: int) -> LogRun:
        config = {**asdict(planned.recipe), "network": spec_to_dict(planned.spec), "macs": planned.macs, "seed": seed}
        return LogRun(self.setup.study, f"{planned.label} seed {seed}", config, planned.place(seed))

    def _closed(self, planned: Planned, seed: int, training: FullTraining, splits: _Splits, problem: str) -> Trained:
        """Score the best epoch's weights, keep them, and write the result."""
        at, failed = training.at, bool(problem)
        trained = Trained(
            label=planned.label, without=planned.without, phi=planned.phi, roles=planned.roles, budget=planned.budget,
            base=planned.baseline.name, spec=planned.spec, macs=planned.macs, params=planned.params, seed=seed,
            status="failed" if failed else "complete", scored="test" if splits.split == "test" else "validation",
            accuracy=None, loss=None, val_accuracy=None if failed else at.best_accuracy, best_epoch=at.best,
            seconds=round(training.seconds, 3), curve=tuple(EpochPoint(*point) for point in at.curve),
            recipe=asdict(planned.recipe), device=str(self.device), versions=_versions(planned.recipe),
            finished_at=utc_now(), note=problem, sha256="", folder=planned.place(seed),
            micro_batches=training.execution.parts,
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
        """A few batches, scaled up; what the first ones set up is not counted."""
        planned = next(one for one in self.setup.planned if one.spec == spec)
        splits, recipe = self.splits(spec.resolution_px), planned.recipe
        size = min(recipe.batch_size, len(splits.full.labels))

        def seconds(batches: int, execution: Execution) -> float:
            count = min(batches * size, len(splits.full.labels))
            full = splits.full
            val = full.val.first(EVAL_BATCH)
            few = replace(full, images=full.images.first(count), labels=full.labels[:count], val=val)
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
        few = min(TIMED_BATCHES * size, images[0]), min(EVAL_BATCH, images[1])
        return whole_seconds(timed, few, images, recipe.epochs)


def _versions(recipe: TrainRecipe) -> dict[str, str]:
    """The versions of what decides the numbers: with a policy its pixels are torchvision's and Pillow's."""
    drawn = () if recipe.policy == "none" else ("torchvision", "pillow")
    return library_versions() | {name: importlib.metadata.version(name) for name in drawn}


def _noter(folder: Path) -> Callable[[str], None]:
    """Tells on stderr, naming the training: a worker has no other way to be heard."""

    def note(text: str) -> None:
        sys.stderr.write(f"note: {folder.parent.name}/{folder.name}: {text}\n")

    return note


def weights_metadata(study: str, planned: Planned, trained: Trained, normal: Normalization) -> dict[str, str]:
    """What must be known to use the weights, as text: network, images, how they were trained, and the score."""
    values: dict[str, Any] = {
        "format": "pt",
        "study": study,
        "base": planned.baseline.name,
        "network": spec_to_dict(planned.spec),
        "label": planned.label,
        "without": planned.without,
        "phi": planned.phi,
        "classes": planned.task.num_classes,
        "channels": planned.task.in_channels,
        "resolution_px": planned.spec.resolution_px,
        "mean": list(normal.mean),
        "std": list(normal.std),
        "seed": trained.seed,
        "recipe": trained.recipe,
        "scored": trained.scored,
        "accuracy": trained.accuracy,
        "val_accuracy": trained.val_accuracy,
        "best_epoch": trained.best_epoch,
        "macs": planned.macs,
        "params": planned.params,
        "versions": trained.versions,
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def weights_facts(metadata: dict[str, str]) -> dict[str, Any]:
    """The inverse of `weights_metadata`.

    Raises:
        StudyError: the metadata are not of a training of scalesearch.
    """
    text = {"format", "study", "base", "label", "without", "scored"}
    try:
        return {name: value if name in text else json.loads(value) for name, value in metadata.items()}
    except ValueError as error:
        raise StudyError(f"the weights' metadata cannot be read: {error}") from None
