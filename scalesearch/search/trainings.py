"""The sampler `surface`: one training at a time, of a new network or of a known one on one more seed.

Here an Optuna trial is one training. The sampler reads them all, so that a search that was killed goes on as if it had
not been, and several trainings at once do not repeat each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from optuna.trial import FrozenTrial, Trial
from typing_extensions import override

from scalesearch.analysis.equal_cost import EXACT, CostSlope
from scalesearch.analysis.fidelity.chance import chance_of, without_unlearned
from scalesearch.analysis.response.allocation import Goal
from scalesearch.analysis.response.prior import SurfacePrior
from scalesearch.analysis.result import noise_elsewhere
from scalesearch.analysis.summary import NetworkSummary, cost_slopes, summarize
from scalesearch.networks.spec import NetworkSpec
from scalesearch.search.ingredients import data_facts
from scalesearch.search.opened import OpenTrial, TrialSource, taken_up, unlearned_of
from scalesearch.search.prepare import Prepared
from scalesearch.search.queued import BudgetQueue
from scalesearch.search.spaces import BudgetSpace
from scalesearch.search.surface_sampler import SEED_INDEX, SurfaceSampler
from scalesearch.study import StudyStore
from scalesearch.study.record import NetworkRecord

MOST_CANDIDATES = 150
"""Networks that are told apart at once; where a surface has more, the ones farthest apart."""


class TrainingSource(TrialSource):
    """The trainings of one budget: a small design first, then where they tell most about which network is best."""

    learns = True

    def __init__(self, prepared: Prepared, store: StudyStore, space: BudgetSpace, first_seed: int) -> None:
        self.config, self.space, self.first_seed, self.store = prepared.config, space, first_seed, store
        self.queue = BudgetQueue(prepared, store, space)
        self.budget = self.queue.budget
        goal = Goal(self.config.delta, self.config.confidence)
        self._data = data_facts(prepared.dataset)
        self._unlearned = unlearned_of(store, self._data)
        noise = noise_elsewhere(self._summaries(), space.text)
        prior = next((SurfacePrior(own.terms) for own in prepared.priors if own.budget == space.text), None)
        self._sampler = SurfaceSampler(space.contenders(MOST_CANDIDATES), goal, noise, self._off, prior)
        self._slope: CostSlope | None = None
        self._changed = True
        self._networks: dict[NetworkSpec, NetworkRecord] = {}
        self._trainings: Counter[NetworkSpec] = Counter()
        self._begun = 0
        for trial in self.budget.trials():
            begun, network = SEED_INDEX in trial.user_attrs, self.budget.network(trial)
            self._begun += begun
            if network:
                key = self.queue.key(network)
                self._networks.setdefault(key, network)
                self._trainings[key] += begun

    @property
    def most(self) -> int:
        """Trainings that the study allows on the budget."""
        return self.config.trials * self.config.seeds

    def _read_slope(self) -> None:
        """Read how accuracy answers to cost, from the whole table, unless nothing was trained since."""
        own, tolerance = self.space.text, self.space.surface.tolerance
        if self._changed and tolerance > EXACT:  # or else the table is read for nothing
            self._changed = False
            self._slope = cost_slopes(self._summaries(), {own: tolerance}).get(own)

    def _summaries(self) -> tuple[NetworkSummary, ...]:
        """The whole table as the answer reads it: what learned nothing is no accuracy."""
        return summarize(without_unlearned(self.store.records(), [], chance_of(self._data))[0])

    def _off(self, trials: Sequence[FrozenTrial]) -> list[tuple[float, float]]:
        """What each trial's accuracy is above that of a network which meets the budget, by the study so far."""
        slope, networks = self._slope, [self.budget.network(trial) for trial in trials]
        return [slope.off(n.cost, n.target) if slope and n else (0.0, 0.0) for n in networks]

    @override
    def interrupted(self) -> list[OpenTrial]:
        self._read_slope()
        opened = []
        for found in self.budget.interrupted(lambda _: self._sampler):
            index = int(found.trial.user_attrs.get(SEED_INDEX, 0))  # it is stored before the network
            again = taken_up(self.budget, found, (self.first_seed + index,), unlearned=self._unlearned)
            if again := again or self._open(found.trial):
                opened.append(again)
        return opened

    @override
    def next(self) -> OpenTrial | None:
        while not self.budget.ending():
            if not self.budget.waiting():
                self._read_slope()
                if words := self._end():
                    self.budget.save_ending(words)
                    return None
            if opened := self._open(self.budget.ask(self._sampler)):
                return opened
        return None

    @override
    def closed(self, done: OpenTrial) -> None:
        self._changed = True

    def _end(self) -> str | None:
        """Why no more should be trained; None to go on."""
        left = self.most - self._begun
        if left > 0 and self.budget.running():  # a batch is being filled, and it was found worth training
            return None
        return self._sampler.ending(self.budget.trials(), left)

    def _open(self, trial: Trial) -> OpenTrial | None:
        """Realize a trial's point. None when its network is off the budget or over a limit."""
        shares = self.queue.shares(trial)
        key = self.space.key(shares)
        network = self._networks.get(key)
        if network is None:
            network = self._networks[key] = self.queue.record(trial, shares)
        if not network.trainable:
            self.budget.save_network(trial, network)
            self.budget.tell(trial, None, network.excess)
            return None
        index = self._trainings[key]
        self._trainings[key] += 1
        self._begun += SEED_INDEX not in trial.user_attrs  # one that was interrupted may have it
        self.budget.save_attribute(trial, SEED_INDEX, index)
        self.budget.save_network(trial, network)
        return OpenTrial(self.budget, trial, network, (self.first_seed + index,), unlearned=self._unlearned)
