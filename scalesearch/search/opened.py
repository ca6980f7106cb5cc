"""What the loop trains: a network with the seeds it is owed, and where such things come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from optuna.trial import Trial

from scalesearch.analysis.fidelity.chance import chance_of, study_learns
from scalesearch.study import BudgetStore, Interrupted, StudyStore
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.manifest import DataFacts, utc_now
from scalesearch.study.record import EpochPoint, NetworkRecord, TrainingOutcome


class Judge(Protocol):
    """Says which networks are not worth going on with."""

    def epoch(self, trial: Trial, seed: int, point: EpochPoint) -> bool:
        """Whether a network is weak, seen from one epoch of one training."""

    def training(self, trial: Trial, outcomes: Iterable[TrainingOutcome]) -> bool:
        """Whether a network is weak, seen from its finished trainings."""


Unlearned = Callable[[TrainingOutcome], bool]


def no_outcome(outcome: TrainingOutcome) -> bool:
    """For whom every accuracy counts: what does not learn from it, or looks at it itself."""
    return False


@dataclass(eq=False)
class OpenTrial:
    """A network that is being trained, with the store that its trainings go to.

    Attributes:
        seeds: the trainings it is owed.
        judge: None trains all of them to their end.
        recipe: by which it is trained; None takes the loop's.
        unlearned: whether a training that went to its end learned nothing (see `fidelity.chance`): a sampler is told of
            it as of one that failed, since one such value among the accuracies would drown them all.
    """

    budget: BudgetStore
    trial: Trial
    network: NetworkRecord
    seeds: tuple[int, ...]
    outcomes: dict[int, TrainingOutcome] = field(default_factory=dict)
    judge: Judge | None = None
    recipe: ProxyRecipe | None = None
    unlearned: Unlearned = no_outcome

    @property
    def missing(self) -> list[int]:
        """Seeds without an outcome yet."""
        return [seed for seed in self.seeds if seed not in self.outcomes]

    def add(self, outcome: TrainingOutcome) -> None:
        """Keep a finished training; it is on the disk before the next one begins."""
        self.budget.save_training(self.trial, outcome)
        self.outcomes[outcome.seed] = outcome

    def value(self) -> float | None:
        """Mean accuracy over the seeds; None when a training failed or was stopped: that is never a score."""
        done = (o for o in self.outcomes.values() if not self.unlearned(o))
        accuracies = [o.accuracy for o in done if o.accuracy is not None]
        whole = bool(accuracies) and len(accuracies) == len(self.outcomes)
        return sum(accuracies) / len(accuracies) if whole else None

    def weak_at(self, seed: int, point: EpochPoint) -> bool:
        """Whether to give up on the network after an epoch of one training."""
        return self.judge is not None and self.judge.epoch(self.trial, seed, point)

    def weak_after(self, outcome: TrainingOutcome) -> bool:
        """Whether to give up on the network after a training, when some are still to come."""
        finished = outcome.status == "complete" and bool(self.missing)
        return self.judge is not None and finished and self.judge.training(self.trial, self.outcomes.values())

    def spare(self, keep: Iterable[int]) -> None:
        """Put down the missing trainings as stopped before they began; `keep` are running, and end by themselves."""
        note = f"not trained: the network was given up after {len(self.outcomes)} of {len(self.seeds)} seeds"
        for seed in set(self.missing) - set(keep):
            self.add(TrainingOutcome(seed, "stopped", None, None, 0.0, (), utc_now(), note))

    def close(self) -> None:
        """Tell Optuna how it ended."""
        stopped = any(o.status == "stopped" for o in self.outcomes.values())
        self.budget.tell(self.trial, self.value(), self.network.excess, pruned=stopped)


class TrialSource(Protocol):
    """Gives networks one by one.

    Attributes:
        learns: whether the next proposal depends on the results before it; then trials are asked and told in batches,
            so that the order in which workers finish changes nothing.
    """

    learns: bool

    def interrupted(self) -> list[OpenTrial]:
        """Trials that an earlier process left running, each once, in the order of proposal."""

    def next(self) -> OpenTrial | None:
        """The next trial to train; None when there are no more."""

    def closed(self, done: OpenTrial) -> None:
        """The trial has been told."""


def unlearned_of(store: StudyStore, data: DataFacts) -> Unlearned:
    """What tells trainings that learned nothing, while most of a study learns."""
    chance = chance_of(data)

    def unlearned(outcome: TrainingOutcome) -> bool:
        if not chance.ended_at(outcome):  # the table is read where one may have learned nothing, which is rare
            return False
        return study_learns((record.outcome for record in store.records() if record.outcome), chance)

    return unlearned


def taken_up(
    budget: BudgetStore,
    found: Interrupted,
    seeds: tuple[int, ...],
    judge: Judge | None = None,
    unlearned: Unlearned = no_outcome,
) -> OpenTrial | None:
    """Go on with an interrupted trial; None when it was stopped before its network was stored."""
    if found.network is None:
        return None
    done = {outcome.seed: outcome for outcome in found.outcomes}
    return OpenTrial(budget, found.trial, found.network, seeds, done, judge, unlearned=unlearned)
