"""Do the coefficients found at phi = 1 still lead at larger phi?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scalesearch.analysis.layout import Layout
from scalesearch.analysis.paired import PairedTable, holm
from scalesearch.analysis.ranks import Agreement, agreement

Status = Literal["leads", "not shown otherwise", "no longer leads"]


@dataclass(frozen=True, slots=True)
class TransferAt:
    """One larger phi.

    Attributes:
        cost: what the networks cost there over the baseline, in words such as `8x`.
        networks: compared; `distinct` of them are different networks there.
        seeds: of each.
        rank: of the found coefficients there, 1 is first.
        leader: number of the network that leads there.
        agreement: of the order at phi = 1 with that at phi; its regret is what the found coefficients lack there.
        status: `leads`; `not shown otherwise` (another has a higher mean, within the noise); `no longer leads`.
        words: for people.
    """

    phi: float
    cost: str
    networks: int
    distinct: int
    seeds: int
    rank: int
    leader: int
    agreement: Agreement
    status: Status
    words: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """What larger phi say about the coefficients found on one budget."""

    budget: str
    found: int
    at: tuple[TransferAt, ...]

    def status(self, phi: float) -> TransferAt | None:
        """What was found at a phi; None where nobody looked."""
        return next((one for one in self.at if abs(one.phi - phi) < 1e-9), None)


def transfer(budget: str, found: int, at_one: Layout, at_phi: Mapping[float, Layout]) -> Transfer | None:
    """Compare the order of networks at phi = 1 with that at every larger phi.

    Args:
        found: number of the network that the search put first.
        at_one: trainings at phi = 1, on the same seeds.
        at_phi: phi -> trainings there; a network has the number of the one at phi = 1 that it comes from.

    Returns:
        None when no phi has two networks in common with phi = 1, the found one among them.
    """
    results = [_at(phi, found, at_one, layout) for phi, layout in sorted(at_phi.items())]
    kept = tuple(result for result in results if result)
    return Transfer(budget, found, kept) if kept else None


def _at(phi: float, found: int, at_one: Layout, larger: Layout) -> TransferAt | None:
    numbers = [n.trial for n in larger.networks if at_one.row(n.trial) is not None]
    if found not in numbers or len(numbers) < 2 or not larger.seeds or not at_one.seeds:
        return None
    common = sorted(set(at_one.seeds) & set(larger.seeds))
    paired = common == list(larger.seeds)
    columns = [at_one.seeds.index(s) for s in common] if paired else list(range(len(at_one.seeds)))
    rows = [row for n in numbers if (row := at_one.row(n)) is not None]
    there_rows = [row for n in numbers if (row := larger.row(n)) is not None]
    here, there = at_one.accuracy[np.ix_(rows, columns)], larger.accuracy[there_rows]
    means, mine = there.mean(1), numbers.index(found)
    leader = int(means.argmax()) if means.max() > means[mine] else mine
    status = _status(there, mine)
    result = TransferAt(
        phi=phi,
        cost=larger.networks[0].budget,
        networks=len(numbers),
        distinct=len({larger.networks[row].spec for row in there_rows}),
        seeds=len(larger.seeds),
        rank=1 + int((means > means[mine]).sum()),
        leader=numbers[leader],
        agreement=agreement(here, there, paired=paired, choice=mine),
        status=status,
        words="",
    )
    return dataclasses.replace(result, words=_words(result))


def _status(table: np.ndarray[Any, np.dtype[np.float64]], mine: int) -> Status:
    means = table.mean(1)
    if means[mine] >= means.max():
        return "leads"
    if table.shape[1] < 2:
        return "not shown otherwise"
    paired = PairedTable(table)
    others = [i for i in range(len(table)) if i != mine]
    differences = [paired.difference(i, mine) for i in others]
    adjusted = holm([d.p for d in differences])
    beaten = any(d.value > 0 and p < 0.05 for d, p in zip(differences, adjusted, strict=True))
    return "no longer leads" if beaten else "not shown otherwise"


def _words(found: TransferAt) -> str:
    said = {
        "leads": "the coefficients found at phi 1 still lead",
        "not shown otherwise": f"no evidence that they stopped leading (rank {found.rank} of {found.networks})",
        "no longer leads": f"they do not: network {found.leader} leads by {100 * found.agreement.regret:.2f} points",
    }[found.status]
    text = f"At phi {found.phi:g} ({found.cost}) {said}"
    tau, interval = found.agreement.tau, found.agreement.tau_ci95
    if tau is None:
        return f"{text}."
    between = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    most = f"; the same order would show {found.agreement.ceiling:.2f}" if found.agreement.ceiling is not None else ""
    return f"{text}; Kendall's tau of the order is {tau:.2f}{between}{most}."


def transfer_to_dict(found: Transfer) -> dict[str, Any]:
    """`transfer` in `result.json`."""
    return {"budget": found.budget, "found": found.found, "at": [dataclasses.asdict(one) for one in found.at]}
