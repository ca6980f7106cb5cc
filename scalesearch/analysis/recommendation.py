"""Which network of a budget is recommended, when all that is known of it is read together.

The network that a search puts first is not always the one to take: new seeds may show another ahead, it may not be
shown to beat uniform scaling, or the learning rate may have chosen it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.surface import ResponseSurface
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verdict import BETTER, NO_EVIDENCE, SAME, WORSE
from scalesearch.analysis.verified.verification import Verdict


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to take on a budget.

    Attributes:
        network: the one that is recommended; None where none can be.
        name: of it: `the best network`, a reference or `near` one, `baseline`, `network 7`; `none`.
        reasons: why it is not the best network of the search, or not with confidence; sentences, the weightiest first.
            Empty where the best network is recommended.
    """

    network: NetworkSummary | None
    name: str
    reasons: tuple[str, ...]

    @property
    def is_best(self) -> bool:
        """Whether the best network of the search is recommended, without a reservation."""
        return not self.reasons


BEST = "the best network"


@dataclass(frozen=True, slots=True)
class _Objection:
    """A reason against the best network, and what would be taken instead; None: nothing, until more is known."""

    reason: str
    name: str
    network: NetworkSummary | None


def recommend(result: StudyResult, budget: BudgetResult) -> Recommendation:
    """Read the search, its surface and the evidence of `verify` together.

    New seeds outweigh the search: what they decide between the best network and uniform scaling is not asked again of
    the search's own seeds or of its surface.

    Args:
        result: of the study.
        budget: one of its budgets.
    """
    best = budget.best
    if best is None:
        return Recommendation(None, "none", (budget.advice,))
    found = list(_objections(result, budget, best))
    if not found:
        return Recommendation(best, BEST, ())
    return Recommendation(found[0].network, found[0].name, tuple(one.reason for one in found))


def _objections(result: StudyResult, budget: BudgetResult, best: NetworkSummary) -> Iterator[_Objection]:
    if result.nothing:
        yield _Objection(f"{result.nothing}.", "none", None)
    yield from _by_rate(budget)
    verification = budget.proof.verification
    if verification and best.network.number in verification.diverged:
        yield _Objection(f"It {verification.failure} on a new seed of verify.", "none", None)
    elif verification and verification.smallest_detectable_difference is not None:
        yield from _by_new_seeds(result, budget, verification.verdicts)
    else:
        yield from _by_search(result, budget, best)
    if not result.complete:
        yield _Objection("The study is not finished, and what comes first may change.", BEST, best)


def _by_rate(budget: BudgetResult) -> Iterator[_Objection]:
    fidelity = budget.proof.fidelity
    if fidelity and fidelity.rate and fidelity.rate.changed:
        yield _Objection(f"Another learning rate puts another network first. {fidelity.rate.words}", "none", None)


def _by_new_seeds(result: StudyResult, budget: BudgetResult, verdicts: tuple[Verdict, ...]) -> Iterator[_Objection]:
    worse = sorted((v for v in verdicts if v.words == WORSE), key=lambda v: v.difference)
    for verdict in worse:
        reason = f"On new seeds it is worse than {verdict.called} ({_points(verdict)})."
        yield _Objection(reason, verdict.called, _numbered(result, budget, verdict.number))
    open_ones = [v for v in verdicts if v.words == NO_EVIDENCE]
    for verdict in sorted(open_ones, key=lambda v: "baseline" not in v.against.split("+")):
        names = verdict.against.split("+")
        if "uniform" in names or _costs_less(result, budget, names):
            reason = f"On new seeds it is not shown to beat {_called(verdict)} ({_points(verdict)})."
            yield _Objection(reason, verdict.called, _numbered(result, budget, verdict.number))


def _by_search(result: StudyResult, budget: BudgetResult, best: NetworkSummary) -> Iterator[_Objection]:
    against = {comparison.against: comparison for comparison in budget.comparisons}
    baseline, uniform = against.get("baseline"), against.get("uniform")
    if baseline and baseline.words in (NO_EVIDENCE, WORSE) and _costs_less(result, budget, ["baseline"]):
        reason = f"It is not shown to beat the baseline, which costs less ({_points(baseline)})."
        yield _Objection(reason, "baseline", result.baseline)
    if uniform:
        yield from _against_uniform(budget, uniform)
    elif against:
        yield _Objection(
            "Uniform scaling was not trained on this budget, so the gain over it is not known.", BEST, best
        )
    yield from _by_surface(budget, best)


def _against_uniform(budget: BudgetResult, comparison: Comparison) -> Iterator[_Objection]:
    uniform = dict(budget.references).get("uniform")
    if comparison.words in (BETTER, SAME) or _surface_leaves_uniform(budget):
        return
    if comparison.ci95 is None:
        yield _Objection(
            "One seed per network shows no interval, so luck may have put it first.", comparison.label, uniform
        )
    else:
        reason = f"It is not shown to beat {comparison.called} ({_points(comparison)}): either will do."
        yield _Objection(reason, comparison.label, uniform)


def _surface_leaves_uniform(budget: BudgetResult) -> bool:
    """Whether the surface, which pools all networks, is sure enough of the best network to leave uniform for it."""
    surface = budget.surface
    return (
        isinstance(surface, ResponseSurface)
        and budget.best is not None
        and surface.optimum.best == budget.best.network.number
        and surface.optimum.gain > 0
        and surface.optimum.recommended == surface.optimum.shares
    )


def _by_surface(budget: BudgetResult, best: NetworkSummary) -> Iterator[_Objection]:
    surface = budget.surface
    if not isinstance(surface, ResponseSurface):
        return
    optimum = surface.optimum
    if optimum.gain > 0 and optimum.recommended == optimum.shares and optimum.best != best.network.number:
        other = next((s for s in budget.networks if s.network.number == optimum.best), None)
        where = f"{percent(optimum.shares)} of log-cost on depth, width, resolution"
        reason = f"The surface recommends {where}, where network {optimum.best} is expected to be the best trained."
        yield _Objection(reason, f"network {optimum.best}", other)


def _costs_less(result: StudyResult, budget: BudgetResult, names: list[str]) -> bool:
    """Whether the other is the baseline, and costs less than the best network."""
    own, baseline = budget.best, result.baseline
    return "baseline" in names and own is not None and baseline is not None and own.network.cost > baseline.network.cost


def _numbered(result: StudyResult, budget: BudgetResult, trial: int) -> NetworkSummary | None:
    known = [*budget.networks, *([result.baseline] if result.baseline else [])]
    return next((summary for summary in known if summary.network.number == trial), None)


def _called(verdict: Verdict) -> str:
    names = verdict.against.split("+")
    if "uniform" in names:
        return "the network nearest to uniform scaling" if "uniform" in verdict.near else "uniform scaling"
    return "the baseline, which costs less" if "baseline" in names else verdict.called.replace("+", " and ")


def _points(one: Verdict | Comparison) -> str:
    between = "" if one.ci95 is None else ", 95 % interval {:+.2f} to {:+.2f}".format(*(100 * b for b in one.ci95))
    return f"{100 * one.difference:+.2f} points{between}"


def recommendation_to_dict(found: Recommendation) -> dict[str, Any]:
    """The recommendation in the card of an export."""
    number = found.network.network.number if found.network else None
    return {"exported": found.is_best, "name": found.name, "network": number, "reasons": list(found.reasons)}
