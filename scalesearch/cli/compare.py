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
            help="Studies, by name or folder, or the name of a run over several baselines.",
            autocompletion=completion.studies,
        ),
    ],
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the studies [all].")] = None,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Compare studies with each other, and ways to scale in each.

    Of several studies the first is held against each other one: whether their accuracies may be compared, which answer
    is better, networks of both, and in what their definitions differ. In each: depth, width, resolution and compound
    scaling (the reference efficientnet, the paper's direction) at equal cost. Nothing is trained.
    """
    from scalesearch.analysis.between.answers import between, between_to_dict
    from scalesearch.analysis.compare import compare_studies, comparison_to_dict
    from scalesearch.analysis.load import load_result
    from scalesearch.report.comparison import render_between, render_comparisons
    from scalesearch.study.joint import find_joint
    from scalesearch.study.server.address import asked_server

    server = asked_server(storage)
    asked = [find_joint(name, studies_dir, server) for name in studies]
    paths = {found.folder.absolute(): found for parts in asked for found in parts}
    results = list(map(load_result, paths.values()))
    several = len(asked) == len(results) > 1  # and none of them a run over several baselines
    pairs = [between(results[0], other, budget) for other in results[1:]] if several else []
    tables, waiting = compare_studies(results, budget)
    for name in waiting:
        sys.stderr.write(f"note: {name} has not trained its baseline yet, and is left out\n")
    plain = [comparison_to_dict(table) for table in tables]
    if as_json:
        show_json({"between": [between_to_dict(pair) for pair in pairs], "tables": plain} if several else plain)
        return
    for pair in pairs:
        show(render_between(pair))
    show(render_comparisons(tables))
