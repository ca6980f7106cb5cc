"""What the curves of the search's trainings say: how early the order of the end is there, and whether a rung is honest.

Networks are only ever compared within their budget: a larger budget leads at every epoch, and would make any rung look
right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.fidelity.ranks import DIGITS, RankAgreement, agreement
from scalesearch.analysis.paired import PairedTable
from scalesearch.scaling.units import plural
from scalesearch.study.record import TrialRecord

Floats = npt.NDArray[np.float64]
Curve = Mapping[int, float]
"""Epoch -> validation accuracy."""

LEAST_NETWORKS = 3
TRUSTED = 0.8
"""Part of all pairs that the rung must order like the end. With it the better half there holds the best of the end in
95 of 100 cases, with 0.7 in 83, with 0.5 (a coin) in 49 (8 networks, normal scores)."""
TOLD_APART = 0.5
"""Tau that one order must show, before anything is said about when it is there."""
CHANCE = 0.5
"""The interval must lie above it: four networks in the right order are luck in one case of 24."""
MOST_EPOCHS = 24
"""Epochs of longer proxies that are looked at, evenly spaced."""
NEAR = 0.8
"""Kendall's tau from which an order is called much like another: nine pairs in ten agree."""


@dataclass(frozen=True, slots=True)
class EpochAgreement:
    """How the networks' means at one epoch rank them, against the last."""

    epoch: int
    agreement: RankAgreement


@dataclass(frozen=True, slots=True)
class RungCheck:
    """Whether stopping at an epoch is honest.

    Attributes:
        networks: with curves that go on after the epoch, on budgets with two or more of them.
        concordance: part of all pairs of networks of one budget that one training each at the epoch orders like the
            means of the end, 0 to 1; a tie counts one half.
        ci95: of the concordance, for networks like these.
        best_kept: part of the draws of as many networks in which the one that is best in the end is kept.
        trusted: concordance of `TRUSTED` or more, with an interval above `CHANCE`.
    """

    epoch: int
    networks: int
    concordance: float | None
    ci95: tuple[float, float] | None
    best_kept: float | None
    trusted: bool

    @property
    def words(self) -> str:
        """Whether networks are given up, and why."""
        if self.concordance is None or self.ci95 is None:
            return (
                f"early stopping is off: no two networks of one budget have curves that go on after epoch {self.epoch}"
            )
        low, high = (100 * bound for bound in self.ci95)
        return (
            f"early stopping is {'on' if self.trusted else 'off'}: one training at epoch {self.epoch} orders "
            f"{100 * self.concordance:.0f} % of the pairs of {self.networks} networks like the end does "
            f"({low:.0f} to {high:.0f} %{'' if self.trusted else f'; {_needed()}'})"
        )


def _complete(records: Iterable[TrialRecord]) -> dict[str, dict[int, dict[int, Curve]]]:
    """Budget -> network -> seed -> curve, of trainings that went to their end; none of a network that diverged."""
    found: dict[str, dict[int, dict[int, Curve]]] = {}
    failed = set()
    for record in records:
        network, outcome = record.network, record.outcome
        if outcome is not None and outcome.status == "failed":
            failed.add(network.number)
        if outcome is not None and outcome.status == "complete" and outcome.curve and network.trainable:
            curve = {point.epoch: point.accuracy for point in outcome.curve}
            found.setdefault(network.budget, {}).setdefault(network.number, {})[outcome.seed] = curve
    return {
        budget: {trial: seeds for trial, seeds in sorted(own.items()) if trial not in failed}
        for budget, own in found.items()
    }


def rank_agreement(budget: str, records: Iterable[TrialRecord]) -> tuple[EpochAgreement, ...]:
    """How the order of every epoch agrees with that of the last one.

    Returns:
        Epochs before the last, at most `MOST_EPOCHS`; empty for proxies of one epoch and for fewer than three networks.
    """
    table, epochs = _table(_complete(records).get(budget, {}))
    if len(table) < LEAST_NETWORKS or len(epochs) < 2:
        return ()
    end = table[:, :, -1]
    pairs = PairedTable(end) if end.shape[1] > 1 else None
    before = len(epochs) - 1
    shown = range(before) if before <= MOST_EPOCHS else _spaced(before)
    return tuple(
        EpochAgreement(epochs[i], agreement(table[:, :, i], end, paired=True, one_training=True, pairs=pairs, most=1.0))
        for i in shown
    )


def _spaced(count: int) -> list[int]:
    return [round(i * (count - 1) / (MOST_EPOCHS - 1)) for i in range(MOST_EPOCHS)]


def _table(curves: Mapping[int, Mapping[int, Curve]]) -> tuple[Floats, list[int]]:
    """The largest complete table, float64 [networks, seeds, epochs], that keeps half of the networks or more."""
    seeds = [seed for seed, _ in Counter(seed for own in curves.values() for seed in own).most_common()]
    # How many of the seeds, from the commonest on, a network has without a gap.
    reach = {
        trial: next((i for i, seed in enumerate(seeds) if seed not in own), len(seeds)) for trial, own in curves.items()
    }
    counts = [(count, sum(have >= count for have in reach.values())) for count in range(1, len(seeds) + 1)]
    enough = [(count, networks) for count, networks in counts if 2 * networks >= len(curves)]
    if not enough:
        return np.zeros((0, 0, 0)), []
    most, _ = max(enough, key=lambda one: one[0] * one[1])
    networks, kept = [trial for trial, have in reach.items() if have >= most], sorted(seeds[:most])
    chosen = [[curves[trial][seed] for seed in kept] for trial in networks]
    epochs = sorted(set.intersection(*(set(curve) for row in chosen for curve in row)))
    return np.array([[[curve[epoch] for epoch in epochs] for curve in row] for row in chosen]), epochs


def silent_words(budget: str, records: Iterable[TrialRecord]) -> str:
    """Why there is no `rank_agreement`, in a sentence."""
    curves = _complete(records).get(budget, {})
    table, epochs = _table(curves)
    if not curves:
        why = "no network has a whole one"
    elif len(curves) < LEAST_NETWORKS:
        why = f"only {plural(len(curves), 'network')} went to the end, and it takes {LEAST_NETWORKS}"
    elif len(table) < LEAST_NETWORKS:
        why = f"fewer than {LEAST_NETWORKS} networks were trained on the same seeds"
    else:
        why = "they have one epoch" if len(epochs) == 1 else "they have no epoch in common"
    return f"The proxy's curves say nothing: {why}."


def epoch_words(epochs: Sequence[EpochAgreement]) -> str:
    """From when on the order is that of the end, and what choosing then would cost; of one epoch or more."""
    last = epochs[-1]
    if last.agreement.ceiling is not None and last.agreement.ceiling < TOLD_APART:
        return (
            "When the order of the end is there cannot be told: the seeds hardly tell these networks apart (one and "
            f"the same order would show a Kendall's tau of {last.agreement.ceiling:.2f} at epoch {last.epoch})."
        )
    near = _first_near(epochs)
    if near is None:
        return f"Before the last epoch the order of the end is not there: at epoch {last.epoch} {_tau_words(last)}."
    seeds = plural(near.agreement.seeds, "seed")
    known = between(near.agreement.regret_told, 100) or f", which {seeds} cannot tell from more or none"
    regret = f"{100 * near.agreement.regret:.2f} points{known}"
    return (
        f"From epoch {near.epoch} on the order is much like that of the end ({_tau_words(near)}); choosing at epoch "
        f"{near.epoch} would cost {regret}."
    )


def _tau_words(one: EpochAgreement) -> str:
    tau, ceiling = one.agreement.tau, one.agreement.ceiling
    if tau is None:
        return "Kendall's tau is not defined"
    most = "" if ceiling is None else f", one and the same order would show {ceiling:.2f}"
    return f"Kendall's tau is {tau:.2f}{most}"


def _first_near(epochs: Sequence[EpochAgreement]) -> EpochAgreement | None:
    """The first epoch from which on every tau is near 1, or as near as the seeds can show."""
    first = None
    for one in reversed(epochs):
        tau, ceiling = one.agreement.tau, one.agreement.ceiling
        enough = NEAR if ceiling is None else min(NEAR, max(ceiling, TOLD_APART))
        if tau is None or tau < enough:
            break
        first = one
    return first


def between(interval: tuple[float, float] | None, scale: float = 1.0) -> str:
    """An interval after a number in a sentence; empty where there is none.

    Example:
        >>> between((0.1, 0.35), 100), between(None)
        (' (10.00 to 35.00)', '')
    """
    return "" if interval is None else f" ({scale * interval[0]:.2f} to {scale * interval[1]:.2f})"


def rung_check(records: Iterable[TrialRecord], epoch: int, keep: float = 0.5) -> RungCheck:
    """Whether a network may be given up at an epoch, from curves that went to their end.

    A network is given up by one training, so that is what is checked: its order at the epoch, against the order of
    the means of the end. With one seed the end is that same training, whose luck is partly in both: what is found
    then is the most that can be hoped for.

    Args:
        keep: part of the networks that go on after the epoch.
    """
    later = (
        {trial: own for trial, seeds in networks.items() if (own := _beyond(seeds, epoch))}
        for networks in _complete(records).values()
    )
    groups = [_Rung(networks, epoch) for networks in later if len(networks) > 1]
    count = sum(len(group.end) for group in groups)
    if not groups:
        return RungCheck(epoch, 0, None, None, None, False)
    compared = sum(group.compared for group in groups)
    # Pairs of one budget share networks and are no independent trials: the interval counts what they are worth.
    concordance = sum(group.concordant for group in groups) / compared if compared else CHANCE
    interval = _wilson(concordance, sum(_weight(len(group.end)) for group in groups))
    kept = float(np.mean([share for group in groups for share in group.best_kept(keep)]))
    trusted = concordance >= TRUSTED and interval[0] > CHANCE
    return RungCheck(
        epoch=epoch,
        networks=count,
        concordance=concordance,
        ci95=interval,
        best_kept=kept,
        trusted=trusted,
    )


def _needed() -> str:
    return f"it takes {100 * TRUSTED:.0f} %, and an interval above {100 * CHANCE:.0f} %"


def _beyond(seeds: Mapping[int, Curve], epoch: int) -> dict[int, Curve]:
    return {seed: curve for seed, curve in seeds.items() if epoch in curve and max(curve) > epoch}


class _Rung:
    """The networks of one budget at a rung: float64 [networks, seeds], NaN where there is no training, and the end."""

    def __init__(self, networks: Mapping[int, Mapping[int, Curve]], epoch: int) -> None:
        seeds = sorted({seed for own in networks.values() for seed in own})
        nothing = {epoch: math.nan}
        self.rung = np.array([[own.get(seed, nothing)[epoch] for seed in seeds] for own in networks.values()])
        self.end = np.array(
            [np.mean([curve[max(curve)] for curve in own.values()]) for own in networks.values()]
        ).round(DIGITS)
        upper = np.triu_indices(len(networks), 1)
        gaps = np.sign(self.rung[upper[0]] - self.rung[upper[1]])
        after = np.sign(self.end[upper[0]] - self.end[upper[1]])[:, None]
        known = np.isfinite(gaps)
        self.compared = int(known.sum())
        self.concordant = float((0.5 + 0.5 * gaps * after)[known].sum())

    def best_kept(self, keep: float, draws: int = 200) -> list[float]:
        """For draws of as many of these networks, whether the best of the end is among those that are kept."""
        rng = np.random.default_rng(0)
        found = []
        for seed in range(self.rung.shape[1]):
            there = np.flatnonzero(np.isfinite(self.rung[:, seed]))
            for drawn in rng.choice(there, size=(draws, len(there))) if len(there) > 1 else ():
                chosen = np.unique(drawn)
                ahead = (self.rung[chosen, seed] > self.rung[chosen[self.end[chosen].argmax()], seed]).sum()
                found.append(float(ahead < math.ceil(keep * len(chosen))))
        return found


def _weight(networks: int) -> float:
    """Independent pairs that all pairs of so many networks are worth: what gives tau its variance when it is 0."""
    return 4.5 * networks * (networks - 1) / (2 * networks + 5)


def _wilson(part: float, size: float) -> tuple[float, float]:
    """95 % interval of a part; it does not shrink to nothing when all agree (Wilson 1927)."""
    z = float(special.ndtri(0.975))
    middle = (part + z * z / (2 * size)) / (1 + z * z / size)
    half = z * math.sqrt(part * (1 - part) / size + z * z / (4 * size * size)) / (1 + z * z / size)
    return (max(0.0, middle - half), min(1.0, middle + half))
