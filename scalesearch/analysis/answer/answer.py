"""One answer on a budget, from all trainings there are; the same on the terminal, the page, in JSON and in Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from scalesearch.analysis.answer.choice import Choice, choose
from scalesearch.analysis.answer.gains import Gain, gains_of
from scalesearch.analysis.answer.next_step import NextStep, next_step
from scalesearch.analysis.answer.stand import has_new_seeds, latest, verification_of
from scalesearch.analysis.calls import network_line
from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.surface import ResponseSurface
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import coefficients, said_chance, span, told_html
from scalesearch.analysis.verdict import BEHIND, BETTER, NO_EVIDENCE, PROBABLY_BETTER
from scalesearch.networks.user.line import is_user_reference
from scalesearch.scaling.coefficients import Coefficients, Shares, coefficients_from_shares
from scalesearch.scaling.units import DIMENSIONS, plural

Kind = Literal["take", "uniform", "baseline", "open"]
FAR = 0.2
"""A share of the cost that is so far from a third is no uniform scaling."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do on a budget, and what that rests on.

    Attributes:
        kind: `take` a network, scale `uniform`ly, keep the `baseline`, or `open`.
        choice: the network, its name, and the reservations.
        todo: what to do, in a sentence or two.
        gains: over the baseline and over uniform scaling.
        within: probability that the network is no more than `delta` under the best of those trained; None where seeds
            were not repeated.
        anew: whether new seeds are in it.
        delta: accuracy, 0 to 1.
        ruled_out: spending all on one dimension and EfficientNet's shares, where the network is shown to be better.
        doubtful: those of them that are probably worse.
        left_open: those of them that it is not told apart from.
        behind: those of them that are shown, or probably, better than the network to take.
        where: where the best shares lie, as coefficients; empty where no surface tells.
        next: what would settle more; None where nothing would within reason.
        rests_on: networks, seeds, recipe and device.
        for_less: a network of a smaller budget of the study that is expected to be as accurate; empty without one.
    """

    kind: Kind
    choice: Choice
    todo: str
    gains: tuple[Gain, ...]
    within: float | None
    anew: bool
    delta: float
    ruled_out: tuple[Gain, ...]
    doubtful: tuple[Gain, ...]
    left_open: tuple[Gain, ...]
    behind: tuple[Gain, ...]
    where: str
    next: NextStep | None
    rests_on: str
    for_less: str = ""

    @property
    def network(self) -> NetworkSummary | None:
        """The one to take; None where the answer is open."""
        return self.choice.network

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The card: label and text of each line."""
        return tuple((label, text) for label, text in self._lines() if text)

    def _repr_html_(self) -> str:
        """What a notebook shows: the card."""
        return f"<div>{told_html(self.lines)}</div>"

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "answer", self.todo
        kept = self.kind == "baseline"
        yield "gain", "; ".join(gain.told_of_the_other if kept else gain.told for gain in self.gains)
        yield "for less", self.for_less
        yield "how sure", self.sure
        yield "better than this", "; ".join(f"{gain.over}, by {_between(gain.reversed)}" for gain in self.behind)
        yield "ruled out", "; ".join(f"{gain.over}, worse than this by {_between(gain)}" for gain in self.ruled_out)
        yield "probably worse", ", ".join(gain.over for gain in self.doubtful)
        yield "not told apart", ", ".join(gain.over for gain in self.left_open)
        yield "would settle more", self.next.told if self.next else ""
        yield "rests on", self.rests_on

    @property
    def sure(self) -> str:
        """How sure it is that no other network is better by more than delta, and where the optimum may be."""
        if self.network is None:
            return ""
        if self.within is None:
            return "Not known: one seed per network shows no interval."
        by = ", by search and new seeds together" if self.anew else ""
        found = f"within {100 * self.delta:g} points of the best trained network with a probability of "
        return f"{found}{said_chance(self.within)}{by}{f'; {self.where}' if self.where else ''}"


def answer(result: StudyResult, budget: BudgetResult) -> Answer:
    """The answer on a budget.

    Args:
        result: of the study.
        budget: one of its budgets.
    """
    choice = choose(result, budget)
    network, delta = choice.network, result.manifest.config.delta
    obvious, single = gains_of(result, budget, network) if network else ((), ())
    return Answer(
        kind=_kind(choice),
        choice=choice,
        todo=_todo(result, budget, choice),
        gains=obvious,
        within=_within(budget, network, delta) if network else None,
        anew=has_new_seeds(budget),
        delta=delta,
        ruled_out=tuple(gain for gain in single if gain.words == BETTER),
        doubtful=tuple(gain for gain in single if gain.probably == PROBABLY_BETTER),
        left_open=tuple(gain for gain in single if gain.probably == NO_EVIDENCE),
        behind=tuple(gain for gain in single if gain.probably in BEHIND),
        where="" if choice.name == "baseline" else _where(result, budget),
        next=next_step(result, budget),
        rests_on=_rests_on(result, budget),
        for_less=_for_less(result, budget, network) if network else "",
    )


def _kind(choice: Choice) -> Kind:
    if choice.network is None:
        return "open"
    if choice.name == "baseline":
        return "baseline"
    return "uniform" if "uniform" in choice.network.network.roles else "take"


def _within(budget: BudgetResult, network: NetworkSummary, delta: float) -> float | None:
    stand = latest(budget)
    if stand is None or not stand.repeats:
        return None
    others = [s.network.number for s in budget.networks if s.ranked]
    return stand.within(network.network.number, delta, [*others, network.network.number])


def _todo(result: StudyResult, budget: BudgetResult, choice: Choice) -> str:
    network, best = choice.network, budget.best
    reasons = " ".join(choice.reasons)
    if best is not None and network is not best:
        first = f"network {best.network.number}, which came first,"
        reasons = " ".join(_about(first, reason) for reason in choice.reasons)
    if network is None:
        return reasons if best is None else f"No answer yet. {reasons}"
    if choice.name == "baseline":
        same = best is not None and best.network.spec == network.network.spec
        return reasons if same else f"Keep the baseline. {reasons}"
    return f"{_taken(result, network)} {reasons}".strip()


def _for_less(result: StudyResult, budget: BudgetResult, network: NetworkSummary) -> str:
    """The best network of a smaller budget, where it is expected to be as accurate: more compute buys nothing then."""
    smaller = [other for other in result.budgets if other.facts.target < min(budget.facts.target, network.network.cost)]
    own = _expected(budget, network)
    found = [(_expected(other, other.best), other.best) for other in smaller if other.best]
    value, first = max(found, key=lambda one: one[0], default=(-1.0, network))
    if value < own:
        return ""
    cost = first.network.cost / network.network.cost
    return (
        f"network {first.network.number} of {first.network.budget} is expected to reach {100 * value:.2f} % at "
        f"{cost:.2f} of the cost; this one {100 * own:.2f} %"
    )


def _expected(budget: BudgetResult, network: NetworkSummary) -> float:
    """By all trainings of its budget, on the search's images; its mean where they were not asked."""
    stand = latest(budget)
    by_all = stand.by_number.get(network.network.number) if stand else None
    return next((value for value in (by_all, network.shrunk, network.mean) if value is not None), 0.0)


def _about(first: str, reason: str) -> str:
    """A reason with the network that it is about in the place of `it`.

    Example:
        >>> _about("network 3", "On new seeds it is worse than uniform."), _about("network 3", "It diverged.")
        ('On new seeds network 3 is worse than uniform.', 'Network 3 diverged.')
    """
    if reason.startswith("It "):
        return f"{first[0].upper()}{first[1:]} {reason.removeprefix('It ')}"
    if reason.startswith(("On new seeds it ", "Whether it ", "By search and new seeds together it ")):
        return reason.replace(" it ", f" {first} ", 1)
    return reason


def _taken(result: StudyResult, network: NetworkSummary) -> str:
    record = network.network
    found = f"network {record.number}, {coefficients(record)}"
    if is_user_reference(result.manifest.config.base):
        found = f"{found}, made by {network_line(result.manifest, record.spec).call}"
    if "uniform" not in record.roles:
        return f"Take {found}."
    if "uniform" in record.stands_for:
        shares = record.shares
        if shares and any(abs(getattr(shares, name) - 1 / 3) > FAR for name in DIMENSIONS):
            return (
                f"Take {found}: no network is near uniform scaling, and this is the nearest that there is, with "
                f"{percent(shares)} on depth/width/resolution."
            )
        return f"Scale uniformly, as nearly as this network allows: {found}."
    return f"Scale uniformly: {found}."


def _where(result: StudyResult, budget: BudgetResult) -> str:
    surface = budget.surface
    if not isinstance(surface, ResponseSurface):
        return ""
    optimum = surface.optimum
    area = f"{100 * optimum.region_area:.0f} % of all ways to spend the budget"
    if optimum.flat:
        return f"the best coefficients may lie anywhere in {area}"
    ratio = budget.facts.target / result.manifest.baseline_cost
    return f"the best coefficients lie in {area}: {_range(optimum.region, ratio, result)}"


def _range(region: tuple[Shares, ...], ratio: float, result: StudyResult) -> str:
    found: list[Coefficients] = [coefficients_from_shares(s, ratio, result.manifest.exponents) for s in region]
    names = ("alpha", "beta", "gamma")
    return ", ".join(
        f"{n} {span((min(getattr(c, n) for c in found), max(getattr(c, n) for c in found)))}" for n in names
    )


def _rests_on(result: StudyResult, budget: BudgetResult) -> str:
    config, ranked = result.manifest.config, [s for s in budget.networks if s.ranked]
    if not ranked:
        return ""
    trainings = sum(len(s.accuracies) for s in ranked)
    recipe = result.recipe_of(ranked[0].network)
    verification = verification_of(budget)
    parts = [
        f"{plural(trainings, 'training')} of {plural(len(ranked), 'network')}",
        plural(recipe.epochs, "epoch"),
        f"{result.manifest.data.train_images:,} images of {config.data}",
        f"{recipe.optimizer} at {_rate(result, recipe.learning_rate)}",
        result.manifest.device,
        f"{plural(len(verification.seeds), 'new seed')} of verify" if verification else "not verified on new seeds",
    ]
    return ", ".join(parts)


def _rate(result: StudyResult, rate: float) -> str:
    if result.rates is None:
        return f"{rate:g}"
    return "rates measured for each network" if result.rates.own else f"{rate:g}, which was measured"


def _between(gain: Gain) -> str:
    low, high = (100 * bound for bound in gain.ci95)
    return f"{low:.2f} to {high:.2f} points"


def answer_to_dict(found: Answer) -> dict[str, Any]:
    """`answer` in `result.json` and in the card of an export: plain values."""
    network = found.network.network.number if found.network else None
    return {
        "kind": found.kind,
        "todo": found.todo,
        "network": network,
        "name": found.choice.name,
        "reasons": list(found.choice.reasons),
        "gains": [_gain_to_dict(gain) for gain in found.gains],
        "within_delta": found.within,
        "within_with_new_seeds": found.anew,
        "delta": found.delta,
        "where": found.where,
        "ruled_out": [_gain_to_dict(gain) for gain in found.ruled_out],
        "doubtful": [_gain_to_dict(gain) for gain in found.doubtful],
        "left_open": [_gain_to_dict(gain) for gain in found.left_open],
        "behind": [_gain_to_dict(gain) for gain in found.behind],
        "next": dataclasses.asdict(found.next) if found.next else None,
        "rests_on": found.rests_on,
        "for_less": found.for_less,
    }


def _gain_to_dict(gain: Gain) -> dict[str, Any]:
    return {**dataclasses.asdict(gain), "ci95": list(gain.ci95)}
