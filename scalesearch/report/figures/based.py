"""Figures of what is counted without training: of a study's own baseline, for its classes and channels.

Only where cost is arithmetic: counting somebody's code means running it, which looking at a result never does.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.errors import StudyError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.native import made_baseline
from scalesearch.networks.registry import BASELINES
from scalesearch.report.figures.info import shown_budgets
from scalesearch.report.figures.spaces import draw_space
from scalesearch.report.figures.staircase import draw_exponents
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.questions.exponents import explore_exponents
from scalesearch.scaling.questions.surface import explore_space
from scalesearch.scaling.units import CURRENCIES


def arithmetic_baseline(result: StudyResult) -> Baseline | None:
    """The baseline as the study searched it, where its cost is known without building it; else None."""
    config, manifest = result.manifest.config, result.manifest
    if config.base not in BASELINES:
        return None
    baseline = made_baseline(config.base, manifest.baseline_px or config.resolution, manifest.data.native_px)
    return baseline if isinstance(baseline, ClosedFormBaseline) else None


def counted_budgets(result: StudyResult, budget: str | None = None) -> tuple[BudgetResult, ...]:
    """The budgets whose networks can be counted here, by rising cost; none where the currency is measured.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    shown = shown_budgets(result, budget)
    counted = CURRENCIES[result.manifest.config.cost].counted and arithmetic_baseline(result) is not None
    return tuple(sorted(shown, key=lambda one: one.facts.target)) if counted else ()


def budget_figure(result: StudyResult, budget: str | None = None) -> Figure:
    """The networks of a budget, and what rounding and repair make of their cost; of the largest where none is named."""
    facts = counted_budgets(result, budget)[-1].facts
    report = explore_space(
        _baseline(result),
        _task(result),
        parse_budget(facts.text),
        tolerance=facts.tolerance,
        currency=result.manifest.config.cost,
        rounding=result.manifest.config.rounding,
    )
    return draw_space(report)


def staircase_figure(result: StudyResult) -> Figure:
    """How cost answers to each multiplier, and to every pixel, for the study's baseline."""
    return draw_exponents(explore_exponents(_baseline(result), _task(result)))


def _baseline(result: StudyResult) -> Baseline:
    """The baseline of `arithmetic_baseline`.

    Raises:
        StudyError: there is none.
    """
    baseline = arithmetic_baseline(result)
    if baseline is None:
        raise StudyError(f"the cost of {result.manifest.config.base} is not known without building it")
    return baseline


def _task(result: StudyResult) -> Task:
    return Task(result.manifest.data.classes, result.manifest.data.channels)
