"""`scalesearch bench`: what this machine does in a second."""

from __future__ import annotations

from typing import Annotated

import typer

from scalesearch.cli.app import (
    MACHINE,
    AsJson,
    Base,
    Budgets,
    Compile,
    Data,
    Resolution,
    Workers,
    command,
    show,
    show_json,
)


@command(MACHINE, "scalesearch bench --budget 2x --workers 2")
def bench(
    budget: Budgets = None,
    base: Base = None,
    data: Data = None,
    resolution: Resolution = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    workers: Workers = None,
    compiled: Compile = None,
    as_json: AsJson = False,
) -> None:
    """Measure this machine, in about a minute.

    Arithmetic, photographs, training, and the time of a study. Without options it is the default study's; no study
    is made.
    """
    from scalesearch.report.ahead import render_bench
    from scalesearch.scaling.coefficients import parse_budgets
    from scalesearch.search.bench import bench as measured
    from scalesearch.study.config import load_definition, option, override, parse_engine

    budgets = tuple(b.text for b in parse_budgets(budget)) if budget is not None else None
    changes = {"base": base, "data": data, "resolution": resolution, "budgets": budgets}
    machine = {"device": device, "workers": workers, "engine": parse_engine(None, compiled)}
    config = override(load_definition("default"), spelled=option, **changes, **machine)
    found = measured(config).to_dict()
    if as_json:
        show_json(found)
    else:
        show(render_bench(found))
