"""The response surface over trainings instead of networks: dense covariances, as the textbook has them.

What `analysis.response` computes from sums is held against this. It takes a matrix of trainings by trainings for every
choice of the grid, so it is for few.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import linalg

from scalesearch.analysis.noise import repeated
from scalesearch.analysis.response.features import kernel
from scalesearch.analysis.response.observations import Observations, plane
from scalesearch.analysis.response.polynomials import FLAT_GRID, scheffe
from scalesearch.analysis.response.posterior import FLAT_WEIGHT, GRID, Choice
from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]


def covariance(points: Floats, seeds: npt.NDArray[np.int64], choice: Choice) -> Floats:
    """Covariance of trainings under one choice of the grid, float64 [n, n], in units of the noise of one training."""
    signal, shape, block = choice
    found = np.eye(len(points)) + block**2 * (seeds[:, None] == seeds[None, :])
    if signal:
        found = found + signal**2 * kernel(points, points, shape)
    return np.asarray(found, dtype=np.float64)


def _relative_drift(data: Observations) -> Floats:
    """The drift in units of the noise of one training, as repeated trainings show it."""
    if data.drift is None:
        return np.zeros(len(data.values))
    _, groups = np.unique(data.points, axis=0, return_inverse=True)
    degrees, variance = repeated([data.values[groups == g].tolist() for g in range(int(groups.max()) + 1)])
    squares = degrees * variance + (data.noise.degrees * data.noise.variance if data.noise else 0.0)
    degrees += data.noise.degrees if data.noise else 0
    return data.drift / np.sqrt(squares / degrees) if squares > 0 else np.zeros(len(data.values))


class DensePosterior:
    """Every choice of the grid; `at` gives weights, means and covariances of all of them, none left out."""

    def __init__(self, observations: Observations) -> None:
        self.data, self.drift = observations, _relative_drift(observations)
        self.settings = [self._setting(choice) for choice in GRID]
        logs = np.array([setting[-1] for setting in self.settings])
        self.weights = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()

    def _setting(self, choice: Choice) -> tuple:
        data = self.data
        cover = covariance(data.points, data.seeds, choice) + np.outer(self.drift, self.drift)
        root = linalg.cholesky(cover, lower=True)
        ones = linalg.solve_triangular(root, np.ones(len(data.values)), lower=True)
        values = linalg.solve_triangular(root, data.values, lower=True)
        information = float(ones @ ones)
        mean = float(ones @ values) / information
        residual = values - mean * ones
        elsewhere = data.noise.degrees * data.noise.variance if data.noise else 0.0
        scale = max((float(residual @ residual) + elsewhere) / data.degrees, 1e-16)
        log_weight = -np.log(np.diag(root)).sum() - 0.5 * np.log(information) - 0.5 * data.degrees * np.log(scale)
        if not choice[0]:
            log_weight += np.log(FLAT_WEIGHT)
        return choice[0], choice[1], root, residual, ones, mean, scale, float(log_weight)

    def at(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Weights [h], means [h, m], covariances [h, m, m]."""
        parts = [self._at(setting, points) for setting in self.settings]
        return self.weights, np.stack([mean for mean, _ in parts]), np.stack([cover for _, cover in parts])

    def _at(self, setting: tuple, points: Floats) -> tuple[Floats, Floats]:
        signal, shape, root, residual, ones, mean, scale, _ = setting
        cross = signal**2 * kernel(self.data.points, points, shape)
        half = linalg.solve_triangular(root, cross, lower=True)
        unexplained = 1.0 - ones @ half
        cover = signal**2 * kernel(points, points, shape) - half.T @ half
        cover += np.outer(unexplained, unexplained) / float(ones @ ones)
        return mean + residual @ half, scale * cover


class DensePolynomial:
    """The model of `polynomials.Polynomial` by inverses of whole covariances, left-out networks by Dubrule's blocks."""

    def __init__(
        self,
        shares: Sequence[Shares],
        groups: Sequence[npt.NDArray[np.int64]],
        seeds: npt.NDArray[np.int64],
        terms: int,
        grid: Iterable[Choice] = FLAT_GRID,
    ) -> None:
        self.groups, self.rows, self.terms = groups, len(seeds), terms
        sizes = [len(group) for group in groups]
        points = np.repeat(plane(shares), sizes, axis=0)
        design = np.repeat(scheffe(shares, terms), sizes, axis=0)
        covers = np.stack([covariance(points, seeds, choice) for choice in grid])
        inverse = np.linalg.inv(covers)
        weighted = inverse @ design
        information = design.T @ weighted
        self._solve = np.linalg.solve(information, weighted.transpose(0, 2, 1))
        self._precision = inverse - weighted @ self._solve
        self._log_size = np.linalg.slogdet(covers)[1] + np.linalg.slogdet(information)[1]

    def coefficients(self, values: Floats) -> Floats:
        squares = np.einsum("i,hij,j->h", values, self._precision, values)
        return np.asarray(_weights(self._log_size, squares, self.rows - self.terms) @ (self._solve @ values))

    def left_out(self, values: Floats) -> Floats:
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
    log_weights = -0.5 * log_size - 0.5 * max(degrees, 0) * np.log(np.maximum(squares, 1e-24))
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())
