"""Counted figures of networks beside the figures that papers print, and in words how the two differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from scalesearch.errors import UsageError

_UNITS = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


@dataclass(frozen=True, slots=True)
class PublishedAgreement:
    """One printed figure beside the counted one.

    Attributes:
        text: as printed, such as "0.39B".
        printed: the text as a whole number.
        counted: what scalesearch counts.
        agrees: whether the count rounds to the text, at the text's own precision.
        words: how the two differ.
    """

    text: str
    printed: int
    counted: int
    agrees: bool
    words: str


def beside_published(text: str, counted: int) -> PublishedAgreement:
    """Whether a count rounds to a printed figure; if not, whether it was cut off, or how far it is.

    Raises:
        UsageError: a text that is no number with a unit.

    Example:
        >>> beside_published("0.39B", 385_814_752).words, beside_published("11B", 11_513_626_624).words
        ('0.386B, printed 0.39B: rounds to it', '11.5B, printed 11B: cut off, not rounded')
    """
    unit = _UNITS.get(text[-1:])
    if unit is None or not text[:-1].replace(".", "", 1).isdigit():
        raise UsageError(f"printed figure {text!r} is not understood; allowed: a number with a unit, such as 5.3M")
    printed, exact = Decimal(text[:-1]), Decimal(counted) / unit
    agrees = exact.quantize(printed, ROUND_HALF_UP) == printed
    if agrees:
        words = "rounds to it"
    elif exact.quantize(printed, ROUND_FLOOR) == printed:
        words = "cut off, not rounded"
    else:
        words = f"differs by {100 * (counted / float(printed * unit) - 1):+.1f} %"
    one_digit_more = exact.quantize(printed.scaleb(-1), ROUND_HALF_UP)
    return PublishedAgreement(
        text, int(printed * unit), counted, agrees, f"{one_digit_more}{text[-1]}, printed {text}: {words}"
    )


@dataclass(frozen=True, slots=True)
class PublishedFigures:
    """What a paper prints of one network, compared.

    Attributes:
        params: weights; None where the paper does not say. The same for `macs`, multiply-adds.
        top1_percent: ImageNet accuracy as printed, 0 to 100; nothing here measures it.
        source: where the figures are printed.
        note: what a reader must know to compare them.
    """

    params: PublishedAgreement | None
    macs: PublishedAgreement | None
    top1_percent: float | None
    source: str
    note: str


@dataclass(frozen=True, slots=True)
class NamedRow:
    """One network, counted for one image.

    Attributes:
        resolution_px: side of the input.
        fvcore_total: multiply-adds with what fvcore adds; None where the family has no closed form and fvcore was not
            asked.
        published: None where there are no published figures.
        checked: whether fvcore counted the network again and agreed.
    """

    name: str
    resolution_px: int
    macs: int
    fvcore_total: int | None
    params: int
    activations: int
    published: PublishedFigures | None
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Misquote:
    """A wrong figure that goes round.

    Attributes:
        name: of the network.
        words: what is printed, and what is true.
        source: where it was seen, and what the truth rests on.
    """

    name: str
    words: str
    source: str


MISQUOTES = (
    Misquote(
        "efficientnet_b7",
        "a review prints 19B FLOPs for B7: that is B6's figure; B7 has 37B",
        "arXiv 1905.11946v5, table 2, and the counts of this table",
    ),
    Misquote(
        "efficientnet_b0",
        "MMClassification's page prints 0.02 G FLOPs for B0: a twentieth of the 0.39B of the paper",
        "mmclassification.readthedocs.io, papers/efficientnet; arXiv 1905.11946v5, table 2",
    ),
)
"""Misquotes known to us; a footnote of the table for the networks that it shows."""


def misquotes(rows: tuple[NamedRow, ...]) -> tuple[Misquote, ...]:
    """Those that are about the networks of a table, in its order."""
    return tuple(quote for row in rows for quote in MISQUOTES if quote.name == row.name)


def figure_differences(row: NamedRow) -> tuple[str, ...]:
    """In words, every published figure of a network that its count does not round to; empty where all agree."""
    published = row.published
    if published is None:
        return ()
    figures = (("params", published.params), ("FLOPs", published.macs))
    return tuple(f"{label} {figure.words}" for label, figure in figures if figure and not figure.agrees)


def row_to_dict(row: NamedRow) -> dict[str, Any]:
    """A plain mapping for JSON; `published` is null, or the figures with what the comparison says."""
    published = row.published
    fields = asdict(row) | {"published": None}
    if published is not None:
        fields["published"] = {
            **_figure("params", published.params),
            **_figure("macs", published.macs),
            "top1_percent": published.top1_percent,
            "source": published.source,
            "note": published.note,
        }
    return fields


def _figure(name: str, figure: PublishedAgreement | None) -> dict[str, Any]:
    return {
        name: figure.printed if figure else None,
        f"{name}_text": figure.text if figure else None,
        f"{name}_agrees": figure.agrees if figure else None,
        f"{name}_words": figure.words if figure else None,
    }
