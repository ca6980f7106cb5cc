"""`scalesearch count`: one network's cost."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from scalesearch.cli.app import BEFORE, AsJson, command, show, show_json
from scalesearch.cli.shell import completion
from scalesearch.errors import UsageError


@command(BEFORE, "scalesearch count efficientnet_b0 --alpha 1.2 --beta 1.1 --gamma 1.15 --phi 3")
def count(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE", help="Baseline network, e.g. efficientnet_b0.", autocompletion=completion.baselines
        ),
    ],
    depth: Annotated[float | None, typer.Option(help="Depth multiplier.")] = None,
    width: Annotated[float | None, typer.Option(help="Width multiplier.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Input side in pixels, taken as it is.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Depth multiplier at phi = 1.")] = None,
    beta: Annotated[float | None, typer.Option(help="Width multiplier at phi = 1.")] = None,
    gamma: Annotated[float | None, typer.Option(help="Resolution multiplier at phi = 1.")] = None,
    phi: Annotated[float | None, typer.Option(help="Compound coefficient [1].")] = None,
    rounding: Annotated[str, typer.Option(help="Depth rule: proportional, official or round.")] = "proportional",
    num_classes: Annotated[int | None, typer.Option("--classes", help="Outputs of the classifier.")] = None,
    in_channels: Annotated[int | None, typer.Option("--in-channels", help="Channels of the image.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count a network's multiply-adds, parameters and activations.

    With fvcore, stage by stage.
    """
    from scalesearch.environment.waiting import doing
    from scalesearch.report import count_table
    from scalesearch.scaling.coefficients import Coefficients
    from scalesearch.scaling.questions.count import count_scaled

    direct, compound = (depth, width, resolution), (alpha, beta, gamma)
    if any(v is not None for v in direct) and any(v is not None for v in compound):
        raise UsageError("--depth, --width, --resolution and --alpha, --beta, --gamma exclude each other; give one set")
    if phi is not None and all(v is None for v in compound):
        raise UsageError(f"--phi {phi:g} has nothing to raise; give --alpha, --beta or --gamma with it")
    for option, multiplier in (("--depth", depth), ("--width", width)):
        if multiplier is not None and not 0 < multiplier < math.inf:
            raise UsageError(f"{option} is {multiplier:g}; allowed: a number above 0")
    if resolution is not None and resolution < 1:
        raise UsageError(f"--resolution is {resolution}; allowed: 1 or more")
    given = Coefficients(*(1.0 if v is None else v for v in (alpha, beta, gamma)))
    plain = Coefficients(1.0 if depth is None else depth, 1.0 if width is None else width, 1.0)
    multipliers = given.at(1.0 if phi is None else phi) if any(v is not None for v in compound) else plain
    with doing("counting"):
        found = count_scaled(
            base,
            multipliers,
            resolution_px=resolution,
            rounding=rounding,
            num_classes=num_classes,
            in_channels=in_channels,
        )
    if as_json:
        show_json(found)
    else:
        show(count_table(found, base))
