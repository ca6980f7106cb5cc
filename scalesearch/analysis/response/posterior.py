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

from scalesearch.analysis.noise import repeated
from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]

SIGNAL = (0.0, 0.15, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6)
"""Size of f against the seed noise."""
BLOCK = (0.0, 0.7)
"""Size of the common effect of a seed against the rest of the noise."""
Shape = tuple[float, float, float, float]
SHAPES: tuple[Shape, ...] = ((1.0, 1.0, 0.0, 1.0), (1.0, 1.0, 0.25, 0.5), (0.5, 0.5, 0.5, 0.35))
"""Weights of plane, quadratic and smooth rest, and the length of the rest (the triangle's corners are at radius 1)."""
Choice = tuple[float, Shape, float]
GRID: tuple[Choice, ...] = tuple(
    (signal, shape, block)
    for signal, shape, block in itertools.product(SIGNAL, SHAPES, BLOCK)
    if signal or shape is SHAPES[0]
)
"""Every choice of signal, shape and block that is averaged over; without a signal there is no shape."""
FLAT_WEIGHT = 5.0
"""Weight of "the networks do not differ at all" against every other choice: a fifth of all together. With 1, a flat
surface was left in 9 to 10 % of simulated searches; with 5 in 4 to 6 %, at little cost where there is something to find
(see benchmarks/evidence.md)."""
LEAST_WEIGHT = 2e-3
"""Settings with less are left out: they would move no answer."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What trainings of other networks, the baseline's say, tell about the spread of one training.

    Attributes:
        degrees: of freedom: repeated trainings beyond the first of each network.
        variance: of one training.
    """

    degrees: int
    variance: float


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
    """

    points: Floats
    seeds: npt.NDArray[np.int64]
    values: Floats
    noise: Noise | None = None
    drift: Floats | None = None

    @property
    def relative_drift(self) -> Floats:
        """The drift in units of the noise of one training, as repeated trainings show it; 0 where none was repeated."""
        if self.drift is None or not self.drift.any():
            return np.zeros(len(self.values))
        _, groups = np.unique(self.points, axis=0, return_inverse=True)
        own = [self.values[groups == g].tolist() for g in range(int(groups.max()) + 1)]
        degrees, variance = repeated(own)
        squares = degrees * variance + (self.noise.degrees * self.noise.variance if self.noise else 0.0)
        degrees += self.noise.degrees if self.noise else 0
        return self.drift / np.sqrt(squares / degrees) if squares > 0 else np.zeros(len(self.values))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the noise."""
        return len(self.values) - 1 + (self.noise.degrees if self.noise else 0)


def plane(shares: Sequence[Shares]) -> Floats:
    """Shares as points of the plane, float64 [n, 2]: uniform is the origin, the corners are at radius 1.

    Example:
        >>> plane([Shares(1 / 3, 1 / 3, 1 / 3), Shares(1.0, 0.0, 0.0)]).round(12).tolist()
        [[0.0, 0.0], [0.0, 1.0]]
    """
    table = np.array([[s.depth, s.width, s.resolution] for s in shares], dtype=np.float64).reshape(-1, 3)
    corners = np.array([[0.0, 1.0], [-np.sqrt(3) / 2, -0.5], [np.sqrt(3) / 2, -0.5]])
    return np.asarray((table - 1 / 3) @ corners, dtype=np.float64)


def _kernel(a: Floats, b: Floats, shape: Shape) -> Floats:
    """Covariance of f, up to its size squared."""
    linear, quadratic, rest, length = shape
    dot = a @ b.T
    found = linear * dot + quadratic * dot**2
    if rest:
        gap = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * dot
        found = found + rest * np.exp(-0.5 * np.maximum(gap, 0.0) / length**2)
    return np.asarray(found, dtype=np.float64)


def covariance(points: Floats, seeds: npt.NDArray[np.int64], choice: Choice) -> Floats:
    """Covariance of trainings under one choice of the grid, float64 [n, n], in units of the noise of one training."""
    signal, shape, block = choice
    found = np.eye(len(points)) + block**2 * (seeds[:, None] == seeds[None, :])
    if signal:
        found = found + signal**2 * _kernel(points, points, shape)
    return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """f plus the mean at some points, as a mixture of multivariate t distributions.

    Attributes:
        weights: float64 [h], summing to 1.
        means: float64 [h, m].
        covariances: float64 [h, m, m] of f at the seed noise of each setting; that of a draw is larger by
            degrees / (degrees - 2), because the noise is not known either.
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
        """Covariance over the mixture at the seed noise of each setting, float64 [m, m]."""
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
        # The size of the noise is not known but estimated: a chi-square under the root makes of the normal a t.
        scale = np.sqrt(self.degrees / rng.chisquare(self.degrees, size=(count, 1)))
        return np.asarray(self.means[setting] + normal * scale)


@dataclass(frozen=True, slots=True, eq=False)
class _Setting:
    """One choice of what the grid leaves open, with what the data give under it."""

    signal: float
    shape: Shape
    block: float
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
        self._drift = observations.relative_drift
        settings = [self._setting(choice) for choice in GRID]
        top = max(s.log_weight for s in settings)
        weights = np.exp([s.log_weight - top for s in settings])
        weights /= weights.sum()
        kept = [i for i in np.argsort(-weights) if weights[i] >= LEAST_WEIGHT]
        self._settings = [settings[i] for i in kept]
        self._weights = weights[kept] / weights[kept].sum()

    def _setting(self, choice: Choice) -> _Setting:
        data = self.observations
        cover = covariance(data.points, data.seeds, choice) + np.outer(self._drift, self._drift)
        # Divided by the root, trainings are independent and as noisy: the mean is then an ordinary regression on ones.
        root = linalg.cholesky(cover, lower=True, check_finite=False)
        ones = linalg.solve_triangular(root, np.ones(len(data.values)), lower=True, check_finite=False)
        values = linalg.solve_triangular(root, data.values, lower=True, check_finite=False)
        information = float(ones @ ones)
        mean = float(ones @ values) / information
        residual = values - mean * ones
        degrees, elsewhere = data.degrees, data.noise.degrees * data.noise.variance if data.noise else 0.0
        scale = max((float(residual @ residual) + elsewhere) / degrees, 1e-16)
        # The restricted likelihood: mean and scale are integrated out, so that no choice wins by fitting them.
        log_weight = -np.log(np.diag(root)).sum() - 0.5 * np.log(information) - 0.5 * degrees * np.log(scale)
        if not choice[0]:
            log_weight += np.log(FLAT_WEIGHT)
        return _Setting(*choice, root, residual, ones, mean, scale, float(log_weight))

    def at(self, points: Floats) -> Posterior:
        """The posterior at points of the plane, float64 [m, 2]."""
        parts = [self._at(setting, points) for setting in self._settings]
        return Posterior(
            weights=self._weights,
            means=np.stack([mean for mean, _ in parts]),
            covariances=np.stack([cover for _, cover in parts]),
            noise=np.array([setting.scale for setting in self._settings]),
            degrees=self.observations.degrees,
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

    def mean(self, points: Floats) -> Floats:
        """Expected value at points of the plane, float64 [m]: as `at(points).mean`, without the covariances."""
        parts = [self._predictor(setting, points) for setting in self._settings]
        return np.asarray(np.tensordot(self._weights, np.stack(parts), 1) @ self.observations.values)

    def draw(self, points: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Surfaces that the data leave possible, float64 [count, m]: as `at(points).draw`, quick for many points.

        Surfaces are drawn before any data, trained in thought, and moved by what the prediction from those trainings
        misses (Matheron's rule).

        Source: Journel & Huijbregts (1978); Wilson et al. (2020), "Efficiently sampling functions".
        """
        union = np.vstack([self.observations.points, points])
        shapes = {setting.shape for setting in self._settings if setting.signal}
        roots = {shape: _root(_kernel(union, union, shape)) for shape in shapes}
        numbers = rng.multinomial(count, self._weights)
        chosen = [(s, int(n)) for s, n in zip(self._settings, numbers, strict=True) if n]
        parts = [self._draw(s, points, roots.get(s.shape if s.signal else None), n, rng) for s, n in chosen]
        return np.concatenate(parts)

    def _draw(
        self, setting: _Setting, points: Floats, root: Floats | None, count: int, rng: np.random.Generator
    ) -> Floats:
        data = self.observations
        # A surface and trainings are made up together, and what the trainings tell of the surface is taken off: what is
        # left is by how much the predictor misses (Matheron's rule), without a covariance of all points to be factored.
        seen, degrees = len(data.values), data.degrees
        surface = np.zeros((seen + len(points), count))
        if root is not None:
            surface = setting.signal * root @ rng.standard_normal((root.shape[1], count))
        kinds, which = np.unique(data.seeds, return_inverse=True)
        noise = rng.standard_normal((seen, count)) + setting.block * rng.standard_normal((len(kinds), count))[which]
        if self._drift.any():
            noise = noise + self._drift[:, None] * rng.standard_normal((1, count))
        predictor = self._predictor(setting, points)
        missed = surface[seen:] - predictor @ (surface[:seen] + noise)
        scale = np.sqrt(setting.scale * degrees / rng.chisquare(degrees, size=count))
        return np.asarray((predictor @ data.values)[:, None] + scale * missed).T

    def _predictor(self, setting: _Setting, points: Floats) -> Floats:
        """The weight of every training in the prediction at every point, float64 [m, n]."""
        cross = setting.signal**2 * _kernel(self.observations.points, points, setting.shape)
        half = linalg.solve_triangular(setting.root, cross, lower=True, check_finite=False)
        ones = setting.half_ones
        half += np.outer(ones, 1.0 - ones @ half) / float(ones @ ones)
        return np.asarray(linalg.solve_triangular(setting.root, half, lower=True, trans="T", check_finite=False)).T


def _root(cover: Floats) -> Floats:
    """A matrix with `root @ root.T` = cover, float64 [m, rank]: a smooth surface has few degrees of freedom."""
    factor, pivots, rank, _ = linalg.lapack.dpstrf(cover, tol=1e-10 * float(cover.diagonal().max()), lower=1)
    root = np.zeros((len(cover), rank))
    root[pivots - 1] = np.tril(factor)[:, :rank]
    return root
