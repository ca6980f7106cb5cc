"""Where the surface is highest, how sure that is, and whether it is reason enough to leave uniform scaling.

All of it is read off surfaces drawn from the posterior, so it holds what the data leave open about the surface's shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.allocation import LEAVE
from scalesearch.analysis.response.posterior import SurfacePosterior, plane
from scalesearch.scaling.coefficients import REFERENCES, Shares

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
        recommended: uniform, unless the optimum is better with a probability of `allocation.LEAVE` on a surface that
            predicts left-out networks better than their mean does.
    """

    shares: Shares
    region: tuple[Shares, ...]
    region_area: float
    p_best: float
    best: int
    flat: bool
    p_beats_uniform: float
    gain: float
    gain_ci95: tuple[float, float]
    recommended: Shares

    @property
    def words(self) -> str:
        """Where the optimum is and how sure that is."""
        area = f"{100 * self.region_area:.0f} % of the triangle"
        sure = f"Network {self.best} is the best of those trained with a probability of {self.p_best:.2f}."
        if self.flat:
            return (
                f"The surface is flat: the region that holds the optimum with 95 % probability covers {area}, so where "
                f"it is remains unknown. {sure}"
            )
        return (
            f"Highest at {percent(self.shares)} of log-cost on depth, width, resolution; the region that holds the "
            f"optimum with 95 % probability covers {area}. {sure}"
        )

    @property
    def advice(self) -> str:
        """Whether to leave uniform scaling."""
        low, high = (100 * bound for bound in self.gain_ci95)
        gain = f"{100 * self.gain:+.2f} points over uniform (95 % interval {low:+.2f} to {high:+.2f})"
        chance = f"better with a probability of {self.p_beats_uniform:.2f}"
        if self.gain == 0.0:
            return "No point of the surface is expected to be better than uniform: stay with it."
        if self.recommended == self.shares:
            return f"Leave uniform for {percent(self.shares)}: {gain}, {chance}."
        why = f"{chance}, and {LEAVE:g} is asked for"
        if self.p_beats_uniform >= LEAVE:
            why = "but the surface does not predict networks that it has not seen"
        return f"Not enough evidence to leave uniform: {percent(self.shares)} is {gain}, {why}."


def find_optimum(
    process: SurfacePosterior,
    networks: Mapping[int, Shares],
    lattice: Sequence[Shares],
    expected: Floats,
    *,
    trusted: bool,
) -> Optimum:
    """Read the optimum off the posterior.

    Args:
        networks: number -> shares of each trained network.
        lattice: points of the triangle, uniform among them.
        expected: float64 [points], expected accuracy at each.
        trusted: whether the surface predicts left-out networks better than their mean does.
    """
    trials, trained = list(networks), plane(list(networks.values()))
    # One set of draws for lattice and networks, so that probabilities of both are of the same surfaces.
    draws = process.draw(np.vstack([plane(lattice), trained]), DRAWS, np.random.default_rng(0))
    surfaces, of_networks = draws[:, : len(lattice)], draws[:, len(lattice) :]
    uniform = lattice.index(next(s for s in lattice if s.depth == s.width == s.resolution))
    top, leader = _first(expected, uniform), _first(process.mean(trained))
    region = _region(expected, _best(surfaces))
    area = float(_areas(lattice)[region].sum())
    gains = surfaces[:, top] - surfaces[:, uniform]
    low, high = (float(q) for q in np.quantile(gains, (0.025, 0.975)))
    beats = float((gains > ALIKE).mean())
    return Optimum(
        shares=lattice[top],
        region=tuple(lattice[i] for i in region),
        region_area=area,
        p_best=float(_best(of_networks)[leader]),
        best=trials[leader],
        flat=area > FLAT,
        p_beats_uniform=beats,
        gain=float(expected[top] - expected[uniform]),
        gain_ci95=(low, high),
        recommended=lattice[top] if trusted and beats >= LEAVE else REFERENCES["uniform"],
    )


def _first(expected: Floats, default: int = 0) -> int:
    """The index of the highest; `default` where none is higher by more than rounding."""
    top = int(expected.argmax())
    return top if expected[top] > expected[default] + ALIKE else default


def _best(surfaces: Floats) -> Floats:
    """Probability of each point of being the best; where a surface is flat, every point has the same chance."""
    jitter = np.random.default_rng(0).random(surfaces.shape) * ALIKE
    tops = (np.round(surfaces, 9) + jitter).argmax(1)
    return np.bincount(tops, minlength=surfaces.shape[1]) / len(surfaces)


def _region(expected: Floats, probabilities: Floats) -> list[int]:
    """Indices, the highest expected accuracy first.

    The few points that are most often the best would do too, but on a flat surface they are the triangle's edge: a
    surface without an optimum has its top at the border in most draws.
    """
    order = np.argsort(-np.round(expected, 9), kind="stable")
    count = int(np.searchsorted(np.cumsum(probabilities[order]), 0.95 - 1e-12)) + 1
    return [int(i) for i in order[:count]]


def _areas(lattice: Sequence[Shares]) -> Floats:
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
