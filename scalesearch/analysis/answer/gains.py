"""How a network stands to the obvious ones: by new seeds where there are any, by the search else."""

from __future__ import annotations

from dataclasses import dataclass

from scalesearch.analysis.answer.choice import verification_of
from scalesearch.analysis.between.pairs import difference
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verdict import (
    BETTER,
    NO_EVIDENCE,
    PROBABLY_BETTER,
    PROBABLY_WORSE,
    SAME,
    WORSE,
    Interval,
    word_of_chance,
    word_of_interval,
)
from scalesearch.analysis.verified.anew import anew

OPPOSITE = {BETTER: WORSE, WORSE: BETTER, PROBABLY_BETTER: PROBABLY_WORSE, PROBABLY_WORSE: PROBABLY_BETTER}


@dataclass(frozen=True, slots=True)
class Gain:
    """A network's accuracy over another's, 0 to 1.

    Attributes:
        over: what the other is called.
        number: of the other.
        difference: expected, at equal cost.
        ci95: its 95 % interval.
        words: see `verdict`.
        chance: probability that it is above 0; None of new seeds, which are tested.
        on_new_seeds: whether `verify` showed it.
    """

    over: str
    number: int
    difference: float
    ci95: Interval
    words: str
    chance: float | None
    on_new_seeds: bool = False

    @property
    def told(self) -> str:
        """The difference with its interval and what that shows.

        Example:
            >>> Gain("uniform scaling", 4, 0.0062, (-0.001, 0.0131), "probably better", 0.94).told
            '+0.62 points over uniform scaling (-0.10 to +1.31): probably better, with a probability of 0.94'
        """
        low, high = (100 * bound for bound in self.ci95)
        chance = "" if self.chance is None else f" with a probability of {said_chance(self.chance)}"
        if chance:
            chance = f", better{chance}" if self.words == NO_EVIDENCE else f",{chance}"
        found = f"{100 * self.difference:+.2f} points over {self.over} ({low:+.2f} to {high:+.2f})"
        return f"{found}{self._seeds}: {self.words}{chance}"

    @property
    def told_of_the_other(self) -> str:
        """The same as what the other network would gain.

        Example:
            >>> Gain("uniform scaling", 4, -0.0062, (-0.0131, 0.001), "probably worse", 0.06).told_of_the_other
            'uniform scaling would gain +0.62 points (-0.10 to +1.31): probably better'
        """
        low, high = (100 * bound for bound in self.ci95)
        words, interval = OPPOSITE.get(self.words, self.words), f"({-high:+.2f} to {-low:+.2f})"
        return f"{self.over} would gain {-100 * self.difference:+.2f} points {interval}{self._seeds}: {words}"

    @property
    def _seeds(self) -> str:
        return " on new seeds" if self.on_new_seeds else ""


def said_chance(chance: float) -> str:
    """A probability; never 0 or 1, which no number of draws shows.

    Example:
        >>> said_chance(0.943), said_chance(0.9997), said_chance(0.0)
        ('0.94', 'over 0.99', 'under 0.01')
    """
    return "over 0.99" if chance > 0.99 else "under 0.01" if chance < 0.01 else f"{chance:.2f}"


def over_the_obvious(result: StudyResult, budget: BudgetResult, choice: NetworkSummary) -> tuple[Gain, ...]:
    """Gains of a network over the baseline and over uniform scaling, as far as they are others and it is known."""
    named = [("the baseline", result.baseline), *((n, s) for n, s in _references(budget) if "uniform" in n)]
    return tuple(g for called, other in named if other and (g := _gain(result, budget, choice, other, called)))


def over_single_dimensions(result: StudyResult, budget: BudgetResult, choice: NetworkSummary) -> tuple[Gain, ...]:
    """Gains of a network over all that was spent on one dimension, and over EfficientNet's shares."""
    known = _references(budget)
    uniform = {other.network.number for called, other in known if "uniform" in called}
    named = [(called, other) for called, other in known if other.network.number not in uniform]
    return tuple(g for called, other in named if (g := _gain(result, budget, choice, other, called)))


def _references(budget: BudgetResult) -> list[tuple[str, NetworkSummary]]:
    return [(_phrase(name, name in s.network.stands_for), s) for name, s in budget.references if s.ranked]


def _phrase(name: str, near: bool) -> str:
    """A reference as a sentence names it.

    Example:
        >>> _phrase("depth", False), _phrase("uniform", True), _phrase("efficientnet", False)
        ('all on depth', 'the network nearest to uniform scaling', "EfficientNet's coefficients")
    """
    called = {"uniform": "uniform scaling", "efficientnet": "EfficientNet's coefficients"}.get(name, f"all on {name}")
    return f"the network nearest to {called}" if near else called


def _on_new_seeds(budget: BudgetResult, choice: int, other: int, called: str) -> Gain | None:
    """What `verify` shows of two networks, by number, of which one is what the search put first."""
    verification = verification_of(budget)
    if verification is None or verification.found not in (choice, other):
        return None
    first = choice == verification.found
    rival = other if first else choice
    found = next((v for v in verification.verdicts if v.number == rival and v.words != SAME), None)
    if found is None or found.ci95 is None:
        return None
    if first:
        return Gain(called, other, found.difference, found.ci95, found.words, None, on_new_seeds=True)
    low, high = found.ci95
    words = OPPOSITE.get(found.words, found.words)
    return Gain(called, other, -found.difference, (-high, -low), words, None, on_new_seeds=True)


def _both_anew(budget: BudgetResult, choice: NetworkSummary, other: NetworkSummary, called: str) -> Gain | None:
    """What new seeds show of two networks that the search did not put first; None where one of them has none."""
    rows = anew(budget, [*budget.networks, choice, other])
    first, second = (rows.get(s.network.number) for s in (choice, other))
    if first is None or second is None or verification_of(budget) is None:
        return None
    value, ci95, _ = difference(first, second, list(rows.values()))
    if ci95 is None:
        return None
    return Gain(called, other.network.number, value, ci95, word_of_interval(ci95), None, on_new_seeds=True)


def _gain(
    result: StudyResult, budget: BudgetResult, choice: NetworkSummary, other: NetworkSummary, called: str
) -> Gain | None:
    """None where both are one network, or nothing is known of the difference."""
    number = other.network.number
    if number == choice.network.number or not other.ranked:
        return None
    if seen := _on_new_seeds(budget, choice.network.number, number, called) or _both_anew(
        budget, choice, other, called
    ):
        return seen
    own = next((c for c in budget.comparisons if c.number == number and c.words != SAME), None)
    if own and budget.best is choice:  # a check of the rate may have taken words back
        return None if own.ci95 is None else Gain(called, number, own.difference, own.ci95, own.words, own.chance)
    gap = budget.standings.difference(choice.network.number, number) if budget.standings else None
    if gap is None:
        return None
    return Gain(called, number, gap.expected, gap.ci95, word_of_chance(gap.above, gap.below, gap.ci95), gap.above)
