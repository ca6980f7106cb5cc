"""Compound scaling against each single dimension at equal counted cost: the paper's comparison, with seeds.

Which network is compared with which was settled before anything was trained: compound scaling (the reference
`efficientnet`, the paper's direction) against every other row. So there is no winner's curse to pay for (as `leader`
does). New seeds are taken all the same where `verify` has trained every row on no fewer of them than the search: two
seeds of the search say little, and `show` tells the new ones. All networks
are trained on the same seeds, so differences are paired, and each pair is judged by its own noise (`paired`): noise
pooled over all rows, as in Dunnett's test, would be a quarter narrower where all are equally noisy, which networks of
such different shapes are not. Intervals are widened by Bonferroni's rule, so that those of one baseline hold together
with 95 % whatever the correlation that the common network brings. Over 400 simulated tables of 6 networks and 5 seeds
all five held together in 96 %, with equal noise and with noise from a half to double.

Networks of other origin in a study, such as a sampler's own, are left out: they were not planned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.paired import PairedVerdict, against
from scalesearch.analysis.printed import Printed, printed_table
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.seed_table import pivoted
from scalesearch.analysis.summary import NetworkSummary, pooled_anova, with_interval
from scalesearch.analysis.verdict import NO_EVIDENCE, word_of_interval
from scalesearch.analysis.verified.anew import anew
from scalesearch.errors import StudyError, choice_error
from scalesearch.networks.spec import NetworkSpec, spec_to_dict
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.units import plural
from scalesearch.study.record.evidence import Split

COMPOUND = "efficientnet"
"""The reference that is compared with all others: 28/29/43 % of log-cost on depth, width and resolution."""
ROWS = ("baseline", "depth", "width", "resolution", "uniform", COMPOUND)


@dataclass(frozen=True, slots=True)
class Row:
    """One network of the table.

    Attributes:
        names: roles that it has, in the order of `ROWS`; two where two references round to one network.
        realized: total blocks, channels of the stages, and pixels over the baseline's.
        ratio: multiply-adds over the baseline's.
        difference: compound minus this one, in accuracy (0 to 1); None for compound itself and where it is not known.
        ci95: of the difference, simultaneous over the rows; None with one seed.
        words: of compound against this one: `better`, `worse`, `no evidence of a difference`, `not known (one seed)`;
            or why there is no accuracy; empty for compound itself.
        printed: the paper's row of this name.
        near: those of the names that no network has, and for which this one, the nearest, stands.
    """

    names: tuple[str, ...]
    summary: NetworkSummary
    realized: Coefficients
    ratio: float
    difference: float | None
    ci95: tuple[float, float] | None
    words: str
    printed: Printed | None
    near: tuple[str, ...] = ()

    @property
    def called(self) -> tuple[str, ...]:
        """The names as people read them."""
        return tuple(f"near {name}" if name in self.near else name for name in self.names)

    @property
    def is_compound(self) -> bool:
        """Whether it is what the others are compared with."""
        return COMPOUND in self.names


@dataclass(frozen=True, slots=True)
class ScalingComparison:
    """The table of one budget of one study.

    Attributes:
        seeds: that every compared network has finished.
        verified_on: whose images the new seeds of `verify` were scored on; None where the search's seeds are compared.
        new_left_out: whether there are new seeds which are not taken: not of every row, or fewer than the search's.
        apart: largest over smallest cost of the networks on the budget, minus 1.
        finished: whether the study is.
        source: where the paper's numbers are printed; empty where it has none for such a baseline.
    """

    study: str
    base: str
    data: str
    budget: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    apart: float
    finished: bool
    source: str
    verified_on: Split | None = None
    new_left_out: bool = False

    @property
    def words(self) -> str:
        """What was shown, in a sentence."""
        return _words(self.rows)

    @property
    def trainings(self) -> str:
        """By which trainings it is told."""
        if self.verified_on:
            return f"{plural(len(self.seeds), 'new seed')} of each, on the {self.verified_on} images"
        return f"{plural(len(self.seeds), 'seed')} of each in the search"


def compare_scaling(result: StudyResult, budget: str | None = None) -> tuple[ScalingComparison, ...]:
    """The tables of a study, one a budget.

    Args:
        budget: text of one budget; None takes all.

    Raises:
        UnknownNameError: the study does not have this budget.
        StudyError: its baseline was not trained yet.
    """
    names = [b.facts.text for b in result.budgets]
    if budget is not None and budget not in names:
        raise choice_error("budget", budget, names)
    if result.baseline is None:
        raise StudyError(f"study {result.manifest.study!r} has not trained its baseline yet; resume it first")
    chosen = [b for b in result.budgets if budget in (None, b.facts.text)]
    return tuple(_comparison(result, result.baseline, own) for own in chosen)


def compare_studies(
    results: Iterable[StudyResult], budget: str | None = None
) -> tuple[list[ScalingComparison], list[str]]:
    """The tables of several studies, and the names of those that have not trained their baseline yet.

    Raises:
        UnknownNameError: a study does not have this budget.
        StudyError: none of them has.
    """
    results = list(results)
    begun = [result for result in results if result.baseline]
    waiting = [result.manifest.study for result in results if not result.baseline]
    if not begun:
        raise StudyError(f"no baseline was trained yet in {', '.join(waiting)}; resume one of them first")
    return [table for result in begun for table in compare_scaling(result, budget)], waiting


def _comparison(result: StudyResult, baseline: NetworkSummary, budget: BudgetResult) -> ScalingComparison:
    manifest = result.manifest
    searched = _distinct([baseline, *(summary for _, summary in budget.references)])
    new = _verified(budget, searched)
    summaries = new or searched
    seeds, differences = _differences(summaries)
    verification = budget.proof.verification
    paper = printed_table(manifest.config.base)
    rows = tuple(_row(s, baseline, differences.get(s.network.number), paper.rows if paper else {}) for s in summaries)
    costs = [s.network.cost for s in searched if s is not baseline and s.network.trainable]
    return ScalingComparison(
        study=manifest.study,
        base=manifest.config.base,
        data=manifest.config.data,
        budget=budget.facts.text,
        rows=rows,
        seeds=seeds,
        apart=max(costs) / min(costs) - 1 if costs else 0.0,
        finished=result.complete,
        source=f"{paper.network} on ImageNet, arXiv 1905.11946v5, table {paper.table}" if paper else "",
        verified_on=verification.split if verification and new else None,
        new_left_out=verification is not None and not new,
    )


def _verified(budget: BudgetResult, summaries: Sequence[NetworkSummary]) -> list[NetworkSummary]:
    """The networks with new seeds in the place of the search's; none where these are not to be taken."""
    ranked = [s for s in summaries if s.ranked]
    new = anew(budget, ranked)
    seeds, _ = pivoted([dict(zip(s.seeds, s.level, strict=True)) for s in ranked])
    anova = pooled_anova(new.values())
    if len(new) < len(ranked) or anova is None or any(len(s.seeds) < len(seeds) for s in new.values()):
        return []
    return [with_interval(new.get(s.network.number, s), anova) if s.ranked else s for s in summaries]


def _distinct(summaries: Iterable[NetworkSummary]) -> list[NetworkSummary]:
    """Each network once, in the order of `ROWS`."""
    found = {summary.network.number: summary for summary in summaries}
    return sorted(found.values(), key=lambda s: min(map(ROWS.index, _names(s))))


def _names(summary: NetworkSummary) -> tuple[str, ...]:
    return tuple(name for name in ROWS if name in summary.network.roles)


def _differences(summaries: Sequence[NetworkSummary]) -> tuple[tuple[int, ...], dict[int, PairedVerdict]]:
    """The seeds that all ranked networks have, and compound minus each other one, at equal cost."""
    ranked = [s for s in summaries if s.ranked]
    seeds, table = pivoted([dict(zip(s.seeds, s.level, strict=True)) for s in ranked])
    first = next((i for i, s in enumerate(ranked) if COMPOUND in s.network.roles), None)
    if first is None or not seeds:
        return seeds, {}
    others = [i for i in range(len(ranked)) if i != first]
    verdicts = against(table, first, others, [s.off_sd for s in ranked])
    return seeds, {ranked[i].network.number: one for i, one in zip(others, verdicts, strict=True)}


def _row(
    summary: NetworkSummary, baseline: NetworkSummary, gap: PairedVerdict | None, paper: Mapping[str, Printed]
) -> Row:
    names = _names(summary)
    near = tuple(name for name in names if name in summary.network.stands_for)
    return Row(
        names=names,
        summary=summary,
        realized=realized(summary.network.spec, baseline.network.spec),
        ratio=summary.network.macs / baseline.network.macs,
        difference=gap.difference if gap else None,
        ci95=gap.joint_ci95 if gap else None,
        words=_verdict(summary, gap),
        printed=next((paper[name] for name in names if name in paper and name not in near), None),
        near=near,
    )


def _verdict(summary: NetworkSummary, gap: PairedVerdict | None) -> str:
    if not summary.ranked:
        return {"failed": summary.failure, "off_budget": "off budget", "waiting": "not trained yet"}.get(
            summary.status, summary.status
        )
    if gap is None:
        return "" if COMPOUND in summary.network.roles else "compound not trained"
    return word_of_interval(gap.joint_ci95)


def realized(spec: NetworkSpec, baseline: NetworkSpec) -> Coefficients:
    """The multipliers that a whole-number network has: blocks, channels of the stages, and pixels over the baseline's.

    Example:
        >>> realized(NetworkSpec((2, 4), (10, 20), 40, 8), NetworkSpec((1, 2), (8, 16), 20, 8))
        Coefficients(alpha=2.0, beta=1.25, gamma=2.0)
    """
    return Coefficients(
        sum(spec.depths) / sum(baseline.depths),
        sum(spec.widths) / sum(baseline.widths),
        spec.resolution_px / baseline.resolution_px,
    )


def _words(rows: Sequence[Row]) -> str:
    told = [
        f"{lead} {', '.join(names)}"
        for word, lead in (("better", "better than"), ("worse", "worse than"), (NO_EVIDENCE, f"{NO_EVIDENCE} to"))
        if (names := ["+".join(row.called) for row in rows if row.words == word])
    ]
    near = any(COMPOUND in row.near for row in rows)
    who = "The network nearest to compound scaling" if near else "Compound scaling"
    return f"{who}: {'; '.join(told)}." if told else "Nothing can be said of compound scaling yet."


def comparison_to_dict(found: ScalingComparison) -> dict[str, Any]:
    """Plain values for JSON; accuracies are 0 to 1, the paper's in percent."""
    content = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    rows = [_row_to_dict(row) for row in found.rows]
    return {**content, "rows": rows, "seeds": list(found.seeds), "words": found.words}


def _row_to_dict(row: Row) -> dict[str, Any]:
    summary, network = row.summary, row.summary.network
    return {
        "names": list(row.names),
        "near": list(row.near),
        "compound": row.is_compound,
        "proposed": dataclasses.asdict(network.coefficients),
        "realized": dataclasses.asdict(row.realized),
        "network": spec_to_dict(network.spec),
        "macs": network.macs,
        "ratio": row.ratio,
        "params": network.params,
        "accuracy_mean": summary.mean,
        "accuracy_sd": summary.sd,
        "accuracy_ci95": list(summary.ci95) if summary.ci95 else None,
        "accuracies": list(summary.accuracies),
        "seeds": list(summary.seeds),
        "compound_minus_this": row.difference,
        "ci95": list(row.ci95) if row.ci95 else None,
        "words": row.words,
        "paper": dataclasses.asdict(row.printed) if row.printed else None,
    }
