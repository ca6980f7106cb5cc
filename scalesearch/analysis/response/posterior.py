"""What the trainings so far say about every network of a budget: a Gaussian process over the shares of log-cost.

    accuracy = mean + f(shares) + b(seed) + e        f ~ GP,  b ~ N(0, s_b^2),  e ~ N(0, s_e^2)

f is a sum of a plane, a quadratic and a rest (squared exponential), so that few trainings give a quadratic surface and
many may bend it. Where trained networks are compared, the rest may be so rough that each of them has something of its
own. The baseline is on no surface: its mean is free, and what it shares with the others is seeds and noise. b is what
one seed does to all networks alike. The mean has a flat prior, s_e Jeffreys'.
What the data leave open (how large f and b are against e, how rough f is) is not chosen but averaged over, on a small
grid weighted by the marginal likelihood: with ten trainings no single choice would be honest. Where something was
expected of the surface (see `prior`), f is what it differs by from that, and how much is taken of it is left open too.

f is a few numbers (see `features`) and of the trainings only sums are used (see `sums`), so that time and memory grow
linearly with networks and hardly with trainings.

Source: Rasmussen & Williams (2006), chapters 2, 5 and 8; O'Hagan (1978) for the flat mean; Harville (1974) for the
restricted likelihood.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from scalesearch.analysis.response.features import ALONE, Features, Floats, Shape, kernel
from scalesearch.analysis.response.observations import Observations
from scalesearch.analysis.response.prior import LEANS
from scalesearch.analysis.response.sums import Design, Layout, Sums

SIGNAL = (0.0, 0.15, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6)
"""Size of f against the seed noise."""
BLOCK = (0.0, 0.7)
"""Size of the common effect of a seed against the rest of the noise."""
SHAPES: tuple[Shape, ...] = ((1.0, 1.0, 0.0, 1.0), (1.0, 1.0, 0.25, 0.5), (0.5, 0.5, 0.5, 0.35))
"""Weights of plane, quadratic and smooth rest, and the length of the rest (the triangle's corners are at radius 1)."""
OWN: tuple[Shape, ...] = ((1.0, 1.0, 0.25, ALONE), (0.25, 0.25, 1.0, ALONE))
"""Shapes of networks that differ from all their neighbours: a fifth or most of f is a network's own. Without them the
intervals of a difference are too narrow where networks are so (see benchmarks/answer.md). Of a network that was not
trained they tell nothing, so a search does without."""
ROUGH: tuple[Shape, ...] = tuple((plane, quadratic, rest, 0.12) for plane, quadratic, rest, _ in OWN)
"""Those in their place where networks are many: what is a network's own is a number for each of them."""
MOST_OWN = 200
"""Networks above which they are many."""
Choice = tuple[float, Shape, float]


def choices(shapes: Sequence[Shape]) -> tuple[Choice, ...]:
    """Every choice of signal, shape and block that is averaged over; without a signal there is no shape."""
    every = itertools.product(SIGNAL, shapes, BLOCK)
    return tuple((signal, shape, block) for signal, shape, block in every if signal or shape is shapes[0])


GRID = choices(SHAPES)
"""What a search averages over."""


def with_own(networks: int) -> tuple[Choice, ...]:
    """What is averaged over where so many trained networks are compared."""
    return choices((*SHAPES, *(OWN if networks <= MOST_OWN else ROUGH)))


FLAT_WEIGHT = 5.0
"""Weight of "the networks do not differ at all" against every other choice: a fifth of all together. With 1, a flat
surface was left in 9 to 10 % of simulated searches; with 5 in 4 to 6 %, at little cost where there is something to find
(see benchmarks/evidence.md)."""
LEAST_WEIGHT = 2e-3
"""Settings with less are left out: they would move no answer."""


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
    """One choice of what the grid leaves open, with what the data give under it.

    Attributes:
        coefficients: float64 [t]: of f's features, of the drift and a network apart where there are, and the mean.
        root: float64 [t, t], lower: `root @ root.T` is their precision at a noise of 1.
        scale: variance of one training around f plus the effect of its seed.
        lean: how much is taken of what was expected.
        centre: from which the mean is counted.
    """

    signal: float
    shape: Shape
    coefficients: Floats
    root: Floats
    scale: float
    log_weight: float
    lean: float
    centre: float


class SurfacePosterior:
    """The trainings of a budget, ready to be asked about any network.

    Args:
        observations: two or more.
        grid: what is averaged over.
    """

    def __init__(self, observations: Observations, grid: Sequence[Choice] | None = None) -> None:
        grid = GRID if grid is None else grid
        self.observations = observations
        rows, groups = observations.grouped()
        self._on = rows[:, 3] == 0.0
        self._apart = np.zeros((len(rows), 0)) if self._on.all() else rows[:, [3]]
        noise = observations.seed_noise(groups) if rows[:, 2].any() else 0.0
        self._drift = rows[:, [2]] / noise if noise else np.zeros((len(rows), 0))
        layout = Layout(groups, observations.seeds)
        sums = self._sums(layout)
        self._centre = sums[0][1].centre
        networks = rows[self._on, :2]
        shapes = dict.fromkeys(shape for signal, shape, _ in grid if signal)
        self._features = {shape: Features(networks, shape) for shape in shapes}
        designs = {shape: Design(layout, self._terms(found.of_points)) for shape, found in self._features.items()}
        flat = Design(layout, self._terms(np.zeros((len(networks), 0))))
        settings = [
            self._setting(choice, designs[choice[1]] if choice[0] else flat, own, lean, chance)
            for choice in grid
            for (lean, chance), own in sums
        ]
        self._every = settings
        self._keep(settings)

    def _sums(self, layout: Layout) -> list[tuple[tuple[float, float], Sums]]:
        """What is left of the values without so much of what was expected, for each part that may be taken of it."""
        data = self.observations
        if data.prior is None:
            return [((0.0, 1.0), layout.sums(data.values))]
        expected = data.prior.at(data.points)
        if data.apart is not None:
            expected = np.where(data.apart, 0.0, expected)
        return [((lean, chance), layout.sums(data.values - lean * expected)) for lean, chance in LEANS]

    @property
    def lean(self) -> float:
        """How much of what was expected is taken, 0 to 1; 0 where nothing was."""
        return float(self._weights @ [setting.lean for setting in self._settings])

    def _expected(self, points: Floats) -> Floats | None:
        """What is added to the fit of each setting, float64 [h, m]; None where nothing was expected."""
        prior = self.observations.prior
        if prior is None:
            return None
        own = prior.at(points)
        return np.stack([setting.centre - self._centre + setting.lean * own for setting in self._settings])

    def _keep(self, settings: Sequence[_Setting]) -> None:
        """Average over these, but for those that would move no answer."""
        top = max(s.log_weight for s in settings)
        weights = np.exp([s.log_weight - top for s in settings])
        weights /= weights.sum()
        kept = [i for i in np.argsort(-weights) if weights[i] >= LEAST_WEIGHT]
        self._settings = [settings[i] for i in kept]
        self._weights = weights[kept] / weights[kept].sum()

    def of_size(self, least: float) -> SurfacePosterior:
        """The same trainings under the choices whose f is at least so large, against the noise of one training."""
        other = copy.copy(self)
        other._keep([setting for setting in self._every if setting.signal >= least])
        return other

    def _terms(self, features: Floats) -> Floats:
        """Terms of the networks, float64 [m, t], given the features of those on the surface."""
        spread = np.zeros((len(self._on), features.shape[1]))
        spread[self._on] = features
        return np.hstack([spread, self._drift, self._apart, np.ones((len(spread), 1))])

    @property
    def _beside(self) -> int:
        """Terms between the features and the mean."""
        return int(self._drift.shape[1] + self._apart.shape[1])

    def _setting(self, choice: Choice, design: Design, sums: Sums, lean: float, chance: float) -> _Setting:
        signal, shape, block = choice
        data, terms = self.observations, design.terms.shape[1]
        sizes, penalty = np.ones(terms), np.ones(terms)
        sizes[: terms - 1 - self._beside] = signal
        penalty[terms - 1 - self._apart.shape[1] :] = 0.0  # the mean is free, and so is that of a network apart
        factored = design.factored(sizes, penalty, block)
        solved = factored.solve(sums)
        elsewhere = data.noise.degrees * data.noise.variance if data.noise else 0.0
        scale = max((solved.squares + elsewhere) / data.degrees, 1e-16)
        # The restricted likelihood: mean and scale are integrated out, so that no choice wins by fitting them.
        log_weight = -0.5 * factored.log_size - 0.5 * data.degrees * np.log(scale)
        if not signal:
            log_weight += np.log(FLAT_WEIGHT)
        log_weight += np.log(chance)
        return _Setting(signal, shape, solved.coefficients, factored.root, scale, float(log_weight), lean, sums.centre)

    def _asked(self, setting: _Setting, told: dict[Shape, Floats], points: int) -> Floats:
        """The terms of points under a setting, float64 [points, t]; what was corrected by has no error there."""
        parts = [setting.signal * told[setting.shape]] if setting.signal else []
        return np.hstack([*parts, np.zeros((points, self._beside)), np.ones((points, 1))])

    def _told(self, points: Floats) -> dict[Shape, Floats]:
        shapes = {setting.shape for setting in self._settings if setting.signal}
        return {shape: self._features[shape].at(points) for shape in shapes}

    def at(self, points: Floats) -> Posterior:
        """The posterior at points of the plane, float64 [m, 2]."""
        told = self._told(points)
        rest = {shape: kernel(points, points, shape) - features @ features.T for shape, features in told.items()}
        terms = [self._asked(setting, told, len(points)) for setting in self._settings]
        covers = []
        for setting, own in zip(self._settings, terms, strict=True):
            half = linalg.solve_triangular(setting.root, own.T, lower=True, check_finite=False)
            cover = half.T @ half
            if setting.signal:
                cover += setting.signal**2 * rest[setting.shape]
            covers.append(setting.scale * cover)
        means = self._centre + np.stack([own @ s.coefficients for s, own in zip(self._settings, terms, strict=True)])
        expected = self._expected(points)
        return Posterior(
            weights=self._weights,
            means=means if expected is None else means + expected,
            covariances=np.stack(covers),
            noise=np.array([setting.scale for setting in self._settings]),
            degrees=self.observations.degrees,
        )

    def mean(self, points: Floats) -> Floats:
        """Expected value at points of the plane, float64 [m]: as `at(points).mean`, without the covariances."""
        told = self._told(points)
        means = np.stack([self._asked(setting, told, len(points)) @ setting.coefficients for setting in self._settings])
        expected = self._expected(points)
        return np.asarray(self._centre + self._weights @ (means if expected is None else means + expected))

    def mean_apart(self) -> Floats:
        """Expected value of the network apart, float64 [1]; [0] where there is none."""
        columns = self._apart.shape[1]
        means = np.array([s.coefficients[-1 - columns :].sum() + (s.centre - self._centre) for s in self._settings])
        return np.full(columns, self._centre + self._weights @ means)

    def draw(self, points: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Surfaces that the data leave possible, float64 [count, m]: as `at(points).draw`, quick for many points.

        Where the observations have a network apart its value is the last, float64 [count, m + 1].
        """
        told = self._told(points)
        rest = {shape: self._features[shape].untold(points, features) for shape, features in told.items()}
        numbers = rng.multinomial(count, self._weights)
        drawn, start = np.empty((count, len(points) + self._apart.shape[1])), 0
        expected = self._expected(points)
        for index, (setting, number) in enumerate(zip(self._settings, (int(n) for n in numbers), strict=True)):
            if number:
                asked, own = self._asked(setting, told, len(points)), slice(start, start + number)
                drawn[own] = self._draw(setting, asked, rest.get(setting.shape), number, rng)
                if expected is not None:
                    drawn[own, : len(points)] += expected[index]
                    drawn[own, len(points) :] += setting.centre - self._centre
                start += number
        return drawn

    def _with_apart(self, terms: Floats) -> Floats:
        """The terms of points, and those of the network apart after them."""
        if not self._apart.shape[1]:
            return terms
        own = np.zeros((1, terms.shape[1]))
        own[0, -2:] = 1.0
        return np.vstack([terms, own])

    def _draw(
        self, setting: _Setting, terms: Floats, rest: Floats | None, count: int, rng: np.random.Generator
    ) -> Floats:
        terms = self._with_apart(terms)
        normal = rng.standard_normal((len(setting.root), count))
        coefficients = linalg.solve_triangular(setting.root, normal, lower=True, trans="T", check_finite=False)
        missed = terms @ coefficients
        if setting.signal and rest is not None:
            missed[: len(rest)] += setting.signal * (rest @ rng.standard_normal((rest.shape[1], count)))
        # The size of the noise is not known but estimated: a chi-square under the root makes of the normal a t.
        degrees = self.observations.degrees
        missed *= np.sqrt(setting.scale * degrees / rng.chisquare(degrees, size=count))
        return np.asarray((self._centre + terms @ setting.coefficients)[:, None] + missed).T
