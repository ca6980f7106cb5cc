"""The law of every strategy with its uncertainty, and the test of it: the largest budget predicted from the others.

The uncertainty is a parametric bootstrap: the mean of every network is moved by seed noise and all laws are fitted
again, `DRAWS` times. A network that two strategies share is moved once, for both. The noise has the spread that is
pooled over all networks of the study, itself drawn with its own uncertainty. Drawing the few seeds of a network with
replacement instead was measured to cover far too little (benchmarks/law_coverage.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from scalesearch.analysis.law.curve import TYPICAL_C, TYPICAL_SPREAD, Curves, Floats, PowerLaw, fit_law, fit_laws

DRAWS = 1000
_PARAMETERS = 3
_EXACT = 1e-6
"""Accuracies nearer than this are the same (a ten-thousandth of a point)."""
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class LawPoint:
    """One network of a strategy.

    Attributes:
        budget: text; `1x` for the baseline.
        number: of the network.
        ratio: its cost over the baseline's.
        accuracy: mean that the law is fitted to, 0 to 1.
        seeds: trainings behind it.
        drawn_in: what was taken off the raw mean, because the best of several looks better than it is.
    """

    budget: str
    number: int
    ratio: float
    accuracy: float
    seeds: int
    drawn_in: float = 0.0


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """Spread of one network's accuracy over seeds (0 to 1), and the degrees of freedom it was measured with."""

    sd: float
    degrees: int

    def half_width(self, seeds: int) -> float:
        """Half of the 95 % interval of a mean of so many trainings."""
        return float(special.stdtrit(self.degrees, 0.975)) * self.sd / math.sqrt(seeds)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Whether the points lie off the curves by more than their seeds explain, all strategies together.

    Attributes:
        degrees: points beyond what the curves need; 0: it cannot be told.
        p: of so large a distance if the laws held exactly; None where it cannot be told.
        scale: how far they lie off over what their seeds explain, but 1 or more; the noise of the curves' bands is
            multiplied by it.
    """

    degrees: int
    p: float | None
    scale: float


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The network at the largest cost, predicted by the law of the others.

    Attributes:
        points: that the prediction comes from.
        predicted: middle of the band, or the curve where there is no band.
        ci95: 95 % band for the mean of as many trainings; None when seeds were not repeated.
        measured: accuracy the law would have been fitted to.
        inside: whether it is in the band; None without one.
        scale: the band's noise is multiplied by this, see `Misfit`, as the other points alone would have it; 1 where
            they are as few as a curve has parameters.
        miss: how far the curve is from the one that it follows least of the points it comes from, 0 to 1: more than 0
            even of three where its bounds keep it from bending as they do.
    """

    budget: str
    ratio: float
    points: int
    predicted: float
    ci95: Interval | None
    measured: float
    seeds: int
    inside: bool | None
    scale: float = 1.0
    miss: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class StrategyLaw:
    """How accuracy answers to cost when compute is spent in one way.

    Attributes:
        points: by rising cost.
        law: the least-squares fit to them.
        a_inf_ci95: 95 % interval; None when seeds were not repeated. The same for b and c.
        degrees: points beyond the three that a curve needs: at 0 the curve goes through its points, where its bounds
            let it, below 0 the exponent is a stand-in.
        held_out: the largest cost, predicted.
        curves: the law's bootstrap draws; None when seeds were not repeated.
        noise: of one training in the bands: the seed spread of every draw, float64 [draws].
    """

    name: str
    points: tuple[LawPoint, ...]
    law: PowerLaw
    a_inf_ci95: Interval | None
    b_ci95: Interval | None
    c_ci95: Interval | None
    degrees: int
    held_out: HeldOut
    curves: Curves | None
    noise: Floats | None

    def band(self, ratios: Floats, seeds: int) -> tuple[Floats, Floats] | None:
        """Pointwise 95 % prediction band for the mean of `seeds` trainings: the curve and the noise of measuring."""
        if self.curves is None or self.noise is None:
            return None
        return _ends(self.curves.at(ratios) + _measuring(self.noise, seeds)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class LawFits:
    """Every strategy's law, and how well the points lie on them."""

    strategies: tuple[StrategyLaw, ...]
    misfit: Misfit


def fit_strategies(points: Mapping[str, Sequence[LawPoint]], noise: SeedNoise | None) -> LawFits:
    """Fit every strategy that has three points at different costs or more, and hold out the largest cost of each.

    Args:
        points: strategy -> its networks, in any order.
        noise: None when seeds were not repeated: then there are no intervals.
    """
    ordered = {name: tuple(sorted(own, key=lambda p: (p.ratio, p.number))) for name, own in points.items()}
    enough = {name: own for name, own in ordered.items() if len({p.ratio for p in own}) >= _PARAMETERS}
    misfit = _misfit(enough.values(), noise)
    before = _misfit([own[:-1] for own in enough.values()], noise)
    laws = [
        _strategy(name, own, noise, misfit.scale, _held_out(own, noise, before.scale)) for name, own in enough.items()
    ]
    return LawFits(tuple(laws), misfit)


def _strategy(
    name: str, points: tuple[LawPoint, ...], noise: SeedNoise | None, scale: float, held_out: HeldOut
) -> StrategyLaw:
    spread = None if noise is None else _spread(noise, scale)
    curves = None if spread is None else _redrawn(points, spread)
    return StrategyLaw(
        name=name,
        points=points,
        law=_fit(points),
        a_inf_ci95=_interval(curves.a_inf) if curves else None,
        b_ci95=_interval(curves.b) if curves else None,
        c_ci95=_interval(curves.c) if curves else None,
        degrees=len(points) - _PARAMETERS,
        held_out=held_out,
        curves=curves,
        noise=spread,
    )


def _held_out(points: tuple[LawPoint, ...], noise: SeedNoise | None, scale: float) -> HeldOut:
    *others, last = points
    law = _fit(others)
    held = HeldOut(
        budget=last.budget,
        ratio=last.ratio,
        points=len(others),
        predicted=law.at(last.ratio),
        ci95=None,
        measured=last.accuracy,
        seeds=last.seeds,
        inside=None,
        scale=scale,
        miss=max(abs(point.accuracy - law.at(point.ratio)) for point in others),
    )
    if noise is None:
        return held
    spread = _spread(noise, scale)
    # The band is of what will be measured, not of the law: the noise of that measurement is in it too.
    draws = _redrawn(others, spread).at(np.array([last.ratio]))[:, 0] + _measuring(spread, last.seeds)
    low, high = _interval(draws)
    inside = low - _EXACT <= last.accuracy <= high + _EXACT
    return replace(held, predicted=(low + high) / 2, ci95=(low, high), inside=inside)


def _columns(points: Sequence[LawPoint]) -> tuple[Floats, Floats, Floats]:
    """Ratios, seeds and accuracies, float64 [points] each."""
    rows = [(p.ratio, p.seeds, p.accuracy) for p in points]
    ratios, seeds, accuracies = np.array(rows, dtype=np.float64).T
    return ratios, seeds, accuracies


def _fit(points: Sequence[LawPoint]) -> PowerLaw:
    return fit_law(*_columns(points))


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng([0, *key])


def _spread(noise: SeedNoise, scale: float) -> Floats:
    """The seed spread of every draw: as sure as the degrees of freedom that it was measured with."""
    chi = _generator(0).chisquare(noise.degrees, DRAWS)
    return np.asarray(scale * noise.sd * np.sqrt(noise.degrees / chi))


def _measuring(spread: Floats, seeds: int) -> Floats:
    return np.asarray(spread / math.sqrt(seeds) * _generator(1).standard_normal(DRAWS))


def _redrawn(points: Sequence[LawPoint], spread: Floats) -> Curves:
    """The laws of moved means; a network is moved alike wherever it stands, so its noise is known by its number."""
    ratios, seeds, accuracies = _columns(points)
    noise = np.stack([_generator(2, point.number).standard_normal(DRAWS) for point in points])
    moved = accuracies[:, None] + noise * spread / np.sqrt(seeds)[:, None]
    stand_in = TYPICAL_C * np.exp(TYPICAL_SPREAD * _generator(3).standard_normal(DRAWS))
    return fit_laws(ratios, seeds, moved, stand_in)


def _misfit(strategies: Iterable[Sequence[LawPoint]], noise: SeedNoise | None) -> Misfit:
    """Lack of fit by the F test of the curves' residuals against the seed spread."""
    different = {tuple(p.number for p in points): points for points in strategies}
    over = [points for points in different.values() if len(points) > _PARAMETERS]
    degrees = sum(len(points) - _PARAMETERS for points in over)
    if noise is None or noise.sd == 0.0 or degrees == 0:
        return Misfit(degrees, None, 1.0)
    f = math.fsum(_squares(points) for points in over) / degrees / noise.sd**2
    p = float(special.fdtrc(degrees, noise.degrees, f))
    return Misfit(degrees, p, math.sqrt(max(1.0, f)))


def _squares(points: Sequence[LawPoint]) -> float:
    law = _fit(points)
    return math.fsum(p.seeds * (p.accuracy - law.at(p.ratio)) ** 2 for p in points)


def _ends(draws: Floats) -> tuple[Floats, Floats]:
    low, high = np.clip(np.quantile(draws, (0.025, 0.975), axis=0), 0.0, 1.0)
    return low, high


def _interval(draws: Floats) -> Interval:
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return low, high
