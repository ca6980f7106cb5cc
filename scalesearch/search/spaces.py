"""One budget before the first training: its surface, the networks on it, and which of them are proposed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace

from scalesearch.networks.base import ClosedFormBaseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.candidates import (
    NARROWER,
    TOLERANCES,
    adapted,
    enumerated,
    near,
    tells_no_steps,
    within_each,
    within_limits,
)
from scalesearch.scaling.coefficients import (
    Budget,
    Coefficients,
    Exponents,
    Shares,
    is_met,
    parse_budget,
    references,
    shares_from_coefficients,
)
from scalesearch.scaling.cost.meter import CostMeter
from scalesearch.scaling.realize import BudgetSurface, Candidate, make_surface, realize, skeleton_map
from scalesearch.scaling.units import meets
from scalesearch.search.samplers import (
    ADAPTIVE,
    Proposal,
    fixed_points,
    reference_proposals,
    spread_points,
    surface_design,
)
from scalesearch.study.config import PER_TRAINING, StudyConfig
from scalesearch.study.manifest import BudgetFacts, Manifest


@dataclass(frozen=True)
class BudgetSpace:
    """One budget: its surface, and the networks of a dense lattice on it with the coefficients that give each.

    Attributes:
        networks: skeleton (see `BudgetSurface.skeleton`) -> its coefficients; realized only where a cost is arithmetic.
        known: the points known before training; none where the baseline is the only network.
        within: how many networks each tolerance would leave, where that was looked for.
        refused: where a user's code did not run, and why.
        beyond: how far outside of the triangle networks were looked for.
        asked: the budget that was asked for, where it is so near 1x that the baseline meets it.
    """

    text: str
    surface: BudgetSurface
    networks: Mapping[NetworkSpec, tuple[Coefficients, ...]]
    known: tuple[Proposal, ...] = ()
    within: tuple[tuple[float, int], ...] = ()
    refused: tuple[str, ...] = ()
    beyond: float = NARROWER
    asked: str = ""

    @property
    def is_baseline(self) -> bool:
        """Whether the budget is the baseline's own cost, where the baseline is the only network of the plane."""
        return self.surface.ratio == 1.0

    def contenders(self, most: int) -> list[Shares]:
        """One point of every network on the surface, the known points first; of many, the ones farthest apart."""
        found: dict[NetworkSpec, Shares] = {}
        for proposal in self.known:
            found.setdefault(self.key(proposal.shares), proposal.shares)
        known = len(found)
        for key, triples in self.networks.items():
            if key not in found:
                found[key] = self.surface.placed(shares_from_coefficients(triples[0], self.surface.exponents))
        points = list(found.values())
        return [*points[:known], *spread_points(points[known:], points[:known], most - known)]

    def candidate(self, shares: Shares) -> Candidate:
        """The candidate of a point."""
        return realize(self.surface, self.surface.coefficients(shares))

    def candidates(self) -> list[Candidate]:
        """Those of the known points."""
        return [self.candidate(proposal.shares) for proposal in self.known]

    def key(self, shares: Shares) -> NetworkSpec:
        """The skeleton of a point: two points with one key are one network."""
        return self.surface.skeleton(self.surface.coefficients(shares))

    def nearest(self) -> tuple[tuple[str, Shares], ...]:
        """References that no network is, each with the place of the one that stands for it."""
        named = references(self.surface.exponents) if self.surface.members else {}
        placed = ((name, shares, self.surface.placed(shares)) for name, shares in named.items())
        return tuple((name, place) for name, shares, place in placed if not is_met(shares, place))

    def realized(self) -> list[Candidate]:
        """All networks where that takes no time, else those of the known points."""
        if self.surface.meter.arithmetic or self.surface.members:
            return [realize(self.surface, triples[0]) for triples in self.networks.values()]
        return self.candidates()

    def facts(self, planned: int) -> BudgetFacts:
        """What the manifest keeps of it; `planned` is how many networks will be proposed."""
        surface, candidates = self.surface, self.realized()
        return BudgetFacts(
            text=self.text,
            target=surface.target,
            networks_on_surface=len(self.networks),
            residual_median=statistics.median([abs(c.residual) for c in candidates] or [0.0]),
            within_tolerance=sum(c.within_tolerance for c in candidates),
            planned=planned,
            realized=len(candidates),
            tolerance=surface.tolerance,
            within=self.within,
            enumerated=bool(surface.members),
            beyond=self.beyond,
        )


def budget_space(config: StudyConfig, meter: CostMeter, text: str, exponents: Exponents) -> BudgetSpace:
    """The surface of one budget, the networks on it, and the points known before training.

    Where a user's function or too coarse stages leave points off the budget, the networks that there are take the place
    of the points.

    Raises:
        InfeasibleError: the budget is under the smallest network that the family can make.
    """
    tolerance = config.tolerance or TOLERANCES[0]

    def surface_of(budget: Budget) -> BudgetSurface:
        return make_surface(meter.baseline, meter.task, budget, tolerance, meter=meter, exponents=exponents)

    budget, asked = parse_budget(text), ""
    surface = surface_of(budget)
    if meets(surface.ratio, 1.0, tolerance):  # the baseline itself meets the budget
        asked = "" if surface.ratio == 1.0 else budget.text
        budget = parse_budget("1x")
        surface = surface_of(budget)
    if surface.ratio == 1.0:
        return BudgetSpace(budget.text, surface, skeleton_map(surface), asked=asked)
    if tells_no_steps(surface):
        return _of_members(config, budget.text, surface)
    space = _with_points(config, BudgetSpace(budget.text, surface, skeleton_map(surface)))
    off = not all(candidate.within_tolerance for candidate in space.candidates())
    if off and meter.unit.counted and not isinstance(meter.baseline, ClosedFormBaseline):
        return _of_members(config, budget.text, surface)
    return _adapted(config, space) if off else space


def _of_members(config: StudyConfig, text: str, surface: BudgetSurface) -> BudgetSpace:
    """The networks that there are."""
    found = near(surface, config.tolerance)
    networks = skeleton_map(found.surface) if found.surface.members else {}
    space = BudgetSpace(text, found.surface, networks, within=found.within, refused=found.refused)
    space = replace(space, beyond=found.beyond)
    return _with_points(config, space) if networks else space


def _adapted(config: StudyConfig, space: BudgetSpace) -> BudgetSpace:
    """The space with the smallest tolerance that leaves enough networks, where none was given."""
    misses = [abs(candidate.residual) for candidate in space.realized()]
    tolerance = config.tolerance or adapted(misses)
    return replace(space, surface=replace(space.surface, tolerance=tolerance), within=within_each(misses))


def made_space(meter: CostMeter, facts: BudgetFacts, made: Manifest) -> BudgetSpace:
    """One budget as the study laid it out: a cost that is measured would be another one now."""
    ratio = parse_budget(facts.text).ratio(made.baseline_cost)
    surface = BudgetSurface(meter, facts.target, ratio, facts.tolerance, made.exponents)
    if facts.enumerated:
        surface = within_limits(enumerated(surface, facts.beyond)[0], facts.tolerance)
        space = BudgetSpace(facts.text, surface, skeleton_map(surface))
    else:
        space = BudgetSpace(facts.text, surface, skeleton_map(surface))
    return _with_points(made.config, replace(space, within=facts.within, beyond=facts.beyond))


def _with_points(config: StudyConfig, space: BudgetSpace) -> BudgetSpace:
    return replace(space, known=proposals(config, space))


def proposals(config: StudyConfig, space: BudgetSpace) -> tuple[Proposal, ...]:
    """The points known before training: the references, then all points of a sampler that does not learn.

    Each is where its network is: where networks were enumerated, a reference that cannot be met is its nearest network.
    """
    if space.is_baseline:
        return ()
    named, surface = references(space.surface.exponents), space.surface
    if config.sampler in PER_TRAINING:
        found, own = surface_design(named, space.key), []
    else:
        found = reference_proposals(named, space.key)
        own = [] if config.sampler in ADAPTIVE else _own_points(config, space, found)
    points = (*found, *(Proposal(shares) for shares in own))
    return tuple(replace(point, shares=surface.placed(point.shares)) for point in points)


def _own_points(config: StudyConfig, space: BudgetSpace, found: list[Proposal]) -> list[Shares]:
    """The points of a sampler that does not learn, beside the references."""
    surface, count = space.surface, max(0, config.trials - len(found))
    if surface.members and config.sampler == "lattice":  # no lattice: the members farthest apart
        keys = {space.key(proposal.shares) for proposal in found}
        start = [surface.placed(proposal.shares) for proposal in found]
        return spread_points([m.shares for m in surface.members if m.spec not in keys], start, count)
    named = references(surface.exponents)
    return fixed_points(
        config.sampler,
        count,
        [named[name] for proposal in found for name in proposal.roles],
        space.key,
        ratio=surface.ratio,
        exponents=surface.exponents,
        seed=config.seed,
        grid_step=config.grid_step,
    )


def planned_networks(config: StudyConfig, space: BudgetSpace) -> int:
    """How many networks a study will propose on a budget, the references included."""
    if space.is_baseline:
        return 0
    known = len({space.key(proposal.shares) for proposal in space.known})
    return max(known, min(config.trials, len(space.networks))) if config.sampler in ADAPTIVE else known
