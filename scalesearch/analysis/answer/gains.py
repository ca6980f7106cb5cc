"""How a network stands to the obvious ones: by new seeds where there are any, by the search else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scalesearch.analysis.answer.stand import stood, verification_of
from scalesearch.analysis.paired import PairedVerdict, against
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import said_chance
from scalesearch.analysis.verdict import (
    BETTER,
    DEPENDS,
    NO_EVIDENCE,
    PROBABLE,
    PROBABLY_BETTER,
    PROBABLY_WORSE,
    SAME,
    WORSE,
    Interval,
    taken_back,
    word_of_chance,
)
from scalesearch.analysis.verified.anew import anew
from scalesearch.analysis.verified.verification import Verdict

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
        chance: probability that it is above 0, by all trainings that there are; None where it was not asked.
        on_new_seeds: whether `verify` showed it; difference, interval and words are of its seeds alone then.
        p_holm: two-sided, adjusted for the number of comparisons; None in a search.
        below: probability that it is under 0, as `chance`.
    """

    over: str
    number: int
    difference: float
    ci95: Interval
    words: str
    chance: float | None
    on_new_seeds: bool = False
    p_holm: float | None = None
    below: float | None = None

    @property
    def reversed(self) -> Gain:
        """The other network's over this one, which keeps its name."""
        low, high = self.ci95
        return dataclasses.replace(
            self, difference=-self.difference, ci95=(-high, -low), words=OPPOSITE.get(self.words, self.words),
            chance=self.below, below=self.chance,
        )  # fmt: skip

    @property
    def probably(self) -> str:
        """What all trainings show where new seeds alone show nothing; its own words else."""
        if not self.on_new_seeds or self.words != NO_EVIDENCE or self.chance is None or self.below is None:
            return self.words
        return PROBABLY_BETTER if self.chance >= PROBABLE else PROBABLY_WORSE if self.below >= PROBABLE else NO_EVIDENCE

    @property
    def told(self) -> str:
        """The difference with its interval and what that shows.

        Example:
            >>> Gain("uniform scaling", 4, 0.0062, (-0.001, 0.0131), "probably better", 0.94).told
            '+0.62 points over uniform scaling (-0.10 to +1.31): probably better, with a probability of 0.94'
        """
        low, high = (100 * bound for bound in self.ci95)
        interval = f"({low:+z.2f} to {high:+z.2f}{self._taken_back})"
        found = f"{100 * self.difference:+z.2f} points over {self.over} {interval}{self._seeds}: {self.words}"
        return f"{found}{self._by_chance}"

    @property
    def told_of_the_other(self) -> str:
        """The same as what the other network would gain.

        Example:
            >>> Gain("uniform scaling", 4, -0.0062, (-0.0131, 0.001), "probably worse", 0.06).told_of_the_other
            'uniform scaling would gain +0.62 points (-0.10 to +1.31): probably better'
        """
        other = self.reversed
        low, high = (100 * bound for bound in other.ci95)
        interval = f"({low:+z.2f} to {high:+z.2f}{self._taken_back})"
        found = f"{self.over} would gain {100 * other.difference:+z.2f} points {interval}"
        return f"{found}{self._seeds}: {other.words}{other._by_chance if self.on_new_seeds else ''}"

    @property
    def _by_chance(self) -> str:
        """The probability of being better, or worse, as far as the words leave that open."""
        if self.chance is None:
            return ""
        said = f"with a probability of {said_chance(self.chance)}"
        if not self.on_new_seeds:
            return f", better {said}" if self.words == NO_EVIDENCE else f", {said}"
        if self.words != NO_EVIDENCE:
            return ""
        if self.below is not None and self.below > self.chance:
            return f"; by search and new seeds together worse with a probability of {said_chance(self.below)}"
        return f"; by search and new seeds together better {said}"

    @property
    def _taken_back(self) -> str:
        return taken_back(self.words, self.ci95, self.p_holm)

    @property
    def _seeds(self) -> str:
        return " on new seeds" if self.on_new_seeds else ""


def gains_of(
    result: StudyResult, budget: BudgetResult, choice: NetworkSummary
) -> tuple[tuple[Gain, ...], tuple[Gain, ...]]:
    """Gains of a network over others, by new seeds where both have them and by the search else, where it is known.

    Returns:
        Over the baseline and uniform scaling; over all that was spent on one dimension and EfficientNet's shares.
    """
    seen, known = _anew(result, budget, choice), _references(result, budget)
    uniform = [(called, other) for called, other in known if "uniform" in called]
    itself = {choice.network.number}

    def over(named: Sequence[tuple[str, NetworkSummary]], left_out: set[int]) -> tuple[Gain, ...]:
        others = [(n, s.network.number) for n, s in named if s.ranked and s.network.number not in left_out]
        found = (
            _on_new_seeds(budget, choice, called, other, seen[other])
            if other in seen
            else _in_search(budget, choice, called, other)
            for called, other in others
        )
        return tuple(gain for gain in found if gain)

    baseline = [("the baseline", result.baseline)] if result.baseline else []
    return over([*baseline, *uniform], itself), over(known, itself | {s.network.number for _, s in uniform})


def _references(result: StudyResult, budget: BudgetResult) -> list[tuple[str, NetworkSummary]]:
    saved = result.manifest.saves(budget.facts)
    return [(_phrase(name, name in s.network.stands_for, saved), s) for name, s in budget.references if s.ranked]


def _phrase(name: str, near: bool, saved: bool) -> str:
    """A reference as a sentence names it; under 1x its shares are of what is saved.

    Example:
        >>> _phrase("depth", False, False), _phrase("uniform", True, False), _phrase("efficientnet", False, False)
        ('all on depth', 'the network nearest to uniform scaling', "EfficientNet's coefficients")
        >>> _phrase("width", False, True)
        'all saved on width'
    """
    on = f"all {'saved ' if saved else ''}on {name}"
    called = {"uniform": "uniform scaling", "efficientnet": "EfficientNet's coefficients"}.get(name, on)
    return f"the network nearest to {called}" if near else called


Seen = tuple[float, Interval, str, float | None]
"""A difference on new seeds: its value, interval, words, and adjusted p value."""


def _anew(result: StudyResult, budget: BudgetResult, choice: NetworkSummary) -> dict[int, Seen]:
    """What new seeds show of a network against each other that has them, by number.

    Of the search's choice `verify` says it; another network that is to be taken is compared with all of them in the
    same way, so that no word here rests on less than its own do.
    """
    verification, number = verification_of(budget), choice.network.number
    if verification is None:
        return {}
    told = _seen({v.number: v for v in verification.verdicts if v.words != SAME})
    if number == verification.found:
        return told
    seen = _seen(_against_all(anew(budget, [*budget.networks, choice, *filter(None, [result.baseline])]), number))
    if number in told:  # as `verify` says it, seen from the other side
        value, (low, high), words, p_holm = told[number]
        seen[verification.found] = (-value, (-high, -low), OPPOSITE.get(words, words), p_holm)
    return seen


def _seen(verdicts: Mapping[int, Verdict] | Mapping[int, PairedVerdict]) -> dict[int, Seen]:
    """Those that have an interval."""
    return {n: (v.difference, v.ci95, v.words, v.p_holm) for n, v in verdicts.items() if v.ci95}


def _against_all(rows: Mapping[int, NetworkSummary], number: int) -> dict[int, PairedVerdict]:
    if number not in rows or len(rows) < 2:
        return {}
    order = [number, *(other for other in rows if other != number)]
    table = np.array([rows[n].level for n in order], dtype=np.float64)
    unsure = [rows[n].off_sd for n in order]
    return dict(zip(order[1:], against(table, 0, range(1, len(order)), unsure), strict=True))


def _on_new_seeds(budget: BudgetResult, choice: NetworkSummary, called: str, other: int, seen: Seen) -> Gain:
    value, ci95, words, p_holm = seen
    gain = Gain(called, other, value, ci95, words, None, on_new_seeds=True, p_holm=p_holm)
    found = stood(budget, choice.network.number, other)
    if found is None or found[0] == DEPENDS:
        return gain
    return dataclasses.replace(gain, chance=found[1].above, below=found[1].below)


def _in_search(budget: BudgetResult, choice: NetworkSummary, called: str, number: int) -> Gain | None:
    """None where nothing is known of the difference."""
    own = next((c for c in budget.comparisons if c.number == number and c.words != SAME), None)
    if own and budget.best is choice:  # a check of the rate may have taken words back
        return None if own.ci95 is None else Gain(called, number, own.difference, own.ci95, own.words, own.chance)
    gap = budget.standings.difference(choice.network.number, number) if budget.standings else None
    if gap is None:
        return None
    return Gain(called, number, gap.expected, gap.ci95, word_of_chance(gap.above, gap.below, gap.ci95), gap.above)
