"""Do the shares that do best drift with the budget?

    y = share * L = taken * L + lack + e,    L = log2(budget over the baseline's cost),  e ~ N(0, what is open of it)

`y` is what the best network of a budget spends on a dimension beyond the baseline, in doublings of cost. A straight
line through it says what each further doubling takes of it (`taken`; the three sum to 1), and what the baseline itself
lacks of it (`lack`; they sum to 0): where a baseline is out of balance, its first doubling mends that. The shares are
`taken + lack / L`: they stay only where nothing is lacking, and drift towards `taken` where something is. Under 1x both
L and y are below 0, so budgets on both sides of 1x, whose shares mean saving and spending, lie on one line: unless the
best networks would have to shrink somewhere to grow elsewhere, which no share can say. Then those above 1x are taken.

Each budget's optimum is known only as far as its surface is (see `response.optimum`): as a mean over surfaces drawn
from the posterior, and their spread. The weights of a budget are the same for all three dimensions, so that the shares
sum to 1 at every budget.

Source: a power law of each dimension against compute, with a constant, as Alabdulmohsin et al. (2023), "Getting ViT in
shape": its exponent is `taken` over the cost exponent of the dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.surface import NoSurface
from scalesearch.analysis.result import StudyResult
from scalesearch.scaling.coefficients import Shares
from scalesearch.scaling.units import DIMENSIONS

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

LEAST_SPREAD = 0.02
"""Standard deviation of a share that is as good as known: half a step of the lattice that the optimum is read off."""
SURE = 0.95
BENT = 0.01
"""Probability of as large a misfit by chance, under which a straight line is said not to fit."""
EVERYTHING = 1.0
"""Width of the interval of a share that rules nothing out: all that a share can be."""
NO_BUDGET = 0.05
"""Doublings from the baseline's cost within which nothing is spent or saved, and no shares are defined."""


@dataclass(frozen=True, slots=True)
class BudgetOptimum:
    """Where the optimum of one budget is.

    Attributes:
        ratio: the budget over the baseline's cost; not 1.
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
    ci95: tuple[Interval, ...]
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
    """How the best shares move with the budget; depth, width and resolution, in this order.

    Intervals hold the three of a kind together with 95 % (Bonferroni).

    Attributes:
        optima: of two budgets or more, by rising cost.
        taken: share of each further doubling; they sum to 1.
        lack: what the baseline has too little of, in doublings of cost; they sum to 0. The shares drift where one of
            them is not 0.
        p_line: probability of budgets as far from a straight line by chance; None with two budgets.
        left_out: budgets under 1x that do not lie on one line with the others.
    """

    optima: tuple[BudgetOptimum, ...]
    taken: tuple[float, ...]
    taken_ci95: tuple[Interval, ...]
    lack: tuple[float, ...]
    lack_ci95: tuple[Interval, ...]
    p_line: float | None
    left_out: tuple[BudgetOptimum, ...] = ()

    @property
    def seen(self) -> bool:
        """Whether the shares move by more than what is open of them."""
        return any(low > 0 or high < 0 for low, high in self.lack_ci95)

    @property
    def untold(self) -> bool:
        """Whether two budgets neither show a drift nor rule much out: nothing tests the line through them."""
        wide = any(high - low >= EVERYTHING for low, high in self.taken_ci95)
        return len(self.optima) == 2 and not self.seen and wide

    @property
    def bent(self) -> bool:
        """Whether the budgets lie off a straight line by more than what is open of them."""
        return self.p_line is not None and self.p_line < BENT

    def at(self, ratio: float) -> DriftedShares | None:
        """The shares of a budget by the line; None at the baseline's own cost, where nothing is shared out."""
        log = math.log2(ratio)
        if abs(log) < NO_BUDGET:
            return None
        logs, spent, spreads = _table(self.optima)
        slope, centre, weights = _line(logs, spreads)
        parts = weights + (log - centre) * slope
        shares = parts @ spent / log
        half = special.ndtri(0.5 + SURE / 2) * np.sqrt(parts**2 @ spreads**2) / abs(log)
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
        bent = " The budgets do not lie on a straight line." if self.bent else ""
        if self.left_out:
            bent = f" What is saved under 1x ({_places(self.left_out)}) is on no line with that, and is left out."
        places = f"the optimum on average {_places(self.optima)}.{bent}"
        if self.untold:
            return (
                "Whether the best shares drift with the budget cannot be told from two budgets (the intervals hold "
                f"almost everything); {places}"
            )
        what = "The best shares drift with the budget" if self.seen else "No drift of the best shares is seen"
        taken = _told(self.taken, self.taken_ci95, 100, "{:.0f}")
        lack = _told(self.lack, self.lack_ci95, 1, "{:+z.1f}")
        return (
            f"{what}: of each further doubling the best network spends {taken} % of log-cost, and the baseline lacks "
            f"{lack} doublings of it; {places}"
        )


def _places(optima: Sequence[BudgetOptimum]) -> str:
    return ", ".join(f"{percent(optimum.mean)} at {optimum.ratio:.3g}x" for optimum in optima)


def _told(values: Sequence[float], bounds: Sequence[Interval], scale: float, form: str) -> str:
    return ", ".join(
        f"{name} {form.format(scale * value)} ({form.format(scale * low)} to {form.format(scale * high)})"
        for name, value, (low, high) in zip(DIMENSIONS, values, bounds, strict=True)
    )


def fit_drift(optima: Sequence[BudgetOptimum]) -> Drift:
    """A line through where the optimum is.

    Args:
        optima: two budgets or more, each another ratio.

    Example:
        >>> at = lambda ratio, depth: BudgetOptimum(ratio, Shares(depth, 0.5, 0.5 - depth), (0.1, 0.1, 0.1))
        >>> drift = fit_drift([at(2.0, 0.1), at(4.0, 0.2)])
        >>> [round(x, 3) for x in drift.taken], [round(x, 3) for x in drift.lack]
        ([0.3, 0.5, 0.2], [-0.2, 0.0, 0.2])
    """
    ordered = tuple(sorted(optima, key=lambda optimum: optimum.ratio))
    logs, spent, spreads = _table(ordered)
    slope, centre, weights = _line(logs, spreads)
    origin = weights - centre * slope
    taken, lack = slope @ spent, origin @ spent
    left = spent - np.outer(logs, taken) - lack
    # Of the three shares two are free: their squares are shared out over two degrees a budget.
    squares = float((left**2 / spreads**2).sum()) * 2 / 3
    degrees = 2 * (len(ordered) - 2)
    return Drift(
        optima=ordered,
        taken=tuple(float(x) for x in taken),
        taken_ci95=_intervals(taken, slope, spreads),
        lack=tuple(float(x) for x in lack),
        lack_ci95=_intervals(lack, origin, spreads),
        p_line=float(special.chdtrc(degrees, squares)) if degrees else None,
    )


def _intervals(values: Floats, parts: Floats, spreads: Floats) -> tuple[Interval, ...]:
    """Intervals of three sums over the budgets, of what each spends times its part."""
    half = special.ndtri(1 - (1 - SURE) / (2 * len(DIMENSIONS))) * np.sqrt(parts**2 @ spreads**2)
    return tuple((float(value - h), float(value + h)) for value, h in zip(values, half, strict=True))


def drift_of(result: StudyResult) -> Drift | None:
    """The drift over the budgets of a study; None where fewer than two of them have a surface."""
    optima = {}
    for budget in result.budgets:
        ratio = budget.facts.target / result.manifest.baseline_cost
        if not isinstance(budget.surface, NoSurface) and abs(math.log2(ratio)) >= NO_BUDGET:
            optimum = budget.surface.optimum
            optima[ratio] = BudgetOptimum(ratio, optimum.average, optimum.spread)
    return drift_through(list(optima.values())) if len(optima) > 1 else None


def drift_through(optima: Sequence[BudgetOptimum]) -> Drift:
    """The line through all budgets; where they lie on none, that through those above 1x, if there are two."""
    whole, above = fit_drift(optima), [optimum for optimum in optima if optimum.ratio > 1]
    if not whole.bent or not 1 < len(above) < len(optima):
        return whole
    return replace(fit_drift(above), left_out=tuple(optimum for optimum in whole.optima if optimum.ratio < 1))


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
    """Log2 of the budgets, float64 [n]; doublings spent on each dimension and what is open of them, float64 [n, 3]."""
    logs = np.log2([optimum.ratio for optimum in optima])
    spreads = np.maximum(np.array([optimum.spread for optimum in optima]), LEAST_SPREAD)
    means = np.array([_values(optimum.mean) for optimum in optima])
    return logs, means * logs[:, None], spreads * np.abs(logs)[:, None]


def _line(logs: Floats, spreads: Floats) -> tuple[Floats, float, Floats]:
    """What slope and level take of each budget, float64 [n] each, and the log-budget that the level is at."""
    weights = 1 / (spreads**2).sum(1)
    weights /= weights.sum()
    centre = float(weights @ logs)
    gaps = logs - centre
    return weights * gaps / float(weights @ gaps**2), centre, weights
