"""Numbers and networks in words, where a finding's sentence names them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from scalesearch.networks.spec import Range
from scalesearch.study.record import NetworkRecord


def span(bounds: Range) -> str:
    """A range of a coefficient, or the value where both ends read the same.

    Example:
        >>> span((1.19, 1.312)), span((1.0, 1.001))
        ('1.19-1.31', '1.00')
    """
    low, high = (f"{bound:.2f}" for bound in bounds)
    return low if low == high else f"{low}-{high}"


def coefficients(network: NetworkRecord) -> str:
    """The set of coefficients that round to the network."""
    return f"alpha {span(network.alpha_range)}, beta {span(network.beta_range)}, gamma {span(network.gamma_range)}"


def told_html(lines: Iterable[tuple[str, str]]) -> str:
    """Labels and texts as a list for a notebook, in its own colours; text of a user's is no markup.

    Example:
        >>> told_html([("gain", "<3 points")])
        '<dl><dt><b>gain</b></dt><dd>&lt;3 points</dd></dl>'
    """
    rows = "".join(f"<dt><b>{escape(label)}</b></dt><dd>{escape(text)}</dd>" for label, text in lines)
    return f"<dl>{rows}</dl>" if rows else ""


def said_chance(chance: float) -> str:
    """A probability; never 0 or 1, which no number of draws shows.

    Example:
        >>> said_chance(0.943), said_chance(0.9997), said_chance(0.0)
        ('0.94', 'over 0.99', 'under 0.01')
    """
    return "over 0.99" if chance > 0.99 else "under 0.01" if chance < 0.01 else f"{chance:.2f}"
