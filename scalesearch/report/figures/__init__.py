"""A study's result as figures: first a frozen info object, then the drawing. Nothing is computed that is a claim.

Only matplotlib's object interface is used: no pyplot, no global state, no window system.
"""

from __future__ import annotations

from collections.abc import Callable

# isort: off
# Settings first: they import matplotlib without the backend that the environment names.
from scalesearch.report.figures import settings
from matplotlib.figure import Figure
# isort: on

from scalesearch.analysis.law.strategies import law_of
from scalesearch.analysis.result import StudyResult
from scalesearch.errors import StudyError, choice_error
from scalesearch.report.figures.based import budget_figure, staircase_figure
from scalesearch.report.figures.compare import compare_info, draw_compare
from scalesearch.report.figures.curves import curves_info, draw_curves
from scalesearch.report.figures.evidence import draw_verdicts, verdict_info
from scalesearch.report.figures.fidelity import draw_fidelity, fidelity_info
from scalesearch.report.figures.info import ParetoInfo, SimplexInfo, pareto_info, shown_budgets, simplex_info
from scalesearch.report.figures.law import draw_law
from scalesearch.report.figures.missing import figure_refusal
from scalesearch.report.figures.pareto import draw_pareto
from scalesearch.report.figures.rates import draw_rates, rates_info
from scalesearch.report.figures.save import save_figure, svg_text
from scalesearch.report.figures.simplex import draw_simplex
from scalesearch.report.figures.spaces import draw_space
from scalesearch.report.figures.staircase import draw_exponents
from scalesearch.report.figures.surface import draw_surface, surface_info

__all__ = [
    "FIGURES",
    "ParetoInfo",
    "SimplexInfo",
    "draw_exponents",
    "draw_space",
    "figure",
    "figure_refusal",
    "figures_of",
    "pareto_info",
    "save_figure",
    "settings",
    "simplex_info",
    "svg_text",
]

FIGURES = (
    "pareto", "simplex", "surface", "law", "curves", "rates", "verdict", "fidelity", "staircase", "budget", "compare",
)  # fmt: skip
"""The kinds of figure."""

_DRAWN: dict[str, Callable[[StudyResult, str | None], Figure]] = {
    "pareto": lambda result, budget: draw_pareto(pareto_info(result, budget)),
    "simplex": lambda result, budget: draw_simplex(simplex_info(result, budget)),
    "surface": lambda result, budget: draw_surface(surface_info(result, budget)),
    "law": lambda result, budget: draw_law(law_of(result)),
    "curves": lambda result, budget: draw_curves(curves_info(result, budget)),
    "rates": lambda result, budget: draw_rates(rates_info(result)),
    "verdict": lambda result, budget: draw_verdicts(verdict_info(result, budget)),
    "fidelity": lambda result, budget: draw_fidelity(fidelity_info(result, budget)),
    "staircase": lambda result, budget: staircase_figure(result),
    "budget": budget_figure,
    "compare": lambda result, budget: draw_compare(compare_info(result, budget)),
}


def figures_of(result: StudyResult) -> tuple[str, ...]:
    """The kinds that have something to show for this study."""
    return tuple(kind for kind in FIGURES if not figure_refusal(result, kind))


def figure(result: StudyResult, kind: str, budget: str | None = None) -> Figure:
    """Draw one figure of a study, finished or not.

    Args:
        result: what the study gave so far.
        kind: `pareto`: accuracy against cost, with every network's interval; `simplex`: accuracy over the shares of
            log-cost; `surface`: the fitted response surface with the region of its optimum; `law`: accuracy against
            cost as a law; `curves`: accuracy by epoch; `rates`: what the learning rate was measured by; `verdict`:
            differences on new seeds; `fidelity`: how rankings agree; `staircase`: cost against every multiplier and
            pixel; `budget`: cost before and after rounding (of the largest, where none is named); `compare`: compound
            scaling against each other.
        budget: text of one budget, as the study has it; None draws all. Laws, rates and staircases are of no budget.

    Raises:
        UnknownNameError: another kind, or a budget that the study does not have.
        StudyError: the study has nothing to show of this kind; the message says what would make it.
    """
    if kind not in FIGURES:
        raise choice_error("figure kind", kind, FIGURES)
    if budget is not None:
        shown_budgets(result, budget)
    if refusal := figure_refusal(result, kind, budget):
        raise StudyError(refusal)
    return _DRAWN[kind](result, budget)
