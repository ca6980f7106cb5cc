"""Networks trained in full, side by side: means over seeds, and what each differs from the first by."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scalesearch.analysis.noise import interval_of_mean
from scalesearch.analysis.paired import against
from scalesearch.analysis.seed_table import pivoted
from scalesearch.analysis.verdict import word_of_p
from scalesearch.study.record import TrainingOutcome

DIVERGED = "diverged"


@dataclass(frozen=True, slots=True)
class FullNetwork:
    """One network, or one recipe, that was trained in full.

    Attributes:
        label: such as `phi 1` or `phi 1 without se`.
    """

    label: str
    macs: int
    params: int
    resolution_px: int


@dataclass(frozen=True, slots=True)
class FullRow:
    """One network, or one recipe, over its seeds.

    Attributes:
        label: such as `phi 1` or `phi 1 without se`.
        seeds: finished, ascending.
        accuracies: of each seed that did not diverge, 0 to 1.
        mean: None when all diverged.
        sd: between seeds; None under two.
        ci95: of the mean by Student's t, from this row's own seeds; None under two.
        difference: mean minus the first row's, on the seeds that all rows have; None where it cannot be said.
        difference_ci95: its own paired interval (see `PairedTable`).
        p_holm: two-sided, adjusted for the number of rows compared with the first.
        words: see `verdict`; `diverged` where a training's loss was not finite; empty for the first row, and where
            nothing can be compared.
        epochs: mean number that were trained.
        seconds: mean of one training.
    """

    label: str
    macs: int
    params: int
    resolution_px: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    mean: float | None
    sd: float | None
    ci95: tuple[float, float] | None
    difference: float | None
    difference_ci95: tuple[float, float] | None
    p_holm: float | None
    words: str
    epochs: float
    seconds: float


def full_rows(trainings: Iterable[tuple[FullNetwork, Sequence[TrainingOutcome]]]) -> tuple[FullRow, ...]:
    """One row a network, in the order given; differences are to the first.

    Args:
        trainings: networks with their finished trainings, one or more each.
    """
    found = [(network, sorted(outcomes, key=lambda one: one.seed)) for network, outcomes in trainings]
    rows = [_row(network, outcomes) for network, outcomes in found]
    whole = [i for i, row in enumerate(rows) if row.words != DIVERGED]
    seeds, table = pivoted([{one.seed: one.accuracy or 0.0 for one in found[i][1]} for i in whole])
    if len(rows) < 2 or 0 not in whole or not seeds:
        return tuple(rows)
    for i, one in zip(whole[1:], against(table, 0, range(1, len(whole))), strict=True):
        gap, ci95 = -one.difference, one.ci95 and (-one.ci95[1], -one.ci95[0])  # minus the first, and not from it
        word = word_of_p(gap, one.p_holm)
        rows[i] = dataclasses.replace(rows[i], difference=gap, difference_ci95=ci95, p_holm=one.p_holm, words=word)
    return tuple(rows)


def _row(network: FullNetwork, outcomes: Sequence[TrainingOutcome]) -> FullRow:
    good = [one.accuracy for one in outcomes if one.accuracy is not None]
    mean = statistics.fmean(good) if good else None
    sd = statistics.stdev(good) if len(good) > 1 else None
    return FullRow(
        label=network.label,
        macs=network.macs,
        params=network.params,
        resolution_px=network.resolution_px,
        seeds=tuple(one.seed for one in outcomes),
        accuracies=tuple(good),
        mean=mean,
        sd=sd,
        ci95=interval_of_mean(mean, sd, len(good)),
        difference=None,
        difference_ci95=None,
        p_holm=None,
        words="" if len(good) == len(outcomes) else DIVERGED,
        epochs=statistics.fmean(len(one.curve) for one in outcomes),
        seconds=statistics.fmean(one.seconds for one in outcomes),
    )
