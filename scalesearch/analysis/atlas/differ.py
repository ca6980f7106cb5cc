"""What is the same over the rows of the atlas, and what differs: do optima of two families lie apart beyond chance?

A share of a row's optimum is an estimate with a variance. Rows are grouped by one thing (family, data or budget), and

    Q = sum over groups of W (m - M)^2,        m = weighted mean of a group, W its weight, M of all

is chi-square with one degree of freedom less than groups where the groups share one mean. A row's weight is
1 / (v + t^2): t^2 is what rows of one group differ by beyond their own variances v (by moments, common to all groups),
so that many sure rows that disagree among themselves are not taken for a difference between groups. Bounded shares are
not normal, and a row that knows nothing is at a third each with a large variance: a small Q is no proof of equality.

Source: Cochran (1954), "The combination of estimates from different experiments"; DerSimonian & Laird (1986);
Borenstein et al., "Introduction to Meta-Analysis" (2009), chapter 19; Holm (1979).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from scalesearch.analysis.atlas.row import AtlasRow, Floats
from scalesearch.analysis.paired import holm
from scalesearch.scaling.units import DIMENSIONS

LEVEL = 0.05
Z = 1.959963984540054
"""97.5 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Group:
    """Estimates of one group together."""

    name: str
    rows: int
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class GroupDifference:
    """One group's mean minus another's, with its 95 % interval."""

    first: str
    second: str
    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Whether groups differ in one number.

    Attributes:
        q: Cochran's Q between the groups, with `degrees` of freedom, and its p-value.
        between_rows: standard deviation of rows of one group around their mean, beyond their own.
    """

    groups: tuple[Group, ...]
    q: float
    degrees: int
    p: float
    between_rows: float

    @property
    def differences(self) -> tuple[GroupDifference, ...]:
        """Every pair of groups."""
        return tuple(_difference(a, b) for a, b in itertools.combinations(self.groups, 2))


@dataclass(frozen=True, slots=True)
class ShareDifference:
    """Whether one share of the optimum differs between the groups of one thing.

    Attributes:
        of: `family`, `data` or `budget`.
        dimension: `depth`, `width` or `resolution`.
        p_holm: adjusted for all tests that were made.
    """

    of: str
    dimension: str
    found: Heterogeneity
    p_holm: float

    @property
    def differs(self) -> bool:
        """Whether it does beyond chance."""
        return self.p_holm < LEVEL

    @property
    def words(self) -> str:
        """The finding, in a sentence."""
        q = f"Q = {self.found.q:.1f} on {self.found.degrees}, p = {self.p_holm:.2g} after Holm"
        low, high = min(self.found.groups, key=_mean), max(self.found.groups, key=_mean)
        if not self.differs:
            return f"No evidence that the share of {self.dimension} differs by {self.of} ({q})."
        one = _difference(high, low)
        return (
            f"The share of {self.dimension} differs by {self.of} ({q}): from {_percent(low)} for {low.name} to "
            f"{_percent(high)} for {high.name}, a difference of {100 * one.value:.0f} "
            f"({100 * one.ci95[0]:.0f} to {100 * one.ci95[1]:.0f}) percentage points."
        )


def _mean(group: Group) -> float:
    return group.mean


def _percent(group: Group) -> str:
    return f"{100 * group.mean:.0f} ± {100 * group.sd:.0f} %"


def _difference(a: Group, b: Group) -> GroupDifference:
    value, reach = a.mean - b.mean, Z * float(np.hypot(a.sd, b.sd))
    return GroupDifference(a.name, b.name, value, (value - reach, value + reach))


def heterogeneity(names: Sequence[str], values: Sequence[float], variances: Sequence[float]) -> Heterogeneity:
    """Whether groups differ.

    Args:
        names: of the group of each estimate; two groups or more.
        values: estimates.
        variances: of each, above 0.

    Example:
        >>> found = heterogeneity(["a", "b"], [1.0, 3.0], [1.0, 1.0])
        >>> found.q, found.degrees, round(found.p, 4), found.between_rows
        (2.0, 1, 0.1573, 0.0)
    """
    groups = tuple(dict.fromkeys(names))
    label, x, v = np.array(names), np.asarray(values, dtype=float), np.asarray(variances, dtype=float)
    parts = [(x[label == name], v[label == name]) for name in groups]
    extra = _between_rows(parts)
    found = tuple(_pooled(name, own, variance + extra) for name, (own, variance) in zip(groups, parts, strict=True))
    weights = np.array([1 / group.sd**2 for group in found])
    means = np.array([group.mean for group in found])
    q = float((weights * (means - weights @ means / weights.sum()) ** 2).sum())
    degrees = len(groups) - 1
    return Heterogeneity(found, q, degrees, float(stats.chi2.sf(q, degrees)), extra**0.5)


def _pooled(name: str, values: Floats, variances: Floats) -> Group:
    weights = 1 / variances
    return Group(name, len(values), float(weights @ values / weights.sum()), float(weights.sum() ** -0.5))


def _between_rows(parts: Sequence[tuple[Floats, Floats]]) -> float:
    """Variance of rows around their group's mean beyond their own, by moments; 0 where there is none."""
    squares = scale = degrees = 0.0
    for values, variances in parts:
        weights = 1 / variances
        mean = weights @ values / weights.sum()
        squares += float(weights @ (values - mean) ** 2)
        scale += float(weights.sum() - (weights**2).sum() / weights.sum())
        degrees += len(values) - 1
    return max(0.0, (squares - degrees) / scale) if scale > 0 else 0.0


OF: dict[str, Callable[[AtlasRow], str]] = {
    "family": lambda row: row.family,
    "data": lambda row: row.data,
    "budget": lambda row: row.budget,
}
LEAST_VARIANCE = 1e-4
"""The least of a share: a lattice of 21 steps tells nothing finer."""


def share_differences(rows: Sequence[AtlasRow]) -> tuple[ShareDifference, ...]:
    """Each share by each thing that has two values among the rows, Holm's p over all of these tests.

    Rows under 1x save where the others spend, so the two are to be asked apart.
    """
    found = []
    for of, name in OF.items():
        names = [name(row) for row in rows]
        if len(set(names)) < 2:
            continue
        for index, dimension in enumerate(DIMENSIONS):
            values = [getattr(row.shares, dimension) for row in rows]
            variances = [max(row.covariance[index][index], LEAST_VARIANCE) for row in rows]
            found.append((of, dimension, heterogeneity(names, values, variances)))
    adjusted = holm([one.p for _, _, one in found])
    return tuple(ShareDifference(*one, p) for one, p in zip(found, adjusted, strict=True))
