"""Is the proxy to be trusted? Its own curves, a longer proxy, and other learning rates, joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.fidelity.bias import RankChange, rank_change
from scalesearch.analysis.fidelity.curves import (
    EpochAgreement,
    RungCheck,
    epoch_words,
    rank_agreement,
    rung_check,
    silent_words,
)
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
        epochs: of the search's own trainings; empty where they say nothing.
        rank_changes: by longer proxies, the shortest first.
        silent: why the search's own trainings say nothing of epochs, in a sentence; empty where they do.
    """

    budget: str
    epochs: tuple[EpochAgreement, ...]
    rank_changes: tuple[RankChange, ...]
    rate: RateCheck | None
    silent: str = ""

    @property
    def words(self) -> str:
        """What is known, the most important sentence first."""
        rate = self.rate
        sentences = [
            (0, rate.words) if rate and rate.changed else (2, rate.words if rate else ""),
            *((1 if change.bias else 3, change.words) for change in self.rank_changes),
            (4, epoch_words(self.epochs) if self.epochs else self.silent),
        ]
        return " ".join(words for _, words in sorted(sentences, key=lambda one: one[0]) if words)


def fidelity(
    budget: str, records: Iterable[TrialRecord], changes: Sequence[RankChange], rate: RateCheck | None
) -> Fidelity | None:
    """Join what is known; None when nothing is.

    Args:
        records: of the search; those of other budgets are passed over.
        changes: by longer proxies, the shortest first.
        rate: by other learning rates.
    """
    own = list(records)
    epochs = rank_agreement(budget, own)
    if not epochs and not changes and rate is None:
        return None
    return Fidelity(budget, epochs, tuple(changes), rate, "" if epochs else silent_words(budget, own))


def fidelity_to_dict(found: Fidelity) -> dict[str, Any]:
    """`fidelity` in `result.json`; keys that are numbers become text."""
    content = {**dataclasses.asdict(found), "words": found.words}
    for told, change in zip(content["rank_changes"], found.rank_changes, strict=True):
        told["words"] = change.words
    if found.rate:
        for name in ("overtaking", "untuned"):
            content["rate"][name] = tuple(as_told(one) for one in getattr(found.rate, name))
        for name in ("leaders", "agreements", "best_rates", "diverged"):
            content["rate"][name] = {f"{key:g}": value for key, value in content["rate"][name].items()}
    return content
