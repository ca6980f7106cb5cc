"""Trainings grouped by network: means, intervals, ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scipy import special

from scalesearch.analysis.equal_cost import CostSlope, Level, level, slopes
from scalesearch.analysis.failed.causes import Failures, failures_of
from scalesearch.analysis.noise import Anova, mean_of, one_way_anova
from scalesearch.study.record import NetworkRecord, TrialRecord


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """One network with all its trainings.

    Attributes:
        accuracies: validation accuracy of each finished training, by seed, 0 to 1.
        stopped: trainings that a pruner ended or spared; a network with one is not ranked either.
        mean: mean accuracy; None without a finished training.
        sd: over this network's seeds; None with fewer than two.
        ci95: interval of the mean from the seed spread pooled over all networks of the study; None with one seed each.
        shrunk: expected accuracy at the budget's exact cost, by all trainings of the budget together (see `ranked`);
            before they are asked, the mean drawn towards that of the budget's networks by its reliability.
        rank: 1 is the highest of them among the ranked networks of the budget; None when not ranked.
        off: what is taken off its accuracy to compare it at the budget's exact cost (see `equal_cost`), 0 to 1.
        off_sd: standard error of that, with the sign of its miss.
        failures: trainings whose loss was not finite, that learned nothing or ran out of memory; a network with one is
            never ranked.
    """

    network: NetworkRecord
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    seconds: tuple[float, ...]
    stopped: int = 0
    mean: float | None = None
    sd: float | None = None
    ci95: tuple[float, float] | None = None
    shrunk: float | None = None
    rank: int | None = None
    off: float = 0.0
    off_sd: float = 0.0
    failures: Failures = field(default_factory=Failures)

    @property
    def unlearned(self) -> int:
        """Trainings that learned nothing (see `fidelity.chance`)."""
        return self.failures.unlearned

    @property
    def failed(self) -> int:
        """Trainings that failed, however they did."""
        return self.failures.all

    @property
    def level(self) -> tuple[float, ...]:
        """The accuracies at the budget's exact cost."""
        return tuple(accuracy - self.off for accuracy in self.accuracies)

    @property
    def level_mean(self) -> float | None:
        """The mean at the budget's exact cost: what networks are compared by."""
        return None if self.mean is None else self.mean - self.off

    @property
    def ranked(self) -> bool:
        """Whether the network may be called best: on budget, trained, and no training failed or was stopped."""
        return self.network.trainable and not self.failed and not self.stopped and bool(self.accuracies)

    @property
    def failure(self) -> str:
        """What its failed trainings did, in words."""
        return self.failures.words

    @property
    def status(self) -> str:
        """`complete`, `failed`, `stopped`, `off_budget`, `infeasible`, or `waiting` when nothing was trained yet."""
        if not self.network.trainable and not self.accuracies:
            return "infeasible" if self.network.within_tolerance else "off_budget"
        if self.failed:
            return "failed"
        if self.stopped:
            return "stopped"
        return "complete" if self.accuracies else "waiting"


def _collect(records: Sequence[TrialRecord], at_cost: Mapping[str, CostSlope]) -> NetworkSummary:
    network = records[0].network
    slope = at_cost.get(network.budget)
    off, off_sd = slope.off(network.cost, network.target) if slope else (0.0, 0.0)
    outcomes = sorted((r.outcome for r in records if r.outcome), key=lambda o: o.seed)
    done = [o for o in outcomes if o.status == "complete"]
    accuracies = tuple(o.accuracy for o in done if o.accuracy is not None)
    n = len(accuracies)
    mean = mean_of(accuracies) if n else None
    sd = math.sqrt(math.fsum((a - mean) ** 2 for a in accuracies) / (n - 1)) if mean is not None and n > 1 else None
    return NetworkSummary(
        network=network,
        seeds=tuple(o.seed for o in done),
        accuracies=accuracies,
        losses=tuple(o.loss for o in done if o.loss is not None),
        seconds=tuple(o.seconds for o in outcomes),
        stopped=sum(o.status == "stopped" for o in outcomes),
        mean=mean,
        sd=sd,
        off=off,
        off_sd=off_sd,
        failures=failures_of(outcomes),
    )


def with_interval(summary: NetworkSummary, study: Anova | None) -> NetworkSummary:
    """The network with the interval of its mean, by the noise of all that the layout is of."""
    if study is None or summary.mean is None:
        return summary
    half = float(special.stdtrit(study.df_within, 0.975)) * math.sqrt(study.ms_within / len(summary.accuracies))
    return replace(summary, ci95=(max(0.0, summary.mean - half), min(1.0, summary.mean + half)))


def _with_shrinkage(summary: NetworkSummary, budget: Anova | None) -> NetworkSummary:
    if budget is None or summary.level_mean is None:
        return summary
    variance = max(0.0, (budget.ms_between - budget.ms_within) / budget.n0)
    total = variance + budget.ms_within / len(summary.accuracies)
    shrunk = budget.mean + (variance / total if total else 0.0) * (summary.level_mean - budget.mean)
    return replace(summary, shrunk=shrunk)


def _with_ranks(summaries: Sequence[NetworkSummary]) -> list[NetworkSummary]:
    ranked = [s for s in summaries if s.ranked]
    # Where networks have unequal numbers of seeds, a mean of few is drawn in more; else both orders are one.
    order = sorted(ranked, key=_merit)
    ranks = {s.network.number: position for position, s in enumerate(order, start=1)}
    return [replace(s, rank=ranks.get(s.network.number)) for s in summaries]


def _merit(summary: NetworkSummary) -> tuple[float, float, float, int]:
    """What the order goes by; expectations that differ by rounding alone are one."""
    network = summary.network
    return (-round(summary.shrunk or 0.0, 10), -(summary.level_mean or 0.0), network.cost, network.number)


def ranked(summaries: Iterable[NetworkSummary], expected: Mapping[int, float]) -> tuple[NetworkSummary, ...]:
    """Networks of a budget in the order of what is expected of them, those without a rank last.

    Args:
        expected: number -> accuracy at the budget's exact cost; a network that is not in it keeps its own.
    """
    told = [replace(s, shrunk=expected.get(s.network.number, s.shrunk)) if s.ranked else s for s in summaries]
    return tuple(sorted(_with_ranks(told), key=lambda s: (s.rank is None, s.rank or 0, s.network.number)))


def summarize(
    records: Iterable[TrialRecord], at_cost: Mapping[str, CostSlope] | None = None
) -> tuple[NetworkSummary, ...]:
    """Group trainings by network, ordered by trial. Ranks and shrinkage are within a budget, at its exact cost.

    Args:
        at_cost: budget -> how accuracy answers to cost there, where networks may miss it.
    """
    by_trial: dict[int, list[TrialRecord]] = {}
    for record in records:
        by_trial.setdefault(record.network.number, []).append(record)
    collected = [_collect(group, at_cost or {}) for _, group in sorted(by_trial.items())]
    study = pooled_anova(collected)
    by_budget: dict[str, list[NetworkSummary]] = {}
    for summary in collected:
        by_budget.setdefault(summary.network.budget, []).append(with_interval(summary, study))
    result: list[NetworkSummary] = []
    for summaries in by_budget.values():
        anova = pooled_anova(summaries)
        result += _with_ranks([_with_shrinkage(s, anova) for s in summaries])
    return tuple(sorted(result, key=lambda s: s.network.number))


def pooled_anova(summaries: Iterable[NetworkSummary]) -> Anova | None:
    """The one-way layout of the networks that can be ranked."""
    return one_way_anova([s.level for s in summaries if s.ranked])


def cost_slopes(summaries: Iterable[NetworkSummary], tolerances: Mapping[str, float]) -> dict[str, CostSlope]:
    """How accuracy answers to cost at every budget whose networks may miss it, from all networks of the study.

    Args:
        summaries: at their own cost.
        tolerances: budget -> allowed |cost / target - 1|.
    """
    by_budget: dict[str, list[NetworkSummary]] = {}
    for summary in summaries:
        if summary.ranked:
            by_budget.setdefault(summary.network.budget, []).append(summary)
    levels: dict[str, Level] = {}
    for budget, own in by_budget.items():
        if found := level([s.network.cost for s in own], [s.accuracies for s in own]):
            levels[budget] = found
    return slopes(levels, tolerances)


def with_role(summaries: Iterable[NetworkSummary], role: str) -> NetworkSummary | None:
    """The network that was proposed under this name, if there is one."""
    return next((s for s in summaries if role in s.network.roles), None)
