"""What new seeds say about the network that the search put first.

It was named before these trainings, so no second choice is made among them: the winner's curse of the search is left
behind, and can be measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.layout import Layout
from scalesearch.analysis.paired import Difference, PairedTable, detectable, holm, seeds_to_detect
from scalesearch.analysis.verdict import NO_EVIDENCE
from scalesearch.evidence import Split
from scalesearch.record import NetworkRecord
from scalesearch.space import REFERENCES

SAME = "the same network"
ONE_SEED = "not known (one seed)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The found network against one other.

    Attributes:
        budget: of the study.
        against: names of the other, joined by +: references, `baseline`, or `network 7`.
        trial: number of the other.
        difference: mean accuracy of the found network minus the other's, 0 to 1.
        ci95: its own interval; None where there is none.
        p_holm: two-sided, adjusted for the number of comparisons; None where there is none.
        words: `better`, `worse` (p_holm under 0.05), `no evidence of a difference`, `the same network`, or `not known
            (one seed)`.
        seeds: trainings of each.
    """

    budget: str
    against: str
    trial: int
    difference: float
    ci95: tuple[float, float] | None
    p_holm: float | None
    words: str
    seeds: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found on one budget.

    Attributes:
        found: number of the network that the search put first.
        mean: its mean accuracy on the new seeds.
        search_lead: its lead over uniform scaling in the search; None when that is itself, or is not there.
        lead: the same on the new seeds.
        smallest_detectable_difference: accuracy; None with one seed.
        seeds_for_half: seeds that would see half of it; None when no number within reason would.
        diverged: numbers of networks that are left out because a training of theirs diverged.
        words: sentences for people.
    """

    budget: str
    split: Split
    found: int
    seeds: tuple[int, ...]
    mean: float
    verdicts: tuple[Verdict, ...]
    search_lead: float | None
    lead: float | None
    smallest_detectable_difference: float | None
    seeds_for_half: int | None
    diverged: tuple[int, ...]
    words: str


def verify_budget(
    table: Layout, *, budget: str, split: Split, found: int, search_means: Mapping[int, float]
) -> Verification | None:
    """Compare the found network with every other one of the table.

    Args:
        table: of the stage `verify`.
        found: number of the network that the search put first.
        search_means: network number -> mean accuracy in the search.

    Returns:
        None when there is nothing to say yet: no seed that all networks have, or the found network is not among them.
    """
    row = table.row(found)
    if row is None or not table.seeds or len(table.networks) < 2:
        return None
    others = [i for i in range(len(table.networks)) if i != row]
    paired = PairedTable(table.accuracy) if len(table.seeds) > 1 else None
    found_differences = [paired.difference(row, i) for i in others] if paired else None
    own = [_same(budget, name, table, row) for name in _roles(table.networks[row])]
    verdicts = (*own, *_verdicts(budget, table, row, others, found_differences))
    shape = (len(table.networks), len(table.seeds))
    smallest = detectable(paired.sd, *shape) if paired else None
    uniform = table.with_role("uniform")
    known = uniform is not None and uniform != row
    other = table.networks[uniform].trial if known and uniform is not None else -1
    result = Verification(
        budget=budget,
        split=split,
        found=found,
        seeds=table.seeds,
        mean=float(table.accuracy[row].mean()),
        verdicts=tuple(verdicts),
        search_lead=search_means[found] - search_means[other]
        if known and {found, other} <= set(search_means)
        else None,
        lead=float((table.accuracy[row] - table.accuracy[uniform]).mean()) if known else None,
        smallest_detectable_difference=smallest,
        seeds_for_half=seeds_to_detect(smallest / 2, paired.sd, shape[0]) if paired and smallest else None,
        diverged=table.diverged,
        words="",
    )
    return dataclasses.replace(result, words=_words(result))


def _roles(network: NetworkRecord) -> list[str]:
    return [role for role in network.roles if role in REFERENCES or role == "baseline"]


def _name(network: NetworkRecord) -> str:
    return "+".join(_roles(network)) or f"network {network.trial}"


def _same(budget: str, name: str, table: Layout, row: int) -> Verdict:
    return Verdict(budget, name, table.networks[row].trial, 0.0, None, None, SAME, len(table.seeds))


def _verdicts(
    budget: str, table: Layout, row: int, others: Sequence[int], differences: Sequence[Difference] | None
) -> list[Verdict]:
    """References first, in their usual order, then the other leaders, then the baseline."""
    if differences is None:
        gaps = [float((table.accuracy[row] - table.accuracy[i]).mean()) for i in others]
        found = [
            Verdict(budget, _name(table.networks[i]), table.networks[i].trial, gap, None, None, ONE_SEED, 1)
            for i, gap in zip(others, gaps, strict=True)
        ]
    else:
        adjusted = holm([d.p for d in differences])
        found = [
            Verdict(budget, _name(n), n.trial, d.value, d.ci95, p, _word(d.value, p), len(table.seeds))
            for n, d, p in zip((table.networks[i] for i in others), differences, adjusted, strict=True)
        ]
    order = [*REFERENCES, "network", "baseline"]
    return sorted(found, key=lambda v: (order.index(v.against.split("+")[0].split(" ")[0]), v.trial))


def _word(difference: float, p: float) -> str:
    if p >= 0.05:
        return NO_EVIDENCE
    return "better" if difference > 0 else "worse"


def _words(found: Verification) -> str:
    if found.smallest_detectable_difference is None:
        return "One seed shows no interval: run it again with --seeds 5 or more."
    parts = [_headline(found)]
    if found.search_lead is not None and found.lead is not None:
        where = "on new seeds" if found.split == "validation" else "on new seeds and other images"
        parts.append(
            f"In the search it led uniform scaling by {100 * found.search_lead:+.2f} points, {where} by "
            f"{100 * found.lead:+.2f}."
        )
    smallest = 100 * found.smallest_detectable_difference
    needed = f"{found.seeds_for_half} seeds" if found.seeds_for_half else "more seeds than anyone will train"
    parts.append(
        f"{len(found.seeds)} seeds would have shown a difference of {smallest:.2f} points four times in five; half of "
        f"that takes {needed}."
    )
    if found.diverged:
        parts.append(f"Left out, because a training diverged: network {', '.join(map(str, found.diverged))}.")
    return " ".join(parts)


def _headline(found: Verification) -> str:
    against = {name: v for v in found.verdicts for name in v.against.split("+")}
    uniform = against.get("uniform")
    better = [v.against for v in found.verdicts if v.words == "better"]
    worse = [v.against for v in found.verdicts if v.words == "worse"]
    if uniform is not None and uniform.words == SAME:
        first = "The search's choice is uniform scaling itself"
    elif uniform is not None and uniform.words == "better":
        first = "The search's choice beats uniform scaling on new seeds"
    elif uniform is not None:
        first = f"The search's choice against uniform scaling: {uniform.words}"
    else:
        first = "Uniform scaling was not among the networks"
    told = [
        *([f"better than {', '.join(better)}"] if better else []),
        *([f"worse than {', '.join(worse)}"] if worse else []),
    ]
    return f"{first}; {' and '.join(told)}." if told else f"{first}; no difference to any network was shown."


def verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    """An entry of `verdict` in `result.json`."""
    return {**dataclasses.asdict(verdict), "ci95": list(verdict.ci95) if verdict.ci95 else None}


def verification_to_dict(found: Verification) -> dict[str, Any]:
    """Plain values for `result.json`."""
    content = dataclasses.asdict(found)
    content["verdict"] = [verdict_to_dict(v) for v in found.verdicts]
    del content["verdicts"]
    return {**content, "seeds": list(found.seeds), "diverged": list(found.diverged)}
