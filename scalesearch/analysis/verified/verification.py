"""What new seeds say about the network that the search put first.

It was named before these trainings, so no second choice is made among them: the winner's curse of the search is left
behind, and can be measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalesearch.analysis.equal_cost import CostSlope
from scalesearch.analysis.failed.causes import DID, OUT
from scalesearch.analysis.fidelity.overruled import word_under
from scalesearch.analysis.fidelity.rates import RateCheck
from scalesearch.analysis.paired import NOTHING, PairedTable, against, detectable, seeds_to_detect
from scalesearch.analysis.seed_table import SeedTable, told_roles
from scalesearch.analysis.verdict import BETTER, CLAIMS, SAME, only_on_its_own
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.study.plain import as_told
from scalesearch.study.record import ERROR, KILLED, TIMEOUT, NetworkRecord
from scalesearch.study.record.evidence import Split


@dataclass(frozen=True, slots=True)
class Verdict:
    """The found network against one other.

    Attributes:
        budget: of the study.
        against: names of the other, joined by +: references, `baseline`, or `network 7`.
        number: of the other network.
        difference: mean accuracy of the found network minus the other's, 0 to 1.
        ci95: its own interval; None where there is none.
        p_holm: two-sided, adjusted for the number of comparisons; None where there is none.
        words: of the found network, by `p_holm`; see `verdict`.
        seeds: trainings of each.
        near: those of the names that no network has, and for which this one, the nearest, stands.
    """

    budget: str
    against: str
    number: int
    difference: float
    ci95: tuple[float, float] | None
    p_holm: float | None
    words: str
    seeds: int
    near: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """The names as people read them."""
        return "+".join(f"near {name}" if name in self.near else name for name in self.against.split("+"))


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found on one budget.

    Attributes:
        found: number of the network that the search put first.
        search_mean: its mean accuracy in the search, on the validation split; None where it is not known.
        mean: its mean accuracy on the new seeds; None when it failed there.
        search_lead: its lead over uniform scaling in the search; None when that is itself, or is not there.
        lead: the same on the new seeds.
        smallest_detectable_difference: of two networks of usual noise, by one comparison, with a power of 80 %; None
            with one seed.
        seeds_for_half: seeds that would see half of it; None when no number within reason would.
        diverged: numbers of networks that are left out because a training of theirs failed.
        failure: what those trainings did: `diverged`, `ran out of memory` ...
    """

    budget: str
    split: Split
    found: int
    seeds: tuple[int, ...]
    search_mean: float | None
    mean: float | None
    verdicts: tuple[Verdict, ...]
    search_lead: float | None
    lead: float | None
    smallest_detectable_difference: float | None
    seeds_for_half: int | None
    diverged: tuple[int, ...]
    failure: str = "diverged"

    @property
    def words(self) -> str:
        """What was shown, in sentences."""
        if self.found in self.diverged:
            return _lost(self)
        parts = [] if self.smallest_detectable_difference is None else [_headline(self), _adjusted(self)]
        parts += [_curse(self), _reach(self), _left_out(self)]
        return " ".join(part for part in parts if part)


def verify_budget(
    table: SeedTable,
    *,
    budget: str,
    split: Split,
    found: int,
    search_means: Mapping[int, float],
    at_cost: CostSlope | None = None,
    check: RateCheck | None = None,
) -> Verification | None:
    """Compare the found network with every other one of the table.

    Args:
        table: of the stage `verify`.
        found: number of the network that the search put first.
        search_means: network number -> mean accuracy in the search, at equal cost.
        at_cost: how accuracy answers to cost, where networks may miss the budget.
        check: of other learning rates, which takes back what it undoes.

    Returns:
        None when there is nothing to say yet: no seed that all networks have, or the found network is not among them.
        When the found network failed there are no verdicts, and `words` say so.
    """
    row = table.row(found)
    search_mean = search_means.get(found)
    if found in table.diverged:
        return Verification(
            budget, split, found, table.seeds, search_mean, None, (), None, None, None, None, table.diverged,
            table.failure,
        )  # fmt: skip
    if row is None or not table.seeds or len(table.networks) < 2:
        return None
    raw, unsure = table, [0.0] * len(table.networks)
    if at_cost:
        table, unsure = _at_equal_cost(table, at_cost)
    paired = PairedTable(table.accuracy) if len(table.seeds) > 1 else None
    smallest = detectable(paired.sd, *table.accuracy.shape) if paired else None
    search_lead, lead = _leads(table, row, search_means)
    return Verification(
        budget=budget,
        split=split,
        found=found,
        seeds=table.seeds,
        search_mean=search_mean,
        mean=float(raw.accuracy[row].mean()),
        verdicts=_verdicts(budget, table, row, unsure, check),
        search_lead=search_lead,
        lead=lead,
        smallest_detectable_difference=smallest,
        seeds_for_half=seeds_to_detect(smallest / 2, paired.sd, len(table.networks)) if paired and smallest else None,
        diverged=table.diverged,
        failure=table.failure,
    )


def _at_equal_cost(table: SeedTable, at_cost: CostSlope) -> tuple[SeedTable, list[float]]:
    """The table with every accuracy at its budget's exact cost, and the standard error of what was taken off each."""
    taken = [at_cost.off(network.cost, network.target) for network in table.networks]
    off = np.array([[value] for value, _ in taken])
    return dataclasses.replace(table, accuracy=table.accuracy - off), [error for _, error in taken]


def _leads(table: SeedTable, row: int, search_means: Mapping[int, float]) -> tuple[float | None, float | None]:
    """The lead of a row over uniform scaling, in the search and here; None where it is not known."""
    uniform = table.with_role("uniform")
    if uniform is None or uniform == row:
        return None, None
    before = [search_means.get(table.networks[i].number) for i in (row, uniform)]
    searched = None if before[0] is None or before[1] is None else before[0] - before[1]
    return searched, float((table.accuracy[row] - table.accuracy[uniform]).mean())


def _name(network: NetworkRecord) -> str:
    return "+".join(told_roles(network)) or f"network {network.number}"


def _same(budget: str, name: str, table: SeedTable, row: int) -> Verdict:
    mine = table.networks[row]
    return Verdict(budget, name, mine.number, 0.0, None, None, SAME, len(table.seeds), mine.stands_for)


def _verdicts(
    budget: str, table: SeedTable, row: int, unsure: Sequence[float], check: RateCheck | None
) -> tuple[Verdict, ...]:
    """What the network itself is, then references in their usual order, the other leaders, and the baseline."""
    mine, seeds = table.networks[row], len(table.seeds)
    same = [_same(budget, name, table, row) for name in told_roles(mine)]
    others = [i for i in range(len(table.networks)) if i != row]
    found = []
    for other, one in zip(others, against(table.accuracy, row, others, unsure), strict=True):
        network = table.networks[other]
        word = word_under(check, one.words, one.ci95, mine.number, network.number)
        found.append(
            Verdict(
                budget, _name(network), network.number, one.difference, one.ci95, one.p_holm, word, seeds,
                network.stands_for,
            )
        )  # fmt: skip
    order = [*REFERENCES, "network", "baseline"]
    return (*same, *sorted(found, key=lambda v: (order.index(v.against.split("+")[0].split(" ")[0]), v.number)))


def _lost(found: Verification) -> str:
    others = len(found.diverged) - 1
    plural = "" if others == 1 else "s"
    more = f", and so did {others} other network{plural}" if others else ""
    again = (
        f"Search again {'with a smaller --batch-size' if found.failure == OUT else 'at a lower learning rate (--lr)'}."
    )
    if found.failure in (DID[ERROR], DID[TIMEOUT], DID[KILLED]):
        again = "It is trained again by verify --retry-failed."
    return (
        f"The search's choice, network {found.found}, {found.failure} on a new seed{more}: it is not to be trusted as "
        f"it is. {again}"
    )


def _left_out(found: Verification) -> str:
    if not found.diverged:
        return ""
    plural = "s" if len(found.diverged) > 1 else ""
    return f"Left out, because a training {found.failure}: network{plural} {', '.join(map(str, found.diverged))}."


def _curse(found: Verification) -> str:
    """What the search promised beside what new seeds show; accuracies of different images are not compared."""
    where = "on new seeds" if found.split == "validation" else "on new seeds and other images"
    if found.search_lead is not None and found.lead is not None:
        before, now = (_stood(lead) for lead in (found.search_lead, found.lead))
        return f"Against {_called(_uniform(found))} it was {before} in the search by plain means, {where} {now}."
    if found.split == "validation" and found.search_mean is not None and found.mean is not None:
        return f"The search showed {100 * found.search_mean:.2f} %, new seeds {100 * found.mean:.2f} %."
    return ""


def _stood(lead: float) -> str:
    """A lead in points, as people say it."""
    return f"{100 * abs(lead):.2f} points {'ahead' if lead >= 0 else 'behind'}"


def _reach(found: Verification) -> str:
    """What these seeds could have seen, and what more would take."""
    smallest, seeds = found.smallest_detectable_difference, len(found.seeds)
    if smallest is None:
        return "One seed shows no interval: run it again with --seeds 5 or more."
    if smallest < NOTHING:
        return "The seeds made no difference to any network."
    half = f"{found.seeds_for_half} (--seeds)" if found.seeds_for_half else "more than anyone will train"
    return (
        f"In one comparison {seeds} seeds show a difference of {100 * smallest:.2f} points four times in five; for "
        f"half of that it takes {half}."
    )


def _adjusted(found: Verification) -> str:
    """Names whose own interval leaves out 0, although the family of comparisons takes that back."""
    alone = [v for v in found.verdicts if only_on_its_own(v.words, v.ci95)]
    names = [f"{v.called} ({'ahead' if v.difference > 0 else 'behind'})" for v in alone]
    if not names:
        return ""
    count = sum(v.p_holm is not None for v in found.verdicts)
    one = len(names) == 1
    return (
        f"On {'its' if one else 'their'} own the {'interval' if one else 'intervals'} against {', '.join(names)} "
        f"{'leaves' if one else 'leave'} out 0; among {count} comparisons that happens too easily by chance."
    )


def _headline(found: Verification) -> str:
    told = [
        f"{word} than {', '.join(names)}"
        for word in CLAIMS
        if (names := [v.called for v in found.verdicts if v.words == word])
    ]
    rest = " and ".join(told) if told else "no difference to any network was shown"
    return f"{_against_uniform(found)}; {rest}."


def _uniform(found: Verification) -> Verdict | None:
    """The verdict against uniform scaling, or against what stands for it."""
    return next((v for v in found.verdicts if "uniform" in v.against.split("+")), None)


def _called(uniform: Verdict | None) -> str:
    return "the network nearest to uniform scaling" if uniform and "uniform" in uniform.near else "uniform scaling"


def _against_uniform(found: Verification) -> str:
    uniform = _uniform(found)
    if uniform is None:
        return "Uniform scaling was not among the networks"
    called = _called(uniform)
    if uniform.words == SAME or uniform.ci95 is None:
        return f"The search's choice is {called}{'' if 'uniform' in uniform.near else ' itself'}"
    low, high = (f"{100 * bound:+z.2f}" for bound in uniform.ci95)
    numbers = f"({100 * uniform.difference:+z.2f} points, 95 % interval {low} to {high})"
    if uniform.words == BETTER:
        return f"The search's choice beats {called} on new seeds {numbers}"
    return f"The search's choice against {called}: {uniform.words} {numbers}"


def verification_to_dict(found: Verification) -> dict[str, Any]:
    """Plain values for `result.json`."""
    content = dataclasses.asdict(found)
    del content["verdicts"]
    return {**content, "verdict": [as_told(verdict) for verdict in found.verdicts], "words": found.words}
