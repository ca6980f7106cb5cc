"""Where the next network comes from: the baseline alone, or one budget's proposals; both survive a restart anywhere."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState
from typing_extensions import override

from scalesearch.networks.spec import Excess, NetworkSpec
from scalesearch.scaling.coefficients import shares_from_coefficients
from scalesearch.search.ingredients import data_facts
from scalesearch.search.opened import Judge, OpenTrial, TrialSource, no_outcome, taken_up, unlearned_of
from scalesearch.search.prepare import Prepared
from scalesearch.search.queued import BudgetQueue
from scalesearch.search.records import baseline_record
from scalesearch.search.samplers import ADAPTIVE, adaptive_sampler, derived_seed
from scalesearch.search.spaces import BudgetSpace
from scalesearch.study import BASELINE_STUDY, Interrupted, StudyStore

MAX_REPEATS = 20
"""Proposals in a row that are known networks, after which a network that is not known yet is taken instead."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What Optuna knows of a network: its value (None while it is open, and when it failed) and its constraints."""

    value: float | None
    excess: Excess


class BaselineSource(TrialSource):
    """The unscaled network, once."""

    learns = False

    def __init__(self, prepared: Prepared, store: StudyStore, seeds: tuple[int, ...]) -> None:
        self.prepared, self.store, self.seeds = prepared, store, seeds
        self.budget = store.budget(BASELINE_STUDY)

    @override
    def interrupted(self) -> list[OpenTrial]:
        return [self._open(found) for found in self.budget.interrupted(_random_sampler)]

    @override
    def next(self) -> OpenTrial | None:
        if self.budget.trials():
            return None
        return self._open(Interrupted(self.budget.ask(_random_sampler(0)), None, ()))

    def _open(self, found: Interrupted) -> OpenTrial:
        if opened := taken_up(self.budget, found, self.seeds):
            return opened
        network = baseline_record(self.prepared, self.store.networks())
        self.budget.save_network(found.trial, network)
        return OpenTrial(self.budget, found.trial, network, self.seeds)

    @override
    def closed(self, done: OpenTrial) -> None:
        pass


def _random_sampler(trials: int) -> BaseSampler:
    return adaptive_sampler("random", 0, trials)


class BudgetSource(TrialSource):
    """The networks of one budget: references and known points from Optuna's queue, then the sampler's own."""

    def __init__(
        self, prepared: Prepared, store: StudyStore, space: BudgetSpace, seeds: tuple[int, ...], judge: Judge | None
    ) -> None:
        self.config, self.space, self.seeds, self.judge = prepared.config, space, seeds, judge
        self.learns = self.config.sampler in ADAPTIVE
        self.queue = BudgetQueue(prepared, store, space)
        self.budget = self.queue.budget
        self._told = self._known()
        self._unlearned = unlearned_of(store, data_facts(prepared.dataset)) if self.learns else no_outcome

    def _sampler(self, trials: int) -> BaseSampler:
        return adaptive_sampler(self.config.sampler, self.config.seed, trials)

    def _known(self) -> dict[NetworkSpec, _Told]:
        """Every network of the budget, by skeleton."""
        found = ((self.budget.network(t), t) for t in self.budget.trials())
        return {
            self.queue.key(network): _Told(trial.value if trial.state is TrialState.COMPLETE else None, network.excess)
            for network, trial in found
            if network
        }

    @override
    def interrupted(self) -> list[OpenTrial]:
        found = self.budget.interrupted(self._sampler)
        opened = [
            taken_up(self.budget, one, self.seeds, self.judge, self._unlearned) or self._open(one.trial)
            for one in found
        ]
        return [one for one in opened if one]

    @override
    def next(self) -> OpenTrial | None:
        repeats = 0
        while self.queue.waiting() or self._wanted():
            if repeats >= MAX_REPEATS and not self.queue.waiting():
                self._enqueue_unknown()
            trial = self.budget.ask(self._sampler(len(self.budget.trials()) if self.learns else 0))
            if opened := self._open(trial):
                return opened
            repeats += 1
        return None

    def _wanted(self) -> bool:
        """Whether a sampler that learns still owes networks."""
        return self.learns and len(self._told) < min(self.config.trials, len(self.space.networks))

    def _enqueue_unknown(self) -> None:
        """Queue a network that is not known yet, when a sampler keeps proposing those that are."""
        unknown = [triples for key, triples in self.space.networks.items() if key not in self._told]
        choice = derived_seed(self.config.seed, len(self.budget.trials())) % len(unknown)
        self.queue.add(shares_from_coefficients(unknown[choice][0], self.space.surface.exponents), {})

    @override
    def closed(self, done: OpenTrial) -> None:
        self._told[self.queue.key(done.network)] = _Told(done.value(), done.network.excess)

    def _open(self, trial: Trial) -> OpenTrial | None:
        """Realize a trial's point. None when there is nothing to train: a known network, or one off the budget."""
        shares = self.queue.shares(trial)
        key = self.space.key(shares)
        if key in self._told:
            self.budget.tell(trial, self._told[key].value, self._told[key].excess)
            return None
        network = self.queue.record(trial, shares)
        self.budget.save_network(trial, network)
        self._told[key] = _Told(None, network.excess)
        if not network.trainable:
            self.budget.tell(trial, None, network.excess)
            return None
        return OpenTrial(self.budget, trial, network, self.seeds, judge=self.judge, unlearned=self._unlearned)
