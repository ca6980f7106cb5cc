"""Is the best network better than the obvious ones? A difference, an interval, a probability, and plain words.

The best of m networks looks better than it is (the winner's curse). All of it is read off one posterior of all
trainings (see `response.standings`), which draws every network towards what its neighbours show, the winner most: so
the interval holds for a network that was chosen.

Source: Gelman, Hill & Yajima (2012), "Why we (usually) don't have to worry about multiple comparisons".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scalesearch.analysis.response.standings import Standings
from scalesearch.analysis.summary import NetworkSummary, with_role
from scalesearch.analysis.verdict import ONE_SEED, SAME, word_of_chance


@dataclass(frozen=True, slots=True)
class Comparison:
    """The best network against one other.

    Attributes:
        against: name of the other: a reference, or `baseline`.
        difference: accuracy of the best minus the other's (0 to 1) at equal cost, as expected from all trainings; of
            the means alone where nothing more is known.
        ci95: its 95 % interval; None when seeds were not repeated.
        words: see `verdict`; `DEPENDS` where a check of the rate takes back what the search showed.
        seeds: trainings of the best and of the other.
        stand_in: number of the other where no network is the reference and this one, the nearest, stands for it.
        chance: probability that the best is better; None where `ci95` is.
        number: of the other network.
    """

    against: str
    difference: float
    ci95: tuple[float, float] | None
    words: str
    seeds: tuple[int, int]
    stand_in: int | None = None
    chance: float | None = None
    number: int | None = None

    @property
    def called(self) -> str:
        """The other, as a sentence names it: never a reference that no network is."""
        if self.stand_in is not None:
            return f"network {self.stand_in}, the nearest to {self.against}"
        return {"uniform": "uniform scaling", "baseline": "the baseline"}.get(self.against, self.against)

    @property
    def label(self) -> str:
        """The other, as a table names it."""
        return self.against if self.stand_in is None else f"near {self.against}"


def against_leader(best: NetworkSummary, other: NetworkSummary, name: str, standings: Standings | None) -> Comparison:
    """Compare two networks at equal cost.

    Args:
        name: what the other is compared as.
        standings: of all networks of the budget and the baseline.
    """
    sizes = (len(best.accuracies), len(other.accuracies))
    number = other.network.number
    stand_in = number if name in other.network.stands_for else None
    if best.network.number == number:
        return Comparison(name, 0.0, None, SAME, sizes, stand_in, None, number)
    found = standings.difference(best.network.number, number) if standings else None
    if found is None:
        gap = (best.level_mean or 0.0) - (other.level_mean or 0.0)
        return Comparison(name, gap, None, ONE_SEED, sizes, stand_in, None, number)
    words = word_of_chance(found.above, found.below, found.ci95)
    return Comparison(name, found.expected, found.ci95, words, sizes, stand_in, found.above, number)


def compare_best(
    best: NetworkSummary,
    rivals: Sequence[NetworkSummary],
    baseline: NetworkSummary | None,
    names: Iterable[str],
    standings: Standings | None,
) -> tuple[Comparison, ...]:
    """The best network of a budget against each named reference on that budget, and against the baseline.

    Args:
        rivals: every network of the budget, the best included.
        baseline: the unscaled network, if it was trained.
        names: roles of the references.
        standings: of all of them.
    """
    found = [(name, with_role(rivals, name)) for name in names]
    others = [*found, ("baseline", baseline)]
    return tuple(
        against_leader(best, other, name, standings) for name, other in others if other is not None and other.ranked
    )
