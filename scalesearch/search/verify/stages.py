"""The trainings of one stage of verification: every network on every seed, seed by seed, each an Optuna trial.

Seed by seed, so that a run that is stopped leaves whole pairs. Networks that are one network (two triples may round
alike at a larger phi) are trained once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import TrialState
from typing_extensions import override

from scalesearch.networks.spec import NetworkSpec
from scalesearch.search.opened import OpenTrial, TrialSource, taken_up
from scalesearch.search.samplers import adaptive_sampler
from scalesearch.study import StudyStore
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.record import NetworkRecord, TrainingOutcome
from scalesearch.study.record.evidence import EvidenceStage

_SEED = "seed"


@dataclass(frozen=True)
class StagePlan:
    """One stage: what is trained, on which seeds, by which recipe.

    Attributes:
        have: (network number, seed) of trainings that the search has made already and that count here too.
    """

    stage: EvidenceStage
    networks: tuple[NetworkRecord, ...]
    seeds: tuple[int, ...]
    recipe: ProxyRecipe
    have: frozenset[tuple[int, int]] = frozenset()


class StageSource(TrialSource):
    """Gives the trainings of a stage that are not there yet."""

    learns = False

    def __init__(self, store: StudyStore, plan: StagePlan) -> None:
        self.plan = plan
        self.budget = store.budget(plan.stage.name)
        self._done: dict[tuple[int, int], TrainingOutcome] = {}
        for trial in self.budget.trials():
            network, outcomes = self.budget.content(trial)
            if network and trial.state is not TrialState.RUNNING:
                self._done.update({(network.number, outcome.seed): outcome for outcome in outcomes})
        self._twins: dict[NetworkSpec, list[NetworkRecord]] = {}
        for network in plan.networks:
            self._twins.setdefault(network.spec, []).append(network)
        self._running: set[tuple[NetworkSpec, int]] = set()
        self._left = deque(self.missing())

    def missing(self) -> list[tuple[NetworkRecord, int]]:
        """What is still to be done, seed by seed; twins included."""
        pairs = ((network, seed) for seed in self.plan.seeds for network in self.plan.networks)
        known = {*self._done, *self.plan.have}
        return [(network, seed) for network, seed in pairs if (network.number, seed) not in known]

    def begun(self) -> bool:
        """Whether an earlier process left a training running."""
        return any(trial.state is TrialState.RUNNING for trial in self.budget.trials())

    def trainings(self) -> list[tuple[NetworkRecord, int]]:
        """What must be trained for that: twins once."""
        first: dict[tuple[NetworkSpec, int], tuple[NetworkRecord, int]] = {}
        for network, seed in self.missing():
            if self._twin(network, seed) is None:
                first.setdefault((network.spec, seed), (network, seed))
        return list(first.values())

    @override
    def interrupted(self) -> list[OpenTrial]:
        opened = []
        for found in self.budget.interrupted(lambda _: adaptive_sampler("random", 0, 0)):
            seed = int(found.trial.user_attrs.get(_SEED, 0))  # it is stored before the network
            again = taken_up(self.budget, found, (seed,))
            if again is None:
                self.budget.tell(found.trial, None)
                continue
            self._running.add((again.network.spec, seed))
            opened.append(again)
        return opened

    @override
    def next(self) -> OpenTrial | None:
        while self._left:
            network, seed = self._left.popleft()
            if (network.number, seed) in self._done:  # an interrupted training has ended meanwhile
                continue
            twin = self._twin(network, seed)
            if twin is not None:
                self._copy(network, twin)
            elif (network.spec, seed) not in self._running:
                self._running.add((network.spec, seed))
                return self._begin(network, seed)
        return None

    @override
    def closed(self, done: OpenTrial) -> None:
        for outcome in done.outcomes.values():
            self._done[done.network.number, outcome.seed] = outcome
            for network in self._twins.get(done.network.spec, ()):
                place = network.number, outcome.seed
                if outcome.seed in self.plan.seeds and place not in self._done and place not in self.plan.have:
                    self._copy(network, outcome)

    def _begin(self, network: NetworkRecord, seed: int) -> OpenTrial:
        trial = self.budget.ask(adaptive_sampler("random", 0, 0))
        self.budget.save_attribute(trial, _SEED, seed)
        self.budget.save_network(trial, network)
        return OpenTrial(self.budget, trial, network, (seed,))

    def _twin(self, network: NetworkRecord, seed: int) -> TrainingOutcome | None:
        numbers = [other.number for other in self._twins[network.spec]]
        return next((self._done[n, seed] for n in numbers if (n, seed) in self._done), None)

    def _copy(self, network: NetworkRecord, outcome: TrainingOutcome) -> None:
        opened = self._begin(network, outcome.seed)
        opened.add(outcome)
        opened.close()
        self._done[network.number, outcome.seed] = outcome


def total_trainings(sources: Sequence[StageSource]) -> int:
    """Trainings that are still to be made."""
    return sum(len(source.trainings()) for source in sources)
