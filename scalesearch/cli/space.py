"""`scalesearch space`: the networks of a budget, without training."""

from __future__ import annotations

from typing import Annotated

import typer

from scalesearch.cli.app import BEFORE, AsJson, command, show, show_json
from scalesearch.cli.exponents import BaseName, Classes, FigureFile, InChannels, NativePx, chosen, wrote
from scalesearch.errors import UsageError

MOST_POINTS = 20_000
"""Points of the lattice that are taken in a command; more say nothing new and take hours."""


@command(BEFORE, "scalesearch space efficientnet_b0 --budget 2x --tolerance 0.02")
def space(
    base: BaseName,
    budget: Annotated[str, typer.Option("--budget", "-b", help="Target cost: 2x, 0.5x, 800M, 4e8.")] = "2x",
    cost: Annotated[str, typer.Option(help="Count the budget in macs, params or activations.")] = "macs",
    rounding: Annotated[
        str | None, typer.Option(help="Depth rule: proportional, official or round [proportional].")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Points of the lattice, at least [496; 66 without a closed form].")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Allowed miss of the budget [as little as leaves ten networks].")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Networks of the study whose cost is estimated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each network in it.")] = None,
    images: Annotated[int | None, typer.Option(help="Training images in it [8000, the embedded data].")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training in it.")] = None,
    resolution: NativePx = None,
    num_classes: Classes = None,
    in_channels: InChannels = None,
    out: FigureFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a budget holds: its networks, and what rounding costs.

    Distinct networks, and which coefficients coincide in them. Nothing is trained.
    """
    from scalesearch.environment.waiting import doing
    from scalesearch.report.exploration import render_space
    from scalesearch.scaling.coefficients import parse_budget
    from scalesearch.scaling.questions.surface import StudySize, explore_space

    plan = {"trials": trials, "seeds": seeds, "images": images, "epochs": epochs}
    if points is not None and points > MOST_POINTS:
        raise UsageError(f"--points is {points}; allowed: {MOST_POINTS} or fewer")
    _check(tolerance, {"points": points, **plan})
    parsed = parse_budget(budget)
    baseline, task = chosen(base, num_classes, in_channels, resolution)
    with doing("counting the networks of the budget"):
        report = explore_space(
            baseline,
            task,
            parsed,
            points=points,
            tolerance=tolerance or 0.0,
            plan=StudySize(**{name: value for name, value in plan.items() if value is not None}),
            currency=cost,
            rounding=rounding,
        )
    if out is not None:
        from scalesearch.report.figures import draw_space, save_figure

        save_figure(draw_space(report), out)
    show_json(report.to_dict()) if as_json else show(render_space(report))
    wrote(out, as_json)


def _check(tolerance: float | None, counts: dict[str, int | None]) -> None:
    if tolerance is not None and not 0 < tolerance <= 1:
        raise UsageError(f"--tolerance is {tolerance:g}; allowed: above 0, at most 1")
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} is {value}; allowed: 1 or more")
