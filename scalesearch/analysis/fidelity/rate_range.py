"""The learning rate, measured: what short trainings on the baseline and on two corners settle (see `rate_grid`).

One rate serves all where it costs none of the three more than chance would. Else each network has its
own: the logarithm of the rate is linear in what depth and width cost it, through the three that were measured, and
stays within what was tried. Of rates that chance cannot tell apart the usual one is taken: so few steps say too well of
high rates, at which a whole training may diverge. A network that no short training brought clearly above guessing
decides nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from scalesearch.analysis.failed.causes import DID
from scalesearch.analysis.fidelity.chance import Chance, luck
from scalesearch.analysis.fidelity.optimizers import Contest, OptimizerChoice, chosen_optimizer, next_trainings
from scalesearch.analysis.fidelity.rate_grid import (
    LAST,
    ROLES,
    Role,
    Tried,
    next_steps,
    rate_at,
    vertex,
)
from scalesearch.study.record import NetworkRecord
from scalesearch.study.record.evidence import EvidenceRecord

CORNERS: dict[Role, Literal["depth", "width"]] = {"deepest": "depth", "widest": "width"}
"""What each corner spends most on."""

SPARE = 0.03
"""Accuracy (0 to 1) that a common rate may cost a network in a short training, beside what chance does to the
difference of two accuracies on so many images: seeds of so short trainings differ by points, and a rate of one's own
that a seed chose costs more than a common one would (see benchmarks/rates.md)."""


@dataclass(frozen=True, slots=True)
class MeasuredRates:
    """What the range test settled.

    Attributes:
        optimizer: that the rates are of.
        tried: every short training.
        best: role -> its best rate; without a network that learned at none.
        common: the rate of all networks; where they have their own, the baseline's.
        deeper: change of log(rate) per unit of log-cost that is spent on depth; 0 where one rate serves all.
        wider: the same for width.
        bounds: smallest and largest rate that a network may get.
        baseline_cost: what log-cost is counted from.
        lowered: times that all rates were halved because a training diverged.
        choice: what was measured of the optimizers; None where the definition or the layers give one.
    """

    optimizer: str
    tried: tuple[Tried, ...]
    best: Mapping[Role, float]
    common: float
    deeper: float
    wider: float
    bounds: tuple[float, float]
    baseline_cost: float
    lowered: int = 0
    choice: OptimizerChoice | None = None

    @property
    def own(self) -> bool:
        """Whether each network has a rate of its own."""
        return bool(self.deeper or self.wider)

    def of(self, network: NetworkRecord) -> float:
        """The rate at which a network is trained, to three significant digits."""
        rate = self.common
        if self.own and network.shares is not None:
            spent = math.log(network.target / self.baseline_cost)
            log_rate = math.log(self.common) + spent * (
                self.deeper * network.shares.depth + self.wider * network.shares.width
            )
            rate = min(self.bounds[1], max(self.bounds[0], math.exp(log_rate)))
        return float(f"{rate / 2**self.lowered:.3g}")

    @property
    def unlearned(self) -> tuple[Role, ...]:
        """The networks that learned at no rate."""
        lost = [role for role in ROLES if role not in self.best and any(t.role == role for t in self.tried)]
        return tuple(role for role in lost if role not in self.broke)

    @property
    def broke(self) -> dict[Role, str]:
        """The networks that did not come to their end at some rate, and why: they ran out of memory, for one."""
        return {role: t.broke for role in ROLES for t in reversed(self.tried) if t.role == role and t.broke}

    @property
    def words(self) -> str:
        """The table in a sentence or two; a rate that no short training speaks for is said to be none."""
        told = "; ".join(f"{role} {row}" for role in ROLES if (row := _row(self, role)))
        rate = f"{self.common / 2**self.lowered:.3g}"
        chosen = f"{rate} for all networks"
        if self.own:
            chosen = f"each network has its own rate, {rate} for the baseline, by a rule through the three"
        if not self.best:
            chosen = f"nothing was learned at any of these rates, and {rate} is taken for want of a better one"
        lowered = "; halved once, because a training diverged or learned nothing" if self.lowered else ""
        lost = [f" The {role} learned at none of these rates." for role in self.unlearned if self.best]
        lost += [f" The {role} {did}." for role, did in self.broke.items()]
        both = f" The baseline's best, in %: {self.choice.words}." if self.choice else ""
        return (
            f"{self.optimizer}, measured by short trainings: {chosen}{lowered}.{both} Accuracy in % by rate: {told}."
            f"{''.join(lost)}"
        )


def _row(found: MeasuredRates, role: Role) -> str:
    own = sorted((t for t in found.tried if t.role == role), key=lambda t: t.step)
    return ", ".join(f"{rate_at(found.optimizer, t.step):g} {t.told}" for t in own)


def measured_rates(
    optimizer: str, tried: Sequence[Tried], networks: Mapping[Role, NetworkRecord], chance: Chance, lowered: int = 0
) -> MeasuredRates | None:
    """What the short trainings settle; None while something must still be tried.

    Args:
        networks: the baseline, and the deepest and the widest network where there are others.
        chance: what guessing gives on the images that the accuracies are of.
    """
    roles = [role for role in ROLES if role in networks]
    if "baseline" not in networks or next_steps(tried, roles):
        return None
    every = {role: [t for t in tried if t.role == role] for role in roles}
    rows = {role: own for role, own in every.items() if _learned(own, chance)}
    tops = {role: _top(own, chance.images) for role, own in rows.items()}
    best = {role: rate_at(optimizer, top) for role, top in tops.items()}
    common, cost = _common(rows, chance.images), networks["baseline"].target
    if common is not None or "baseline" not in rows:
        top = min(tops.values(), default=_top(every["baseline"], chance.images))
        if common is not None:
            top = _within_half_a_step(statistics.fmean(tops.values()), common)
        rate = rate_at(optimizer, top)
        return MeasuredRates(optimizer, tuple(tried), best, rate, 0.0, 0.0, (rate, rate), cost, lowered)
    base = math.log(best["baseline"])
    deeper, wider = (
        _per_cost(math.log(best[role]) - base, networks[role], dimension, cost) if role in best else 0.0
        for role, dimension in CORNERS.items()
    )
    bounds = (min(best.values()), max(best.values()))
    return MeasuredRates(optimizer, tuple(tried), best, best["baseline"], deeper, wider, bounds, cost, lowered)


def _learned(own: Sequence[Tried], chance: Chance) -> bool:
    """Whether a network's best short training is clearly above guessing."""
    return any(t.accuracy is not None and chance.clearly_above(t.accuracy) for t in own)


def _top(own: Sequence[Tried], images: int) -> float:
    """The place of a network's best rate: the usual of those as good as the best, and the parabola's top near it."""
    top = vertex(own)
    highest = max((t.accuracy for t in own if t.accuracy is not None), default=None)
    if highest is None:
        return top
    as_good = [t.step for t in own if t.accuracy is not None and highest - t.accuracy <= luck(highest, images)]
    usual = min(as_good, key=_from_usual)
    return _within_half_a_step(top, usual)


def _within_half_a_step(place: float, step: int) -> float:
    return min(max(place, step - 0.5), step + 0.5)


def spare(accuracy: float, images: int) -> float:
    """What a rate may cost a network before it is called worse: `SPARE`, and chance.

    Example:
        >>> round(spare(0.5, 2000), 4)
        0.0458
    """
    return SPARE + luck(accuracy, images)


def _common(rows: Mapping[Role, Sequence[Tried]], images: int) -> int | None:
    """The step that costs no network more than it may, and all together least; of several as good the usual one.

    None where there is none.
    """
    if not rows:
        return None
    at = {role: {t.step: t.accuracy for t in own} for role, own in rows.items()}
    tops = {role: max((a for a in own.values() if a is not None), default=0.0) for role, own in at.items()}
    losses: dict[int, float] = {}
    for step in set.intersection(*(set(own) for own in at.values())):
        lost = {role: tops[role] - a for role, own in at.items() if (a := own[step]) is not None}
        if len(lost) == len(at) and all(loss <= spare(tops[role], images) for role, loss in lost.items()):
            losses[step] = sum(lost.values())
    if not losses:
        return None
    chance = math.sqrt(sum(luck(top, images) ** 2 for top in tops.values()))
    return min((step for step in losses if losses[step] <= min(losses.values()) + chance), key=_from_usual)


def _from_usual(step: int) -> tuple[int, int]:
    """Order of steps that are as good: the nearest to the usual rate, and of two the lower."""
    return abs(step), step


def _per_cost(change: float, corner: NetworkRecord, dimension: Literal["depth", "width"], baseline: float) -> float:
    """Change of log(rate) per unit of log-cost that the corner spends on its dimension."""
    shares = corner.shares
    spent = 0.0 if shares is None else math.log(corner.target / baseline) * getattr(shares, dimension)
    return change / spent if abs(spent) > 1e-9 else 0.0


def settled_rates(
    evidence: Iterable[EvidenceRecord], contest: Contest, chance: Chance, lowered: int = 0
) -> MeasuredRates | None:
    """What the short trainings of a study settle of optimizer and rates; None while something must still be tried."""
    tried, networks = everything_tried(evidence, contest, chance)
    if next_trainings(contest, tried, ["baseline"], chance):
        return None
    choice = chosen_optimizer(contest, tried, chance)
    optimizer = choice.chosen if choice else contest.by_layers
    found = measured_rates(optimizer, tried[optimizer], networks, chance, lowered)
    return replace(found, choice=choice) if found else None


def half_measured(evidence: Iterable[EvidenceRecord], *, searched: bool) -> bool:
    """Whether a range test was interrupted between the baseline and the corners, as far as its rows can tell.

    Args:
        searched: whether the search has trained anything, which it does after the range test.
    """
    roles = {record.network.roles[0] for record in evidence if record.stage.purpose == "range"}
    return not searched and roles == {"baseline"}


def everything_tried(
    evidence: Iterable[EvidenceRecord], contest: Contest, chance: Chance
) -> tuple[dict[str, list[Tried]], dict[Role, NetworkRecord]]:
    """The short trainings of a study, optimizer by optimizer, and the networks that they are of."""
    rows, found = list(evidence), {}
    networks: dict[Role, NetworkRecord] = {}
    for name in contest.optimizers:
        found[name], own = tried_of(rows, name, chance, contest.mark(name))
        networks |= own
    return found, networks


def tried_of(
    evidence: Iterable[EvidenceRecord], optimizer: str, chance: Chance, mark: str = ""
) -> tuple[list[Tried], dict[Role, NetworkRecord]]:
    """The short trainings of a study by one optimizer, and the networks that they are of.

    Args:
        mark: of its stages; see `Contest.mark`.
        chance: what guessing gives on the images of a short training.
    """
    tried: list[Tried] = []
    networks: dict[Role, NetworkRecord] = {}
    steps = {rate_at(optimizer, step): step for step in range(-LAST, LAST + 1)}
    for record in evidence:
        stage = record.stage
        if stage.purpose == "range" and stage.optimizer == mark and stage.factor in steps:
            role: Role = record.network.roles[0]  # type: ignore[assignment]
            unlearned = chance.ended_at(record.outcome)
            accuracy = None if unlearned else record.outcome.accuracy
            broke = DID[record.outcome.cause] if record.outcome.broke and record.outcome.cause else ""
            tried.append(Tried(role, steps[stage.factor], accuracy, unlearned, broke))
            networks[role] = record.network
    return tried, networks


def rates_to_dict(found: MeasuredRates) -> dict[str, Any]:
    """`learning_rate` in `result.json`."""
    return {
        "optimizer": found.optimizer,
        "optimizers": found.choice.to_dict() if found.choice else None,
        "common": None if found.own else found.common / 2**found.lowered,
        "baseline": found.common / 2**found.lowered,
        "per_unit_of_log_cost": {"depth": found.deeper, "width": found.wider},
        "bounds": list(found.bounds),
        "lowered": found.lowered,
        "best": dict(found.best),
        "tried": [
            {
                "network": t.role,
                "rate": rate_at(found.optimizer, t.step),
                "accuracy": t.accuracy,
                "ended": "complete" if t.accuracy is not None else t.told,
            }
            for t in found.tried
        ],
        "words": found.words,
    }
