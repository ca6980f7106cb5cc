"""Where the surface is highest, and how sure that is.

All of it is read off surfaces drawn from the posterior, so it holds what the data leave open about the surface's shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.posterior import SurfacePosterior
from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]

DRAWS = 2000
FLAT = 0.5
"""Part of the triangle above which the region of the optimum is called flat."""
ALIKE = 1e-9
"""Accuracies nearer than this are rounding of one and the same."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where accuracy is highest, and how sure that is.

    Attributes:
        shares: of the highest expected accuracy on the lattice.
        average: mean of the optimum's shares over surfaces drawn from the posterior; near the middle where it is open.
        spread: standard deviation of each share over them: depth, width, resolution.
        region: the points of highest expected accuracy, as few of them as hold the optimum with 95 % probability; its
            edge is a contour of the surface.
        region_area: their part of the triangle's area, 0 to 1.
        p_best: probability, over surfaces drawn from the posterior, that the trained network with the highest expected
            accuracy is the best of those trained.
        best: its number.
        flat: whether the region covers most of the triangle.
        p_beats_uniform: probability that accuracy at `shares` is higher than at uniform; 0 when they are one point.
        gain: expected accuracy at `shares` over uniform.
        gain_ci95: its 95 % interval.
        stand_in: number of the network that is nearest to uniform, where none is there: its place is then what is
            called uniform above.
    """

    shares: Shares
    average: Shares
    spread: tuple[float, float, float]
    region: tuple[Shares, ...]
    region_area: float
    p_best: float
    best: int
    flat: bool
    p_beats_uniform: float
    gain: float
    gain_ci95: tuple[float, float]
    stand_in: int | None = None

    @property
    def words(self) -> str:
        """Where the optimum is and how sure that is, where more is spent than on the baseline."""
        return self.told()

    def told(self, *, saved: bool = False) -> str:
        """Where the optimum is and how sure that is.

        Args:
            saved: whether the budget is under the baseline's cost: shares are of what is saved then.
        """
        area = f"{100 * self.region_area:.0f} % of the triangle"
        sure = f"Network {self.best} is the best of those trained with a probability of {self.p_best:.2f}."
        if self.flat:
            return (
                f"The surface is flat: the region that holds the optimum with 95 % probability covers {area}, so where "
                f"it is remains unknown. {sure}"
            )
        what = "log-cost saved" if saved else "log-cost"
        return (
            f"Highest at {percent(self.shares)} of {what} on depth, width, resolution; the region that holds the "
            f"optimum with 95 % probability covers {area}. {sure}"
        )


def find_optimum(
    process: SurfacePosterior,
    networks: Mapping[int, Shares],
    lattice: Sequence[Shares],
    expected: Floats,
    stand_in: tuple[int, Shares] | None = None,
    first: int | None = None,
) -> Optimum:
    """Read the optimum off the posterior.

    Args:
        networks: number -> shares of each trained network.
        lattice: points of the triangle, uniform among them.
        expected: float64 [points], expected accuracy at each.
        stand_in: number and shares of the network that stands for uniform; None where one is there.
        first: number of the network that is ranked first, which rounding alone may not undo; None where none is.
    """
    trials, trained = list(networks), plane(list(networks.values()))
    places, uniform = _places(lattice, networks, stand_in)
    points = len(lattice)
    means = np.append(expected, process.mean(plane(places[points:])))
    # One set of draws for all places, so that probabilities of points and of networks are of the same surfaces.
    draws = process.draw(plane(places), DRAWS, np.random.default_rng(0))
    allowed = np.where((np.arange(len(places)) < points) | (np.arange(len(places)) == uniform), means, -np.inf)
    top = _first(allowed, uniform)
    leader = _first(process.mean(trained), trials.index(first) if first is not None and first in networks else 0)
    probabilities = chances(draws[:, :points])
    region, (average, spread) = region_of(expected, probabilities), _spread(lattice, probabilities)
    area = float(areas(lattice)[region].sum())
    gains = draws[:, top] - draws[:, uniform]
    low, high = (float(q) for q in np.quantile(gains, (0.025, 0.975)))
    beats = float((gains > ALIKE).mean())
    return Optimum(
        shares=places[top],
        average=average,
        spread=spread,
        region=tuple(lattice[i] for i in region),
        region_area=area,
        p_best=float(chances(draws[:, points : points + len(trials)])[leader]),
        best=trials[leader],
        flat=area > FLAT,
        p_beats_uniform=beats,
        gain=float(means[top] - means[uniform]),
        gain_ci95=(low, high),
        stand_in=stand_in[0] if stand_in else None,
    )


def _places(
    lattice: Sequence[Shares], networks: Mapping[int, Shares], stand_in: tuple[int, Shares] | None
) -> tuple[list[Shares], int]:
    """The lattice, the trained networks, what stands for uniform where it failed; and which of them is uniform."""
    places = [*lattice, *networks.values()]
    if stand_in is None:
        return places, lattice.index(next(s for s in lattice if s.depth == s.width == s.resolution))
    number, shares = stand_in
    if number in networks:
        return places, len(lattice) + list(networks).index(number)
    return [*places, shares], len(places)


def _first(expected: Floats, default: int = 0) -> int:
    """The index of the highest; `default` where none is higher by more than rounding."""
    top = int(expected.argmax())
    return top if expected[top] > expected[default] + ALIKE else default


def chances(surfaces: Floats) -> Floats:
    """Probability of each point of being the best; where a surface is flat, every point has the same chance."""
    jitter = np.random.default_rng(0).random(surfaces.shape) * ALIKE
    tops = (np.round(surfaces, 9) + jitter).argmax(1)
    return np.bincount(tops, minlength=surfaces.shape[1]) / len(surfaces)


def _spread(lattice: Sequence[Shares], probabilities: Floats) -> tuple[Shares, tuple[float, float, float]]:
    """Mean and standard deviations of the shares of the optimum."""
    mean, cover = moments(lattice, probabilities)
    depth, width, resolution = (float(sd) for sd in np.sqrt(np.diag(cover)))
    return mean, (depth, width, resolution)


def moments(lattice: Sequence[Shares], probabilities: Floats) -> tuple[Shares, Floats]:
    """Mean and covariance, float64 [3, 3], of shares that are at points of a lattice with these probabilities."""
    table = np.array([(s.depth, s.width, s.resolution) for s in lattice])
    mean = probabilities @ table
    gaps = table - mean
    return Shares(*(float(m) for m in mean)), np.asarray((gaps * probabilities[:, None]).T @ gaps)


def region_of(expected: Floats, probabilities: Floats, part: float = 0.95) -> list[int]:
    """Indices of the points that hold so much probability, the highest expected accuracy first.

    The few points that are most often the best would do too, but on a flat surface they are the triangle's edge: a
    surface without an optimum has its top at the border in most draws.
    """
    order = np.argsort(-np.round(expected, 9), kind="stable")
    count = int(np.searchsorted(np.cumsum(probabilities[order]), part - 1e-12)) + 1
    return [int(i) for i in order[:count]]


def areas(lattice: Sequence[Shares]) -> Floats:
    """The part of the triangle that is nearest to each point, summing to 1: less at the edges, least in the corners."""
    sides = np.array([sum(share < 1e-9 for share in (s.depth, s.width, s.resolution)) for s in lattice])
    parts = np.array([6.0, 3.0, 1.0])[sides]
    return np.asarray(parts / parts.sum())


def percent(shares: Shares) -> str:
    """Shares as people write them: depth, width, resolution.

    Example:
        >>> percent(Shares(0.28, 0.29, 0.43))
        '28/29/43 %'
    """
    return f"{100 * shares.depth:.0f}/{100 * shares.width:.0f}/{100 * shares.resolution:.0f} %"
