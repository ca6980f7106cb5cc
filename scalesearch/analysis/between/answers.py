"""The answers of two studies against each other, where their accuracies may be compared.

Each answer is the best of its own search, so that both are a little too good there: where both were verified on images
of one split, the new seeds are what they are compared by. Which of them is better is told by the seeds that both were
trained on, or where they share none by Welch's interval (see `pairs`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.between.alike import Differing, definition_differences, obstacles, same_code
from scalesearch.analysis.between.pairs import difference
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verdict import SAME, Interval, word_of_interval
from scalesearch.analysis.verified.anew import anew
from scalesearch.networks.spec import NetworkSpec, spec_to_dict
from scalesearch.scaling.units import plural
from scalesearch.study.record.evidence import Split

EQUAL_TARGETS = 0.01
"""How far two budgets' targets may be apart, as a part, for networks of both to be of equal cost."""


@dataclass(frozen=True, slots=True)
class BudgetBetween:
    """One budget that both studies have.

    Attributes:
        first: best network of the first study; None before one was trained. The same for `second`.
        targets: in each study's currency.
        difference: first minus second, in accuracy (0 to 1), at the exact cost; None where it may not be told, where
            they are the same network, or where one is missing.
        ci95: of the difference; None with one seed.
        seeds: on which both were trained; empty where the difference is of two separate means.
        split: whose images the new seeds of both verifications were scored on; None where the searches are compared.
        words: of the first against the second, see `verdict`; why there are none, else.
        common: networks of both studies, of how many in the first and in the second.
        repeated: trainings of a common network on a common seed, and how many of them gave the same accuracy.
        apart: mean difference of those, first minus second; None where there are none.
    """

    budget: str
    first: NetworkSummary | None
    second: NetworkSummary | None
    targets: tuple[float, float]
    difference: float | None
    ci95: Interval | None
    seeds: tuple[int, ...]
    split: Split | None
    words: str
    common: tuple[int, int, int]
    repeated: tuple[int, int]
    apart: float | None


@dataclass(frozen=True, slots=True)
class StudiesBetween:
    """One study against another.

    Attributes:
        obstacles: why their accuracies may not be compared; empty where they may.
        differs: all that differs in their definitions.
        budgets: that both have.
        same_base: whether both scale the same network.
    """

    first: str
    second: str
    obstacles: tuple[Differing, ...]
    differs: tuple[Differing, ...]
    budgets: tuple[BudgetBetween, ...]
    same_base: bool

    @property
    def words(self) -> tuple[str, ...]:
        """What may be said of the two, sentence by sentence, the most important first."""
        return tuple(_sentences(self))


def between(first: StudyResult, second: StudyResult, budget: str | None = None) -> StudiesBetween:
    """Compare two studies.

    Args:
        budget: text of one budget; None takes all that both have.
    """
    a, b = first.manifest, second.manifest
    hindered = obstacles(first, second)
    same_base = a.config.base == b.config.base and same_code(a, b)
    theirs = {own.facts.text: own for own in second.budgets}
    both = [(own, theirs[own.facts.text]) for own in first.budgets if own.facts.text in theirs]
    chosen = [pair for pair in both if budget in (None, pair[0].facts.text)]
    told = tuple(_budget(*pair, bool(hindered), a.config.cost == b.config.cost, same_base) for pair in chosen)
    return StudiesBetween(a.study, b.study, hindered, definition_differences(a, b), told, same_base)


def _budget(
    first: BudgetResult, second: BudgetResult, hindered: bool, one_currency: bool, same_base: bool
) -> BudgetBetween:
    a, b = first.best, second.best
    targets = (float(first.facts.target), float(second.facts.target))
    mine, yours = (_by_spec(own.networks) if same_base else {} for own in (first, second))
    shared = mine.keys() & yours.keys()
    known = () if hindered else shared
    pairs = [(mine[spec][seed], yours[spec][seed]) for spec in known for seed in mine[spec].keys() & yours[spec].keys()]
    found: tuple[float | None, Interval | None, tuple[int, ...]] = (None, None, ())
    split: Split | None = None
    if a is None or b is None:
        words = "not trained yet"
    elif same_base and a.network.spec == b.network.spec:
        words = SAME
    elif hindered:
        words = "may not be compared"
    elif not one_currency or abs(targets[0] / targets[1] - 1) > EQUAL_TARGETS:
        words = "of another cost"
    else:
        one, other = anew(first, first.networks), anew(second, second.networks)
        splits = {own.proof.verification.split for own in (first, second) if own.proof.verification}
        if a.network.number in one and b.network.number in other and len(splits) == 1:
            split = splits.pop()
            found = difference(one[a.network.number], other[b.network.number], [*one.values(), *other.values()])
        else:
            found = difference(a, b, [*first.networks, *second.networks])
        words = word_of_interval(found[1])
    return BudgetBetween(
        budget=first.facts.text, first=a, second=b, targets=targets,
        difference=found[0], ci95=found[1], seeds=found[2], split=split, words=words,
        common=(len(shared), len(mine), len(yours)),
        repeated=(len(pairs), sum(x == y for x, y in pairs)),
        apart=math.fsum(x - y for x, y in pairs) / len(pairs) if pairs else None,
    )  # fmt: skip


def _by_spec(networks: Sequence[NetworkSummary]) -> dict[NetworkSpec, dict[int, float]]:
    return {s.network.spec: dict(zip(s.seeds, s.accuracies, strict=True)) for s in networks if s.accuracies}


def _sentences(found: StudiesBetween) -> list[str]:
    if found.obstacles:
        why = "; ".join(one.told(found.first, found.second) for one in found.obstacles)
        said = [f"Accuracies of {found.first} and {found.second} may not be compared: {why}."]
    else:
        said = []
    if not found.budgets:
        return [*said, "They have no budget in common."]
    for one in found.budgets:
        said += [_answer(found, one), *_common(found, one)]
    return said


def _answer(found: StudiesBetween, one: BudgetBetween) -> str:
    at = f"At {one.budget}"
    if one.words == SAME:
        return f"{at} both come to the same network."
    if one.first is None or one.second is None:
        missing = " and ".join(n for n, s in ((found.first, one.first), (found.second, one.second)) if s is None)
        return f"{at} nothing is trained yet in {missing}."
    if one.difference is None:
        what = "their networks are of another cost" if one.words == "of another cost" else "their networks differ"
        return f"{at} {what}: no difference in accuracy is told."
    interval = "one seed: no interval"
    if one.ci95:
        interval = f"95 % interval {100 * one.ci95[0]:+z.2f} to {100 * one.ci95[1]:+z.2f}"
    new, scored = ("new ", f" and {one.split} images") if one.split else ("", "")
    on = f", on {plural(len(one.seeds), f'{new}seed')} of both" if one.seeds else f", on {new}seeds of their own"
    return (
        f"{at} the answer of {found.first} is {100 * one.difference:+z.2f} points against that of {found.second} "
        f"({interval}{on}{scored}): {one.words}."
    )


def _common(found: StudiesBetween, one: BudgetBetween) -> list[str]:
    if not found.same_base:
        return []
    shared, mine, yours = one.common
    said = f"{plural(shared, 'network')} of {mine} and {yours} {'is' if shared == 1 else 'are'} in both"
    pairs, same = one.repeated
    if not pairs:
        return [f"{said}."]
    if same == pairs:
        return [f"{said}; all trainings of them on the same seeds ({pairs}) gave the same accuracy."]
    return [
        f"{said}; {same} of {plural(pairs, 'training')} on the same seeds gave the same accuracy, and on average "
        f"{found.first} is {100 * (one.apart or 0.0):+z.2f} points from {found.second}."
    ]


def between_to_dict(found: StudiesBetween) -> dict[str, Any]:
    """Plain values for JSON; accuracies and differences are 0 to 1."""
    return {
        "first": found.first,
        "second": found.second,
        "comparable": not found.obstacles,
        "obstacles": [dataclasses.asdict(one) for one in found.obstacles],
        "definition": [dataclasses.asdict(one) for one in found.differs],
        "same_base": found.same_base,
        "budgets": [_budget_to_dict(one) for one in found.budgets],
        "words": list(found.words),
    }


def _budget_to_dict(one: BudgetBetween) -> dict[str, Any]:
    shared, mine, yours = one.common
    return {
        "budget": one.budget,
        "targets": list(one.targets),
        "first": _answer_to_dict(one.first),
        "second": _answer_to_dict(one.second),
        "difference": one.difference,
        "ci95": list(one.ci95) if one.ci95 else None,
        "verified_on": one.split,
        "seeds": list(one.seeds),
        "words": one.words,
        "networks": {"both": shared, "first": mine, "second": yours},
        "repeated": {"trainings": one.repeated[0], "same": one.repeated[1], "mean_difference": one.apart},
    }


def _answer_to_dict(best: NetworkSummary | None) -> dict[str, Any] | None:
    if best is None:
        return None
    network = best.network
    return {
        "coefficients": dataclasses.asdict(network.coefficients),
        "network": spec_to_dict(network.spec),
        "macs": network.macs,
        "accuracy_mean": best.mean,
        "seeds": list(best.seeds),
    }
