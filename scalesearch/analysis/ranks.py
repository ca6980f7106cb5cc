"""How well two rankings agree, and what it costs to choose by the wrong one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.paired import PairedTable

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000
CEILING_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of two rankings of the same networks.

    Attributes:
        tau: Kendall's tau-b of the means, -1 to 1; None when one of them ties everything.
        tau_ci95: bootstrap interval over seeds; None with one seed.
        ceiling: mean tau that these seeds would show if the true orders were one; None with one seed.
        regret: accuracy lost at the second by taking the network that leads the first, or another that is named.
        regret_ci95: bootstrap interval over seeds; None with one seed.
    """

    tau: float | None
    tau_ci95: tuple[float, float] | None
    ceiling: float | None
    regret: float
    regret_ci95: tuple[float, float] | None


def kendall(a: Floats, b: Floats) -> Floats:
    """Kendall's tau-b along the last axis, NaN where one side ties everything.

    Args:
        a: float64 [..., n].
        b: float64 [..., n].

    Example:
        >>> float(kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).round(3))
        0.333
    """
    upper = np.triu_indices(a.shape[-1], 1)
    left = np.sign(a[..., upper[0]] - a[..., upper[1]])
    right = np.sign(b[..., upper[0]] - b[..., upper[1]])
    both = np.abs(left).sum(-1) * np.abs(right).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((left * right).sum(-1) / np.sqrt(both))


def agreement(first: Floats, second: Floats, *, paired: bool, choice: int | None = None) -> Agreement:
    """How the second table ranks the networks of the first.

    Args:
        first: float64 [networks, seeds].
        second: the same networks, on as many seeds or others.
        paired: whether column j of both has one seed; then both are resampled together.
        choice: row whose regret is wanted; None takes the one that leads the first.
    """
    ours, theirs = first.mean(1), second.mean(1)
    chosen = int(ours.argmax()) if choice is None else choice
    tau, regret = float(kendall(ours, theirs)), float(theirs.max() - theirs[chosen])
    if min(first.shape[1], second.shape[1]) < 2:
        return Agreement(_or_none(tau), None, None, regret, None)
    rng = np.random.default_rng(0)
    columns = rng.integers(first.shape[1], size=(RESAMPLES, first.shape[1]))
    others = columns if paired else rng.integers(second.shape[1], size=(RESAMPLES, second.shape[1]))
    a, b = first[:, columns].mean(2).T, second[:, others].mean(2).T
    regrets = b.max(1) - b[:, chosen]
    return Agreement(
        tau=_or_none(tau),
        tau_ci95=_interval(kendall(a, b)),
        ceiling=_ceiling(first, second, rng),
        regret=regret,
        regret_ci95=_interval(regrets),
    )


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _interval(values: Floats) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, (0.025, 0.975))
    return (float(low), float(high))


def shrunk(table: Floats) -> tuple[Floats, float]:
    """Row means drawn towards their mean by their reliability, and the standard deviation of one training."""
    sd = PairedTable(table).sd
    means = table.mean(1)
    noise = sd**2 / table.shape[1]
    between = max(0.0, float(means.var(ddof=1)) - noise)
    share = between / (between + noise) if between + noise > 0 else 0.0
    return np.asarray(means.mean() + share * (means - means.mean())), sd


def _ceiling(first: Floats, second: Floats, rng: np.random.Generator) -> float | None:
    (ours, sd), (theirs, other_sd) = shrunk(first), shrunk(second)
    order = np.argsort(np.argsort(theirs))
    same_order = np.sort(ours)[order]
    networks = len(ours)
    a = same_order + sd / np.sqrt(first.shape[1]) * rng.standard_normal((CEILING_DRAWS, networks))
    b = theirs + other_sd / np.sqrt(second.shape[1]) * rng.standard_normal((CEILING_DRAWS, networks))
    taus = kendall(a, b)
    return float(np.nanmean(taus)) if np.isfinite(taus).any() else None
