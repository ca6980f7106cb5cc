"""Why a study has no figure of a kind, in one line that says what would make it."""

from __future__ import annotations

from collections.abc import Callable

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
    more = f"scalesearch resume {result.manifest.study}" if not result.complete else "scalesearch run --trials 8"
    return f"a response surface takes 3 networks and 4 trainings on one budget; more are trained by: {more}"


def _law(result: StudyResult, budget: str | None) -> str:
    return law_refusal(result) or ""


def _curves(result: StudyResult, budget: str | None) -> str:
    if curves_info(result, budget).panels:
        return ""
    if _untrained(result, budget):
        return _untrained(result, budget)
    return f"a curve takes {LEAST_EPOCHS} epochs, and its trainings had one; longer ones: scalesearch run --epochs 4"


def _rates(result: StudyResult, budget: str | None) -> str:
    if result.rates:
        return ""
    given = result.manifest.config.proxy.learning_rate
    if given:
        return f"its learning rate, {given:g}, was known before; one is measured by: scalesearch run --lr auto"
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
    return f"counting {base} means building it: scalesearch exponents {base} --out staircase.png"


def _budget(result: StudyResult, budget: str | None) -> str:
    if counted_budgets(result, budget):
        return ""
    config = result.manifest.config
    if not CURRENCIES[config.cost].counted:
        return f"its cost, {config.cost}, is measured network by network: scalesearch show {result.manifest.study}"
    text = shown_budgets(result, budget)[-1].facts.text
    return f"counting {config.base} means building it: scalesearch space {config.base} -b {text} --out budget.png"


def _compare(result: StudyResult, budget: str | None) -> str:
    shown_budgets(result, budget)
    if result.baseline and compare_info(result, budget).panels:
        return ""
    if not result.complete:
        return f"compound scaling is not trained beside another yet: scalesearch resume {result.manifest.study}"
    return "it trained no compound scaling to compare with: scalesearch run studies/paper_table3.toml"


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
