"""A study's result as figures: first a frozen info object, then the drawing. Nothing is computed that is a claim.

Only matplotlib's object interface is used: no pyplot, no global state, no window system.
"""

from __future__ import annotations

# isort: off
# Settings first: they import matplotlib without the backend that the environment names.
from scalesearch.report.figures import settings
from matplotlib.figure import Figure
# isort: on

from scalesearch.analysis.law.strategies import law_of, law_refusal
from scalesearch.analysis.result import StudyResult
from scalesearch.errors import choice_error
from scalesearch.report.figures.evidence import draw_verdicts, verdict_info
from scalesearch.report.figures.fidelity import draw_fidelity, fidelity_info
from scalesearch.report.figures.info import ParetoInfo, SimplexInfo, pareto_info, simplex_info
from scalesearch.report.figures.law import draw_law
from scalesearch.report.figures.pareto import draw_pareto
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
    "figures_of",
    "pareto_info",
    "save_figure",
    "settings",
    "simplex_info",
    "svg_text",
]

FIGURES = ("pareto", "simplex", "surface", "verdict", "fidelity", "law")
"""The kinds of figure."""


def figures_of(result: StudyResult) -> tuple[str, ...]:
    """The kinds that have something to show for this study."""
    proofs = [budget.proof for budget in result.budgets]
    shown = {
        "verdict": any(proof.verification for proof in proofs),
        "fidelity": bool(fidelity_info(result).panels),
        "law": law_refusal(result) is None,
    }
    return tuple(kind for kind in FIGURES if shown.get(kind, True))


def figure(result: StudyResult, kind: str, budget: str | None = None) -> Figure:
    """Draw one figure of a study, finished or not.

    Args:
        result: what the study gave so far.
        kind: `pareto`: accuracy against cost, with every network's interval; `simplex`: accuracy over the shares of
            log-cost; `surface`: the fitted response surface with the region of its optimum; `verdict`: differences on
            new seeds; `fidelity`: how rankings agree; `law`: accuracy against cost as a law.
        budget: text of one budget, as the study has it; None draws all.

    Raises:
        UnknownNameError: another kind, or a budget that the study does not have.
        StudyError: a law of fewer than three budgets.
    """
    if kind not in FIGURES:
        raise choice_error("figure kind", kind, FIGURES)
    if kind == "law":
        return draw_law(law_of(result))
    if kind == "surface":
        return draw_surface(surface_info(result, budget))
    if kind == "verdict":
        return draw_verdicts(verdict_info(result, budget))
    if kind == "fidelity":
        return draw_fidelity(fidelity_info(result, budget))
    if kind == "pareto":
        return draw_pareto(pareto_info(result, budget))
    return draw_simplex(simplex_info(result, budget))
