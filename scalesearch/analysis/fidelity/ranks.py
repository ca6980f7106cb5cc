"""How well two rankings of the same networks agree, and what it costs to choose by the wrong one.

Noise in both rankings lowers Kendall's tau, and drawing seeds anew adds as much noise again: the percentile bootstrap
of tau over 2 to 5 seeds holds a true tau of 1 in 0 to 84 of 100 cases (the interval here: 93 to 100). So the interval
is of the order without the noise: means of a bivariate random-effects model are drawn as the data leave them possible.
The `ceiling` tells what the tau of the measured means could be if the true order were one.

Source: Kendall (1945), tau-b; Robinson (1991), best linear prediction; Weerahandi (1995), generalized intervals; Hsu
(1984), comparisons with the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.paired import PairedTable, degrees, residuals
from scalesearch.analysis.seed_table import told_names
from scalesearch.study.record import NetworkRecord

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Interval = tuple[float, float]

DRAWS, LEAST_DRAWS = 2000, 250
DIGITS = 12
"""Means that are alike to so many digits are the same: they differ by rounding."""
LEAST_DEGREES = 3.0
"""Degrees of freedom from which a regret's interval is told: two seeds leave two of them, and Student's t is 14."""
MANY = 64
"""Networks beyond which pairs are counted by sorting."""
MOST_DRAWN = 500_000
"""Networks times draws: tau of many networks hardly differs between draws, so fewer of them tell as much."""
_CELLS = 2_000_000
"""Pairs of networks times draws that are compared at once."""


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """How far two rankings of the same networks agree.

    Attributes:
        networks: that are ranked.
        seeds: of each, the fewer of both rankings.
        tau: Kendall's tau-b of the means, -1 to 1; None when one of them ties everything.
        tau_ci95: 95 % interval of tau without the noise of the seeds; None with one seed. It may lie above `tau`.
        ceiling: mean tau that these seeds would show if the true orders were one; None with one seed.
        regret: accuracy lost at the second by taking the network that leads the first, or the one that was asked for.
        regret_ci95: its 95 % interval, never below 0; None with one seed.
    """

    networks: int
    seeds: int
    tau: float | None
    tau_ci95: Interval | None
    ceiling: float | None
    regret: float
    regret_ci95: Interval | None

    @property
    def regret_told(self) -> Interval | None:
        """The interval of the regret where it is no wider for want of seeds than networks can differ; None else."""
        enough = self.networks > 1 and self.seeds > 1 and degrees(self.networks, self.seeds) >= LEAST_DEGREES
        return self.regret_ci95 if enough else None


def name_of(network: NetworkRecord) -> str:
    """A network in a sentence, such as `network 3 (width)`."""
    roles = "+".join(told_names(network))
    return f"network {network.number} ({roles})" if roles else f"network {network.number}"


def regret_words(network: NetworkRecord, choice: int | None) -> str:
    """What a regret is of, in a sentence, where it is not of the search's choice; empty where it is.

    Args:
        choice: number of the network that the search put first.
    """
    if network.number == choice:
        return ""
    return f"The top-1 regret is that of {name_of(network)}, which is first on these seeds."


def kendall(a: Floats, b: Floats) -> Floats:
    """Kendall's tau-b along the last axis, NaN where one side ties everything.

    Args:
        a: float64 [..., n].
        b: float64 [..., n].

    Example:
        >>> float(kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).round(3))
        0.333
    """
    if a.shape[-1] > MANY:
        return _kendall_of_many(a, b)
    upper = np.triu_indices(a.shape[-1], 1)
    left = np.sign(a[..., upper[0]] - a[..., upper[1]])
    right = np.sign(b[..., upper[0]] - b[..., upper[1]])
    both = np.abs(left).sum(-1) * np.abs(right).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((left * right).sum(-1) / np.sqrt(both))


def _kendall_of_many(a: Floats, b: Floats) -> Floats:
    """The same without looking at every pair; n log n."""
    order = np.lexsort((b, a), axis=-1)
    ours, theirs = (np.take_along_axis(side, order, -1) for side in (a, b))
    alike = ours[..., 1:] == ours[..., :-1]
    in_both = _tied(alike & (theirs[..., 1:] == theirs[..., :-1]))
    by_size = np.argsort(theirs, axis=-1, kind="stable")
    ascending = np.take_along_axis(theirs, by_size, -1)
    same = ascending[..., 1:] == ascending[..., :-1]
    levels = np.zeros(a.shape, dtype=np.int64)
    np.cumsum(~same, axis=-1, out=levels[..., 1:])
    ranks = np.empty_like(levels)
    np.put_along_axis(ranks, by_size, levels, -1)
    pairs = a.shape[-1] * (a.shape[-1] - 1) // 2
    left, right = pairs - _tied(alike), pairs - _tied(same)
    agreeing = left + right - pairs + in_both - 2 * _inversions(ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agreeing / np.sqrt((left * right).astype(np.float64)))


def _tied(alike: npt.NDArray[np.bool_]) -> Ints:
    """Pairs within runs, given which neighbours are alike."""
    place = np.arange(1, alike.shape[-1] + 1)
    begun = np.maximum.accumulate(np.where(alike, 0, place), axis=-1)
    return np.asarray((place - begun).sum(-1))


def _inversions(ranks: Ints) -> Ints:
    """Pairs along the last axis of which the first is larger, bit by bit of the ranks from the highest on."""
    rows = ranks.reshape(-1, ranks.shape[-1])
    found = np.zeros(len(rows), dtype=np.int64)
    for bit in reversed(range(int(ranks.max()).bit_length())):
        # Rows are ordered by the bits above this one: a pair differs in them, and was counted, or is of one group.
        group, one = rows >> (bit + 1), (rows >> bit) & 1
        ones = np.cumsum(one, axis=1)
        first = np.ones(rows.shape, dtype=bool)
        first[:, 1:] = group[:, 1:] != group[:, :-1]
        before = np.maximum.accumulate(np.where(first, ones - one, 0), axis=1)
        found += ((1 - one) * (ones - before)).sum(1)
        rows = np.take_along_axis(rows, np.argsort(rows >> bit, axis=1, kind="stable"), 1)
    return found.reshape(ranks.shape[:-1])


def agreement(
    first: Floats,
    second: Floats,
    *,
    paired: bool,
    choice: int | None = None,
    one_training: bool = False,
    pairs: PairedTable | None = None,
    most: float = math.inf,
) -> RankAgreement:
    """How the second table ranks the networks of the first.

    Args:
        first: float64 [networks, seeds].
        second: the same networks, on as many seeds or others.
        choice: row whose regret is asked for; None takes the leader of the first.
        paired: whether column j of both has one seed, so that what is left of their noise may go together.
        one_training: whether a cell of both is even one training (at two epochs): then the first's leader was chosen
            with the noise that the second shows, and the interval of the regret allows for that.
        pairs: of the second, where many are compared with it.
        most: the most that can be lost, where the tables have a scale: 1 of accuracies.
    """
    ours, theirs = first.mean(1).round(DIGITS), second.mean(1).round(DIGITS)
    tau = float(kendall(ours, theirs))
    leader = int(ours.argmax()) if choice is None else choice
    model = _model(first, second, paired=paired)
    known = model is not None and math.isfinite(tau)
    lost = regret_interval(pairs or second, leader, chosen_on_it=one_training)
    return RankAgreement(
        networks=len(ours),
        seeds=min(first.shape[1], second.shape[1]),
        tau=tau if math.isfinite(tau) else None,
        tau_ci95=model.interval() if model and known else None,
        ceiling=model.ceiling() if model and known else None,
        regret=float(theirs.max() - theirs[leader]),
        regret_ci95=lost and (min(lost[0], most), min(lost[1], most)),
    )


def regret_interval(table: Floats | PairedTable, chosen: int, *, chosen_on_it: bool = False) -> Interval | None:
    """95 % interval of what the best network has over the chosen one; None with one seed or one network.

    That one network is better is claimed against all of them; how much better the best may be is a question about
    one network, whichever it is.

    Args:
        table: float64 [networks, seeds].
        chosen: row.
        chosen_on_it: whether it was chosen for its values in this very table.
    """
    networks, seeds = (table.table if isinstance(table, PairedTable) else table).shape
    if seeds < 2 or networks < 2:
        return None
    paired = table if isinstance(table, PairedTable) else PairedTable(table)
    found = [paired.difference(other, chosen) for other in range(networks) if other != chosen]
    against_all = float(special.stdtrit(degrees(networks, seeds), 1 - 0.025 / (networks - 1)))
    reach = [against_all * d.standard_error for d in found]
    low = max(d.value - far for d, far in zip(found, reach, strict=True))
    high = max(d.value + far if chosen_on_it else d.ci95[1] for d, far in zip(found, reach, strict=True))
    return (max(0.0, low), max(0.0, high))


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """Means of two rankings with their noise: bivariate random effects.

    Attributes:
        means: float64 [networks, 2].
        noise: float64 [2, 2]: covariance of the noise of the means.
        degrees: of freedom of the noise of each ranking; equal, and the noise drawn together, where `paired`.
    """

    means: Floats
    noise: Floats
    degrees: tuple[int, int]
    paired: bool

    @property
    def draws(self) -> int:
        """How often means are drawn."""
        return min(DRAWS, max(LEAST_DRAWS, MOST_DRAWN // len(self.means)))

    def interval(self) -> Interval | None:
        """95 % of the values of tau between true means that the data leave possible."""
        taus = _taus(*self._true_means(np.random.default_rng(0)))
        finite = taus[np.isfinite(taus)]
        if not len(finite):
            return None
        low, high = np.quantile(finite, (0.025, 0.975))
        return (float(low), float(high))

    def _true_means(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        noise, total = self._covariances(rng)
        # What networks differ by in truth is what they differ by, less the noise; drawn too small, it may be negative.
        between = _positive(total - noise)
        # Kalman's gain: how far a measured mean is to be believed. Means are drawn in by it, and stray by what is left.
        gain = between @ np.linalg.inv(between + noise + _jitter(between + noise))
        drawn = rng.standard_normal((self.draws, len(self.means), 2)) @ _root(between - gain @ between)
        true = (self.means - self.means.mean(0)) @ gain.transpose(0, 2, 1) + drawn
        return true[:, :, 0], true[:, :, 1]

    def _covariances(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """What those of the noise and of the measured means may be, each float64 [draws, 2, 2].

        The noise is scaled chi square, the means of networks like these are inverse Wishart. Two networks do not tell
        how far networks lie apart, so nothing is drawn in then.
        """
        networks = len(self.means)
        chances = rng.chisquare(self.degrees, size=(self.draws, 2))
        if self.paired:
            chances[:, 1] = chances[:, 0]
        scale = np.sqrt(np.array(self.degrees) / chances)
        noise = self.noise * scale[:, :, None] * scale[:, None, :]
        if networks < 3:
            return noise, 1e6 * (noise + np.trace(np.cov(self.means.T)) * np.eye(2))
        cover = np.cov(self.means.T)
        root = np.linalg.cholesky(cover + _jitter(cover))
        normal = rng.standard_normal((self.draws, networks - 1, 2))
        wishart = normal.transpose(0, 2, 1) @ normal / (networks - 1)
        return noise, np.asarray(root @ np.linalg.inv(wishart) @ root.T)

    def ceiling(self) -> float | None:
        """Mean tau of new seeds if the first ranking's true order were that of the second.

        The true means spread as far as the noise leaves it possible. Best predictions would lie too close together,
        and a low ceiling flatters.
        """
        rng = np.random.default_rng(0)
        noise, total = self._covariances(rng)
        middle = self.means - self.means.mean(0)
        order = np.argsort(np.argsort(middle[:, 1]))
        if not middle.any(0).all():
            return None
        true = np.maximum(total - noise, 0.0)[:, (0, 1), (0, 1)] / middle.var(0, ddof=1)
        if len(self.means) < 3:
            true = np.ones_like(true)
        drawn = rng.standard_normal((self.draws, len(self.means), 2)) @ _root(noise)
        ours, theirs = np.sort(middle[:, 0])[order], middle[:, 1]
        a, b = np.sqrt(true[:, :1]) * ours, np.sqrt(true[:, 1:]) * theirs
        taus = _taus(a + drawn[:, :, 0], b + drawn[:, :, 1])
        return float(np.nanmean(taus)) if np.isfinite(taus).any() else None


def _model(first: Floats, second: Floats, *, paired: bool) -> _Model | None:
    if min(first.shape[1], second.shape[1]) < 2 or len(first) < 2:
        return None
    ours, theirs = residuals(first), residuals(second)
    (networks, seeds), others = first.shape, second.shape[1]
    free = ((networks - 1) * (seeds - 1), (networks - 1) * (others - 1))
    noise = np.diag([float((ours**2).sum()) / free[0] / seeds, float((theirs**2).sum()) / free[1] / others])
    if paired:
        noise[0, 1] = noise[1, 0] = float((ours * theirs).sum()) / free[0] / seeds
    return _Model(np.stack([first.mean(1), second.mean(1)], 1), noise, free, paired)


def _taus(a: Floats, b: Floats) -> Floats:
    rows = max(1, _CELLS // (a.shape[1] * min(a.shape[1], MANY)))
    return np.concatenate([kendall(a[i : i + rows], b[i : i + rows]) for i in range(0, len(a), rows)])


def _jitter(cover: Floats) -> Floats:
    """A little on the diagonal, so that rankings without noise or without a difference can be divided by."""
    size = np.trace(cover, axis1=-2, axis2=-1)
    return np.asarray(np.maximum(1e-12 * size, 1e-30)[..., None, None] * np.eye(2))


def _positive(cover: Floats) -> Floats:
    """The nearest covariance."""
    values, vectors = np.linalg.eigh(cover)
    return np.asarray((vectors * np.maximum(values, 0.0)[..., None, :]) @ np.swapaxes(vectors, -1, -2))


def _root(cover: Floats) -> Floats:
    """`r` with `r.T @ r` = cover."""
    values, vectors = np.linalg.eigh((cover + np.swapaxes(cover, -1, -2)) / 2)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[..., :, None] * np.swapaxes(vectors, -1, -2))
