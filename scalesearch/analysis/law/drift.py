"""Do the shares that do best drift with the budget?

    share of budget k = level + slope * log2(budget k) + e,        e ~ N(0, what the study leaves open of it)

Each budget's optimum is known only as far as its surface is (see `response.optimum`): as a mean over surfaces drawn
from the posterior, and their spread. A straight line goes through the means, each weighted by how little is open of it.
The weights of a budget are the same for all three shares, so that the shares on the line sum to 1 at every budget.

Source: exponents of each dimension against compute, as Alabdulmohsin et al. (2023), "Getting ViT in shape".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.surface import NoSurface
from scalesearch.analysis.result import StudyResult
from scalesearch.scaling.coefficients import Shares
from scalesearch.scaling.units import DIMENSIONS

Floats = npt.NDArray[np.float64]

LEAST_SPREAD = 0.02
"""Standard deviation of a share that is as good as known: half a step of the lattice that the optimum is read off."""
SURE = 0.95
BENT = 0.01
"""Probability of as large a misfit by chance, under which a straight line is said not to fit."""


@dataclass(frozen=True, slots=True)
class BudgetOptimum:
    """Where the optimum of one budget is.

    Attributes:
        ratio: the budget over the baseline's cost.
        mean: of the optimum's shares over the surfaces that the data leave possible.
        spread: standard deviation of each share over them.
    """

    ratio: float
    mean: Shares
    spread: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class DriftedShares:
    """The shares that the line gives at a budget.

    Attributes:
        shares: at it; outside of the triangle the nearest point of it.
        ci95: interval of each share, within 0 and 1.
        extrapolated: whether the budget is outside of those that were searched.
    """

    ratio: float
    shares: Shares
    ci95: tuple[tuple[float, float], ...]
    extrapolated: bool

    @property
    def words(self) -> str:
        """The shares with their intervals, in percent."""
        parts = (
            f"{name} {100 * share:.0f} ({100 * low:.0f} to {100 * high:.0f})"
            for name, share, (low, high) in zip(DIMENSIONS, _values(self.shares), self.ci95, strict=True)
        )
        return f"{', '.join(parts)} % of log-cost{', extrapolated' if self.extrapolated else ''}"


@dataclass(frozen=True, slots=True)
class Drift:
    """How the best shares move with the budget.

    Attributes:
        optima: of two budgets or more, by rising cost.
        slopes: of depth, width and resolution: shares gained at each doubling of the budget; they sum to 0.
        ci95: their intervals, which hold all three together with 95 % (Bonferroni).
        p_line: probability of budgets as far from a straight line by chance; None with two budgets.
    """

    optima: tuple[BudgetOptimum, ...]
    slopes: tuple[float, ...]
    ci95: tuple[tuple[float, float], ...]
    p_line: float | None

    @property
    def seen(self) -> bool:
        """Whether a share moves by more than what is open of it."""
        return any(low > 0 or high < 0 for low, high in self.ci95)

    def at(self, ratio: float) -> DriftedShares:
        """The shares of a budget by the line."""
        logs, means, spreads = _table(self.optima)
        slope, centre, weights = _line(logs, spreads)
        parts = weights + (math.log2(ratio) - centre) * slope
        shares = parts @ means
        half = special.ndtri(0.5 + SURE / 2) * np.sqrt(parts**2 @ spreads**2)
        return DriftedShares(
            ratio=ratio,
            shares=nearest(shares),
            ci95=tuple(
                (float(np.clip(s - h, 0, 1)), float(np.clip(s + h, 0, 1))) for s, h in zip(shares, half, strict=True)
            ),
            extrapolated=not self.optima[0].ratio * (1 - 1e-9) <= ratio <= self.optima[-1].ratio * (1 + 1e-9),
        )

    @property
    def words(self) -> str:
        """Whether the shares drift, and how much of it is open."""
        each = ", ".join(
            f"{name} {100 * slope:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"
            for name, slope, (low, high) in zip(DIMENSIONS, self.slopes, self.ci95, strict=True)
        )
        found = ", ".join(f"{percent(optimum.mean)} at {optimum.ratio:.3g}x" for optimum in self.optima)
        bent = ""
        if self.p_line is not None and self.p_line < BENT:
            bent = " The budgets do not lie on a straight line."
        what = "The best shares drift with the budget" if self.seen else "No drift of the best shares is seen"
        return f"{what}: points of log-cost at each doubling: {each}; the optimum on average {found}.{bent}"


def fit_drift(optima: Sequence[BudgetOptimum]) -> Drift:
    """A line through where the optimum is.

    Args:
        optima: two budgets or more, each another ratio.

    Example:
        >>> at = lambda ratio, depth: BudgetOptimum(ratio, Shares(depth, 0.5, 0.5 - depth), (0.1, 0.1, 0.1))
        >>> [round(slope, 3) for slope in fit_drift([at(2.0, 0.2), at(8.0, 0.4)]).slopes]
        [0.1, 0.0, -0.1]
    """
    ordered = tuple(sorted(optima, key=lambda optimum: optimum.ratio))
    logs, means, spreads = _table(ordered)
    slope, centre, weights = _line(logs, spreads)
    slopes, errors = slope @ means, np.sqrt(slope**2 @ spreads**2)
    half = special.ndtri(1 - (1 - SURE) / (2 * len(DIMENSIONS))) * errors
    left = means - (weights @ means) - np.outer(logs - centre, slopes)
    # Of the three shares two are free: their squares are shared out over two degrees a budget.
    squares = float((left**2 / spreads**2).sum()) * 2 / 3
    degrees = 2 * (len(ordered) - 2)
    return Drift(
        optima=ordered,
        slopes=tuple(float(s) for s in slopes),
        ci95=tuple((float(s - h), float(s + h)) for s, h in zip(slopes, half, strict=True)),
        p_line=float(special.chdtrc(degrees, squares)) if degrees else None,
    )


def drift_of(result: StudyResult) -> Drift | None:
    """The drift over the budgets of a study; None where fewer than two of them have a surface."""
    optima = {}
    for budget in result.budgets:
        if not isinstance(budget.surface, NoSurface):
            optimum, ratio = budget.surface.optimum, budget.facts.target / result.manifest.baseline_cost
            optima[ratio] = BudgetOptimum(ratio, optimum.average, optimum.spread)
    return fit_drift(list(optima.values())) if len(optima) > 1 else None


def nearest(shares: Floats) -> Shares:
    """The point of the triangle that is nearest to three numbers which sum to 1.

    Source: Duchi et al. (2008), projection onto the simplex.

    Example:
        >>> nearest(np.array([1.2, 0.1, -0.3]))
        Shares(depth=1.0, width=0.0, resolution=0.0)
    """
    falling = np.sort(shares)[::-1]
    over = (np.cumsum(falling) - 1) / np.arange(1, len(shares) + 1)
    taken = over[np.flatnonzero(falling > over)[-1]]
    depth, width, resolution = (float(s) for s in np.maximum(shares - taken, 0.0))
    return Shares(depth, width, resolution)


def _values(shares: Shares) -> tuple[float, float, float]:
    return shares.depth, shares.width, shares.resolution


def _table(optima: Sequence[BudgetOptimum]) -> tuple[Floats, Floats, Floats]:
    """Log2 of the budgets, float64 [n], means and spreads of the shares, float64 [n, 3]."""
    spreads = np.maximum(np.array([optimum.spread for optimum in optima]), LEAST_SPREAD)
    means = np.array([_values(optimum.mean) for optimum in optima])
    return np.log2([optimum.ratio for optimum in optima]), means, spreads


def _line(logs: Floats, spreads: Floats) -> tuple[Floats, float, Floats]:
    """What slope and level take of each budget, float64 [n] each, and the log-budget that the level is at."""
    weights = 1 / (spreads**2).sum(1)
    weights /= weights.sum()
    centre = float(weights @ logs)
    gaps = logs - centre
    return weights * gaps / float(weights @ gaps**2), centre, weights
