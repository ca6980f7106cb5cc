"""Two networks against each other: on the seeds that they share, as everywhere (`paired`), else by Welch's interval.

Source: Welch (1947); Satterthwaite (1946).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from scalesearch.analysis.paired import PairedTable
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verdict import Interval
from scalesearch.networks.spec import NetworkSpec

Seeded = Mapping[int, float]


def difference(
    first: NetworkSummary, second: NetworkSummary, others: Sequence[NetworkSummary]
) -> tuple[float, Interval | None, tuple[int, ...]]:
    """First minus second at the exact cost, its 95 % interval, and the seeds on which it is paired.

    Args:
        others: networks of either study, those with these seeds tell how noisy a training is.
    """
    a, b = (dict(zip(one.seeds, one.level, strict=True)) for one in (first, second))
    seeds = tuple(sorted(a.keys() & b.keys()))
    unsure = first.off_sd - second.off_sd
    if len(seeds) < 2:
        return (*_welch(first, second, unsure), ())
    rows: dict[NetworkSpec, Seeded] = {first.network.spec: a, second.network.spec: b}
    for one in others:
        if one.ranked and set(seeds) <= set(one.seeds):
            rows.setdefault(one.network.spec, dict(zip(one.seeds, one.level, strict=True)))
    table = np.array([[row[seed] for seed in seeds] for row in rows.values()])
    found = PairedTable(table).difference(0, 1, extra=unsure)
    return found.value, found.ci95, seeds


def _welch(first: NetworkSummary, second: NetworkSummary, unsure: float) -> tuple[float, Interval | None]:
    """Two means of different seeds; without an interval where one has a single training."""
    value = math.fsum(first.level) / len(first.level) - math.fsum(second.level) / len(second.level)
    if first.sd is None or second.sd is None:
        return value, None
    parts = [one.sd**2 / len(one.level) for one in (first, second) if one.sd is not None]
    free = [len(one.level) - 1 for one in (first, second)]
    total = sum(parts)
    if not total:
        return value, (value, value)
    degrees = total**2 / sum(part**2 / n for part, n in zip(parts, free, strict=True))
    half = float(special.stdtrit(degrees, 0.975)) * math.sqrt(total + unsure**2)
    return value, (value - half, value + half)
