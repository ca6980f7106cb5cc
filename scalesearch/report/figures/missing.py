"""Why a study has no figure of a kind, in one line that says what would make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalesearch.analysis.law.strategies import law_refusal
from scalesearch.analysis.response.surface import ResponseSurface
from scalesearch.analysis.result import StudyResult
from scalesearch.report.figures.based import arithmetic_baseline, counted_budgets
from scalesearch.report.figures.compare import compare_info
from scalesearch.report.figures.curves import LEAST_EPOCHS, curves_info
from scalesearch.report.figures.evidence import verdict_info
from scalesearch.report.figures.fidelity import fidelity_info
from scalesearch.report.figures.info import pareto_info, shown_budgets
from scalesearch.scaling.units import CURRENCIES
from scalesearch.study.config import counting_command, run_command


def figure_refusal(result: StudyResult, kind: str, budget: str | None = None) -> str:
    """Why there is no such figure of the study, and the command that makes it possible; empty where there is one.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    reason = _REASONS[kind](result, budget)
    told = reason.startswith("study ") or not reason
    return reason if told else f"study {result.manifest.study!r} has no figure {kind!r}: {reason}"


def _untrained(result: StudyResult, budget: str | None) -> str:
    if pareto_info(result, budget).scored:
        return ""
    return f"no training has finished yet; go on with: scalesearch resume {result.manifest.study}"


def _surface(result: StudyResult, budget: str | None) -> str:
    if any(isinstance(one.surface, ResponseSurface) for one in shown_budgets(result, budget)):
        return ""
    trials = result.manifest.config.trials
    more = (
        _run(result, trials=8 if trials < 8 else 2 * trials)
        if result.complete
        else f"scalesearch resume {result.manifest.study}"
    )
    return f"a response surface takes 3 networks and 4 trainings on one budget; more are trained by: {more}"


def _law(result: StudyResult, budget: str | None) -> str:
    return law_refusal(result) or ""


def _curves(result: StudyResult, budget: str | None) -> str:
    if curves_info(result, budget).panels:
        return ""
    if _untrained(result, budget):
        return _untrained(result, budget)
    longer = _run(result, proxy_epochs=4)
    return f"a curve takes {LEAST_EPOCHS} epochs, and its trainings had one; longer ones: {longer}"


def _rates(result: StudyResult, budget: str | None) -> str:
    if result.rates:
        return ""
    given = result.manifest.config.proxy.learning_rate
    if given:
        measured = _run(result, proxy_learning_rate=0.0)
        return f"its learning rate, {given:g}, was known before; one is measured by: {measured}"
    return f"its learning rate is not measured yet; go on with: scalesearch resume {result.manifest.study}"


def _verdict(result: StudyResult, budget: str | None) -> str:
    found = verdict_info(result, budget).panels
    name = result.manifest.study
    return "" if found else f"nothing has been verified on new seeds yet: scalesearch verify {name}"


def _fidelity(result: StudyResult, budget: str | None) -> str:
    if fidelity_info(result, budget).panels:
        return ""
    return f"nothing was trained to hold its ranking against: scalesearch verify {result.manifest.study} --fidelity"


def _staircase(result: StudyResult, budget: str | None) -> str:
    if arithmetic_baseline(result):
        return ""
    base = result.manifest.config.base
    return f"counting {base} means building it: {_counting(result, 'exponents', 'staircase.png')}"


def _budget(result: StudyResult, budget: str | None) -> str:
    if counted_budgets(result, budget):
        return ""
    config = result.manifest.config
    if not CURRENCIES[config.cost].counted:
        return f"its cost, {config.cost}, is measured network by network: scalesearch show {result.manifest.study}"
    text = shown_budgets(result, budget)[-1].facts.text
    return f"counting {config.base} means building it: {_counting(result, 'space', 'budget.png', text)}"


def _compare(result: StudyResult, budget: str | None) -> str:
    shown_budgets(result, budget)
    if result.baseline and compare_info(result, budget).panels:
        return ""
    if not result.complete:
        return f"compound scaling is not trained beside another yet: scalesearch resume {result.manifest.study}"
    return "it trained no compound scaling to compare with: scalesearch run studies/paper_table3.toml"


def _run(result: StudyResult, **changes: Any) -> str:
    return run_command(result.manifest.config, result.manifest.study, **changes)


def _counting(result: StudyResult, command: str, out: str, budget: str = "") -> str:
    made = result.manifest
    return counting_command(command, made.config, made.baseline_px, made.data.classes, made.data.channels, out, budget)


_REASONS: dict[str, Callable[[StudyResult, str | None], str]] = {
    "pareto": _untrained,
    "simplex": _untrained,
    "surface": _surface,
    "law": _law,
    "curves": _curves,
    "rates": _rates,
    "verdict": _verdict,
    "fidelity": _fidelity,
    "staircase": _staircase,
    "budget": _budget,
    "compare": _compare,
}
