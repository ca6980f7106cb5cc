"""The trainings of a budget as rows: what a surface is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.observations import Noise, Observations, plane
from scalesearch.analysis.response.prior import SurfacePrior
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BudgetRows:
    """Every training of the networks that can be ranked, and which rows are one network.

    Attributes:
        numbers: of the networks, ascending; `shares` and `groups` are in that order.
        groups: int64, the rows of each.
        seeds: int64 [n].
        accuracy: float64 [n], at the budget's exact cost.
        loss: float64 [n]; None where one is missing.
        drift: float64 [n]: standard error of what was taken off for the cost.
    """

    numbers: tuple[int, ...]
    shares: tuple[Shares, ...]
    groups: tuple[npt.NDArray[np.int64], ...]
    seeds: npt.NDArray[np.int64]
    accuracy: Floats
    loss: Floats | None
    drift: Floats

    def observations(
        self, noise: Noise | None = None, baseline: NetworkSummary | None = None, prior: SurfacePrior | None = None
    ) -> Observations:
        """The accuracies, and those of the baseline beside them.

        Args:
            noise: of one training, from networks that are not among these.
            baseline: trained, and not one of the networks.
            prior: what was expected of the surface.
        """
        points = np.repeat(plane(self.shares), [len(group) for group in self.groups], axis=0)
        if baseline is None:
            return Observations(points, self.seeds, self.accuracy, noise, self.drift, prior=prior)
        more = len(baseline.accuracies)
        return Observations(
            points=np.vstack([points, np.zeros((more, 2))]),
            seeds=np.append(self.seeds, np.array(baseline.seeds, dtype=np.int64)),
            values=np.append(self.accuracy, np.array(baseline.level)),
            noise=noise,
            drift=np.append(self.drift, np.full(more, baseline.off_sd)),
            apart=np.append(np.zeros(len(points), dtype=bool), np.ones(more, dtype=bool)),
            prior=prior,
        )


def rows_of(networks: Sequence[NetworkSummary]) -> BudgetRows:
    """The rows of a budget's networks; the order in which they are given changes nothing."""
    kept = sorted((s for s in networks if s.ranked and s.network.shares), key=lambda s: s.network.number)
    ends = np.cumsum([len(s.accuracies) for s in kept])
    losses = [x for s in kept for x in s.losses]
    seeds = [seed for s in kept for seed in s.seeds]
    return BudgetRows(
        numbers=tuple(s.network.number for s in kept),
        shares=tuple(s.network.shares for s in kept if s.network.shares),
        groups=tuple(np.arange(end - len(s.accuracies), end) for s, end in zip(kept, ends, strict=True)),
        seeds=np.array(seeds, dtype=np.int64),
        accuracy=np.array([a for s in kept for a in s.level], dtype=np.float64),
        drift=np.array([s.off_sd for s in kept for _ in s.accuracies], dtype=np.float64),
        loss=np.array(losses, dtype=np.float64) if len(losses) == len(seeds) else None,
    )
