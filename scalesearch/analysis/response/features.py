"""A smooth surface over the triangle in few numbers: its covariance as the product of a narrow matrix with itself.

The networks of a budget lie close beside each other for any surface that bends slowly, so that a few dozen of them tell
all others, however many there are. Which ones is found by a Cholesky factorisation that takes the network next that is
least told by those before, and stops where all are; its cost grows linearly with the networks.

Source: Fine & Scheinberg (2001), "Efficient SVM training using low-rank kernel representations".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import linalg

Floats = npt.NDArray[np.float64]
Shape = tuple[float, float, float, float]
"""Weights of plane, quadratic and smooth rest, and the length of the rest (the triangle's corners are at radius 1)."""

ALONE = 1e-3
"""A length that no two networks are within: with it the rest is each network's own."""
NOTHING = 1e-12
"""Part of the largest variance that is left out: below what a double resolves in the answers."""


def kernel(a: Floats, b: Floats, shape: Shape) -> Floats:
    """Covariance of a surface at points of the plane, float64 [len(a), len(b)], up to its size squared."""
    linear, quadratic, rest, length = shape
    dot = a @ b.T
    found = linear * dot + quadratic * dot**2
    if rest:
        gap = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * dot
        found = found + rest * np.exp(-0.5 * np.maximum(gap, 0.0) / length**2)
    return np.asarray(found, dtype=np.float64)


def _variances(points: Floats, shape: Shape) -> Floats:
    """The diagonal of the kernel, float64 [n]."""
    linear, quadratic, rest, _ = shape
    squares = (points**2).sum(1)
    return np.asarray(linear * squares + quadratic * squares**2 + rest)


class Features:
    """Numbers of each network, such that the covariance of two is the product of theirs.

    Args:
        points: float64 [n, 2] of the plane.
        shape: of the covariance.

    Attributes:
        of_points: float64 [n, r], with `of_points @ of_points.T` = the kernel, but for `NOTHING`.
    """

    def __init__(self, points: Floats, shape: Shape) -> None:
        self.shape = shape
        pivots, self.of_points = _factored(points, np.zeros((len(points), 0)), shape)
        self._pivots, self._root = points[pivots], self.of_points[pivots]

    @property
    def count(self) -> int:
        """Numbers of a network."""
        return int(self.of_points.shape[1])

    def at(self, points: Floats) -> Floats:
        """The same numbers of other points, float64 [m, r]: what the networks tell of the surface there."""
        if not self.count:  # a triangular system of nothing is refused
            return np.zeros((len(points), 0))
        cross = kernel(self._pivots, points, self.shape)
        return np.asarray(linalg.solve_triangular(self._root, cross, lower=True, check_finite=False)).T

    def untold(self, points: Floats, told: Floats) -> Floats:
        """Features of what the networks do not tell of other points, float64 [m, r2].

        What would be other networks' own is left out: a surface is what networks have in common.

        Args:
            told: the numbers that `at` gives.
        """
        linear, quadratic, rest, length = self.shape
        return _factored(points, told, (linear, quadratic, 0.0 if length == ALONE else rest, length))[1]


def _factored(points: Floats, told: Floats, shape: Shape) -> tuple[list[int], Floats]:
    """Rows that were taken, in order, and a factor of the kernel without `told @ told.T`, float64 [n, r]."""
    variances = _variances(points, shape)
    left = variances - (told**2).sum(1)
    least = NOTHING * float(variances.max(initial=0.0))
    pivots: list[int] = []
    columns: list[Floats] = []
    factor = np.zeros((len(points), 0))
    while len(pivots) < len(points) and float(left.max()) > least:
        row = int(left.argmax())
        if len(columns) == 16:  # so that products are those of matrices
            factor, columns = np.column_stack([factor, *columns]), []
        column = kernel(points, points[[row]], shape)[:, 0] - told @ told[row] - factor @ factor[row]
        for done in columns:
            column -= done * done[row]
        column /= np.sqrt(left[row])
        left = left - column**2
        column[pivots] = 0.0
        left[[*pivots, row]] = 0.0
        pivots.append(row)
        columns.append(column)
    return pivots, np.column_stack([factor, *columns])
