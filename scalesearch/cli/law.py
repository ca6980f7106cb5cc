"""`scalesearch law`: accuracy against cost, predicted and tested."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.app import STUDIES, AsJson, Storage, StudiesDir, StudyName, command, located, show, show_json
from scalesearch.cli.exponents import FigureFile, wrote


@command(STUDIES, "scalesearch law mine --accuracy 90% --out law.png")
def law(
    study: StudyName,
    accuracy: Annotated[
        str | None, typer.Option("--accuracy", help="Which cost reaches it, for every strategy: 0.9 or 90%.")
    ] = None,
    budget_at: Annotated[
        str | None, typer.Option("--budget-at", help="The accuracy that these budgets would give: 3x, or 3x,16x.")
    ] = None,
    out: FigureFile = None,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Fit accuracy against cost as a law, and test what it predicts.

    For each way to spend compute; the largest budget is predicted from the others. It takes a study with three
    budgets or more. Nothing is trained.
    """
    from scalesearch.analysis.law.plain import law_to_dict
    from scalesearch.analysis.law.read import cost_to_reach, parse_accuracy
    from scalesearch.analysis.law.strategies import forecasts_at, law_of
    from scalesearch.analysis.load import load_result
    from scalesearch.report.law import render_law

    wanted = None if accuracy is None else parse_accuracy(accuracy)
    result = load_result(located(study, studies_dir, storage))
    found = law_of(result)
    reaches = [] if wanted is None else [cost_to_reach(own, wanted) for own in found.strategies]
    forecasts = [] if budget_at is None else forecasts_at(found, budget_at)
    if out is not None:  # before anything is printed: the file may have a wrong name
        from scalesearch.report.figures.law import draw_law
        from scalesearch.report.figures.save import save_figure

        save_figure(draw_law(found), out)
    if as_json:
        show_json(law_to_dict(found, reaches, forecasts))
    else:
        show(render_law(found, reaches, forecasts))
    wrote(out, as_json)
