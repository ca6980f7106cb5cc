"""What a check of the learning rate takes back of a verdict.

A network may be behind because the study's rate does not suit it. `verify` trains what it compares at half and twice
their rates too (with `--fidelity`, and where they were measured). Where that shows a network better by more than the
noise (`RateCheck.untuned`), every difference to it is looked at as if both had their best rate, and a claim that does
not survive is no claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scalesearch.analysis.fidelity.rates import RateCheck, said_rate
from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.verdict import AHEAD, BETTER, CLAIMS, DEPENDS, LIKELY, PROBABLY_BETTER, Interval


def gains(check: RateCheck) -> dict[int, float]:
    """Network number -> accuracy that it gains at the rate that suits it better, by more than the noise."""
    return {one.number: one.gain for one in check.untuned}


def survives(words: str, interval: Interval | None, shift: float) -> bool:
    """Whether a claim holds when the difference is moved by `shift`; what claims nothing always does.

    Example:
        >>> survives("better", (0.02, 0.05), -0.01), survives("better", (0.02, 0.05), -0.03)
        (True, False)
        >>> survives("worse", (-0.05, -0.02), 0.03), survives("no evidence of a difference", (-0.1, 0.1), 9.0)
        (False, True)
        >>> survives("probably better", (-0.01, 0.05), 0.0), survives("probably better", (-0.01, 0.05), -0.01)
        (True, False)
    """
    if words in LIKELY:  # as little as moves it against what is likely leaves it open
        return shift >= 0 if words == PROBABLY_BETTER else shift <= 0
    if words not in CLAIMS or interval is None:
        return True
    low, high = interval
    return low + shift > 0 if words == BETTER else high + shift < 0


def word_under(check: RateCheck | None, words: str, interval: Interval | None, mine: int, other: int) -> str:
    """What is left of a claim when both networks have the rate that suits them.

    Args:
        check: what `verify` found; None takes nothing back.
        interval: of the difference, `mine` minus `other`: numbers of networks.
    """
    if check is None:
        return words
    gained = gains(check)
    undone = words in AHEAD and other in {one.number for one in check.overtaking}
    holds = survives(words, interval, gained.get(mine, 0.0) - gained.get(other, 0.0))
    return words if holds and not undone else DEPENDS


def overruled(
    comparisons: Sequence[Comparison], best: int, others: Mapping[str, int], check: RateCheck | None
) -> tuple[Comparison, ...]:
    """The comparisons with every claim taken back that another learning rate would undo.

    Args:
        best: number of the network that came first.
        others: name -> number of the network that it is compared with.
        check: what `verify` found; None takes nothing back.
    """
    return tuple(
        replace(one, words=word_under(check, one.words, one.ci95, best, others.get(one.against, -1)))
        for one in comparisons
    )


def overruling_words(comparisons: Sequence[Comparison], check: RateCheck | None) -> tuple[str, ...]:
    """What was taken back and why, in a sentence; none where nothing was."""
    names = [c.label for c in comparisons if c.words == DEPENDS]
    if not names or check is None:
        return ()
    why = "; ".join(
        f"{said_rate(one.rate)} is better for {one.name} by {100 * one.gain:.1f} points" for one in check.untuned
    )
    return (
        f"The comparison with {', '.join(names)} depends on the learning rate ({why or check.words}): it is no finding "
        "about depth, width and resolution.",
    )
