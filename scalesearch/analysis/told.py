"""Numbers and networks in words, where a finding's sentence names them."""

from __future__ import annotations

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
