"""The learning rate as a confound: does the order of networks change at half and at twice the rate?

A change is claimed where both hold: at another rate a network is better than the study's leader, and its lead has
grown from what it was at the study's rate. The first alone may be the luck of the study's leader; the second alone
changes no choice. The rival may be any network at any rate, and the leader had been any of them, so both are judged
against all (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.fidelity.curves import between
from scalesearch.analysis.fidelity.ranks import Interval, RankAgreement, agreement, name_of, regret_words
from scalesearch.analysis.paired import PairedTable, degrees
from scalesearch.analysis.seed_table import SeedTable

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overtaking:
    """A network that leads the study's leader at another rate, by more than the noise.

    Attributes:
        lead: accuracy that it has over the study's leader there.
        ci95: of the lead.
    """

    rate: float
    number: int
    name: str
    lead: float
    ci95: Interval


@dataclass(frozen=True, slots=True)
class Untuned:
    """A network that another rate suits better, by more than the noise: accuracy gained, with its interval."""

    rate: float
    number: int
    name: str
    gain: float
    ci95: Interval


@dataclass(frozen=True, slots=True)
class RateCheck:
    """The same networks at other learning rates.

    Attributes:
        leaders: rate over the study's -> number of the network that leads.
        agreements: rate -> of the study's ranking with that at the rate; the regret is of the search's choice, or of
            the leader at the study's rate where that is not among the networks.
        best_rates: network number -> the rate at which its mean is highest.
        changed: whether another network leads at some rate by more than the noise.
        overtaking: the networks that do.
        untuned: networks that another rate suits better by more than the noise.
        diverged: rate -> numbers of networks that are left out because a training of theirs failed there.
        seeds: of each network at each rate, the fewest.
        words: the headline where the order changes.
    """

    leaders: Mapping[float, int]
    agreements: Mapping[float, RankAgreement]
    best_rates: Mapping[int, float]
    changed: bool
    overtaking: tuple[Overtaking, ...]
    untuned: tuple[Untuned, ...]
    diverged: Mapping[float, tuple[int, ...]]
    seeds: int
    words: str


def rate_check(layouts: Mapping[float, SeedTable], choice: int | None = None) -> RateCheck | None:
    """Whether the order of networks depends on the learning rate.

    Args:
        layouts: rate over the study's -> trainings at it; 1 must be among them.
        choice: number of the network that the search put first.

    Returns:
        None without trainings at the study's own rate and another, of two networks or more.
    """
    own = layouts.get(1.0)
    if own is None or len(layouts) < 2:
        return None
    shared = [n for n in own.networks if all(lay.row(n.number) is not None for lay in layouts.values())]
    names = {n.number: name_of(n) for n in shared}
    numbers = list(names)
    tables = {rate: _table(layout, numbers) for rate, layout in sorted(layouts.items())}
    if len(numbers) < 2 or any(table.shape[1] == 0 for table in tables.values()):
        return None
    means = np.stack([table.mean(1) for table in tables.values()])
    rates = list(tables)
    leaders = {rate: numbers[int(table.mean(1).argmax())] for rate, table in tables.items()}
    seeds = min(table.shape[1] for table in tables.values())
    overtaking = _overtaking(tables, names) if seeds > 1 else ()
    untuned = _untuned(tables, names) if seeds > 1 else ()
    diverged = {rate: lay.diverged for rate, lay in sorted(layouts.items()) if lay.diverged}
    taken = choice if choice in names else leaders[1.0]
    regret = regret_words(next(n for n in shared if n.number == taken), choice)
    said = [_order_words(leaders, overtaking, names, seeds), *_rate_words(untuned), *_diverged_words(layouts)]
    return RateCheck(
        leaders=leaders,
        agreements={
            rate: agreement(
                tables[1.0],
                table,
                paired=layouts[rate].seeds == own.seeds,
                choice=numbers.index(taken),
                most=1.0,
            )
            for rate, table in tables.items()
            if rate != 1.0
        },
        best_rates={number: rates[int(means[:, i].argmax())] for i, number in enumerate(numbers)},
        changed=bool(overtaking),
        overtaking=overtaking,
        untuned=untuned,
        diverged=diverged,
        seeds=seeds,
        words=" ".join([*said, regret] if regret else said),
    )


def _table(layout: SeedTable, numbers: Sequence[int]) -> Floats:
    return layout.accuracy[[row for n in numbers if (row := layout.row(n)) is not None]]


def _overtaking(tables: Mapping[float, Floats], names: Mapping[int, str]) -> tuple[Overtaking, ...]:
    numbers = list(names)
    networks, others = len(numbers), len(tables) - 1
    usual = int(tables[1.0].mean(1).argmax())
    before, found = PairedTable(tables[1.0]), []
    for rate, table in tables.items():
        rival = int(table.mean(1).argmax())
        if rate == 1.0 or rival == usual:
            continue
        there, here = PairedTable(table).difference(rival, usual), before.difference(rival, usual)
        # The rival is one of all but the leader; of the growth, leader and rival are any pair.
        pairs = networks * (networks - 1) // 2
        free = min(degrees(networks, t.shape[1]) for t in (table, tables[1.0]))
        error = math.hypot(there.standard_error, here.standard_error)
        grown = there.value - here.value > _reach(free, pairs * others) * error
        if grown and there.p * (networks - 1) * others < 0.05:
            found.append(Overtaking(rate, numbers[rival], names[numbers[rival]], there.value, there.ci95))
    return tuple(found)


def _reach(free: float, questions: int = 1) -> float:
    return float(special.stdtrit(free, 1 - 0.025 / questions))


def _untuned(tables: Mapping[float, Floats], names: Mapping[int, str]) -> tuple[Untuned, ...]:
    """For each network the rate that gains most, where it gains more than the noise."""
    own, questions = tables[1.0], len(names) * (len(tables) - 1)
    found = []
    for row, (number, name) in enumerate(names.items()):
        gains = {rate: float(table[row].mean() - own[row].mean()) for rate, table in tables.items() if rate != 1.0}
        rate = max(gains, key=lambda r: gains[r])
        error = math.sqrt(_noise(tables[rate]) + _noise(own))
        free = len(names) * (tables[rate].shape[1] + own.shape[1] - 2)
        if gains[rate] > _reach(free, questions) * error:
            half = _reach(free) * error
            found.append(Untuned(rate, number, name, gains[rate], (gains[rate] - half, gains[rate] + half)))
    return tuple(found)


def _noise(table: Floats) -> float:
    """Variance of a mean, from the spread of all networks over their seeds."""
    return float(table.var(axis=1, ddof=1).mean() / table.shape[1])


def said_rate(rate: float) -> str:
    """A learning rate over the study's in words.

    Example:
        >>> said_rate(0.5), said_rate(2.0), said_rate(4.0)
        ('half the rate', 'twice the rate', '4 times the rate')
    """
    return {0.5: "half the rate", 1.0: "the study's rate", 2.0: "twice the rate"}.get(rate, f"{rate:g} times the rate")


def _order_words(
    leaders: Mapping[float, int], overtaking: Sequence[Overtaking], names: Mapping[int, str], seeds: int
) -> str:
    if overtaking:
        said = " and ".join(
            f"at {said_rate(one.rate)} {one.name} leads {names[leaders[1.0]]} by {100 * one.lead:.2f} points"
            f"{between(one.ci95, 100)}"
            for one in overtaking
        )
        return (
            f"The order of the networks depends on the learning rate: {said}. Coefficients found at one rate are not "
            "the coefficients."
        )
    if len(set(leaders.values())) == 1:
        return f"The same network leads at every learning rate that was tried: {names[leaders[1.0]]}."
    if seeds < 2:
        return (
            "Another network has the highest accuracy at another learning rate; with one seed it cannot be told from "
            "luck: it takes two or more."
        )
    return "Another network has the highest mean at another learning rate, but by no more than the noise."


def _rate_words(untuned: Sequence[Untuned]) -> list[str]:
    if not untuned:
        return []
    said = "; ".join(
        f"{said_rate(one.rate)} is better for {one.name} by {100 * one.gain:.2f} points{between(one.ci95, 100)}"
        for one in untuned
    )
    return [f"The study's rate does not suit every network: {said}."]


def _diverged_words(layouts: Mapping[float, SeedTable]) -> list[str]:
    return [
        f"At {said_rate(rate)} network {', '.join(map(str, table.diverged))} {table.failure}, and is left out."
        for rate, table in sorted(layouts.items())
        if table.diverged
    ]
