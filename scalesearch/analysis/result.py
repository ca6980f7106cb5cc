"""The result of a study, computed from its records and manifest alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from scalesearch.analysis.engine import NOTHING_SPECIAL, EngineUse, divided_words, engine_use, mixed_words, trained_on
from scalesearch.analysis.equal_cost import EXACT, CostSlope
from scalesearch.analysis.failed.networks import lost_headline
from scalesearch.analysis.fidelity.chance import chance_of, nothing_learned, without_unlearned
from scalesearch.analysis.fidelity.mean_curves import MeanCurve, mean_curves
from scalesearch.analysis.fidelity.optimizers import Contest
from scalesearch.analysis.fidelity.overruled import overruled, overruling_words
from scalesearch.analysis.fidelity.rate_grid import VALIDATION
from scalesearch.analysis.fidelity.rate_range import MeasuredRates, half_measured, settled_rates
from scalesearch.analysis.fidelity.rates import RateCheck
from scalesearch.analysis.leader import Comparison, compare_best
from scalesearch.analysis.noise import Reliability, reliability, repeated
from scalesearch.analysis.pareto import pareto_front
from scalesearch.analysis.response.observations import Noise
from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.prior import SurfacePrior
from scalesearch.analysis.response.standings import Standings, standings
from scalesearch.analysis.response.surface import NoSurface, ResponseSurface, response_surface
from scalesearch.analysis.summary import NetworkSummary, cost_slopes, ranked, summarize, with_role
from scalesearch.analysis.verified.proof import BudgetVerification, prove
from scalesearch.analysis.verified.together import together
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.study.config import Optimizer, ProxyRecipe
from scalesearch.study.manifest import BudgetFacts, Manifest, PriorFacts
from scalesearch.study.record import NetworkRecord, TrialRecord
from scalesearch.study.record.evidence import EvidenceRecord
from scalesearch.study.summaries import Summary

BASELINE_BUDGET = "1x"
"""The budget under which the baseline itself is kept."""


@dataclass(frozen=True, slots=True)
class BudgetResult:
    """What one budget gave.

    Attributes:
        networks: every network of the budget, ranked ones first.
        best: the highest expected accuracy on budget; None when nothing was trained.
        references: name and network of each reference that was proposed.
        reliability: seed spread, network spread and ICC; None when seeds were not repeated.
        comparisons: the best against each reference and the baseline.
        ending: why its search ended, where the sampler decides that itself.
        surface: accuracy over the shares.
        proof: what `verify` has found.
        at_cost: how accuracy answers to cost, by which networks that miss the budget are compared; None where all
            meet it, or nothing else was trained that would tell.
        cautions: what a reader must know to compare its networks, sentence by sentence.
        headline: what stands before the answer: that nothing was learned, or which networks failed; and what helps.
        standings: what the search's trainings together say of the networks and the baseline; None with fewer than two.
        verified_standings: the same with those of `verify`; None where there are none.
    """

    facts: BudgetFacts
    networks: tuple[NetworkSummary, ...]
    best: NetworkSummary | None
    references: tuple[tuple[str, NetworkSummary], ...]
    reliability: Reliability | None
    comparisons: tuple[Comparison, ...]
    ending: str
    surface: ResponseSurface | NoSurface
    proof: BudgetVerification
    at_cost: CostSlope | None = None
    cautions: tuple[str, ...] = ()
    headline: str = ""
    standings: Standings | None = field(default=None, compare=False, repr=False)
    verified_standings: Standings | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The whole result: baseline, budgets, and the Pareto front over all of them by rising cost.

    Attributes:
        nothing: that most trainings learned nothing, in a sentence; empty where enough did.
        engine: how trainings used their device.
        trained_on: what the makers call their devices, each with how many trainings.
        curves: how each network learned in the search.
    """

    manifest: Manifest
    baseline: NetworkSummary | None
    budgets: tuple[BudgetResult, ...]
    pareto: tuple[NetworkSummary, ...]
    networks: int
    trainings: int
    seconds: float
    complete: bool
    rates: MeasuredRates | None = None
    nothing: str = ""
    engine: EngineUse = NOTHING_SPECIAL
    trained_on: tuple[tuple[str, int], ...] = ()
    curves: tuple[MeanCurve, ...] = ()

    @property
    def summary(self) -> Summary:
        """The study in a line."""
        config = self.manifest.config
        means = [budget.best.mean for budget in self.budgets if budget.best and budget.best.mean is not None]
        return Summary(
            base=config.base,
            data=config.data,
            budgets=config.budgets,
            trained=self.trainings,
            planned=self.trainings if self.complete else self.manifest.most_trainings,
            best=max(means, default=None),
            complete=self.complete,
        )

    def recipe_of(self, network: NetworkRecord) -> ProxyRecipe:
        """The recipe that a network is trained by, at the learning rate and by the optimizer that the study settled."""
        proxy = self.manifest.config.proxy
        rate = self.rates.of(network) if self.rates else proxy.learning_rate
        settled = self.rates.optimizer if self.rates else self.manifest.optimizer
        optimizer = cast(Optimizer, settled or proxy.optimizer)
        return dataclasses.replace(proxy, learning_rate=rate, optimizer=optimizer)

    @property
    def verified(self) -> dict[int, tuple[float, ...]]:
        """Network number -> accuracies on new seeds; those of the baseline are in every budget's verification."""
        return {number: found for budget in self.budgets for number, found in budget.proof.verified.items()}


def _budget_result(
    facts: BudgetFacts,
    summaries: Sequence[NetworkSummary],
    baseline: NetworkSummary | None,
    ending: str,
    records: Sequence[TrialRecord],
    evidence: Sequence[EvidenceRecord],
    at_cost: CostSlope | None,
    nothing: str,
    expected: PriorFacts | None,
) -> BudgetResult:
    mine = [s for s in summaries if s.network.budget == facts.text]
    others = [s for s in summaries if s.network.budget != facts.text and s is not baseline]
    prior = SurfacePrior(expected.terms) if expected else None
    noise = noise_elsewhere(others, facts.text)
    stand = standings(mine, baseline, noise, prior)
    own = ranked(mine, stand.by_number if stand else {})
    best = own[0] if own and own[0].rank == 1 else None
    found = [(name, with_role(own, name)) for name in REFERENCES]
    trained = [r for r in records if r.network.budget == facts.text]
    known = [*own, *(s for s in summaries if s.network.budget != facts.text)]
    proof = prove(facts.text, best, trained, evidence, known, at_cost)
    check = proof.fidelity.rate if proof.fidelity else None
    comparisons = _compared(best, own, baseline, check, stand)
    seeds, split = (proof.verification.seeds, proof.verification.split) if proof.verification else ((), "test")
    return BudgetResult(
        facts=facts,
        networks=own,
        best=best,
        references=tuple((name, summary) for name, summary in found if summary),
        reliability=reliability([s.level for s in own if s.ranked]),
        comparisons=comparisons,
        ending=ending,
        surface=response_surface(own, stand.process if stand else None),
        proof=proof,
        at_cost=at_cost,
        cautions=(
            *_cautions(facts, own, at_cost),
            *prior_words(expected, stand),
            *divided_words(trained),
            *mixed_words(trained),
            *overruling_words(comparisons, check),
        ),
        headline=" ".join(text for text in (nothing and f"{nothing}.", lost_headline(own, baseline)) if text),
        standings=stand,
        verified_standings=together(mine, baseline, proof.verified, seeds, split, noise, prior),
    )


def _compared(
    best: NetworkSummary | None,
    own: Sequence[NetworkSummary],
    baseline: NetworkSummary | None,
    check: RateCheck | None,
    stand: Standings | None,
) -> tuple[Comparison, ...]:
    """The best against the references and the baseline, without claims that another learning rate would undo."""
    if best is None:
        return ()
    others = {name: summary.network.number for name in REFERENCES if (summary := with_role(own, name))}
    if baseline:
        others["baseline"] = baseline.network.number
    return overruled(compare_best(best, own, baseline, REFERENCES, stand), best.network.number, others, check)


def _cautions(facts: BudgetFacts, own: Sequence[NetworkSummary], at_cost: CostSlope | None) -> Iterator[str]:
    """How far networks miss the budget and what is done about it; which references no network is."""
    if facts.tolerance > EXACT + 1e-9 and own:
        miss = max(abs(s.network.residual) for s in own if s.network.within_tolerance)
        text = f"The networks miss {facts.text} by up to {100 * miss:.1f} %"
        if at_cost:
            worth, unsure = at_cost.value, at_cost.sd  # a hundredth of the cost, in hundredths of accuracy
            yield (f"{text}, and are compared at equal cost: 1 % more is worth {worth:.3f} ± {unsure:.3f} points here.")
        else:
            yield f"{text}; nothing of another cost was trained, so they are not compared at equal cost."
    for summary in own:
        if summary.network.stands_for and summary.network.shares:
            s, names = summary.network.shares, " and ".join(summary.network.stands_for)
            yield f"No network is at {names}: the nearest, {percent(s)} on depth/width/resolution, stands for it."


def prior_words(expected: PriorFacts | None, stand: Standings | None) -> Iterator[str]:
    """Which rows of the atlas were expected to hold here, and how much the trainings leave of that."""
    if expected is not None:
        left = f"{100 * stand.process.lean:.0f} % of it are taken" if stand else "nothing tells yet how far it holds"
        yield (
            f"Before any training the surface was expected to be as in the atlas ({'; '.join(expected.rows)}); by the "
            f"trainings {left}."
        )


def noise_elsewhere(summaries: Iterable[NetworkSummary], budget: str) -> Noise | None:
    """The spread of one training as the networks of other budgets and the baseline show it; None where none does."""
    degrees, variance = repeated([s.accuracies for s in summaries if s.network.budget != budget and not s.failed])
    return Noise(degrees, variance) if degrees else None


def _front(summaries: Iterable[NetworkSummary]) -> tuple[NetworkSummary, ...]:
    ranked = [s for s in summaries if s.ranked and s.mean is not None]
    indices = pareto_front([s.network.cost for s in ranked], [s.mean or 0.0 for s in ranked])
    return tuple(ranked[i] for i in indices)


def compute_result(
    manifest: Manifest,
    records: Iterable[TrialRecord],
    evidence: Iterable[EvidenceRecord] = (),
    endings: Mapping[str, str] | None = None,
    *,
    lowered: bool = False,
) -> StudyResult:
    """Rank, compare and measure the noise of everything that a study holds so far, finished or not.

    Args:
        evidence: what `verify` trained.
        endings: budget -> why its search ended, where the sampler decides that itself.
        lowered: whether the learning rate was halved because a training diverged.
    """
    chance, rows = chance_of(manifest.data), list(records)
    nothing = nothing_learned((r.outcome for r in rows if r.outcome), chance)
    records, evidence = without_unlearned(rows, list(evidence), chance)
    at_own_cost = summarize(records)
    at_cost = cost_slopes(at_own_cost, {facts.text: facts.tolerance for facts in manifest.budgets})
    summaries = summarize(records, at_cost) if at_cost else at_own_cost
    baseline = with_role(summaries, "baseline")
    endings = endings or {}
    priors = {prior.budget: prior for prior in manifest.priors}
    budgets = tuple(
        _budget_result(
            f, summaries, baseline, endings.get(f.text, ""), records, evidence, at_cost.get(f.text), nothing,
            priors.get(f.text),
        )
        for f in manifest.budgets
    )  # fmt: skip
    outcomes = [r.outcome for r in records if r.outcome]
    all_outcomes = [*outcomes, *(e.outcome for e in evidence if e.outcome)]
    return StudyResult(
        manifest=manifest,
        baseline=baseline,
        budgets=budgets,
        pareto=_front(summaries),
        networks=sum(1 for s in summaries if s.seeds or s.failed or s.stopped),
        trainings=len(outcomes),
        seconds=math.fsum(o.seconds for o in outcomes),
        complete=_complete(manifest, summaries, baseline, endings),
        rates=_rates(manifest, evidence, lowered, searched=bool(outcomes)),
        nothing=nothing,
        engine=engine_use(manifest, all_outcomes),
        trained_on=trained_on(all_outcomes),
        curves=mean_curves(records),
    )


def _rates(
    manifest: Manifest, evidence: Sequence[EvidenceRecord], lowered: bool, *, searched: bool
) -> MeasuredRates | None:
    """What the range test settled, where the definition leaves the learning rate open."""
    given = manifest.config.proxy.learning_rate or not manifest.optimizer
    if given or half_measured(evidence, searched=searched):
        return None
    chance = chance_of(manifest.data, VALIDATION)
    return settled_rates(evidence, Contest(manifest.optimizer, manifest.rival_optimizer), chance, int(lowered))


def searched(result: StudyResult, budget: str) -> bool:
    """Whether everything that was planned on a budget has been trained, where its sampler plans ahead."""
    found = next(own for own in result.budgets if own.facts.text == budget)
    whole = [_trained_in_full(summary, result.manifest.config.seeds) for summary in found.networks]
    return all(whole) and len(whole) >= max(1, found.facts.planned)


def _complete(
    manifest: Manifest,
    summaries: Sequence[NetworkSummary],
    baseline: NetworkSummary | None,
    endings: Mapping[str, str],
) -> bool:
    if manifest.per_training and not all(b.text in endings for b in manifest.budgets if b.planned):
        return False
    seeds = 1 if manifest.per_training else manifest.config.seeds
    whole = [s.network.budget for s in summaries if _trained_in_full(s, seeds)]
    planned = all(whole.count(facts.text) >= facts.planned for facts in manifest.budgets)
    return planned and len(whole) == len(summaries) and baseline is not None


def _trained_in_full(summary: NetworkSummary, seeds: int) -> bool:
    return (
        summary.status in ("off_budget", "infeasible")
        or len(summary.accuracies) + summary.failed + summary.stopped >= seeds
    )
