"""Accuracy against cost as a law, one for each way to spend compute, from the networks of a study's budgets."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalesearch.analysis.law.curve import C_BOUNDS, TYPICAL_C
from scalesearch.analysis.law.drift import Drift, drift_of
from scalesearch.analysis.law.fit import HeldOut, LawFits, LawPoint, Misfit, SeedNoise, StrategyLaw, fit_strategies
from scalesearch.analysis.law.further import LawCheck, checks_of
from scalesearch.analysis.law.read import Forecast, LawComparison, compare_laws, forecast
from scalesearch.analysis.noise import Anova, one_way_anova
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary, pooled_anova, with_role
from scalesearch.errors import BudgetError, StudyError
from scalesearch.scaling.coefficients import parse_budget, parse_budgets
from scalesearch.scaling.units import CURRENCIES
from scalesearch.study.config import run_command

STRATEGIES = ("found", "uniform", "efficientnet", "width", "resolution", "depth")
"""Ways to spend compute: the best network of each budget, and the network with each role."""
LEAST_BUDGETS = 3
ON_CURVE = 0.0005
"""Points nearer to their curve than this lie on it, as far as is printed (tenths of a point of accuracy)."""
_SUGGESTED = ("2x", "0.5x", "4x", "8x")
Verified = Mapping[int, Sequence[float]]


@dataclass(frozen=True, slots=True, eq=False)
class ScalingLaw:
    """The laws of a study.

    Attributes:
        currency: what cost is counted in; `baseline_cost` is in it, and all ratios are over it.
        budgets: those with a finished network, by rising cost.
        verified: whether accuracies are from new seeds; else from the search.
        noise: pooled seed spread; None when seeds were not repeated.
        strategies: in the order of `STRATEGIES`; those with too few networks are left out.
        comparison: of `found` with `uniform`; None where one of them is missing.
        drift: of the best shares with the budget; None where they are not known at two.
        checks: larger networks that were trained beside the study, against the laws; none where `verified` is false.
        notes: what must be known to read this, one sentence each.
    """

    study: str
    currency: str
    baseline_cost: float
    budgets: tuple[str, ...]
    verified: bool
    noise: SeedNoise | None
    misfit: Misfit
    strategies: tuple[StrategyLaw, ...]
    comparison: LawComparison | None
    drift: Drift | None
    checks: tuple[LawCheck, ...]
    notes: tuple[str, ...]

    def strategy(self, name: str) -> StrategyLaw | None:
        """The law of this name, if there is one."""
        return next((law for law in self.strategies if law.name == name), None)


def compute_law(result: StudyResult, verified: Verified | None = None) -> ScalingLaw:
    """Fit the law of every strategy.

    Args:
        verified: network number -> accuracies on new seeds, 0 to 1. They are used when every network of every strategy
            has them, so that no strategy is judged by other images than the rest.

    Raises:
        StudyError: fewer than three budgets have a finished network.
    """
    refusal = law_refusal(result)
    if refusal is not None:
        raise StudyError(refusal)
    chosen = {name: _networks(result, name) for name in STRATEGIES}
    new = _usable(verified, chosen)
    noise = _seed_noise(result, new)
    fits = fit_strategies(
        {name: _points(own, new, result, drawn_in=name == "found") for name, own in chosen.items()}, noise
    )
    alike = fits
    if new is None:  # a network that is found's and uniform's must have one accuracy when the two are compared
        alike = fit_strategies({name: _points(own, None, result, drawn_in=True) for name, own in chosen.items()}, noise)
    return ScalingLaw(
        study=result.manifest.study,
        currency=result.manifest.config.cost,
        baseline_cost=result.manifest.baseline_cost,
        budgets=tuple(budget.facts.text for budget in _finished(result)),
        verified=new is not None,
        noise=noise,
        misfit=fits.misfit,
        strategies=fits.strategies,
        comparison=_comparison(alike),
        drift=drift_of(result),
        checks=() if new is None else checks_of(result, fits.strategies),
        notes=_notes(fits, chosen, noise, verified, new),
    )


class _Identity:
    """A result as a key: equal to itself alone, because its content is too much to be hashed."""

    def __init__(self, result: StudyResult) -> None:
        self.result = result

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.result is other.result

    def __hash__(self) -> int:
        return id(self.result)


@functools.lru_cache(maxsize=1)
def _fitted(key: _Identity) -> ScalingLaw:
    return compute_law(key.result, key.result.verified)


def law_of(result: StudyResult) -> ScalingLaw:
    """The law of a study with all that was verified, fitted once for all who tell of it; see `compute_law`."""
    return _fitted(_Identity(result))


def law_refusal(result: StudyResult) -> str | None:
    """Why a study can have no law yet, and what to run next; None where it can."""
    finished, study, config = _finished(result), result.manifest.study, result.manifest.config
    if len(finished) >= LEAST_BUDGETS:
        return None
    texts = ", ".join(budget.facts.text for budget in finished) or "none"
    plural = "budget" if len(finished) == 1 else "budgets"
    has = f"study {study!r} has {len(finished)} {plural} with a finished network ({texts})"
    needs = f"a law of accuracy against cost takes {LEAST_BUDGETS} or more"
    if len({budget.facts.target for budget in result.budgets}) >= LEAST_BUDGETS:
        return f"{has}, and {needs}; go on with: scalesearch resume {study}"
    return f"{has}, and {needs}; run next: {run_command(config, study, budgets=tuple(_suggested(result)))}"


def _finished(result: StudyResult) -> list[BudgetResult]:
    """Budgets with a network that can be ranked, by rising cost, each cost once."""
    by_target = {b.facts.target: b for b in result.budgets if b.best is not None}
    return [budget for _, budget in sorted(by_target.items())]


def _suggested(result: StudyResult) -> list[str]:
    """The study's budgets and as many more as are missing, by rising cost."""
    cost = result.manifest.baseline_cost
    texts = {budget.facts.target / cost: budget.facts.text for budget in result.budgets}
    for text in _SUGGESTED:
        ratio = parse_budget(text).multiple or 1.0
        if len(texts) < LEAST_BUDGETS and all(abs(math.log(ratio / known)) > 0.3 for known in texts):
            texts[ratio] = text
    return [text for _, text in sorted(texts.items())]


def _networks(result: StudyResult, strategy: str) -> list[NetworkSummary]:
    """The strategy's network on each budget, and the baseline; each one once, by number."""
    named = [b.best if strategy == "found" else with_role(b.networks, strategy) for b in _finished(result)]
    ranked = [s for s in (result.baseline, *named) if s is not None and s.ranked]
    return [s for _, s in sorted({s.network.number: s for s in ranked}.items())]


def _usable(verified: Verified | None, chosen: Mapping[str, Sequence[NetworkSummary]]) -> Verified | None:
    trials = {s.network.number for own in chosen.values() for s in own}
    return verified if verified is not None and all(verified.get(trial) for trial in trials) else None


def _seed_noise(result: StudyResult, new: Verified | None) -> SeedNoise | None:
    anova: Anova | None
    if new is not None:
        anova = one_way_anova(list(new.values()))
    else:
        every = [*([result.baseline] if result.baseline else []), *(s for b in result.budgets for s in b.networks)]
        anova = pooled_anova({s.network.number: s for s in every}.values())
    return None if anova is None else SeedNoise(math.sqrt(anova.ms_within), anova.df_within)


def _points(
    networks: Sequence[NetworkSummary], new: Verified | None, result: StudyResult, *, drawn_in: bool
) -> list[LawPoint]:
    cost, points = result.manifest.baseline_cost, []
    for summary in networks:
        network = summary.network
        accuracies = summary.accuracies if new is None else new[network.number]
        raw = math.fsum(accuracies) / len(accuracies)
        drawn = new is None and drawn_in and summary.shrunk is not None
        mean = (summary.shrunk or 0.0) if drawn else raw
        points.append(LawPoint(network.budget, network.number, network.cost / cost, mean, len(accuracies), raw - mean))
    return points


def _comparison(fits: LawFits) -> LawComparison | None:
    laws = {law.name: law for law in fits.strategies}
    return compare_laws(laws["found"], laws["uniform"]) if {"found", "uniform"} <= laws.keys() else None


def _notes(
    fits: LawFits,
    chosen: Mapping[str, Sequence[NetworkSummary]],
    noise: SeedNoise | None,
    verified: Verified | None,
    new: Verified | None,
) -> tuple[str, ...]:
    candidates = (
        _basis_note(verified, new),
        _noise_note(noise),
        _points_note(fits),
        _open_note(fits),
        _near_note(chosen),
        _misfit_note(fits),
    )
    fitted = {law.name for law in fits.strategies}
    missing = [f"{name} ({len(own)})" for name, own in chosen.items() if name not in fitted]
    left_out = f"Left out, with networks at fewer than 3 costs: {', '.join(missing)}." if missing else ""
    return tuple(note for note in (*candidates, left_out) if note)


def _basis_note(verified: Verified | None, new: Verified | None) -> str:
    if new is not None:
        return "Accuracies are those of verification, on new seeds."
    partly = " Verification has not trained all of these networks, so it is not used." if verified else ""
    return (
        "Accuracies are the search's own. The best of a budget looks better than it is, so found's are drawn in by "
        f"their reliability; where found and uniform are compared, both are.{partly}"
    )


def _noise_note(noise: SeedNoise | None) -> str:
    return "" if noise else "One training per network: no intervals can be had; run with --seeds 2 or more."


def _points_note(fits: LawFits) -> str:
    """What the held-out prediction rests on, by the fewest points."""
    fewest = min(law.held_out.points for law in fits.strategies)
    if fewest == 3:
        return _three_points(fits)
    if fewest < 3:
        return (
            f"Some predictions come from {fewest} points, fewer than a curve has parameters: the exponent is then a "
            f"stand-in ({TYPICAL_C:g}, give or take a factor of e), and the band is wide."
        )
    return ""


def _three_points(fits: LawFits) -> str:
    """Whether curves of three parameters go through the three points that a prediction comes from."""
    come = "Some predictions come from 3 points, as many as a curve has parameters"
    misses = {law.name: law.held_out.miss for law in fits.strategies if law.held_out.points == 3}
    missed = [name for name, miss in misses.items() if miss >= ON_CURVE]
    if not missed:
        return (
            f"{come}: no degrees of freedom are left, so that curve goes through its points, and the prediction is the "
            "only check of it."
        )
    through = [name for name in misses if name not in missed]
    others = f" For {', '.join(through)} it goes through them: the prediction is its only check." if through else ""
    return (
        f"{come}. A curve of this shape, which rises ever more slowly, cannot follow even these for "
        f"{', '.join(missed)}: it misses them by up to {100 * max(misses.values()):.1f} points.{others}"
    )


def _open_note(fits: LawFits) -> str:
    low, high = C_BOUNDS
    open_ended = [
        law.name
        for law in fits.strategies
        if law.c_ci95 and (law.c_ci95[0] < 1.01 * low or law.c_ci95[1] > 0.99 * high)
    ]
    if not open_ended:
        return ""
    return (
        f"The exponent is not determined for {', '.join(open_ended)} (its interval ends where the allowed range does, "
        f"{low:g} to {high:g}): such a curve holds where it was measured, and its asymptote says little."
    )


def _near_note(chosen: Mapping[str, Sequence[NetworkSummary]]) -> str:
    """On which budgets a strategy has no network of its own."""
    found = {name: [s.network.budget for s in own if name in s.network.stands_for] for name, own in chosen.items()}
    told = [f"{name} on {', '.join(budgets)}" for name, budgets in found.items() if budgets]
    return f"No network is at {'; at '.join(told)}: the nearest stands for it." if told else ""


def _misfit_note(fits: LawFits) -> str:
    misfit = fits.misfit
    if misfit.p is None or misfit.scale < 1.05:
        return ""
    rough = "the law is a rough one here" if misfit.p < 0.05 else "chance can do that"
    return (
        f"Networks lie {misfit.scale:.1f} times as far from the curves as their seeds explain (p {misfit.p:.2g}): "
        f"{rough}, and the bands of the curves are widened by that factor. {_predictions_widened(fits)}"
    )


def _predictions_widened(fits: LawFits) -> str:
    """Whether the bands of the predictions in the table are wider as well."""
    held = [law.held_out for law in fits.strategies]
    scale = held[0].scale  # one for all, by the points without the largest cost
    those = "Those of the predictions of the largest cost"
    if scale >= 1.05:
        return f"{those} are by {scale:.1f}, as the other points alone have it."
    if max(one.points for one in held) <= 3:
        return f"{those} are not: that networks lie off a curve takes more than 3 points to tell."
    return f"{those} are not: the other points alone do not show it."


def held_out_words(held: HeldOut) -> str:
    """Prediction against measurement, in percent.

    Example:
        >>> held_out_words(HeldOut("8x", 8.0, 4, 0.912, (0.909, 0.915), 0.91, 3, True))
        'predicted 91.2 ± 0.3, measured 91.0: inside'
    """
    measured = f"measured {100 * held.measured:.1f}"
    if held.ci95 is None:
        return f"predicted {100 * held.predicted:.1f}, {measured}: no interval"
    half = 50 * (held.ci95[1] - held.ci95[0])
    return f"predicted {100 * held.predicted:.1f} ± {half:.1f}, {measured}: {'inside' if held.inside else 'outside'}"


def forecasts_at(law: ScalingLaw, text: str) -> list[Forecast]:
    """What every strategy's law says of each budget of a comma-separated list.

    Raises:
        BudgetError: a budget that cannot be read, or is of another kind than the study's.
        UsageError: farther from what was trained than a law is read.
    """
    budgets, kind = parse_budgets(text), CURRENCIES[law.currency].kind
    for budget in budgets:
        if budget.kind not in (None, kind):
            raise BudgetError(f"--budget-at {budget.text} is no {law.currency}; allowed: {kind}, or a multiple as 3x")
    return [forecast(own, budget.ratio(law.baseline_cost)) for budget in budgets for own in law.strategies]
