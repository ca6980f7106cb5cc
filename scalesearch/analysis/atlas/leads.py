"""What the networks that came first are worth against uniform scaling, over all rows: on new seeds and test images."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scalesearch.analysis.atlas.row import AtlasGain, AtlasRow
from scalesearch.analysis.noise import interval_of_mean, mean_of
from scalesearch.analysis.verdict import Interval
from scalesearch.scaling.units import plural


@dataclass(frozen=True, slots=True)
class Leads:
    """The verified leads of some rows.

    Attributes:
        rows: how many have one; where uniform scaling itself came first it is 0, and it cannot be ahead.
        mean: of the studies' mean leads, accuracy 0 to 1: budgets of one study share a baseline and its rates.
        ci95: Student's interval over the studies; None with one.
        ahead: rows whose own interval is above 0; `behind`: under it.
    """

    rows: int
    studies: int
    mean: float
    ci95: Interval | None
    ahead: int
    behind: int

    @property
    def words(self) -> str:
        """In a sentence."""
        interval = f", 95 % interval {100 * self.ci95[0]:+z.2f} to {100 * self.ci95[1]:+z.2f}" if self.ci95 else ""
        return (
            f"On new seeds and the test images the network that came first is {100 * self.mean:+z.2f} points from "
            f"uniform scaling (mean of {plural(self.studies, 'study')}{interval}); a row's own interval lies above 0 "
            f"in {self.ahead} of {plural(self.rows, 'row')}, and under it in {self.behind}."
        )


def leads(rows: Sequence[AtlasRow]) -> Leads | None:
    """The verified leads over uniform scaling; None where no row has one."""
    by_study: dict[tuple[str, str], list[float]] = {}
    itself = AtlasGain(0.0, (0.0, 0.0))
    every = [(row, itself if row.network.uniform else row.verified) for row in rows]
    known = [(row, gain) for row, gain in every if gain is not None]
    for row, gain in known:
        by_study.setdefault((row.family, row.data), []).append(gain.value)
    if not known:
        return None
    means = [mean_of(values) for values in by_study.values()]
    mean, sd = mean_of(means), statistics.stdev(means) if len(means) > 1 else None
    return Leads(
        rows=len(known),
        studies=len(means),
        mean=mean,
        ci95=interval_of_mean(mean, sd, len(means)),
        ahead=sum(gain.ci95[0] > 0 for _, gain in known),
        behind=sum(gain.ci95[1] < 0 for _, gain in known),
    )
