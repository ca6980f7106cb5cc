"""`scalesearch compare`: single-dimension against compound scaling, over several baselines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.app import STUDIES, AsJson, Storage, StudiesDir, command, show, show_json
from scalesearch.cli.shell import completion


@command(STUDIES, "scalesearch compare mine mine-2")
def compare(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...",
            help="Studies, or the name of a run over several baselines.",
            autocompletion=completion.studies,
        ),
    ],
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the studies [all].")] = None,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Compare ways to scale at equal cost, side by side, with verdicts.

    Depth, width, resolution and compound scaling, with seeds. Nothing is trained. Compound scaling is the reference
    efficientnet, the paper's direction.
    """
    from scalesearch.analysis.compare import compare_studies, comparison_to_dict
    from scalesearch.analysis.load import load_result
    from scalesearch.report.comparison import render_comparisons
    from scalesearch.study.joint import find_joint
    from scalesearch.study.server.address import asked_server

    server = asked_server(storage)
    paths = {found.folder: found for name in studies for found in find_joint(name, studies_dir, server)}
    tables, waiting = compare_studies(map(load_result, paths.values()), budget)
    for name in waiting:
        sys.stderr.write(f"note: {name} has not trained its baseline yet, and is left out\n")
    if as_json:
        show_json([comparison_to_dict(table) for table in tables])
    else:
        show(render_comparisons(tables))
