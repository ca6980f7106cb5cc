"""A study as something that can be scaled on: its baseline, its task, and the coefficients that it found."""

from __future__ import annotations

from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.errors import StudyError, choice_error
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.native import made_baseline
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.questions.family import ScalingRequest, with_rule
from scalesearch.scaling.units import CURRENCIES
from scalesearch.study.trust import check_trusted


def studied_question(
    result: StudyResult,
    budget: str | None = None,
    *,
    given: Coefficients | None = None,
    rounding: str | None = None,
) -> ScalingRequest:
    """How a study's best network, or other coefficients on its baseline, is scaled to any phi.

    Args:
        result: what the study gave so far.
        budget: text of one budget; None takes the first.
        given: coefficients at phi = 1; None takes those of the best network.
        rounding: depth rule; None takes the study's.

    Raises:
        UnknownNameError: a budget or a depth rule that does not exist.
        StudyError: no best network yet, a budget that is measured and not counted, or a baseline that has changed.
    """
    _check_counted(result)
    config, chosen = result.manifest.config, chosen_budget(result, budget)
    baseline, task = studied_baseline(result)
    found, origin = (given, "as given") if given else _best(result, chosen)
    return ScalingRequest(
        with_rule(baseline, rounding or config.rounding),
        task,
        found,
        origin,
        chosen.facts.tolerance,
        largest=max((summary.network.cost for summary in chosen.networks), default=0.0),
        currency=config.cost,
        exponents=result.manifest.exponents,
        transfer={} if given else _verified(chosen),
        found=None if given else best_of(result, chosen).network.spec,
    )


def chosen_budget(result: StudyResult, budget: str | None) -> BudgetResult:
    """The budget asked for, else the first.

    Raises:
        UnknownNameError: the study does not have it.
    """
    by_text = {b.facts.text: b for b in result.budgets}
    if budget is None:
        return result.budgets[0]
    if budget not in by_text:
        raise choice_error("budget", budget, by_text)
    return by_text[budget]


def studied_baseline(result: StudyResult) -> tuple[Baseline, Task]:
    """The baseline of a study, and what its networks are asked to do.

    Raises:
        StudyError: a baseline of that name costs something else today.
        TrustError: it is code of somebody else.
        BaseError: a user's network that cannot be imported.
    """
    data, manifest = result.manifest.data, result.manifest
    check_trusted(manifest.config, f"study {manifest.study!r}")
    baseline = made_baseline(manifest.config.base, manifest.baseline_px, data.native_px)
    task = Task(data.classes, data.channels)
    macs = baseline.macs(baseline.spec, task)
    if macs != manifest.baseline_macs:
        given = f"{baseline.name} has {macs:,} multiply-adds, {manifest.baseline_macs:,} when study {manifest.study!r}"
        raise StudyError(f"{given} was made; start a new study, or bring the old baseline back")
    return baseline, task


def best_of(result: StudyResult, chosen: BudgetResult) -> NetworkSummary:
    """The best network of a budget.

    Raises:
        StudyError: there is none yet.
    """
    if chosen.best is None:
        raise StudyError(
            f"study {result.manifest.study!r} has no best network on budget {chosen.facts.text} yet; resume it first"
        )
    return chosen.best


def _best(result: StudyResult, chosen: BudgetResult) -> tuple[Coefficients, str]:
    unfinished = "" if result.complete else ", which is not finished"
    origin = f"the best network at {chosen.facts.text} of study {result.manifest.study}{unfinished}"
    return best_of(result, chosen).network.coefficients, origin


def _verified(chosen: BudgetResult) -> dict[float, str]:
    """What `verify --phi` found of the best network's coefficients."""
    found = chosen.proof.transfer
    return {one.phi: one.status for one in found.at} if found else {}


def _check_counted(result: StudyResult) -> None:
    config = result.manifest.config
    if not CURRENCIES[config.cost].counted:
        raise StudyError(
            f"study {result.manifest.study!r} counts its budget in {config.cost}, which is measured, not scaled; "
            f"allowed: scale {config.base} with --alpha, --beta and --gamma"
        )
