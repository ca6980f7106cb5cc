"""The words of a comparison: what "better" is, for a pair of networks and for every report of it.

A difference is better or worse when its 95 % interval leaves out 0, or its p value, adjusted for the number of
comparisons, is under 0.05. Which interval that is depends on how the network was chosen: `leader` has the winner of a
search, `paired.against` one that was named before.
"""

from __future__ import annotations

Interval = tuple[float, float]

BETTER = "better"
WORSE = "worse"
NO_EVIDENCE = "no evidence of a difference"
SAME = "the same network"
ONE_SEED = "not known (one seed)"
DEPENDS = "not known: depends on the learning rate"

CLAIMS = (BETTER, WORSE)


def word_of_interval(ci95: Interval | None) -> str:
    """What an interval of a difference shows.

    Example:
        >>> [word_of_interval(ci) for ci in ((0.01, 0.02), (-0.02, -0.01), (-0.01, 0.02), None)]
        ['better', 'worse', 'no evidence of a difference', 'not known (one seed)']
    """
    if ci95 is None:
        return ONE_SEED
    return BETTER if ci95[0] > 0 else WORSE if ci95[1] < 0 else NO_EVIDENCE


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
