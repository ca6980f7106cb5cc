"""Is the proxy to be trusted? Its own curves, a longer proxy, and other learning rates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.layout import Layout
from scalesearch.analysis.paired import PairedTable, holm
from scalesearch.analysis.posterior import plane
from scalesearch.analysis.ranks import Agreement, agreement, kendall
from scalesearch.record import TrialRecord
from scalesearch.space import REFERENCES

Floats = npt.NDArray[np.float64]

TRUSTED = 0.8
"""Part of all pairs that the rung must order like the end. Less, and a network is given up on the word of a coin."""
LEAST_NETWORKS = 4
DIMENSIONS = ("depth", "width", "resolution")


@dataclass(frozen=True, slots=True)
class EpochAgreement:
    """How the networks' means at one epoch rank them, against the last."""

    epoch: int
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class RungCheck:
    """Whether stopping at an epoch is honest.

    Attributes:
        concordance: part of all pairs of networks that the epoch orders like the end, 0 to 1.
        ci95: bootstrap interval over networks.
        best_kept: part of the resamples in which the network that is best in the end is in the upper half there.
        trusted: concordance of `TRUSTED` or more, with an interval above 0.5.
    """

    epoch: int
    networks: int
    concordance: float | None
    ci95: tuple[float, float] | None
    best_kept: float | None
    trusted: bool
    words: str


@dataclass(frozen=True, slots=True)
class RankChange:
    """What a longer training does to the standing of networks, by where their cost went.

    Attributes:
        longer: epochs over the study's.
        slopes: dimension -> change of the standardized accuracy (long minus short) from the centre to that corner.
        intervals: dimension -> 95 % interval, for the three together (Bonferroni).
        agreement: of the short with the long ranking.
        words: what that means.
    """

    longer: float
    networks: int
    seeds: int
    slopes: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    agreement: Agreement
    words: str


@dataclass(frozen=True, slots=True)
class RateCheck:
    """The same networks at other learning rates.

    Attributes:
        leaders: rate over the study's -> number of the network that leads.
        agreements: rate -> of the study's ranking with that at the rate.
        best_rates: network number -> the rate at which it is best.
        changed: whether another network leads at some rate by more than the noise.
    """

    leaders: Mapping[float, int]
    agreements: Mapping[float, Agreement]
    best_rates: Mapping[int, float]
    changed: bool
    seeds: int
    words: str


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Everything known about the proxy on one budget; parts that were not run are None or empty.

    Attributes:
        words: the most important sentence first.
    """

    budget: str
    epochs: tuple[EpochAgreement, ...]
    rank_change: RankChange | None
    rate: RateCheck | None
    words: str


def _curves(records: Iterable[TrialRecord]) -> Floats:
    """Accuracy of every network on the seeds that all have, by epoch: float64 [networks, seeds, epochs]."""
    kept: dict[int, dict[int, list[float]]] = {}
    for record in records:
        if record.outcome and record.outcome.status == "complete" and record.network.trainable:
            points = [point.accuracy for point in record.outcome.curve]
            kept.setdefault(record.network.trial, {})[record.outcome.seed] = points
    if not kept:
        return np.zeros((0, 0, 0))
    seeds = sorted(set.intersection(*(set(found) for found in kept.values())))
    length = min(len(points) for found in kept.values() for points in found.values())
    table = [[found[seed][:length] for seed in seeds] for _, found in sorted(kept.items())]
    return np.array(table, dtype=np.float64).reshape(len(kept), len(seeds), length)


def by_epoch(records: Iterable[TrialRecord]) -> tuple[EpochAgreement, ...]:
    """How early the ranking of the end is there; empty for proxies of one epoch, or fewer than three networks."""
    values = _curves(records)
    networks, seeds, epochs = values.shape
    if networks < 3 or seeds < 1 or epochs < 2:
        return ()
    return tuple(
        EpochAgreement(t + 1, agreement(values[:, :, t], values[:, :, -1], paired=True)) for t in range(epochs - 1)
    )


def rung_check(records: Iterable[TrialRecord], epoch: int) -> RungCheck:
    """Whether a network may be given up at an epoch, from curves that went to their end."""
    values = _curves(records)
    networks, seeds, epochs = values.shape
    if networks < LEAST_NETWORKS or seeds < 1 or epochs <= epoch:
        words = (
            f"early stopping is off: {networks} networks are too few to tell whether epoch {epoch} ranks like the end"
        )
        return RungCheck(epoch, networks, None, None, None, False, words)
    rung, end = values[:, :, epoch - 1].mean(1), values[:, :, -1].mean(1)
    concordance = _concordance(rung, end)
    rng = np.random.default_rng(0)
    drawn, kept = [], []
    for _ in range(500):
        chosen = np.unique(rng.integers(networks, size=networks))
        if len(chosen) > 2:
            drawn.append(_concordance(rung[chosen], end[chosen]))
            top = chosen[end[chosen].argmax()]
            kept.append(float(rung[top] >= np.median(rung[chosen])))
    low, high = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
    trusted = concordance >= TRUSTED and low > 0.5
    words = (
        f"early stopping is {'on' if trusted else 'off'}: epoch {epoch} orders {100 * concordance:.0f} % of the pairs "
        f"of {networks} networks like the end does ({100 * low:.0f} to {100 * high:.0f} %)"
    )
    return RungCheck(epoch, networks, concordance, (low, high), float(np.mean(kept)), trusted, words)


def _concordance(a: Floats, b: Floats) -> float:
    tau = float(kendall(a, b))
    return 0.5 if math.isnan(tau) else (1 + tau) / 2


def rank_change(short: Layout, long: Layout, longer: float) -> RankChange | None:
    """Regress what a longer training changes on the shares; None with fewer than five networks in common."""
    numbers = [n.trial for n in short.networks if n.shares and long.row(n.trial) is not None]
    if len(numbers) < 5 or not short.seeds or not long.seeds:
        return None
    a = short.accuracy[[row for n in numbers if (row := short.row(n)) is not None]]
    b = long.accuracy[[row for n in numbers if (row := long.row(n)) is not None]]
    points = plane([n.shares for n in short.networks if n.trial in numbers and n.shares])
    change = _standard(b.mean(1)) - _standard(a.mean(1))
    design = np.column_stack([np.ones(len(points)), points])
    if np.linalg.matrix_rank(design) < 3:
        return None
    found, _, _, _ = np.linalg.lstsq(design, change, rcond=None)
    degrees = len(points) - 3
    variance = float(((change - design @ found) ** 2).sum()) / degrees
    cover = variance * np.linalg.inv(design.T @ design)[1:, 1:]
    corners = plane([REFERENCES[name] for name in DIMENSIONS])
    reach = float(special.stdtrit(degrees, 1 - 0.05 / 2 / len(DIMENSIONS)))
    slopes = {name: float(corner @ found[1:]) for name, corner in zip(DIMENSIONS, corners, strict=True)}
    halves = {
        name: reach * math.sqrt(float(corner @ cover @ corner))
        for name, corner in zip(DIMENSIONS, corners, strict=True)
    }
    intervals = {name: (slopes[name] - halves[name], slopes[name] + halves[name]) for name in DIMENSIONS}
    same = short.seeds == long.seeds
    return RankChange(
        longer=longer,
        networks=len(numbers),
        seeds=min(a.shape[1], b.shape[1]),
        slopes=slopes,
        intervals=intervals,
        agreement=agreement(a, b, paired=same),
        words=_bias(intervals, longer),
    )


def _standard(values: Floats) -> Floats:
    spread = float(values.std(ddof=1))
    return np.asarray((values - values.mean()) / spread if spread > 0 else np.zeros_like(values))


def _bias(intervals: Mapping[str, tuple[float, float]], longer: float) -> str:
    punished = [name for name, (low, _) in intervals.items() if low > 0]
    favoured = [name for name, (_, high) in intervals.items() if high < 0]
    said = [*(f"punishes {name}" for name in punished), *(f"favours {name}" for name in favoured)]
    if said:
        return f"This proxy {' and '.join(said)}, against one of {longer:g} times the epochs."
    return f"No sign that the proxy favours depth, width or resolution, against one of {longer:g} times the epochs."


def rate_check(layouts: Mapping[float, Layout]) -> RateCheck | None:
    """Whether the order of networks depends on the learning rate.

    Args:
        layouts: rate over the study's -> trainings at it; 1 must be among them.

    Returns:
        None without trainings at the study's own rate and another, of two networks or more.
    """
    own = layouts.get(1.0)
    if own is None or len(layouts) < 2:
        return None
    shared = [n.trial for n in own.networks if all(lay.row(n.trial) is not None for lay in layouts.values())]
    tables = {rate: _table(layout, shared) for rate, layout in sorted(layouts.items())}
    if len(shared) < 2 or any(table.shape[1] == 0 for table in tables.values()):
        return None
    leaders = {rate: shared[int(table.mean(1).argmax())] for rate, table in tables.items()}
    others = [rate for rate in tables if rate != 1.0]
    means = np.stack([table.mean(1) for table in tables.values()])
    rates = list(tables)
    moved = _moved(tables, shared, leaders)
    return RateCheck(
        leaders=leaders,
        agreements={
            rate: agreement(tables[1.0], tables[rate], paired=layouts[rate].seeds == own.seeds) for rate in others
        },
        best_rates={number: rates[int(means[:, i].argmax())] for i, number in enumerate(shared)},
        changed=bool(moved),
        seeds=min(table.shape[1] for table in tables.values()),
        words=_rate_words(moved, leaders),
    )


def _table(layout: Layout, numbers: Sequence[int]) -> Floats:
    return layout.accuracy[[row for n in numbers if (row := layout.row(n)) is not None]]


def _moved(tables: Mapping[float, Floats], numbers: Sequence[int], leaders: Mapping[float, int]) -> list[str]:
    """Rates at which another network leads the study's leader by more than the noise, in words."""
    usual = numbers.index(leaders[1.0])
    tests = []
    for rate, table in tables.items():
        rival = numbers.index(leaders[rate])
        if rate != 1.0 and rival != usual and table.shape[1] > 1:
            tests.append((rate, leaders[rate], PairedTable(table).difference(rival, usual)))
    # The rival was picked for leading, so its p is adjusted for all networks that could have been.
    chances = holm([test.p for _, _, test in tests])
    return [
        f"at {rate:g} times the rate network {number} leads by {100 * test.value:.2f} points "
        f"({100 * test.ci95[0]:.2f} to {100 * test.ci95[1]:.2f})"
        for (rate, number, test), p in zip(tests, chances, strict=True)
        if p * (len(numbers) - 1) < 0.05
    ]


def _rate_words(moved: Sequence[str], leaders: Mapping[float, int]) -> str:
    if moved:
        return (
            f"The order of the networks depends on the learning rate: {' and '.join(moved)}. Coefficients found at one "
            "rate are not the coefficients."
        )
    if len(set(leaders.values())) == 1:
        return "The same network leads at every learning rate."
    return "Another network has the highest mean at another learning rate, but by no more than the noise."


def fidelity(
    budget: str, records: Iterable[TrialRecord], change: RankChange | None, rate: RateCheck | None
) -> Fidelity | None:
    """Join what is known; None when nothing is."""
    epochs = by_epoch(records)
    if not epochs and change is None and rate is None:
        return None
    sentences = []
    if rate and rate.changed:
        sentences.append(rate.words)
    if change:
        sentences.append(change.words)
    if rate and not rate.changed:
        sentences.append(rate.words)
    if epochs:
        sentences.append(_epoch_words(epochs))
    return Fidelity(budget, epochs, change, rate, " ".join(sentences))


def _epoch_words(epochs: Sequence[EpochAgreement]) -> str:
    early = next((e for e in epochs if e.agreement.tau is not None and e.agreement.tau >= 0.8), None)
    if early is None:
        last = epochs[-1]
        tau = "not known" if last.agreement.tau is None else f"{last.agreement.tau:.2f}"
        return f"At epoch {last.epoch} of the curves the tau with the order of the end is {tau}."
    return f"From epoch {early.epoch} on the order is much like that of the end (tau {early.agreement.tau:.2f})."


def fidelity_to_dict(found: Fidelity) -> dict[str, Any]:
    """`fidelity` in `result.json`; keys that are numbers become text."""
    content = dataclasses.asdict(found)
    if found.rate:
        for name in ("leaders", "agreements", "best_rates"):
            content["rate"][name] = {f"{key:g}": value for key, value in content["rate"][name].items()}
    return content
