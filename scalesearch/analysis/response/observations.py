"""The trainings of a budget as a surface reads them: points of a plane, seeds, values, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Noise:
    """What trainings of other networks, the baseline's say, tell about the spread of one training.

    Attributes:
        degrees: of freedom: repeated trainings beyond the first of each network.
        variance: of one training.
    """

    degrees: int
    variance: float


class Expected(Protocol):
    """A surface that was expected (see `prior`)."""

    def at(self, points: Floats) -> Floats:
        """Accuracy over that at uniform at points of the plane, float64 [m]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Trainings on one budget.

    Attributes:
        points: float64 [n, 2], see `plane`.
        seeds: int64 [n].
        values: float64 [n]: accuracy, or minus a loss; larger is better.
        noise: from elsewhere; None where these are all that is known.
        drift: float64 [n]: what the values were corrected by has one common error; its size for each, with its sign.
            None where nothing was corrected.
        apart: bool [n]: trainings of the one network that is not on the surface, the baseline, whose points mean
            nothing; None without one.
        prior: what was expected of the surface before; None where nothing was.
    """

    points: Floats
    seeds: npt.NDArray[np.int64]
    values: Floats
    noise: Noise | None = None
    drift: Floats | None = None
    apart: npt.NDArray[np.bool_] | None = None
    prior: Expected | None = None

    def grouped(self) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Point, drift, whether apart, float64 [m, 4] of the networks, and whose each training is, int64 [n]."""
        drift = np.zeros(len(self.values)) if self.drift is None else self.drift
        apart = np.zeros(len(self.values)) if self.apart is None else self.apart
        rows, groups = np.unique(
            np.column_stack([self.points, drift, apart]).astype(np.float64), axis=0, return_inverse=True
        )
        return np.asarray(rows, dtype=np.float64), groups.reshape(-1)

    def seed_noise(self, groups: npt.NDArray[np.int64]) -> float:
        """Standard deviation of one training, as repeated trainings show it; 0 where none was repeated."""
        sizes = np.bincount(groups)
        means = np.bincount(groups, self.values) / sizes
        squares = float(((self.values - means[groups]) ** 2).sum())
        degrees = len(self.values) - len(sizes)
        if self.noise:
            squares, degrees = squares + self.noise.degrees * self.noise.variance, degrees + self.noise.degrees
        return float(np.sqrt(squares / degrees)) if degrees and squares > 0 else 0.0

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the noise."""
        free = 1 if self.apart is None else 2
        return len(self.values) - free + (self.noise.degrees if self.noise else 0)


def plane(shares: Sequence[Shares]) -> Floats:
    """Shares as points of the plane, float64 [n, 2]: uniform is the origin, the corners are at radius 1.

    Example:
        >>> plane([Shares(1 / 3, 1 / 3, 1 / 3), Shares(1.0, 0.0, 0.0)]).round(12).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    table = np.array([[s.depth, s.width, s.resolution] for s in shares], dtype=np.float64).reshape(-1, 3)
    corners = np.array([[0.0, 1.0], [-np.sqrt(3) / 2, -0.5], [np.sqrt(3) / 2, -0.5]])
    return np.asarray((table - 1 / 3) @ corners, dtype=np.float64)
