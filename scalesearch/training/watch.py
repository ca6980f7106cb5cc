"""What the search tells whoever watches it. The command line shows it; a library user may ignore it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Shares
from scalesearch.study.manifest import DataFacts
from scalesearch.study.record import EpochPoint, TrainingOutcome, TrialRecord
from scalesearch.training.workers.base import Job


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """One budget before training.

    Attributes:
        networks_on_surface: distinct networks of a dense lattice.
        planned: networks that will be trained, the references included.
        same: references that round to one network, each group as its names.
        target: in the study's currency.
        off_budget: planned networks that miss the tolerance and will not be trained.
        infeasible: planned networks that break a second limit and will not be trained.
        trainings: on this budget; where the sampler ends by itself, at most.
        open_ended: whether it does.
        tolerance: allowed |cost / target - 1|.
        within: (tolerance, networks that it would leave), where networks were enumerated or the tolerance adapted.
        nearest: references that cannot be met, with the shares of the network that stands for each.
        asked: the budget that was asked for, where the baseline meets it.
    """

    text: str
    target: float
    networks_on_surface: int
    planned: int
    same: tuple[tuple[str, ...], ...]
    off_budget: int
    infeasible: int = 0
    trainings: int = 0
    open_ended: bool = False
    tolerance: float = 0.02
    within: tuple[tuple[float, int], ...] = ()
    nearest: tuple[tuple[str, Shares], ...] = ()
    asked: str = ""

    @property
    def trained(self) -> int:
        """Networks that will be trained."""
        return self.planned - self.off_budget - self.infeasible


@dataclass(frozen=True, slots=True)
class Preflight:
    """The one screen before training.

    Attributes:
        trainings: in all, the baseline's included.
        baseline_px: native resolution of the baseline.
        size_notes: what a user should know of the sizes of images and feature maps, in sentences.
        training_seconds: of one training of the uniform network at the largest budget; of a study that is resumed as
            its trainings have taken, None where it has none.
        estimate_seconds: of all that is left on these workers, the short trainings included; None where no time is
            known.
        short_trainings: that usually settle the learning rate first; 0 where it is given, or settled.
        short_part: part of the study's cost that they are, 0 to 1.
        done: trainings of the study that are there.
        short_done: short trainings that are there.
        reads: how its photographs are read, in words; empty where images are in memory.
        engine: how trainings use the device, and why, in words; empty for a plain training on a CPU.
        decoding_seconds: that making their store will take first; 0 where it is there.
        limit_seconds: that a training may take before it is given up; None where it may take for ever.
    """

    study: str
    baseline: str
    baseline_macs: int
    currency: str
    baseline_cost: float
    data: DataFacts
    device: str
    workers: int
    seeds: int
    tolerance: float
    budgets: tuple[BudgetPlan, ...]
    trainings: int
    training_seconds: float | None
    estimate_seconds: float | None
    baseline_px: int = 0
    size_notes: tuple[str, ...] = ()
    short_trainings: int = 0
    short_part: float = 0.0
    done: int = 0
    short_done: int = 0
    reads: str = ""
    decoding_seconds: float = 0.0
    engine: str = ""
    limit_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StagesPlan:
    """What `verify` is about to train.

    Attributes:
        lines: one a stage, for people.
        trainings: still to be made.
        estimate_seconds: of all of them on these workers.
    """

    study: str
    lines: tuple[str, ...]
    notes: tuple[str, ...]
    trainings: int
    workers: int
    estimate_seconds: float


class Watched(Protocol):
    """What may be told of a network in training: a study's `NetworkRecord`, or one that is trained in full."""

    @property
    def names(self) -> tuple[str, ...]:
        """What people call it; empty where it is only a number."""

    @property
    def budget(self) -> str:
        """What it costs, in words such as `2x`."""

    @property
    def spec(self) -> NetworkSpec:
        """The whole-number network."""


class Listener(Protocol):
    """Receives what happens, in order, on the thread that runs the search."""

    def preflight(self, plan: Preflight) -> None:
        """Before the first training."""

    def stages(self, plan: StagesPlan) -> None:
        """Before the first training of `verify`."""

    def started(self, job: Job, network: Watched) -> None:
        """A training was given to a worker."""

    def epoch(self, job: Job, point: EpochPoint) -> None:
        """A training has finished an epoch."""

    def finished(self, job: Job, network: Watched, outcome: TrainingOutcome) -> None:
        """A training has ended."""

    def so_far(self, records: Sequence[TrialRecord]) -> None:
        """What a study holds of its own trainings; told before it goes on, and where it begins anew."""

    def note(self, text: str) -> None:
        """Something a user should know."""

    def short_trainings(self, done: int, about: int) -> None:
        """So many trainings that measure the learning rate have ended; a study's own are counted without them."""

    def decoding(self, done: int, total: int) -> None:
        """So many photographs of a split are in their store."""


class Silent(Listener):
    """A listener that does nothing."""

    @override
    def preflight(self, plan: Preflight) -> None:
        pass

    @override
    def stages(self, plan: StagesPlan) -> None:
        pass

    @override
    def started(self, job: Job, network: Watched) -> None:
        pass

    @override
    def epoch(self, job: Job, point: EpochPoint) -> None:
        pass

    @override
    def finished(self, job: Job, network: Watched, outcome: TrainingOutcome) -> None:
        pass

    @override
    def so_far(self, records: Sequence[TrialRecord]) -> None:
        pass

    @override
    def note(self, text: str) -> None:
        pass

    @override
    def short_trainings(self, done: int, about: int) -> None:
        pass

    @override
    def decoding(self, done: int, total: int) -> None:
        pass
