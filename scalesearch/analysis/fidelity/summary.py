"""Is the proxy to be trusted? Its own curves, a longer proxy, and other learning rates, joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.fidelity.bias import RankChange, rank_change
from scalesearch.analysis.fidelity.curves import EpochAgreement, RungCheck, epoch_words, rank_agreement, rung_check
from scalesearch.analysis.fidelity.rates import RateCheck, rate_check
from scalesearch.study.plain import as_told
from scalesearch.study.record import TrialRecord

__all__ = [
    "EpochAgreement",
    "Fidelity",
    "RankChange",
    "RateCheck",
    "RungCheck",
    "fidelity",
    "fidelity_to_dict",
    "rank_agreement",
    "rank_change",
    "rate_check",
    "rung_check",
]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Everything known about the proxy on one budget; parts that were not run are None or empty.

    Attributes:
        epochs: of the search's own trainings; empty for proxies of one epoch.
    """

    budget: str
    epochs: tuple[EpochAgreement, ...]
    rank_change: RankChange | None
    rate: RateCheck | None

    @property
    def words(self) -> str:
        """What is known, the most important sentence first."""
        rate, change = self.rate, self.rank_change
        biased = change is not None and bool(change.bias)
        sentences = [
            (0, rate.words) if rate and rate.changed else (2, rate.words if rate else ""),
            (1 if biased else 3, change.words if change else ""),
            (4, epoch_words(self.epochs)),
        ]
        return " ".join(words for _, words in sorted(sentences) if words)


def fidelity(
    budget: str, records: Iterable[TrialRecord], change: RankChange | None, rate: RateCheck | None
) -> Fidelity | None:
    """Join what is known; None when nothing is.

    Args:
        records: of the search; those of other budgets are passed over.
        change: by a longer proxy.
        rate: by other learning rates.
    """
    epochs = rank_agreement(budget, records)
    if not epochs and change is None and rate is None:
        return None
    return Fidelity(budget, epochs, change, rate)


def fidelity_to_dict(found: Fidelity) -> dict[str, Any]:
    """`fidelity` in `result.json`; keys that are numbers become text."""
    content = {**dataclasses.asdict(found), "words": found.words}
    if found.rank_change:
        content["rank_change"]["words"] = found.rank_change.words
    if found.rate:
        for name in ("overtaking", "untuned"):
            content["rate"][name] = tuple(as_told(one) for one in getattr(found.rate, name))
        for name in ("leaders", "agreements", "best_rates", "diverged"):
            content["rate"][name] = {f"{key:g}": value for key, value in content["rate"][name].items()}
    return content
