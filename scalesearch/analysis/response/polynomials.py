"""Polynomials in the shares, and how well any model predicts a network that was left out.

    values = terms @ coefficients + f + b(seed) + e

The mean, Scheffe's plane and quadratic, and the Gaussian process (see `posterior`) are all of this form: they differ in
their terms and in the covariance of f. What a seed does to all networks alike, b, is a random effect, so that trainings
of one network alone still count as repeats. How large b (and f) is against e is averaged over, weighted by the
restricted likelihood. Leaving a network out needs no second fit.

Source: Scheffe (1958), mixture polynomials; Dubrule (1983), "Cross validation of kriging"; Harville (1974).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.posterior import GRID, Choice, covariance, plane
from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]
Groups = Sequence[npt.NDArray[np.int64]]
"""The rows of each network."""

BLOCKS = (0.0, 0.35, 0.7, 1.4, 2.8, 11.2)
"""Sizes of the common effect of a seed against the rest of the noise, where there is no f."""
FLAT_GRID: tuple[Choice, ...] = tuple((0.0, GRID[0][1], block) for block in BLOCKS)
FIRM = 1e-3
"""Smallest singular value of the terms over the largest: below it a coefficient rests on shares that differ by no more
than rounding, and would be a thousand times the noise."""
_LEAST_SQUARES = 1e-24
"""Squared residuals below this are rounding."""


def scheffe(shares: Sequence[Shares], terms: int) -> Floats:
    """The terms of Scheffe's polynomial, float64 [n, terms]: 1 for the mean, 3 for a plane, 6 for a quadratic.

    Those of a quadratic are depth, width, resolution, depth*width, depth*resolution, width*resolution. There is no
    intercept, because the shares sum to 1.

    Example:
        >>> scheffe([Shares(0.5, 0.5, 0.0)], 6).tolist()
        [[0.5, 0.5, 0.0, 0.25, 0.0, 0.0]]
    """
    if terms == 1:
        return np.ones((len(shares), 1))
    x = np.array([[s.depth, s.width, s.resolution] for s in shares], dtype=np.float64).reshape(-1, 3)
    products = np.stack([x[:, 0] * x[:, 1], x[:, 0] * x[:, 2], x[:, 1] * x[:, 2]], axis=1)
    return np.asarray(np.concatenate([x, products], axis=1)[:, :terms])


def determines(terms: Floats) -> bool:
    """Whether networks with these terms fix every coefficient, by more than the dust of their rounding.

    Example:
        >>> thin = [Shares(d, w, 1 - d - w) for d, w in ((1.0, 0.0), (0.5, 1e-5), (0.0, 0.0), (0.3, 0.0))]
        >>> wide = [*thin, Shares(0.2, 0.5, 0.3)]
        >>> determines(scheffe(thin, 3)), determines(scheffe(wide, 3))
        (False, True)
    """
    if len(terms) < terms.shape[1]:
        return False
    sizes = np.linalg.svd(terms, compute_uv=False)
    return bool(sizes[-1] > FIRM * sizes[0])


def determines_without_any(terms: Floats) -> bool:
    """Whether all but any one of the networks with these terms fix every coefficient."""
    return all(determines(np.delete(terms, i, axis=0)) for i in range(len(terms)))


class Polynomial:
    """One model of the trainings of a budget, ready for any target.

    Args:
        shares: of every network.
        groups: the rows of each network.
        seeds: int64 [n], of each row.
        terms: 1, 3 or 6, see `scheffe`.
        grid: choices of the covariance to average over.
    """

    def __init__(
        self,
        shares: Sequence[Shares],
        groups: Groups,
        seeds: npt.NDArray[np.int64],
        terms: int,
        grid: Iterable[Choice] = FLAT_GRID,
    ) -> None:
        self.groups, self.rows, self.terms = groups, len(seeds), terms
        self.of_networks = scheffe(shares, terms)
        sizes = [len(group) for group in groups]
        points = np.repeat(plane(shares), sizes, axis=0)
        design = np.repeat(self.of_networks, sizes, axis=0)
        # `_precision` is what is left of the inverse covariance when the coefficients have been fitted: values times it
        # are residuals, and its blocks give those of a network that was left out (Dubrule).
        covers = np.stack([covariance(points, seeds, choice) for choice in grid])
        inverse = np.linalg.inv(covers)
        weighted = inverse @ design
        information = design.T @ weighted
        self._solve = np.linalg.solve(information, weighted.transpose(0, 2, 1))
        self._precision = inverse - weighted @ self._solve
        self._log_size = np.linalg.slogdet(covers)[1] + np.linalg.slogdet(information)[1]

    def coefficients(self, values: Floats) -> Floats:
        """One for each term, float64 [terms], in the unit of the values."""
        squares = np.einsum("i,hij,j->h", values, self._precision, values)
        weights = _weights(self._log_size, squares, self.rows - self.terms)
        return np.asarray(weights @ (self._solve @ values))

    def can_leave_out(self) -> bool:
        """Whether all but any one of the networks fix every coefficient."""
        return determines_without_any(self.of_networks)

    def left_out(self, values: Floats) -> Floats:
        """What each network's mean is above the prediction from all other networks, float64 [networks]."""
        shown = self._precision @ values
        squares = shown @ values
        return np.array([self._gap(group, shown[:, group], squares) for group in self.groups])

    def _gap(self, group: npt.NDArray[np.int64], shown: Floats, squares: Floats) -> float:
        own = self._precision[:, group[:, None], group[None, :]]
        gaps = np.linalg.solve(own, shown[:, :, None])[:, :, 0]
        left = squares - (shown * gaps).sum(1)
        weights = _weights(self._log_size + np.linalg.slogdet(own)[1], left, self.rows - len(group) - self.terms)
        return float(weights @ gaps.mean(1))


def _weights(log_size: Floats, squares: Floats, degrees: int) -> Floats:
    """Weights of the grid's choices, from the restricted likelihood with the noise integrated out; they sum to 1."""
    log_weights = -0.5 * log_size - 0.5 * max(degrees, 0) * np.log(np.maximum(squares, _LEAST_SQUARES))
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())
