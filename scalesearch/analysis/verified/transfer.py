"""Do the coefficients found at phi = 1 still lead at larger phi?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.equal_cost import EXACT
from scalesearch.analysis.fidelity.curves import between
from scalesearch.analysis.fidelity.ranks import DIGITS, RankAgreement, agreement, name_of
from scalesearch.analysis.seed_table import SeedTable
from scalesearch.study.record import NetworkRecord

Floats = npt.NDArray[np.float64]
Status = Literal["leads", "not shown otherwise", "no longer leads"]


@dataclass(frozen=True, slots=True)
class TransferAt:
    """One larger phi.

    Attributes:
        cost: what the networks cost there over the baseline, in words such as `8x`.
        networks: numbers that are compared; `distinct` of them are different networks there, and are ranked.
        seeds: of each.
        rank: of the found coefficients there among the distinct ones, 1 is first; None where their network failed.
        leader: number of the network that leads there.
        leader_name: with the names under which it was proposed.
        agreement: of the order at phi = 1 with that at phi; its regret is what the found coefficients lack there.
        status: `leads`; `not shown otherwise` (another has a higher mean, within the noise); `no longer leads`.
        diverged: numbers that are left out because a training of theirs failed.
        failure: what the trainings of those left out did: `diverged`, `ran out of memory` ...
        apart: largest over smallest cost of the networks there, minus 1; accuracies are as they were measured.
    """

    phi: float
    cost: str
    networks: int
    distinct: int
    seeds: int
    rank: int | None
    leader: int
    leader_name: str
    agreement: RankAgreement
    status: Status
    diverged: tuple[int, ...]
    failure: str
    apart: float

    @property
    def words(self) -> str:
        """What was found there, in a sentence."""
        return _words(self)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What larger phi say about the coefficients found on one budget."""

    budget: str
    found: int
    at: tuple[TransferAt, ...]

    def status(self, phi: float) -> TransferAt | None:
        """What was found at a phi; None where nobody looked."""
        return next((one for one in self.at if abs(one.phi - phi) < 1e-9), None)


def transfer(budget: str, found: int, at_one: SeedTable, at_phi: Mapping[float, SeedTable]) -> Transfer | None:
    """Compare the order of networks at phi = 1 with that at every larger phi.

    Args:
        found: number of the network that the search put first.
        at_one: trainings at phi = 1. Seeds that both have are taken as pairs.
        at_phi: phi -> trainings there; a network has the number of the one at phi = 1 that it comes from.

    Returns:
        None when no phi has two networks in common with phi = 1, the found one among them or failed.
    """
    results = [_at(phi, found, at_one, layout) for phi, layout in sorted(at_phi.items())]
    kept = tuple(result for result in results if result)
    return Transfer(budget, found, kept) if kept else None


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """Networks that differ at phi: numbers of each, float64 [networks, seeds] at phi = 1 and there."""

    groups: tuple[tuple[int, ...], ...]
    here: Floats
    there: Floats
    paired: bool


def _at(phi: float, found: int, at_one: SeedTable, larger: SeedTable) -> TransferAt | None:
    tables = _tables(at_one, larger)
    numbers = [number for group in tables.groups for number in group]
    lost = found in larger.diverged
    if (found not in numbers and not lost) or len(numbers) < 2 or not larger.seeds or not at_one.seeds:
        return None
    means = tables.there.mean(1).round(DIGITS)
    mine = next((i for i, group in enumerate(tables.groups) if found in group), None)
    best = int(means.argmax()) if mine is None or means.max() > means[mine] else mine
    leader = found if best == mine else tables.groups[best][0]
    measured = agreement(tables.here, tables.there, paired=tables.paired, choice=mine, most=1.0)
    return TransferAt(
        phi=phi,
        cost=larger.networks[0].budget,
        networks=len(numbers),
        distinct=len(tables.groups),
        seeds=len(larger.seeds),
        rank=None if mine is None else 1 + int((means > means[mine]).sum()),
        leader=leader,
        leader_name=next(name_of(n) for n in larger.networks if n.number == leader),
        agreement=measured,
        status="no longer leads" if lost else _status(best == mine, measured),
        diverged=larger.diverged,
        failure=larger.failure,
        apart=max(n.cost for n in larger.networks) / min(n.cost for n in larger.networks) - 1,
    )


def _tables(at_one: SeedTable, larger: SeedTable) -> _Tables:
    """Numbers that give one network at phi are one row, with the mean of what they are at phi = 1."""
    common = sorted(set(at_one.seeds) & set(larger.seeds))
    paired = bool(common) and common == list(larger.seeds)
    columns = [at_one.seeds.index(s) for s in common] if paired else list(range(len(at_one.seeds)))
    there = [(row, n) for row, n in enumerate(larger.networks) if at_one.row(n.number) is not None]
    groups: list[list[tuple[int, NetworkRecord]]] = []
    for item in there:
        known = next((group for group in groups if group[0][1].spec == item[1].spec), None)
        if known is None:
            groups.append([item])
        else:
            known.append(item)
    own = [[row for _, n in group if (row := at_one.row(n.number)) is not None] for group in groups]
    return _Tables(
        groups=tuple(tuple(n.number for _, n in group) for group in groups),
        here=_merged(at_one.accuracy[:, columns], own),
        there=_merged(larger.accuracy, [[row for row, _ in group] for group in groups]),
        paired=paired,
    )


def _merged(table: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    rows = [table[list(rows)].mean(0) for rows in groups]
    return np.array(rows, dtype=np.float64).reshape(len(groups), table.shape[1])


def _status(first: bool, measured: RankAgreement) -> Status:
    if first:
        return "leads"
    return "no longer leads" if measured.regret_ci95 and measured.regret_ci95[0] > 0 else "not shown otherwise"


def _words(found: TransferAt) -> str:
    regret = f"{100 * found.agreement.regret:.2f} points{between(found.agreement.regret_ci95, 100)}"
    said = {
        "leads": f"the coefficients found at phi 1 still lead ({_at_most(found.agreement)})",
        "not shown otherwise": f"no evidence that they stopped leading (rank {found.rank} of {found.distinct}, regret "
        f"{regret})",
        "no longer leads": f"they no longer lead: {found.leader_name} is better by {regret}",
    }[found.status]
    if found.rank is None:
        said = f"their network {found.failure}"
    parts = [f"At phi {found.phi:g} ({found.cost}) {said}"]
    if found.distinct < 2:
        return f"{parts[0]}; all {found.networks} coefficients give one network there."
    tau = found.agreement.tau
    if tau is not None:
        parts.append(f"Kendall's tau of the order is {tau:.2f}{_without_noise(found.agreement)}")
    if found.distinct < found.networks:
        parts.append(f"{found.networks} coefficients give {found.distinct} different networks there")
    if found.apart > EXACT:
        parts.append(f"their costs there are up to {100 * found.apart:.1f} % apart, which is not taken off")
    others = [number for number in found.diverged if not (found.rank is None and len(found.diverged) == 1)]
    if others:
        parts.append(f"left out, because a training {found.failure}: network {', '.join(map(str, others))}")
    return f"{'; '.join(parts)}."


def _at_most(measured: RankAgreement) -> str:
    if measured.regret_ci95 is None:
        return "one seed: not told from luck"
    most = measured.regret_ci95[1]
    return f"another may be better by {100 * most:.2f} points at most" if most > 0 else "by more than the noise"


def _without_noise(measured: RankAgreement) -> str:
    if measured.tau_ci95 is None or measured.ceiling is None:
        return ""
    low, high = measured.tau_ci95
    return f" (one order would show {measured.ceiling:.2f} with these seeds; without noise {low:.2f} to {high:.2f})"


def transfer_to_dict(found: Transfer) -> dict[str, Any]:
    """`transfer` in `result.json`."""
    return {"budget": found.budget, "found": found.found, "at": [_at_to_dict(one) for one in found.at]}


def _at_to_dict(one: TransferAt) -> dict[str, Any]:
    return {**dataclasses.asdict(one), "words": one.words}
