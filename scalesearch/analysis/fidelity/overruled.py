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
from scalesearch.analysis.leader import DEPENDS, Comparison

CLAIMS = ("better", "worse")


def gains(check: RateCheck) -> dict[int, float]:
    """Network number -> accuracy that it gains at the rate that suits it better, by more than the noise."""
    return {one.number: one.gain for one in check.untuned}


def survives(words: str, interval: tuple[float, float] | None, shift: float) -> bool:
    """Whether a claim holds when the difference is moved by `shift`; what claims nothing always does.

    Example:
        >>> survives("better", (0.02, 0.05), -0.01), survives("better", (0.02, 0.05), -0.03)
        (True, False)
        >>> survives("worse", (-0.05, -0.02), 0.03), survives("no evidence of a difference", (-0.1, 0.1), 9.0)
        (False, True)
    """
    if words not in CLAIMS or interval is None:
        return True
    low, high = interval
    return low + shift > 0 if words == "better" else high + shift < 0


def overruled(
    comparisons: Sequence[Comparison], best: int, others: Mapping[str, int], check: RateCheck | None
) -> tuple[Comparison, ...]:
    """The comparisons with every claim taken back that another learning rate would undo.

    Args:
        best: number of the network that came first.
        others: name -> number of the network that it is compared with.
        check: what `verify` found; None takes nothing back.
    """
    if check is None:
        return tuple(comparisons)
    gained, leads = gains(check), {one.number for one in check.overtaking}
    found = []
    for comparison in comparisons:
        other = others.get(comparison.against, -1)
        shift = gained.get(best, 0.0) - gained.get(other, 0.0)
        undone = comparison.words == "better" and other in leads
        holds = survives(comparison.words, comparison.ci95, shift) and not undone
        found.append(comparison if holds else replace(comparison, words=DEPENDS))
    return tuple(found)


def overruling_words(comparisons: Sequence[Comparison], check: RateCheck | None) -> tuple[str, ...]:
    """What was taken back and why, in a sentence; none where nothing was."""
    names = [c.against for c in comparisons if c.words == DEPENDS]
    if not names or check is None:
        return ()
    why = "; ".join(
        f"{said_rate(one.rate)} is better for {one.name} by {100 * one.gain:.1f} points" for one in check.untuned
    )
    return (
        f"The comparison with {', '.join(names)} depends on the learning rate ({why or check.words}): it is no finding "
        "about depth, width and resolution.",
    )
