"""What a study holds: before it goes on, so that what is left is counted and timed without it; and as its files."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from scalesearch.analysis.fidelity.rate_range import half_measured
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.search.prepare import Prepared
from scalesearch.search.rates.ranging import recipes_of
from scalesearch.study import StudyStore, write_result
from scalesearch.study.manifest import Manifest
from scalesearch.study.mending import copy_database
from scalesearch.study.record import TrialRecord
from scalesearch.study.summaries import write_summary


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a study holds.

    Attributes:
        records: of the search as it is now: what a halved rate took back is not among them.
        ended: budgets whose sampler has ended the search.
        short_trainings: that measured the learning rate.
        rate_known: whether it is settled.
    """

    records: tuple[TrialRecord, ...] = ()
    ended: Collection[str] = ()
    short_trainings: int = 0
    rate_known: bool = False

    @property
    def trainings(self) -> int:
        """The study's own trainings, however they ended."""
        return sum(record.outcome is not None for record in self.records)

    @property
    def pace(self) -> float | None:
        """Seconds of a training over the cost of its network; None before one has ended."""
        done = [
            (r.outcome.seconds, r.network.cost) for r in self.records if r.outcome and r.outcome.accuracy is not None
        ]
        return math.fsum(seconds for seconds, _ in done) / math.fsum(cost for _, cost in done) if done else None

    def left(self, budget: str, planned: int, target: float) -> float:
        """The cost of the trainings of a budget that are still to be made, in the study's currency.

        Args:
            planned: trainings on the budget, at most.
            target: cost of one.
        """
        there = sum(r.outcome is not None for r in self.records if r.network.budget == budget)
        return 0.0 if budget in self.ended else max(0, planned - there) * target


def so_far(prepared: Prepared, manifest: Manifest, store: StudyStore) -> SoFar:
    """Read what a study holds."""
    evidence, records = store.evidence(), tuple(store.records())
    half = half_measured(evidence, searched=any(record.outcome for record in records))
    return SoFar(
        records=records,
        ended=frozenset(store.endings()),
        short_trainings=sum(record.stage.purpose == "range" for record in evidence),
        rate_known=not half and recipes_of(prepared, manifest.data, evidence, store.lowered) is not None,
    )


def computed(store: StudyStore, manifest: Manifest) -> StudyResult:
    """The result of what the database holds; nothing is written."""
    return compute_result(manifest, store.records(), store.evidence(), store.endings(), lowered=store.lowered)


def save(store: StudyStore, manifest: Manifest) -> StudyResult:
    """Write the tables, `result.json`, a copy of the database, and what `list` shows."""
    store.write_tables()
    copy_database(store.paths)
    result = computed(store, manifest)
    write_result(store.paths, result_to_dict(result))
    if not store.paths.served:
        write_summary(store.paths, result.summary)
    return result
