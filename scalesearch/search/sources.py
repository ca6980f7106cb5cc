"""Where the next network comes from: the baseline alone, or one budget's proposals; both survive a restart anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from scalesearch.analysis.result import BASELINE_BUDGET
from scalesearch.cost import Cost, count
from scalesearch.realize import coefficient_ranges
from scalesearch.record import NetworkRecord, TrainingOutcome
from scalesearch.samplers import ADAPTIVE, adaptive_sampler, derived_seed
from scalesearch.search.prepare import BudgetSpace, Prepared, proposals
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
        self.budget.tell(self.trial, self.value())


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
        baseline, task = self.prepared.baseline, self.prepared.task
        cost, one = count(baseline, baseline.spec, task), Coefficients(1.0, 1.0, 1.0)
        return _network_record(
            self.store, BASELINE_BUDGET, ("baseline",), None, (one,), baseline.spec, cost, cost.macs, within=True
        )

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
        self._values = self._known()

    def _sampler(self, trials: int) -> BaseSampler:
        return adaptive_sampler(self.config.sampler, self.config.seed, trials)

    def _enqueue_missing(self) -> None:
        """Put the known points into the queue; a process killed halfway left the first of them there."""
        queued = sum(1 for t in self.budget.trials() if "proposal" in t.user_attrs)
        for index, proposal in enumerate(proposals(self.config, self.space)):
            if index >= queued:
                self._enqueue(proposal.shares, {"proposal": index, "roles": list(proposal.roles)})

    def _enqueue(self, shares: Shares, attributes: dict[str, Any]) -> None:
        u, v = square_from_shares(shares)
        kept = [shares.depth, shares.width, shares.resolution]
        self.budget.enqueue({"u": u, "v": v}, {**attributes, "shares": kept})

    def _known(self) -> dict[NetworkSpec, float | None]:
        """Every network of the budget with the value Optuna was told; None while it is open, and when it failed."""
        found = ((self.budget.network(t), t) for t in self.budget.trials())
        return {network.spec: t.value if t.state is TrialState.COMPLETE else None for network, t in found if network}

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
        return self.learns and len(self._values) < min(self.config.trials, len(self.space.dense))

    def _enqueue_unknown(self) -> None:
        """Queue a network that is not known yet, when a sampler keeps proposing those that are."""
        unknown = [c for spec, c in self.space.dense.items() if spec not in self._values]
        choice = derived_seed(self.config.seed, len(self.budget.trials())) % len(unknown)
        self._enqueue(shares_from_coefficients(unknown[choice].coefficients[0]), {})

    def closed(self, done: OpenTrial) -> None:
        """See `Source.closed`."""
        self._values[done.network.spec] = done.value()

    def _open(self, trial: Trial) -> OpenTrial | None:
        """Realize a trial's point. None when there is nothing to train: a known network, or one off the budget."""
        u, v = self.budget.point(trial)
        kept = trial.user_attrs.get("shares")
        shares = Shares(*kept) if kept else shares_from_square(u, v)
        candidate = self.space.candidate(shares)
        if candidate.spec in self._values:
            self.budget.tell(trial, self._values[candidate.spec])
            return None
        network = self._record(shares, candidate.coefficients[0], candidate.spec, trial.user_attrs.get("roles", []))
        self.budget.save_network(trial, network)
        self._values[network.spec] = None
        if not network.within_tolerance:
            self.budget.tell(trial, None)
            return None
        return OpenTrial(self.budget, trial, network)

    def _record(self, shares: Shares, own: Coefficients, spec: NetworkSpec, roles: list[str]) -> NetworkRecord:
        surface, dense = self.space.surface, self.space.dense
        cost = count(surface.baseline, spec, surface.task)
        triples = (own, *dense[spec].coefficients) if spec in dense else (own,)
        target = surface.target_macs
        within = abs(cost.macs / target - 1) <= surface.tolerance
        return _network_record(
            self.store, self.space.text, tuple(roles), shares, triples, spec, cost, target, within=within
        )


def _network_record(
    store: StudyStore,
    budget: str,
    roles: tuple[str, ...],
    shares: Shares | None,
    triples: Sequence[Coefficients],
    spec: NetworkSpec,
    cost: Cost,
    target_macs: int,
    *,
    within: bool,
) -> NetworkRecord:
    """The next network of the study; the first of `triples` proposed it, all of them round to it."""
    alpha, beta, gamma = coefficient_ranges(triples)
    return NetworkRecord(
        trial=store.networks(),
        budget=budget,
        roles=roles,
        coefficients=triples[0],
        shares=shares,
        alpha_range=alpha,
        beta_range=beta,
        gamma_range=gamma,
        spec=spec,
        macs=cost.macs,
        target_macs=target_macs,
        params=cost.params,
        activations=cost.activations,
        within_tolerance=within,
    )
