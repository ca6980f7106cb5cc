"""Where the next network comes from: the baseline alone, or one budget's proposals; both survive a restart anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from scalesearch.analysis.result import BASELINE_BUDGET
from scalesearch.cost import count
from scalesearch.realize import coefficient_ranges
from scalesearch.record import Excess, NetworkRecord, TrainingOutcome
from scalesearch.samplers import ADAPTIVE, adaptive_sampler, derived_seed
from scalesearch.search.prepare import BudgetSpace, Prepared
from scalesearch.space import Coefficients, Shares, shares_from_coefficients, shares_from_square, square_from_shares
from scalesearch.spec import NetworkSpec
from scalesearch.study import BASELINE_STUDY, BudgetStore, Interrupted, StudyStore

MAX_REPEATS = 20
"""Proposals in a row that are known networks, after which a network that is not known yet is taken instead."""


@dataclass
class OpenTrial:
    """A network that is being trained, with the store that its trainings go to."""

    budget: BudgetStore
    trial: Trial
    network: NetworkRecord
    outcomes: dict[int, TrainingOutcome] = field(default_factory=dict)

    def add(self, outcome: TrainingOutcome) -> None:
        """Keep a finished training, on the disk first."""
        self.budget.save_training(self.trial, outcome)
        self.outcomes[outcome.seed] = outcome

    def value(self) -> float | None:
        """Mean accuracy over the seeds; None when a training failed, so that a failure is never a score."""
        accuracies = [o.accuracy for o in self.outcomes.values() if o.accuracy is not None]
        whole = bool(accuracies) and len(accuracies) == len(self.outcomes)
        return sum(accuracies) / len(accuracies) if whole else None

    def close(self) -> None:
        """Tell Optuna how it ended."""
        self.budget.tell(self.trial, self.value(), self.network.excess)


@dataclass(frozen=True, slots=True)
class _Told:
    """What Optuna knows of a network: its value (None while it is open, and when it failed) and its constraints."""

    value: float | None
    excess: Excess


class Source(Protocol):
    """Gives networks one by one.

    Attributes:
        learns: whether the next proposal depends on the results before it; then trials are asked and told in batches,
            so that the order in which workers finish changes nothing.
    """

    learns: bool

    def interrupted(self) -> list[OpenTrial]:
        """Networks that an earlier process left running, each once, in the order of proposal."""

    def next(self) -> OpenTrial | None:
        """The next network to train; None when there are no more."""

    def closed(self, done: OpenTrial) -> None:
        """The network has been told."""


class BaselineSource:
    """The unscaled network, once."""

    learns = False

    def __init__(self, prepared: Prepared, store: StudyStore) -> None:
        self.prepared, self.store = prepared, store
        self.budget = store.budget(BASELINE_STUDY)

    def interrupted(self) -> list[OpenTrial]:
        """See `Source.interrupted`."""
        return [self._open(found) for found in self.budget.interrupted(_random_sampler)]

    def next(self) -> OpenTrial | None:
        """See `Source.next`."""
        if self.budget.trials():
            return None
        return self._open(Interrupted(self.budget.ask(_random_sampler(0)), None, ()))

    def _open(self, found: Interrupted) -> OpenTrial:
        if opened := _taken_up(self.budget, found):
            return opened
        network = self._record()
        self.budget.save_network(found.trial, network)
        return OpenTrial(self.budget, found.trial, network)

    def _record(self) -> NetworkRecord:
        spec, one = self.prepared.baseline.spec, Coefficients(1.0, 1.0, 1.0)
        cost = self.prepared.gauge.settled(spec)
        proposal = _Proposed(BASELINE_BUDGET, ("baseline",), None, (one,), spec, cost, cost)
        return replace(_network_record(self.prepared, self.store, proposal), within_tolerance=True, excess=())

    def closed(self, done: OpenTrial) -> None:
        """See `Source.closed`."""


def _taken_up(budget: BudgetStore, found: Interrupted) -> OpenTrial | None:
    """Go on with an interrupted trial; None when it was stopped before its network was stored."""
    if found.network is None:
        return None
    return OpenTrial(budget, found.trial, found.network, {o.seed: o for o in found.outcomes})


def _random_sampler(trials: int) -> BaseSampler:
    return adaptive_sampler("random", 0, trials)


class BudgetSource:
    """The networks of one budget: references and known points from Optuna's queue, then the sampler's own."""

    def __init__(self, prepared: Prepared, store: StudyStore, space: BudgetSpace) -> None:
        self.prepared, self.store, self.space = prepared, store, space
        self.config = prepared.config
        self.learns = self.config.sampler in ADAPTIVE
        self.budget = store.budget(space.text)
        self._enqueue_missing()
        self._told = self._known()

    def _sampler(self, trials: int) -> BaseSampler:
        return adaptive_sampler(self.config.sampler, self.config.seed, trials)

    def _enqueue_missing(self) -> None:
        """Put the known points into the queue; a process killed halfway left the first of them there."""
        queued = sum(1 for t in self.budget.trials() if "proposal" in t.user_attrs)
        for index, proposal in enumerate(self.space.known):
            if index >= queued:
                self._enqueue(proposal.shares, {"proposal": index, "roles": list(proposal.roles)})

    def _enqueue(self, shares: Shares, attributes: dict[str, Any]) -> None:
        u, v = square_from_shares(shares)
        kept = [shares.depth, shares.width, shares.resolution]
        self.budget.enqueue({"u": u, "v": v}, {**attributes, "shares": kept})

    def _known(self) -> dict[NetworkSpec, _Told]:
        """Every network of the budget, by skeleton."""
        found = ((self.budget.network(t), t) for t in self.budget.trials())
        return {
            self._key(network): _Told(trial.value if trial.state is TrialState.COMPLETE else None, network.excess)
            for network, trial in found
            if network
        }

    def _key(self, network: NetworkRecord) -> NetworkSpec:
        return self.space.surface.skeleton_of(network.spec)

    def _waiting(self) -> bool:
        return any(t.state is TrialState.WAITING for t in self.budget.trials())

    def interrupted(self) -> list[OpenTrial]:
        """See `Source.interrupted`."""
        found = self.budget.interrupted(self._sampler)
        opened = (_taken_up(self.budget, one) or self._open(one.trial) for one in found)
        return [one for one in opened if one]

    def next(self) -> OpenTrial | None:
        """See `Source.next`."""
        repeats = 0
        while self._waiting() or self._wanted():
            if repeats >= MAX_REPEATS and not self._waiting():
                self._enqueue_unknown()
            trial = self.budget.ask(self._sampler(len(self.budget.trials())))
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
        self._enqueue(shares_from_coefficients(unknown[choice][0], self.space.surface.exponents), {})

    def closed(self, done: OpenTrial) -> None:
        """See `Source.closed`."""
        self._told[self._key(done.network)] = _Told(done.value(), done.network.excess)

    def _open(self, trial: Trial) -> OpenTrial | None:
        """Realize a trial's point. None when there is nothing to train: a known network, or one off the budget."""
        u, v = self.budget.point(trial)
        kept = trial.user_attrs.get("shares")
        shares = Shares(*kept) if kept else shares_from_square(u, v)
        key = self.space.key(shares)
        if key in self._told:
            self.budget.tell(trial, self._told[key].value, self._told[key].excess)
            return None
        network = self._record(shares, trial.user_attrs.get("roles", []))
        self.budget.save_network(trial, network)
        self._told[key] = _Told(None, network.excess)
        if not network.trainable:
            self.budget.tell(trial, None, network.excess)
            return None
        return OpenTrial(self.budget, trial, network)

    def _record(self, shares: Shares, roles: list[str]) -> NetworkRecord:
        candidate, key = self.space.candidate(shares), self.space.key(shares)
        triples = (*candidate.coefficients, *self.space.networks.get(key, ()))
        proposal = _Proposed(
            self.space.text, tuple(roles), shares, triples, candidate.spec, candidate.cost, candidate.target
        )
        return _network_record(self.prepared, self.store, proposal)


@dataclass(frozen=True)
class _Proposed:
    """A network before it is counted; the first of `triples` proposed it, all of them round to it."""

    budget: str
    roles: tuple[str, ...]
    shares: Shares | None
    triples: Sequence[Coefficients]
    spec: NetworkSpec
    cost: float
    target: float


def _network_record(prepared: Prepared, store: StudyStore, proposed: _Proposed) -> NetworkRecord:
    """The next network of the study: built, counted with fvcore, and held against the budget and the limits."""
    gauge, limits, spec = prepared.gauge, prepared.limits, proposed.spec
    counted = count(prepared.baseline, spec, prepared.task)
    cost = float(getattr(counted, gauge.currency)) if gauge.unit.counted else proposed.cost
    latency = gauge.latency(spec) if limits.latency or gauge.currency == "latency" else None
    alpha, beta, gamma = coefficient_ranges(proposed.triples)
    return NetworkRecord(
        trial=store.networks(),
        budget=proposed.budget,
        roles=proposed.roles,
        coefficients=proposed.triples[0],
        shares=proposed.shares,
        alpha_range=alpha,
        beta_range=beta,
        gamma_range=gamma,
        spec=spec,
        macs=counted.macs,
        params=counted.params,
        activations=counted.activations,
        currency=gauge.currency,
        cost=cost,
        target=proposed.target,
        within_tolerance=abs(cost / proposed.target - 1) <= prepared.config.tolerance,
        excess=limits.excess(gauge, spec),
        latency_seconds=latency.median if latency else None,
        latency_spread=latency.spread if latency else None,
        memory_bytes=gauge.memory(spec) if limits.memory or gauge.currency == "memory" else None,
    )
