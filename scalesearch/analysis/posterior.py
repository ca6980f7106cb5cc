"""What the trainings so far say about every network of a budget: a Gaussian process over the shares of log-cost.

    accuracy = mean + f(shares) + b(seed) + e        f ~ GP,  b ~ N(0, s_b^2),  e ~ N(0, s_e^2)

f is a sum of a plane, a quadratic and a smooth rest (squared exponential), so that few trainings give a quadratic
surface and many may bend it. b is what one seed does to all networks alike. The mean has a flat prior, s_e Jeffreys'.
What the data leave open (how large f and b are against e, how rough f is) is not chosen but averaged over, on a small
grid weighted by the marginal likelihood: with ten trainings no single choice would be honest.

Source: Rasmussen & Williams (2006), chapters 2 and 5; O'Hagan (1978) for the flat mean; Harville (1974) for the
restricted likelihood.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from scalesearch.space import Shares

Floats = npt.NDArray[np.float64]

SIGNAL = (0.0, 0.15, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6)
"""Size of f against the seed noise."""
BLOCK = (0.0, 0.7)
"""Size of the common effect of a seed against the rest of the noise."""
SHAPES = ((1.0, 1.0, 0.0, 1.0), (1.0, 1.0, 0.25, 0.5), (0.5, 0.5, 0.5, 0.35))
"""Weights of plane, quadratic and smooth rest, and the length of the rest (the triangle's corners are at radius 1)."""
LEAST_WEIGHT = 2e-3
"""Settings with less are left out: they would move no answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Trainings on one budget.

    Attributes:
        points: float64 [n, 2], see `plane`.
        seeds: int64 [n].
        values: float64 [n]: accuracy, or minus a loss; larger is better.
    """

    points: Floats
    seeds: npt.NDArray[np.int64]
    values: Floats


def plane(shares: Sequence[Shares]) -> Floats:
    """Shares as points of the plane, float64 [n, 2]: uniform is the origin, the corners are at radius 1.

    Example:
        >>> plane([Shares(1 / 3, 1 / 3, 1 / 3), Shares(1.0, 0.0, 0.0)]).round(12).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    table = np.array([[s.depth, s.width, s.resolution] for s in shares], dtype=np.float64).reshape(-1, 3)
    corners = np.array([[0.0, 1.0], [-np.sqrt(3) / 2, -0.5], [np.sqrt(3) / 2, -0.5]])
    return np.asarray((table - 1 / 3) @ corners, dtype=np.float64)


def _kernel(a: Floats, b: Floats, shape: tuple[float, float, float, float]) -> Floats:
    """Covariance of f, up to its size squared."""
    linear, quadratic, rest, length = shape
    dot = a @ b.T
    found = linear * dot + quadratic * dot**2
    if rest:
        gap = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * dot
        found = found + rest * np.exp(-0.5 * np.maximum(gap, 0.0) / length**2)
    return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """f plus the mean at some points, as a mixture of multivariate t distributions.

    Attributes:
        weights: float64 [h], summing to 1.
        means: float64 [h, m].
        covariances: float64 [h, m, m] of f, scaled by the seed noise of each setting.
        noise: float64 [h]: variance of one training around f plus the effect of its seed.
        degrees: of freedom of the noise.
    """

    weights: Floats
    means: Floats
    covariances: Floats
    noise: Floats
    degrees: int

    @property
    def mean(self) -> Floats:
        """Expected value at each point, float64 [m]."""
        return np.asarray(self.weights @ self.means)

    @property
    def covariance(self) -> Floats:
        """Covariance over the mixture, float64 [m, m]."""
        gaps = self.means - self.mean
        return np.asarray(
            np.einsum("h,hij->ij", self.weights, self.covariances) + np.einsum("h,hi,hj->ij", self.weights, gaps, gaps)
        )

    @property
    def noise_variance(self) -> float:
        """Expected variance of one training."""
        return float(self.weights @ self.noise)

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """Surfaces that the data leave possible, float64 [count, m]."""
        numbers = rng.multinomial(count, self.weights)
        parts = [self._draw(h, int(n), rng) for h, n in enumerate(numbers) if n]
        return np.concatenate(parts)

    def _draw(self, setting: int, count: int, rng: np.random.Generator) -> Floats:
        values, vectors = np.linalg.eigh(self.covariances[setting])
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = rng.standard_normal((count, len(values))) @ root.T
        scale = np.sqrt(self.degrees / rng.chisquare(self.degrees, size=(count, 1)))
        return np.asarray(self.means[setting] + normal * scale)


@dataclass(frozen=True, slots=True, eq=False)
class _Setting:
    """One choice of what the grid leaves open, with what the data give under it."""

    signal: float
    shape: tuple[float, float, float, float]
    root: Floats
    half_values: Floats
    half_ones: Floats
    mean: float
    scale: float
    log_weight: float


class SurfacePosterior:
    """The trainings of a budget, ready to be asked about any network.

    Args:
        observations: two or more.
    """

    def __init__(self, observations: Observations) -> None:
        self.observations = observations
        grid = itertools.product(SIGNAL, SHAPES, BLOCK)
        settings = [self._setting(*choice) for choice in grid if choice[0] or choice[1] is SHAPES[0]]
        top = max(s.log_weight for s in settings)
        weights = np.exp([s.log_weight - top for s in settings])
        weights /= weights.sum()
        kept = [i for i in np.argsort(-weights) if weights[i] >= LEAST_WEIGHT]
        self._settings = [settings[i] for i in kept]
        self._weights = weights[kept] / weights[kept].sum()

    def _setting(self, signal: float, shape: tuple[float, float, float, float], block: float) -> _Setting:
        data = self.observations
        same = (data.seeds[:, None] == data.seeds[None, :]).astype(np.float64)
        cover = signal**2 * _kernel(data.points, data.points, shape) + block**2 * same + np.eye(len(data.values))
        root = linalg.cholesky(cover, lower=True, check_finite=False)
        ones = linalg.solve_triangular(root, np.ones(len(data.values)), lower=True, check_finite=False)
        values = linalg.solve_triangular(root, data.values, lower=True, check_finite=False)
        information = float(ones @ ones)
        mean = float(ones @ values) / information
        residual = values - mean * ones
        degrees = len(data.values) - 1
        scale = max(float(residual @ residual) / degrees, 1e-16)
        log_weight = -np.log(np.diag(root)).sum() - 0.5 * np.log(information) - 0.5 * degrees * np.log(scale)
        return _Setting(signal, shape, root, residual, ones, mean, scale, float(log_weight))

    def at(self, points: Floats) -> Posterior:
        """The posterior at points of the plane, float64 [m, 2]."""
        parts = [self._at(setting, points) for setting in self._settings]
        return Posterior(
            weights=self._weights,
            means=np.stack([mean for mean, _ in parts]),
            covariances=np.stack([cover for _, cover in parts]),
            noise=np.array([setting.scale for setting in self._settings]),
            degrees=len(self.observations.values) - 1,
        )

    def _at(self, setting: _Setting, points: Floats) -> tuple[Floats, Floats]:
        size = setting.signal**2
        cross = size * _kernel(self.observations.points, points, setting.shape)
        half = linalg.solve_triangular(setting.root, cross, lower=True, check_finite=False)
        mean = setting.mean + setting.half_values @ half
        unexplained = 1.0 - setting.half_ones @ half
        cover = size * _kernel(points, points, setting.shape) - half.T @ half
        cover += np.outer(unexplained, unexplained) / float(setting.half_ones @ setting.half_ones)
        return np.asarray(mean), np.asarray(setting.scale * cover)
