"""The response surface: accuracy over the shares of log-cost, from all trainings of a budget together.

Two surfaces: a quadratic (see `scheffe`) by least squares, and a Gaussian process (see `posterior`), both with what a
seed does to all networks alike taken out. How good they are is told by leaving one network out at a time: a surface
that predicts it no better than the mean of the others says nothing. The optimum, its region and the recommendation are
the Gaussian process's, whose uncertainty includes that of its own shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.allocation import LEAVE
from scalesearch.analysis.noise import one_way_anova
from scalesearch.analysis.posterior import GRID, Observations, SurfacePosterior, plane
from scalesearch.analysis.scheffe import Model, determines, scheffe
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.space import REFERENCES, Shares, simplex_lattice

Floats = npt.NDArray[np.float64]
Name = Literal["mean", "plane", "quadratic", "process"]

ORDER = 21
"""Of the lattice that the optimum is looked for on: 253 points, uniform among them."""
DRAWS = 2000
FLAT = 0.5
"""Part of the triangle above which the region of the optimum is called flat."""
SIMPLER = 1.02
"""A simpler model is preferred until the least error is this much smaller."""
TERMS: dict[Name, int] = {"mean": 1, "plane": 3, "quadratic": 6}
LEAST_NETWORKS, LEAST_TRAININGS = 3, 4
_ALIKE = 1e-9
"""Accuracies nearer than this are rounding of one and the same."""


@dataclass(frozen=True, slots=True)
class SurfaceFit:
    """How well a target can be predicted at a network that was left out.

    Attributes:
        target: `accuracy` (0 to 1) or `loss` (nats).
        errors: model -> root mean square over the networks, each left out in turn, of the prediction from all others
            minus the network's mean, in the target's unit; None where the others do not fix the model.
        noise: the error that a perfect model would have, because the means hold seed noise; None when no network was
            trained twice.
        preferred: the simplest model whose error is within 2 % of the least.
        coefficients: of the quadratic: depth, width, resolution (its values at the corners), depth*width,
            depth*resolution, width*resolution; None when the networks do not fix them.
        words: how far the surface can be trusted, in one sentence.
    """

    target: str
    errors: tuple[tuple[Name, float | None], ...]
    noise: float | None
    preferred: Name
    coefficients: tuple[float, ...] | None
    words: str


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where accuracy is highest, and how sure that is.

    Attributes:
        shares: of the highest expected accuracy on the lattice.
        region: the points of highest expected accuracy, as few of them as hold the optimum with 95 % probability; its
            edge is a contour of the surface.
        region_area: their part of the triangle's area, 0 to 1.
        p_best: probability, over surfaces drawn from the posterior, that the trained network with the highest expected
            accuracy is the best of those trained.
        best: its number.
        flat: whether the region covers most of the triangle.
        p_beats_uniform: probability that accuracy at `shares` is higher than at uniform; 0 when they are one point.
        gain: expected accuracy at `shares` over uniform.
        gain_ci95: its 95 % interval.
        recommended: uniform, unless the optimum is better with a probability of `allocation.LEAVE` on a surface that
            predicts left-out networks better than their mean does.
    """

    shares: Shares
    region: tuple[Shares, ...]
    region_area: float
    p_best: float
    best: int
    flat: bool
    p_beats_uniform: float
    gain: float
    gain_ci95: tuple[float, float]
    recommended: Shares


@dataclass(frozen=True, slots=True)
class ResponseSurface:
    """The surface of one budget.

    Attributes:
        loss: None where a loss is missing.
        lattice: points of the triangle.
        expected: expected accuracy at each, 0 to 1.
        words: what it says, for people.
    """

    accuracy: SurfaceFit
    loss: SurfaceFit | None
    optimum: Optimum
    lattice: tuple[Shares, ...]
    expected: tuple[float, ...]
    networks: int
    trainings: int
    words: str

    @property
    def fits(self) -> tuple[SurfaceFit, ...]:
        """Of accuracy, and of loss where there is one."""
        return (self.accuracy,) if self.loss is None else (self.accuracy, self.loss)


@dataclass(frozen=True, slots=True)
class NoSurface:
    """Why there is no surface, and what to run."""

    words: str


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Every training of the networks that can be ranked, and which rows are one network."""

    trials: tuple[int, ...]
    shares: tuple[Shares, ...]
    groups: tuple[npt.NDArray[np.int64], ...]
    seeds: npt.NDArray[np.int64]
    accuracy: Floats
    loss: Floats | None


def _rows(networks: Sequence[NetworkSummary]) -> _Rows:
    kept = sorted((s for s in networks if s.ranked and s.network.shares), key=lambda s: s.network.trial)
    ends = np.cumsum([len(s.accuracies) for s in kept])
    losses = [x for s in kept for x in s.losses]
    seeds = [seed for s in kept for seed in s.seeds]
    return _Rows(
        trials=tuple(s.network.trial for s in kept),
        shares=tuple(s.network.shares for s in kept if s.network.shares),
        groups=tuple(np.arange(end - len(s.accuracies), end) for s, end in zip(kept, ends, strict=True)),
        seeds=np.array(seeds, dtype=np.int64),
        accuracy=np.array([a for s in kept for a in s.accuracies], dtype=np.float64),
        loss=np.array(losses, dtype=np.float64) if len(losses) == len(seeds) else None,
    )


def response_surface(networks: Sequence[NetworkSummary]) -> ResponseSurface | NoSurface:
    """Fit the surface of one budget's networks; the order in which they are given changes nothing."""
    rows = _rows(networks)
    if len(rows.groups) < LEAST_NETWORKS or len(rows.seeds) < LEAST_TRAININGS:
        return NoSurface(_too_few(rows))
    models = _models(rows)
    accuracy = _fit("accuracy", rows, rows.accuracy, models)
    loss = None if rows.loss is None else _fit("loss", rows, rows.loss, models)
    points = np.repeat(plane(rows.shares), [len(group) for group in rows.groups], axis=0)
    process = SurfacePosterior(Observations(points, rows.seeds, rows.accuracy))
    lattice = simplex_lattice(ORDER)
    expected = process.mean(plane(lattice))
    optimum = _optimum(process, rows, lattice, expected, trusted=accuracy.preferred != "mean")
    return ResponseSurface(
        accuracy=accuracy,
        loss=loss,
        optimum=optimum,
        lattice=lattice,
        expected=tuple(float(x) for x in expected),
        networks=len(rows.groups),
        trainings=len(rows.seeds),
        words=" ".join([_where(optimum), _advice(optimum, accuracy), accuracy.words, *_missing(rows)]),
    )


def _models(rows: _Rows) -> dict[Name, Model | None]:
    """Those that the networks fix, from the simplest on; None for the others."""
    models: dict[Name, Model | None] = {}
    for name, terms in TERMS.items():
        fixed = determines(scheffe(rows.shares, terms))
        models[name] = Model(rows.shares, rows.groups, rows.seeds, terms) if fixed else None
    models["process"] = Model(rows.shares, rows.groups, rows.seeds, 1, GRID)
    return models


def _fit(target: str, rows: _Rows, values: Floats, models: dict[Name, Model | None]) -> SurfaceFit:
    errors = tuple(
        (name, _rms(model.left_out(values)) if model and model.can_leave_out() else None)
        for name, model in models.items()
    )
    quadratic = models["quadratic"]
    preferred = _preferred(errors)
    return SurfaceFit(
        target=target,
        errors=errors,
        noise=_noise([values[group] for group in rows.groups]),
        preferred=preferred,
        coefficients=tuple(float(c) for c in quadratic.coefficients(values)) if quadratic else None,
        words=_trust(target, dict(errors), preferred),
    )


def _rms(gaps: Floats) -> float:
    return float(np.sqrt(np.mean(gaps**2)))


def _noise(groups: Sequence[Floats]) -> float | None:
    anova = one_way_anova([group.tolist() for group in groups])
    return None if anova is None else float(np.sqrt(anova.ms_within * np.mean([1 / len(group) for group in groups])))


def _preferred(errors: Sequence[tuple[Name, float | None]]) -> Name:
    """The models are ordered from the simplest on."""
    known = [(name, error) for name, error in errors if error is not None]
    least = min(error for _, error in known)
    return next(name for name, error in known if error <= SIMPLER * least + _ALIKE)


def _optimum(
    process: SurfacePosterior, rows: _Rows, lattice: Sequence[Shares], expected: Floats, *, trusted: bool
) -> Optimum:
    draws = process.draw(plane([*lattice, *rows.shares]), DRAWS, np.random.default_rng(0))
    surfaces, trained = draws[:, : len(lattice)], draws[:, len(lattice) :]
    uniform = lattice.index(next(s for s in lattice if s.depth == s.width == s.resolution))
    top, leader = _first(expected, uniform), _first(process.mean(plane(rows.shares)))
    region = _region(expected, _best(surfaces))
    area = float(_areas(lattice)[region].sum())
    gains = surfaces[:, top] - surfaces[:, uniform]
    low, high = (float(q) for q in np.quantile(gains, (0.025, 0.975)))
    beats = float((gains > _ALIKE).mean())
    return Optimum(
        shares=lattice[top],
        region=tuple(lattice[i] for i in region),
        region_area=area,
        p_best=float(_best(trained)[leader]),
        best=rows.trials[leader],
        flat=area > FLAT,
        p_beats_uniform=beats,
        gain=float(expected[top] - expected[uniform]),
        gain_ci95=(low, high),
        recommended=lattice[top] if trusted and beats >= LEAVE else REFERENCES["uniform"],
    )


def _first(expected: Floats, default: int = 0) -> int:
    """The index of the highest; `default` where none is higher by more than rounding."""
    top = int(expected.argmax())
    return top if expected[top] > expected[default] + _ALIKE else default


def _best(surfaces: Floats) -> Floats:
    """Probability of each point of being the best; where a surface is flat, every point has the same chance."""
    jitter = np.random.default_rng(0).random(surfaces.shape) * _ALIKE
    tops = (np.round(surfaces, 9) + jitter).argmax(1)
    return np.bincount(tops, minlength=surfaces.shape[1]) / len(surfaces)


def _region(expected: Floats, probabilities: Floats) -> list[int]:
    """Indices, the highest expected accuracy first.

    The few points that are most often the best would do too, but on a flat surface they are the triangle's edge: a
    surface without an optimum has its top at the border in most draws.
    """
    order = np.argsort(-np.round(expected, 9), kind="stable")
    count = int(np.searchsorted(np.cumsum(probabilities[order]), 0.95 - 1e-12)) + 1
    return [int(i) for i in order[:count]]


def _areas(lattice: Sequence[Shares]) -> Floats:
    """The part of the triangle that is nearest to each point, summing to 1: less at the edges, least in the corners."""
    sides = np.array([sum(share < 1e-9 for share in (s.depth, s.width, s.resolution)) for s in lattice])
    parts = np.array([6.0, 3.0, 1.0])[sides]
    return np.asarray(parts / parts.sum())


def percent(shares: Shares) -> str:
    """Shares as people write them, such as `28/29/43 %`: depth, width, resolution."""
    return f"{100 * shares.depth:.0f}/{100 * shares.width:.0f}/{100 * shares.resolution:.0f} %"


def amount(target: str, value: float) -> str:
    """An accuracy in points, a loss in nats.

    Example:
        >>> amount("accuracy", 0.0045), amount("loss", 0.0123)
        ('0.45 points', '0.0123 nats')
    """
    return f"{100 * value:.2f} points" if target == "accuracy" else f"{value:.3g} nats"


def _where(optimum: Optimum) -> str:
    area = f"{100 * optimum.region_area:.0f} % of the triangle"
    if optimum.flat:
        return (
            f"The surface is flat: the region that holds the optimum with 95 % probability covers {area}, so where the "
            "optimum is remains unknown."
        )
    return (
        f"Accuracy is highest near depth/width/resolution {percent(optimum.shares)} of log-cost; the region that holds "
        f"the optimum with 95 % probability covers {area}."
    )


def _advice(optimum: Optimum, fit: SurfaceFit) -> str:
    low, high = (100 * bound for bound in optimum.gain_ci95)
    gain = f"{100 * optimum.gain:+.2f} points over uniform (95 % interval {low:+.2f} to {high:+.2f})"
    chance = f"better with a probability of {optimum.p_beats_uniform:.2f}"
    if optimum.recommended != REFERENCES["uniform"]:
        return f"It is worth leaving uniform for {percent(optimum.recommended)}: {gain}, {chance}."
    if optimum.gain == 0.0:
        return "Uniform itself is expected to be best: stay with it."
    if optimum.p_beats_uniform < LEAVE:
        return f"Not enough evidence to leave uniform: {percent(optimum.shares)} is {gain}, {chance} (needed: {LEAVE:g})."
    return f"Not enough evidence to leave uniform: {percent(optimum.shares)} is {gain}, but the surface does not predict."


def _trust(target: str, errors: dict[Name, float | None], preferred: Name) -> str:
    mean, quadratic = errors["mean"], errors["quadratic"]
    told = {name: amount(target, error) for name, error in errors.items() if error is not None}
    if len(told) == 2:
        told.pop("process")
    if quadratic is not None and mean is not None and quadratic > SIMPLER * mean:
        worse = (
            f"A quadratic surface predicts a left-out network's {target} worse than the plain mean of the others does "
            f"({told['quadratic']} against {told['mean']}): it is not to be trusted."
        )
        if preferred == "mean":
            return worse
        return f"{worse} {_PHRASES[preferred]} does better ({amount(target, errors[preferred] or 0.0)})."
    if preferred == "mean":
        return (
            f"No surface predicts a left-out network's {target} better than the plain mean of the others does "
            f"({amount(target, mean or 0.0)}): it is not to be trusted."
        )
    return (
        f"{_PHRASES[preferred]} predicts a left-out network's {target} best: its error is "
        f"{amount(target, errors[preferred] or 0.0)}, that of the plain mean {amount(target, mean or 0.0)}."
    )
