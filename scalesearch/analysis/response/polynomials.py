"""Polynomials in the shares, and how well any model predicts a network that was left out.

    values = terms @ coefficients + f + b(seed) + e

The mean, Scheffe's plane and quadratic, and the Gaussian process (see `posterior`) are all of this form: they differ in
their terms and in the covariance of f. What a seed does to all networks alike, b, is a random effect, so that trainings
of one network alone still count as repeats. How large b (and f) is against e is averaged over, weighted by the
restricted likelihood. Leaving a network out needs no second fit. Networks are what is counted with, not trainings (see
`sums`).

Source: Scheffe (1958), mixture polynomials; Dubrule (1983), "Cross validation of kriging"; Harville (1974).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.features import Features, Shape
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.posterior import GRID, Choice
from scalesearch.analysis.response.sums import Design, Factored, Layout
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
    """Whether all but any one of the networks with these terms fix every coefficient.

    Example:
        >>> corners = [Shares(1.0, 0.0, 0.0), Shares(0.0, 1.0, 0.0), Shares(0.0, 0.0, 1.0)]
        >>> twice = scheffe([*corners, *corners], 3)
        >>> determines_without_any(twice), determines_without_any(twice[:5])
        (True, False)
    """
    if len(terms) <= terms.shape[1]:
        return False
    # Squares of the singular values, of all networks at once: a product of the whole with each one taken off.
    squares = np.linalg.eigvalsh(terms.T @ terms - terms[:, :, None] * terms[:, None, :])
    return bool((squares[:, 0] > FIRM**2 * squares[:, -1]).all())


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
        self.rows, self.terms = len(seeds), terms
        self.of_networks = scheffe(shares, terms)
        networks = np.empty(len(seeds), dtype=np.int64)
        for number, group in enumerate(groups):
            networks[group] = number
        self._layout = Layout(networks, seeds)
        self._points = plane(shares)
        self._designs: dict[Shape | None, Design] = {}
        self._choices = [self._factored(choice) for choice in grid]

    def _factored(self, choice: Choice) -> Factored:
        signal, shape, block = choice
        known = shape if signal else None
        if known not in self._designs:
            features = Features(self._points, shape).of_points if signal else np.zeros((len(self._points), 0))
            self._designs[known] = Design(self._layout, np.hstack([features, self.of_networks]))
        design = self._designs[known]
        sizes, penalty = np.ones(design.terms.shape[1]), np.zeros(design.terms.shape[1])
        sizes[: -self.terms], penalty[: -self.terms] = signal, 1.0
        return design.factored(sizes, penalty, block)

    def coefficients(self, values: Floats) -> Floats:
        """One for each term, float64 [terms], in the unit of the values."""
        sums = self._layout.sums(values)
        solved = [choice.solve(sums) for choice in self._choices]
        log_size, squares = np.array([c.log_size for c in self._choices]), np.array([s.squares for s in solved])
        weights = _weights(log_size, squares, self.rows - self.terms)
        found = weights @ np.stack([one.coefficients[-self.terms :] for one in solved])
        found[:3] += sums.centre  # the shares sum to 1, so this is the mean
        return np.asarray(found)

    def can_leave_out(self) -> bool:
        """Whether all but any one of the networks fix every coefficient."""
        return determines_without_any(self.of_networks)

    def left_out(self, values: Floats) -> Floats:
        """What each network's mean is above the prediction from all other networks, float64 [networks]."""
        sums = self._layout.sums(values)
        found = [choice.left_out(sums, choice.solve(sums)) for choice in self._choices]
        gaps, squares, log_size = (np.stack(one) for one in zip(*found, strict=True))
        log_size += np.array([[choice.log_size] for choice in self._choices])
        weights = _weights(log_size, squares, self.rows - self._layout.counts - self.terms)
        return np.asarray((weights * gaps).sum(0))


def _weights(log_size: Floats, squares: Floats, degrees: Floats | int) -> Floats:
    """Weights of the grid's choices, from the restricted likelihood with the noise integrated out.

    Args:
        log_size, squares: float64 [choices] or [choices, networks]; the weights sum to 1 over the choices.
    """
    log_weights = -0.5 * log_size - 0.5 * np.maximum(degrees, 0) * np.log(np.maximum(squares, _LEAST_SQUARES))
    weights = np.exp(log_weights - log_weights.max(0))
    return np.asarray(weights / weights.sum(0))
