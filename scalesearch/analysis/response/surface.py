"""The response surface: accuracy over the shares of log-cost, from all trainings of a budget together.

Two surfaces: a quadratic (see `scheffe`) by least squares, and a Gaussian process (see `posterior`), both with what a
seed does to all networks alike taken out. How good they are is told by leaving one network out at a time: a surface
that predicts it no better than the mean of the others says nothing. The optimum and its region are
the Gaussian process's, whose uncertainty includes that of its own shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.noise import one_way_anova
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.optimum import ALIKE, Optimum, find_optimum
from scalesearch.analysis.response.polynomials import Polynomial, determines, determines_without_any, scheffe
from scalesearch.analysis.response.posterior import GRID, SurfacePosterior, with_own
from scalesearch.analysis.response.rows import BudgetRows, rows_of
from scalesearch.analysis.summary import NetworkSummary, with_role
from scalesearch.scaling.coefficients import Shares, simplex_lattice
from scalesearch.scaling.units import plural

Floats = npt.NDArray[np.float64]
Name = Literal["mean", "plane", "quadratic", "process"]

ORDER = 21
"""Order of the lattice that the optimum is looked for on: 253 points, uniform among them."""
SIMPLER = 1.02
"""A simpler model is preferred until the least error is this much smaller."""
WITHIN = f"{100 * (SIMPLER - 1):.0f} %"
TERMS: dict[Name, int] = {"mean": 1, "plane": 3, "quadratic": 6}
PHRASES: dict[Name, str] = {
    "mean": "The plain mean",
    "plane": "A plane",
    "quadratic": "A quadratic surface",
    "process": "A Gaussian process",
}
LEAST_NETWORKS, LEAST_TRAININGS = 3, 4


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
    """

    target: str
    errors: tuple[tuple[Name, float | None], ...]
    noise: float | None
    preferred: Name
    coefficients: tuple[float, ...] | None

    @property
    def words(self) -> str:
        """How far the surface can be trusted, in one sentence."""
        return _trust(self.target, dict(self.errors), self.preferred, self.noise)


@dataclass(frozen=True, slots=True)
class ResponseSurface:
    """The surface of one budget.

    Attributes:
        loss: None where a loss is missing.
        lattice: points of the triangle.
        expected: expected accuracy at each, 0 to 1.
        missing: what a quadratic lacks, and what to run; empty when it is fitted and tested.
    """

    accuracy: SurfaceFit
    loss: SurfaceFit | None
    optimum: Optimum
    lattice: tuple[Shares, ...]
    expected: tuple[float, ...]
    networks: int
    trainings: int
    missing: str

    @property
    def words(self) -> str:
        """What the surface says, for people."""
        parts = (self.optimum.words, self.accuracy.words, self.missing)
        return " ".join(part for part in parts if part)

    @property
    def fits(self) -> tuple[SurfaceFit, ...]:
        """The fit of accuracy, and that of loss where there is one."""
        return (self.accuracy,) if self.loss is None else (self.accuracy, self.loss)


@dataclass(frozen=True, slots=True)
class NoSurface:
    """Why there is no surface, and what to run."""

    words: str


def response_surface(
    networks: Sequence[NetworkSummary], process: SurfacePosterior | None = None
) -> ResponseSurface | NoSurface:
    """Fit the surface of one budget's networks; the order in which they are given changes nothing.

    Args:
        process: what their trainings say together, where that is known; made here of theirs alone else.
    """
    rows = rows_of(networks)
    if len(rows.groups) < LEAST_NETWORKS or len(rows.seeds) < LEAST_TRAININGS:
        return NoSurface(_too_few(rows, missed(networks)))
    models = _models(rows)
    accuracy = _fit("accuracy", rows, rows.accuracy, models)
    loss = None if rows.loss is None else _fit("loss", rows, rows.loss, models)
    process = process or SurfacePosterior(rows.observations(), with_own(len(rows.numbers)))
    lattice = simplex_lattice(ORDER)
    expected = process.mean(plane(lattice))
    known = dict(zip(rows.numbers, rows.shares, strict=True))
    first = next((s.network.number for s in networks if s.rank == 1), None)
    optimum = find_optimum(process, known, lattice, expected, _stand_in(networks), first)
    return ResponseSurface(
        accuracy=accuracy,
        loss=loss,
        optimum=optimum,
        lattice=lattice,
        expected=tuple(float(x) for x in expected),
        networks=len(rows.groups),
        trainings=len(rows.seeds),
        missing=_missing(rows, missed(networks)),
    )


def _stand_in(networks: Sequence[NetworkSummary]) -> tuple[int, Shares] | None:
    """Number and shares of the network that is nearest to uniform; None where one is there."""
    found = with_role(networks, "uniform")
    if found is None or "uniform" not in found.network.stands_for or found.network.shares is None:
        return None
    return found.network.number, found.network.shares


def _models(rows: BudgetRows) -> dict[Name, Polynomial | None]:
    """Those that the networks fix, from the simplest on; None for the others."""
    models: dict[Name, Polynomial | None] = {}
    for name, terms in TERMS.items():
        fixed = determines(scheffe(rows.shares, terms))
        models[name] = Polynomial(rows.shares, rows.groups, rows.seeds, terms) if fixed else None
    models["process"] = Polynomial(rows.shares, rows.groups, rows.seeds, 1, GRID)
    return models


def _fit(target: str, rows: BudgetRows, values: Floats, models: dict[Name, Polynomial | None]) -> SurfaceFit:
    errors = tuple(
        (name, _rms(model.left_out(values)) if model and model.can_leave_out() else None)
        for name, model in models.items()
    )
    quadratic = models["quadratic"]
    return SurfaceFit(
        target=target,
        errors=errors,
        noise=_noise([values[group] for group in rows.groups]),
        preferred=_preferred(errors),
        coefficients=tuple(float(c) for c in quadratic.coefficients(values)) if quadratic else None,
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
    return next(name for name, error in known if error <= SIMPLER * least + ALIKE)


def in_target_units(target: str, value: float) -> str:
    """An accuracy in points, a loss in nats.

    Example:
        >>> in_target_units("accuracy", 0.0045), in_target_units("loss", 0.0123)
        ('0.45 points', '0.0123 nats')
    """
    return f"{100 * value:.2f} points" if target == "accuracy" else f"{value:.3g} nats"


def _trust(target: str, errors: Mapping[Name, float | None], preferred: Name, noise: float | None) -> str:
    """How the surfaces compare with the plain mean."""
    known = {name: error for name, error in errors.items() if error is not None}
    told = {name: in_target_units(target, error) for name, error in known.items()}
    mean, quadratic = known["mean"], known.get("quadratic", 0.0)
    # One that is less simple may have a lower error, even as it is printed.
    beaten = any(error < known[preferred] and told[name] != told[preferred] for name, error in known.items())
    parts = []
    if quadratic > SIMPLER * mean:
        parts.append(
            f"A quadratic surface predicts a left-out network's {target} worse than the plain mean of the others does "
            f"({told['quadratic']} against {told['mean']}): it is not to be trusted."
        )
    if preferred != "mean":
        best = "as well as any and is the simplest" if beaten else "best"
        parts.append(
            f"{PHRASES[preferred]} predicts a left-out network's {target} {best}, with an error of {told[preferred]} "
            f"against {told['mean']} by the plain mean of the others{_unseen(known[preferred], mean, noise, target)}."
        )
    else:
        better = f"more than {WITHIN} better" if beaten else "better"
        parts.append(
            f"No surface predicts a left-out network's {target} {better} than the plain mean of the others does (error "
            f"{told['mean']}): none is to be trusted about networks that were not trained."
        )
    return " ".join(parts)


def _unseen(error: float, mean: float, noise: float | None, target: str) -> str:
    """That an error is as small as the seeds let anyone see: no better surface could be told from it."""
    if noise is None or error > noise:
        return ""
    both = "both are" if mean <= noise else "it is"
    return f"; {both} no more than the noise of the seeds ({in_target_units(target, noise)}), which hides the rest"


def _missing(rows: BudgetRows, off: str) -> str:
    networks, terms = len(rows.groups), TERMS["quadratic"]
    own = scheffe(rows.shares, terms)
    if networks < terms:
        lack = f"the quadratic surface has {terms} coefficients and this budget has {plural(networks, 'network')}"
    elif not determines(own):
        lack = (
            f"the {networks} networks of this budget lie too close to a line to fix a quadratic's {terms} coefficients"
        )
    elif networks == terms:
        lack = f"the quadratic surface takes all {networks} networks of this budget, so none can be left out to test it"
    elif not determines_without_any(own):
        lack = (
            f"one of the {networks} networks of this budget alone holds the quadratic surface, so it cannot be tested"
        )
    else:
        return ""
    return f"{lack[0].upper()}{lack[1:]}: {off or f'run with --trials {max(8, networks + 4)} or more'}."


def _too_few(rows: BudgetRows, off: str) -> str:
    return (
        f"There is no response surface yet: it takes {LEAST_NETWORKS} networks and {LEAST_TRAININGS} trainings, and "
        f"this budget has {len(rows.groups)} and {len(rows.seeds)}: {off or 'run with --trials 8 --seeds 2 or more'}."
    )


def missed(networks: Sequence[NetworkSummary]) -> str:
    """What lets more networks in, where more trials would not: most that were planned are not trained.

    Empty where most are.
    """
    planned = len(networks)
    for status, what, helps in (
        ("off_budget", "miss the budget", "a wider --tolerance lets them in"),
        ("infeasible", "break a second limit", "a higher one lets them in"),
    ):
        lost = sum(summary.status == status for summary in networks)
        if 2 * lost >= planned > 0:
            return f"{lost} of the {plural(planned, 'planned network')} {what}, and {helps}"
    return ""


def optimum_to_dict(found: ResponseSurface | NoSurface) -> dict[str, Any] | None:
    """`optimum` in `result.json`; None without a surface."""
    if isinstance(found, NoSurface):
        return None
    optimum = found.optimum
    return {
        "shares": dataclasses.asdict(optimum.shares),
        "average": dataclasses.asdict(optimum.average),
        "spread": list(optimum.spread),
        "region_area": optimum.region_area,
        "p_best": optimum.p_best,
        "flat": optimum.flat,
        "best_trial": optimum.best,
        "p_beats_uniform": optimum.p_beats_uniform,
        "gain": optimum.gain,
        "gain_ci95": list(optimum.gain_ci95),
        "stand_in": optimum.stand_in,
    }


def surface_to_dict(found: ResponseSurface | NoSurface) -> dict[str, Any]:
    """`surface` in `result.json`."""
    if isinstance(found, NoSurface):
        return {"words": found.words}
    return {
        "networks": found.networks,
        "trainings": found.trainings,
        **{fit.target: _fit_to_dict(fit) for fit in found.fits},
        "words": found.words,
    }


def _fit_to_dict(fit: SurfaceFit) -> dict[str, Any]:
    return {
        "leave_one_network_out": dict(fit.errors),
        "seed_noise": fit.noise,
        "preferred": fit.preferred,
        "quadratic": list(fit.coefficients) if fit.coefficients else None,
        "words": fit.words,
    }
