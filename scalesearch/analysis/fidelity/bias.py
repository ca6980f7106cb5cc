"""Does a short proxy favour depth, width or resolution? Its standing of networks against that of a longer training.

    change = (long mean / spread of long) - (short mean / spread of short) = c + slope . shares + rest

A spread is that of the true means, or the noise of a mean where that is larger: networks that tie in the end then have
no standing to be changed to, and noise alone does not look like one. The rest is the larger of what the seeds explain
and what the shares leave unexplained; where these two do not differ, both together tell it.

Source: Bancroft (1964), pooling at 25 %; the plane of shares as in `posterior.plane`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.fidelity.ranks import DIGITS, RankAgreement, agreement, regret_words
from scalesearch.analysis.paired import residuals
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.seed_table import SeedTable
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.scaling.units import DIMENSIONS, plural

Floats = npt.NDArray[np.float64]

LEAST_NETWORKS = 4
POOLED = 0.25
"""Level of the F test under which the rest is more than the seeds explain."""
MEASURED = 1.0
"""Spreads of the networks within which all intervals must lie before it is said that nothing is seen."""


@dataclass(frozen=True, slots=True)
class RankChange:
    """What a longer training does to the standing of networks, by where their cost went.

    Attributes:
        longer: epochs over the study's.
        networks: in both tables, with shares.
        seeds: of each, the fewer of both tables.
        slopes: dimension -> change of the standing, in spreads of the networks, from uniform shares to all of the cost
            on it: above 0, the longer training thinks more of it. Empty where nothing can be told.
        intervals: dimension -> 95 % interval, for the three together (Bonferroni); empty as well.
        bias: dimensions whose interval leaves out 0; what the proxy favours has a slope below 0.
        agreement: of the short with the long ranking; its regret is of the search's choice, else of the network that
            leads the short one.
        regret_of: which of them that is, in a sentence; empty where it is the search's choice.
    """

    longer: float
    networks: int
    seeds: int
    slopes: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    bias: tuple[str, ...]
    agreement: RankAgreement
    regret_of: str = ""

    @property
    def words(self) -> str:
        """What that means, in one sentence, and which network the regret is of where that is not plain."""
        said = _bias(self) if self.slopes else _cannot(self.networks, self.seeds)
        return f"{said} {self.regret_of}".rstrip()


def rank_change(short: SeedTable, long: SeedTable, longer: float, choice: int | None = None) -> RankChange | None:
    """Regress what a longer training changes on the shares; None with fewer than two networks in common.

    Args:
        short: the study's own proxy.
        long: the longer one.
        longer: its epochs over the study's.
        choice: number of the network that the search put first.
    """
    numbers = [n.number for n in short.networks if n.shares and long.row(n.number) is not None]
    if len(numbers) < 2 or not short.seeds or not long.seeds:
        return None
    a = short.accuracy[[row for n in numbers if (row := short.row(n)) is not None]]
    b = long.accuracy[[row for n in numbers if (row := long.row(n)) is not None]]
    points = plane([n.shares for n in short.networks if n.number in numbers and n.shares])
    slopes, intervals = _fit(a, b, points) or ({}, {})
    row = numbers.index(choice) if choice in numbers else int(a.mean(1).round(DIGITS).argmax())
    return RankChange(
        longer=longer,
        networks=len(numbers),
        seeds=min(a.shape[1], b.shape[1]),
        slopes=slopes,
        intervals=intervals,
        bias=tuple(name for name, (low, high) in intervals.items() if low > 0 or high < 0),
        agreement=agreement(a, b, paired=short.seeds == long.seeds, choice=row, most=1.0),
        regret_of=regret_words(next(n for n in short.networks if n.number == numbers[row]), choice),
    )


def _fit(a: Floats, b: Floats, points: Floats) -> tuple[dict[str, float], dict[str, tuple[float, float]]] | None:
    design = np.column_stack([np.ones(len(points)), points])
    if len(points) < LEAST_NETWORKS or min(a.shape[1], b.shape[1]) < 2 or np.linalg.matrix_rank(design) < 3:
        return None
    standings = [_standing(a), _standing(b)]
    fits = [np.linalg.lstsq(design, own.values, rcond=None)[0] for own in standings]
    # Both fits see the same networks: what one network strays by in both is no doubt of the change, so the doubt is of
    # the difference of the residuals.
    left = standings[1].values - standings[0].values - design @ (fits[1] - fits[0])
    seeds_free = (len(a) - 1) * (a.shape[1] + b.shape[1] - 2)
    rest, free = _rest(left, sum(own.noise for own in standings), seeds_free)
    cover = rest * np.linalg.inv(design.T @ design)[1:, 1:]
    reach = float(special.stdtrit(free, 1 - 0.05 / 2 / len(DIMENSIONS)))
    slopes, intervals = {}, {}
    for name, corner in zip(DIMENSIONS, plane([REFERENCES[name] for name in DIMENSIONS]), strict=True):
        # Standings are in units of a spread that is itself estimated, once for each table.
        before, after = (float(corner @ fit[1:]) for fit in fits)
        unit = before**2 * standings[0].unit + after**2 * standings[1].unit
        half = reach * math.sqrt(float(corner @ cover @ corner) + unit)
        slopes[name] = after - before
        intervals[name] = (slopes[name] - half, slopes[name] + half)
    return slopes, intervals


@dataclass(frozen=True, slots=True, eq=False)
class _Standing:
    """Means in spreads of the networks, float64 [networks]; the variances of their noise and (relative) of the unit."""

    values: Floats
    noise: float
    unit: float


def _standing(table: Floats) -> _Standing:
    means, (networks, seeds) = table.mean(1), table.shape
    free = (networks - 1) * (seeds - 1)
    noise = float((residuals(table) ** 2).sum()) / free / seeds
    true = float(means.var(ddof=1)) - noise
    scale = max(true, noise)
    if scale <= 0:
        return _Standing(np.zeros(networks), 0.0, 0.0)
    part = noise / scale
    unit = (part + part**2 / 2) / (networks - 1) if true > noise else 1 / (2 * free)
    return _Standing(np.asarray((means - means.mean()) / math.sqrt(scale)), part, unit)


def _rest(left: Floats, noise: float, noise_free: int) -> tuple[float, int]:
    """Variance of what the shares do not explain, and its degrees of freedom."""
    free = len(left) - 3
    unexplained = float((left**2).sum()) / free
    if noise > 0 and float(special.fdtrc(free, noise_free, unexplained / noise)) > POOLED:
        return (free * unexplained + noise_free * noise) / (free + noise_free), free + noise_free
    return unexplained, free


def _cannot(networks: int, seeds: int) -> str:
    if seeds < 2:
        return "With one seed a longer proxy cannot tell whether this one favours a dimension: it takes two or more."
    if networks < LEAST_NETWORKS:
        return (
            f"{networks} networks are too few to tell whether the proxy favours depth, width or resolution: it takes "
            f"{LEAST_NETWORKS} or more."
        )
    return (
        "The networks differ in one direction only: whether the proxy favours one dimension cannot be told from them."
    )


def _bias(found: RankChange) -> str:
    slopes, intervals = found.slopes, found.intervals
    against = f"against one of {found.longer:g} times the epochs"
    said = [
        *(f"punishes {name} ({_seen(name, slopes, intervals)})" for name, (low, _) in intervals.items() if low > 0),
        *(f"favours {name} ({_seen(name, slopes, intervals)})" for name, (_, high) in intervals.items() if high < 0),
    ]
    if said:
        return f"This proxy {' and '.join(said)}, {against}."
    widest = max(abs(bound) for bounds in intervals.values() for bound in bounds)
    if widest > MEASURED:
        return (
            f"Whether the proxy favours depth, width or resolution, {against}, cannot be told from {found.networks} "
            f"networks of {plural(found.seeds, 'seed')}: intervals reach as far as {widest:.1f} spreads of the "
            "networks."
        )
    return (
        f"No sign that the proxy favours depth, width or resolution, {against} (slopes within {widest:.1f} spreads of "
        "the networks)."
    )


def _seen(name: str, slopes: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> str:
    """What the proxy adds to the standing of a network with all of its cost on the dimension."""
    low, high = sorted(-bound for bound in intervals[name])
    return f"{-slopes[name]:+z.1f} spreads of the networks, {low:+z.1f} to {high:+z.1f}"
