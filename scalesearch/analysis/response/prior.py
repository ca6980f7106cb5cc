"""What is expected of a budget's surface before anything is trained on it: another search's, where a user asks for it.

A quadratic over the plane of shares that is 0 at uniform, in accuracy. How much of it holds here is not known: nothing,
half or all of it are averaged over like everything else that is open (see `posterior`), and what trainings show
beside it is told by f as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.observations import plane
from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]

LEANS = ((0.0, 0.5), (0.5, 0.25), (1.0, 0.25))
"""How much of it is taken, and the probability of that before any training: half of all is for nothing."""


@dataclass(frozen=True, slots=True)
class SurfacePrior:
    """An expected surface.

    Attributes:
        terms: five numbers, those of x, y, x^2, xy and y^2 in the plane of shares.
    """

    terms: tuple[float, ...]

    def at(self, points: Floats) -> Floats:
        """Accuracy over that at uniform at points of the plane, float64 [m]."""
        return np.asarray(_terms(points) @ np.array(self.terms), dtype=np.float64)


def _terms(points: Floats) -> Floats:
    x, y = points[:, 0], points[:, 1]
    return np.stack([x, y, x**2, x * y, y**2], axis=1)


def prior_of(lattice: Sequence[Shares], surfaces: Sequence[Sequence[float]]) -> SurfacePrior:
    """The quadratic nearest, by least squares, to the mean of some surfaces.

    Args:
        lattice: points that they are given on.
        surfaces: accuracy over that at uniform, at each point.

    Example:
        >>> corners = [Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1), Shares(0.5, 0.5, 0), Shares(0, 0.5, 0.5)]
        >>> found = prior_of(corners, [[0.03, 0, 0, 0.01, 0], [0.01, 0, 0, 0.01, 0]])
        >>> found.at(plane(corners)).round(9).tolist()
        [0.02, 0.0, 0.0, 0.01, 0.0]
    """
    terms = _terms(plane(lattice))
    found, *_ = np.linalg.lstsq(terms, np.mean(np.asarray(surfaces, dtype=np.float64), axis=0))
    return SurfacePrior(tuple(float(x) for x in found))
