"""The queue of one budget: points known before training wait in Optuna's database, and survive a restart anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from optuna.trial import Trial

from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Shares, shares_from_square, square_from_shares
from scalesearch.search.prepare import Prepared
from scalesearch.search.records import Proposed, network_record
from scalesearch.search.spaces import BudgetSpace
from scalesearch.study import StudyStore
from scalesearch.study.record import NetworkRecord


class BudgetQueue:
    """One budget's proposals, and what they are realized to."""

    def __init__(self, prepared: Prepared, store: StudyStore, space: BudgetSpace) -> None:
        self.prepared, self.store, self.space = prepared, store, space
        self.budget = store.budget(space.text)
        queued = sum(1 for t in self.budget.trials() if "proposal" in t.user_attrs)
        with store.together():
            for index, proposal in enumerate(space.known):
                if index >= queued:  # a process killed halfway may have left the first of them there
                    self.add(proposal.shares, {"proposal": index, "roles": list(proposal.roles)})

    def add(self, shares: Shares, attributes: dict[str, Any]) -> None:
        """Put a point at the end of the queue, with its shares to the last bit beside its place in the square."""
        u, v = square_from_shares(shares)
        kept = [shares.depth, shares.width, shares.resolution]
        self.budget.enqueue({"u": u, "v": v}, {**attributes, "shares": kept})

    def waiting(self) -> bool:
        """Whether any point is left in the queue."""
        return self.budget.waiting()

    def shares(self, trial: Trial) -> Shares:
        """The point of a trial: as it was queued, to the last bit, or as the sampler drew it."""
        u, v = self.budget.point(trial)
        kept = trial.user_attrs.get("shares")
        return Shares(*kept) if kept else shares_from_square(u, v)

    def key(self, network: NetworkRecord) -> NetworkSpec:
        """The skeleton of a network that is known."""
        return self.space.surface.skeleton_of(network.spec)

    def record(self, trial: Trial, shares: Shares) -> NetworkRecord:
        """The next network of the study."""
        candidate, surface = self.space.candidate(shares), self.space.surface
        if not surface.members:
            others = self.space.networks.get(surface.skeleton_of(candidate.spec), ())
            candidate = replace(candidate, coefficients=(*candidate.coefficients, *others))
        roles = tuple(trial.user_attrs.get("roles", []))
        proposed = Proposed(
            self.space.text,
            roles,
            surface.placed(shares),
            candidate,
            surface.tolerance,
            tuple(name for name, _ in self.space.nearest() if name in roles),
        )
        return network_record(self.prepared, self.store.networks(), proposed)
