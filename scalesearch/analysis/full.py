"""Networks trained in full, side by side: means over seeds, and what each differs from the first by."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from scalesearch.analysis.paired import against
from scalesearch.analysis.seed_table import layout
from scalesearch.analysis.verdict import word_of_p
from scalesearch.study.record import NetworkRecord, TrainingOutcome

DIVERGED = "diverged"


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


def full_rows(pairs: Iterable[tuple[NetworkRecord, TrainingOutcome]]) -> tuple[FullRow, ...]:
    """One row a network, in the order of their numbers; differences are to the lowest number.

    Args:
        pairs: networks whose first role is their label, with finished trainings.
    """
    found = sorted(pairs, key=lambda pair: (pair[0].number, pair[1].seed))
    outcomes: dict[NetworkRecord, list[TrainingOutcome]] = {}
    for network, outcome in found:
        outcomes.setdefault(network, []).append(outcome)
    rows = [_row(network, done) for network, done in outcomes.items()]
    table = layout(found)
    numbers = [network.number for network in outcomes]
    if len(numbers) < 2 or table.row(numbers[0]) is None or not table.seeds:
        return tuple(rows)
    compared = [table.row(number) for number in numbers]
    return tuple(_compared(rows, compared, table.accuracy))


def _row(network: NetworkRecord, outcomes: Sequence[TrainingOutcome]) -> FullRow:
    good = [one.accuracy for one in outcomes if one.accuracy is not None]
    mean = statistics.fmean(good) if good else None
    sd = statistics.stdev(good) if len(good) > 1 else None
    return FullRow(
        label=network.roles[0],
        macs=network.macs,
        params=network.params,
        resolution_px=network.spec.resolution_px,
        seeds=tuple(one.seed for one in outcomes),
        accuracies=tuple(good),
        mean=mean,
        sd=sd,
        ci95=_interval(mean, sd, len(good)),
        difference=None,
        difference_ci95=None,
        p_holm=None,
        words="" if len(good) == len(outcomes) else DIVERGED,
        epochs=statistics.fmean(len(one.curve) for one in outcomes),
        seconds=statistics.fmean(one.seconds for one in outcomes),
    )


def _interval(mean: float | None, sd: float | None, n: int) -> tuple[float, float] | None:
    if mean is None or sd is None:
        return None
    half = float(special.stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)
    return mean - half, mean + half


def _compared(rows: Sequence[FullRow], places: Sequence[int | None], accuracy: Any) -> list[FullRow]:
    """The rows with their differences to the first; a row that diverged on a seed is not in the table."""
    others = [i for i in range(1, len(rows)) if places[i] is not None]
    verdicts = against(accuracy, places[0] or 0, [places[i] for i in others])  # type: ignore[misc]
    done = list(rows)
    for i, one in zip(others, verdicts, strict=True):
        gap, ci95 = -one.difference, one.ci95 and (-one.ci95[1], -one.ci95[0])
        done[i] = dataclasses.replace(
            rows[i], difference=gap, difference_ci95=ci95, p_holm=one.p_holm, words=word_of_p(gap, one.p_holm)
        )
    return done


def full_to_dict(row: FullRow) -> Mapping[str, Any]:
    """Plain values for JSON."""
    values = dataclasses.asdict(row)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
