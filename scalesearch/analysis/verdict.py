"""The words of a comparison: what "better" is, for a pair of networks and for every report of it.

In a search a network is better than another when that has a probability of 0.975 and the 95 % interval of their
difference leaves out 0, and probably better from a probability of `PROBABLE` on; both are of one posterior (see
`response.standings`), which knows that the winner was chosen. A network that was named before its trainings, as by
`verify`, is better when the p value, adjusted for the number of comparisons, is under 0.05 (see `paired.against`).
"""

from __future__ import annotations

Interval = tuple[float, float]

BETTER = "better"
WORSE = "worse"
PROBABLY_BETTER = "probably better"
PROBABLY_WORSE = "probably worse"
NO_EVIDENCE = "no evidence of a difference"
SAME = "the same network"
ONE_SEED = "not known (one seed)"
DEPENDS = "not known: depends on the learning rate"

CLAIMS = (BETTER, WORSE)
LIKELY = (PROBABLY_BETTER, PROBABLY_WORSE)
AHEAD, BEHIND = (BETTER, PROBABLY_BETTER), (WORSE, PROBABLY_WORSE)

PROBABLE = 0.8
"""Probability at which a network is preferred to another. Of 0.5 to 0.9 it loses least over planted truths and the real
table together, and leaves uniform scaling in 2 % of studies in which nothing differs (see benchmarks/answer.md)."""
SURE = 0.975
"""Probability at which it is called better, of one side as of a 95 % interval."""


def word_of_chance(above: float, below: float, ci95: Interval) -> str:
    """What a posterior shows.

    Args:
        above: probability that the difference is above 0.
        below: probability that it is under 0.
        ci95: its 95 % interval.

    Example:
        >>> [word_of_chance(p, 1 - p, (0.001, 0.02)) for p in (0.99, 0.9, 0.7)]
        ['better', 'probably better', 'no evidence of a difference']
        >>> word_of_chance(0.98, 0.02, (-0.001, 0.02)), word_of_chance(0.01, 0.99, (-0.02, -0.01))
        ('probably better', 'worse')
    """
    if above >= PROBABLE:
        return BETTER if above >= SURE and ci95[0] > 0 else PROBABLY_BETTER
    if below >= PROBABLE:
        return WORSE if below >= SURE and ci95[1] < 0 else PROBABLY_WORSE
    return NO_EVIDENCE


def word_of_interval(ci95: Interval | None) -> str:
    """What an interval of a difference shows.

    Example:
        >>> [word_of_interval(ci) for ci in ((0.01, 0.02), (-0.02, -0.01), (-0.01, 0.02), None)]
        ['better', 'worse', 'no evidence of a difference', 'not known (one seed)']
    """
    if ci95 is None:
        return ONE_SEED
    return BETTER if ci95[0] > 0 else WORSE if ci95[1] < 0 else NO_EVIDENCE


def only_on_its_own(words: str, ci95: Interval | None) -> bool:
    """Whether an interval leaves out 0, and among all comparisons that happens too easily by chance.

    Example:
        >>> only_on_its_own(NO_EVIDENCE, (0.005, 0.035)), only_on_its_own(BETTER, (0.005, 0.035))
        (True, False)
    """
    return words == NO_EVIDENCE and ci95 is not None and not ci95[0] <= 0 <= ci95[1]


def taken_back(words: str, ci95: Interval | None, p_holm: float | None) -> str:
    """What stands behind such an interval, so that it does not contradict the words; empty behind any other.

    Example:
        >>> taken_back(NO_EVIDENCE, (0.005, 0.035), 0.1), taken_back(BETTER, (0.005, 0.035), 0.04)
        (' on its own, but p = 0.100 among all comparisons', '')
    """
    if p_holm is None or not only_on_its_own(words, ci95):
        return ""
    return f" on its own, but p = {p_holm:.3f} among all comparisons"


def word_of_p(difference: float, p: float | None) -> str:
    """What a difference and its adjusted p value show.

    Example:
        >>> word_of_p(0.02, 0.04), word_of_p(-0.02, 0.04), word_of_p(0.02, 0.05), word_of_p(0.02, None)
        ('better', 'worse', 'no evidence of a difference', 'not known (one seed)')
    """
    if p is None:
        return ONE_SEED
    if p >= 0.05:
        return NO_EVIDENCE
    return BETTER if difference > 0 else WORSE
