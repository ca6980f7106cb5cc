"""A study's result as figures: first a frozen info object, then the drawing. Nothing is computed that is a claim.

Only matplotlib's object interface is used: no pyplot, no global state, no window system.
"""

from __future__ import annotations

from matplotlib.figure import Figure

from scalesearch.analysis.result import StudyResult
from scalesearch.errors import choice_error
from scalesearch.plot.info import ParetoInfo, SimplexInfo, pareto_info, simplex_info
from scalesearch.plot.pareto import draw_pareto
from scalesearch.plot.save import save_figure, svg_text
from scalesearch.plot.simplex import draw_simplex
from scalesearch.plot.spaces import draw_space
from scalesearch.plot.staircase import draw_exponents

__all__ = [
    "FIGURES",
    "ParetoInfo",
    "SimplexInfo",
    "draw_exponents",
    "draw_space",
    "figure",
    "pareto_info",
    "save_figure",
    "simplex_info",
    "svg_text",
]

FIGURES = ("pareto", "simplex")
"""The kinds of figure."""


def figure(result: StudyResult, kind: str, budget: str | None = None) -> Figure:
    """Draw one figure of a study, finished or not.

    Args:
        result: what the study gave so far.
        kind: `pareto`: accuracy against cost, with every network's interval; `simplex`: accuracy over the shares of
            log-cost.
        budget: text of one budget, as the study has it; None draws all.

    Raises:
        UnknownNameError: another kind, or a budget that the study does not have.
    """
    if kind == "pareto":
        return draw_pareto(pareto_info(result, budget))
    if kind == "simplex":
        return draw_simplex(simplex_info(result, budget))
    raise choice_error("figure kind", kind, FIGURES)
