"""Which network of a budget to take, when all that is known of it is read together.

The network that a search puts first is not always the one to take: new seeds may show another ahead, all trainings
together may not show it ahead of uniform scaling, or the learning rate may have chosen it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scalesearch.analysis.answer.stand import has_new_seeds, stood, verification_of
from scalesearch.analysis.failed.networks import all_lost_advice
from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import said_chance
from scalesearch.analysis.verdict import (
    AHEAD,
    BEHIND,
    DEPENDS,
    NO_EVIDENCE,
    ONE_SEED,
    SAME,
    WORSE,
    taken_back,
)
from scalesearch.analysis.verified.verification import Verdict
from scalesearch.study.config import run_command

BEST = "the best network"
NONE = "none"
UNDECIDED = (NO_EVIDENCE, DEPENDS, ONE_SEED)


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take on a budget.

    Attributes:
        network: the one to take; None where none can be named.
        name: of it: `the best network`, a reference or `near` one, `baseline`, `network 7`; `none`.
        reasons: why it is not the best network of the search, or not with confidence; sentences, the weightiest first.
            Empty where the best network is taken without a reservation.
    """

    network: NetworkSummary | None
    name: str
    reasons: tuple[str, ...]

    @property
    def is_best(self) -> bool:
        """Whether the best network of the search is taken, without a reservation."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class _Objection:
    """A reason against the best network, and what would be taken instead; None: nothing, until more is known."""

    reason: str
    name: str
    network: NetworkSummary | None


def choose(result: StudyResult, budget: BudgetResult) -> Choice:
    """Read the search and the evidence of `verify` together.

    What new seeds show, better or worse, decides. What they leave open is decided by all trainings together, at the
    probability at which a search decides it: few new seeds alone would take back what the search has shown. Where these
    put another verified network ahead of the search's first, that one is taken.

    Args:
        result: of the study.
        budget: one of its budgets.
    """
    best = budget.best
    if best is None:
        return Choice(None, NONE, (_nothing_trained(budget),))
    if result.baseline and best.network.spec == result.baseline.network.spec:
        own = "This budget is the baseline's own cost: the baseline is its only network."
        return Choice(result.baseline, "baseline", (own,))
    found = list(_objections(result, budget, best))
    if not found:
        return Choice(best, BEST, ())
    reasons, uniform = tuple(one.reason for one in found), dict(budget.references).get("uniform")
    if found[0].name == "baseline" and uniform and uniform is not best and _beats_the_baseline(result, budget, uniform):
        by = "by search and new seeds together" if has_new_seeds(budget) else "in the search"
        return Choice(uniform, "uniform", (*reasons, f"Uniform scaling is ahead of the baseline {by}."))
    return Choice(found[0].network, found[0].name, reasons)


def _nothing_trained(budget: BudgetResult) -> str:
    return all_lost_advice(budget.networks) or "Nothing was trained on this budget yet."


def _objections(result: StudyResult, budget: BudgetResult, best: NetworkSummary) -> Iterator[_Objection]:
    if result.nothing:
        yield _Objection(
            f"{result.nothing}: no difference between these networks means anything. More --epochs or images, another "
            "--lr or another --optimizer may let them learn; scalesearch check-base looks at the network.",
            NONE,
            None,
        )
        return
    yield from _by_rate(budget)
    verification = verification_of(budget)
    if verification and best.network.number in verification.diverged:
        yield _Objection(f"It {verification.failure} on a new seed of verify.", NONE, None)
    elif verification and verification.smallest_detectable_difference is not None:
        yield from _by_new_seeds(result, budget, best.network.number, verification.verdicts)
    else:
        yield from _by_search(result, budget, best)
    if not result.complete:
        yield _Objection("The study is not finished, and what comes first may change.", BEST, best)


def _by_rate(budget: BudgetResult) -> Iterator[_Objection]:
    fidelity = budget.proof.fidelity
    if fidelity and fidelity.rate and fidelity.rate.changed:
        yield _Objection(f"Another learning rate puts another network first. {fidelity.rate.words}", NONE, None)


def _by_new_seeds(
    result: StudyResult, budget: BudgetResult, best: int, verdicts: tuple[Verdict, ...]
) -> Iterator[_Objection]:
    """What new seeds, and all trainings where these leave it open, say against the best network, by its number."""
    worse = sorted((v for v in verdicts if v.words == WORSE), key=lambda v: v.difference)
    for verdict in worse:
        reason = f"On new seeds it is worse than {_called(verdict)} ({points_of(verdict)})."
        yield _Objection(reason, verdict.called, numbered(result, budget, verdict.number))
    yield from _overtaken(result, budget, best, verdicts)
    # What is ahead by all trainings is so where its new seeds alone are too few to show it.
    sure = {v.number for v in verdicts if v.words == NO_EVIDENCE and _ahead(budget, best, v.number)}
    open_ones = [v for v in verdicts if v.words in UNDECIDED and v.number not in sure]
    for verdict in sorted(open_ones, key=lambda v: "baseline" not in v.against.split("+")):
        if _matters(result, budget, verdict.against.split("+")):
            shown = f"{_called(verdict)} ({points_of(verdict)}){_by_all(budget, best, verdict)}"
            reason = f"On new seeds it is not shown to beat {shown}."
            yield _Objection(reason, verdict.called, numbered(result, budget, verdict.number))
    yield from _untold(result, budget, verdicts)


def _untold(result: StudyResult, budget: BudgetResult, verdicts: tuple[Verdict, ...]) -> Iterator[_Objection]:
    """What the search does not show of networks that failed on a new seed: nothing else tells of them."""
    told = {None, *(verdict.number for verdict in verdicts)}
    for one in budget.comparisons:
        open_here = one.number not in told and one.words in (*UNDECIDED, *BEHIND)
        if open_here and _matters(result, budget, [one.against]):
            reason = f"It is not shown to beat {one.called} in the search ({points_of(one)}), nor on new seeds."
            yield _Objection(reason, one.label, numbered(result, budget, one.number or 0))


def _matters(result: StudyResult, budget: BudgetResult, names: list[str]) -> bool:
    """Whether the best network must be ahead of these to be taken: uniform scaling, and a baseline that costs less."""
    return "uniform" in names or ("baseline" in names and costs_less(result, budget))


def _overtaken(
    result: StudyResult, budget: BudgetResult, best: int, verdicts: tuple[Verdict, ...]
) -> Iterator[_Objection]:
    """The verified network of the budget that all trainings put ahead of the best, if it may be taken itself."""
    cheaper = result.baseline if costs_less(result, budget) else None
    asked = [s.network.number for s in (dict(budget.references).get("uniform"), cheaper) if s and s.ranked]
    own = {s.network.number for s in budget.networks}
    ahead = []
    for verdict in verdicts:
        open_one = verdict.words == NO_EVIDENCE and verdict.number in own
        found = stood(budget, best, verdict.number) if open_one else None
        rivals = [other for other in asked if other != verdict.number]
        if found and found[0] in BEHIND and all(_ahead(budget, verdict.number, other) for other in rivals):
            ahead.append((found[1].expected, verdict, found[1].below))
    for _, verdict, below in sorted(ahead, key=lambda one: one[0])[:1]:
        chance = f"with a probability of {said_chance(below)}"
        reason = f"By search and new seeds together it is worse than {_called(verdict)}, {chance}."
        yield _Objection(reason, verdict.called, numbered(result, budget, verdict.number))


def _by_all(budget: BudgetResult, best: int, verdict: Verdict) -> str:
    found = stood(budget, best, verdict.number) if verdict.words == NO_EVIDENCE else None
    if found is None:
        return ""
    if found[0] == DEPENDS:
        return "; with those of the search that depends on the learning rate"
    return f"; with those of the search it does with a probability of {said_chance(found[1].above)}"


def _by_search(result: StudyResult, budget: BudgetResult, best: NetworkSummary) -> Iterator[_Objection]:
    against = {comparison.against: comparison for comparison in budget.comparisons}
    baseline, uniform = against.get("baseline"), against.get("uniform")
    if baseline and baseline.words in (NO_EVIDENCE, *BEHIND) and costs_less(result, budget):
        reason = f"It is not shown to beat the baseline, which costs less ({points_of(baseline)})."
        yield _Objection(reason, "baseline", result.baseline)
    if uniform:
        yield from _against_uniform(result, budget, uniform)
    elif against:
        yield _Objection(
            "Uniform scaling was not trained on this budget, so the gain over it is not known.", BEST, best
        )


def _against_uniform(result: StudyResult, budget: BudgetResult, comparison: Comparison) -> Iterator[_Objection]:
    uniform = dict(budget.references).get("uniform")
    if comparison.words in AHEAD or comparison.words == SAME:
        return
    if comparison.words == DEPENDS:
        again = run_command(result.manifest.config, result.manifest.study, proxy_learning_rate=0.0)
        reason = f"Whether it beats {comparison.called} depends on the learning rate; {again} asks."
        yield _Objection(reason, comparison.label, uniform)
    elif comparison.ci95 is None:
        yield _Objection(
            "One seed per network shows no interval, so luck may have put it first.", comparison.label, uniform
        )
    elif _only_it_beats_the_baseline(result, budget, uniform):
        reason = f"It is not shown to beat {comparison.called} ({points_of(comparison)}), but the baseline it beats."
        yield _Objection(reason, BEST, budget.best)
    else:
        reason = f"It is not shown to beat {comparison.called} ({points_of(comparison)}): either will do."
        yield _Objection(reason, comparison.label, uniform)


def _only_it_beats_the_baseline(result: StudyResult, budget: BudgetResult, uniform: NetworkSummary | None) -> bool:
    """Whether uniform scaling is not shown to beat the cheaper baseline, and the best network is."""
    own = next((c for c in budget.comparisons if c.against == "baseline"), None)
    if not (budget.standings and uniform and own and own.words in AHEAD and costs_less(result, budget)):
        return False
    return not _beats_the_baseline(result, budget, uniform)


def _beats_the_baseline(result: StudyResult, budget: BudgetResult, network: NetworkSummary) -> bool:
    """Whether all trainings that there are show a network ahead of the baseline."""
    return result.baseline is not None and _ahead(budget, network.network.number, result.baseline.network.number)


def _ahead(budget: BudgetResult, one: int, other: int) -> bool:
    found = stood(budget, one, other)
    return found is not None and found[0] in AHEAD


def costs_less(result: StudyResult, budget: BudgetResult) -> bool:
    """Whether the baseline costs less than the best network."""
    own, baseline = budget.best, result.baseline
    return own is not None and baseline is not None and own.network.cost > baseline.network.cost


def numbered(result: StudyResult, budget: BudgetResult, number: int) -> NetworkSummary | None:
    """A network of the budget, or the baseline, by its number."""
    known = [*budget.networks, *([result.baseline] if result.baseline else [])]
    return next((summary for summary in known if summary.network.number == number), None)


def _called(verdict: Verdict) -> str:
    names = verdict.against.split("+")
    if "uniform" in names:
        return "the network nearest to uniform scaling" if "uniform" in verdict.near else "uniform scaling"
    return "the baseline, which costs less" if "baseline" in names else verdict.called.replace("+", " and ")


def points_of(one: Verdict | Comparison) -> str:
    """A difference with its interval, in points.

    Example:
        >>> points_of(Comparison("uniform", 0.005, (-0.01, 0.02), "no evidence of a difference", (2, 2)))
        '+0.50 points, 95 % interval -1.00 to +2.00'
        >>> points_of(Verdict("2x", "uniform", 3, 0.02, (0.005, 0.035), 0.1, "no evidence of a difference", 3))
        '+2.00 points, 95 % interval +0.50 to +3.50 on its own, but p = 0.100 among all comparisons'
    """
    between = ""
    if one.ci95 is not None:
        low, high = (100 * bound for bound in one.ci95)
        between = f", 95 % interval {low:+z.2f} to {high:+z.2f}"
    if isinstance(one, Verdict):
        between += taken_back(one.words, one.ci95, one.p_holm)
    return f"{100 * one.difference:+z.2f} points{between}"
