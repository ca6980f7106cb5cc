"""Commands on a network of one's own: write one to begin with, and check one."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.app import OWN, AsJson, command, show, show_json
from scalesearch.cli.shell import completion
from scalesearch.errors import BaseError, UsageError


@command(OWN, "scalesearch new-base my_net.py", "new-base")
def new_base(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="New file, ending in .py.")],
) -> None:
    """Write a small network of your own to begin with.

    Every argument is explained in it.
    """
    from scalesearch.cli.new_base import write_base_template

    folder, reference = write_base_template(path)
    sys.stdout.write(f"wrote {path}\nnext{f' (in {folder})' if folder else ''}:\n")
    sys.stdout.write(f"  scalesearch check-base {reference}\n")
    sys.stdout.write(f"  scalesearch run --budget 2x --base {reference}\n")


@command(OWN, "scalesearch check-base my_net:build --data folder:photos --budget 2x", "check-base")
def check_base_command(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE",
            help="package.module:function, a built-in baseline, or timm:NAME.",
            autocompletion=completion.baselines,
        ),
    ],
    resolution: Annotated[int | None, typer.Option(help="Of the unscaled network, in pixels [its own].")] = None,
    num_classes: Annotated[int | None, typer.Option("--classes", help="Outputs of the classifier.")] = None,
    in_channels: Annotated[int | None, typer.Option("--in-channels", help="Channels of the image.")] = None,
    budget: Annotated[str, typer.Option("--budget", "-b", help="Is it met? 2x, 0.5x, 800M, 4e8.")] = "2x",
    tolerance: Annotated[float | None, typer.Option(help="Allowed miss of the budget [as run takes it].")] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Whose classes, channels and size it is checked for, as run takes it.")
    ] = None,
    study: Annotated[
        str, typer.Option(help="Definition whose recipe trains it: a name or a TOML file, as run takes it.")
    ] = "default",
    as_json: AsJson = False,
) -> None:
    """Check a network of your own before searching.

    Does cost answer, can budgets be met, does it train?
    """
    from scalesearch.environment.waiting import doing
    from scalesearch.report.check_base import check_report
    from scalesearch.search.check_base import check_base
    from scalesearch.study.config.tuned import open_values
    from scalesearch.study.joint import read_definition

    if tolerance is not None and not 0 < tolerance <= 1:
        raise UsageError(f"--tolerance is {tolerance:g}; allowed: above 0, at most 1")
    config, native = read_definition(study).config, None
    # a definition's rate is of its own baseline: run measures that of another, as in cli.run
    recipe = config.proxy if base == config.base else replace(config.proxy, **open_values(base, {}))
    if data is not None:
        from scalesearch.data import load_dataset

        images = load_dataset(data)
        native = images.native_px
        num_classes = len(images.classes) if num_classes is None else num_classes
        in_channels = images.channels if in_channels is None else in_channels
    with doing("checking the baseline"):
        found = check_base(
            base, resolution_px=resolution, num_classes=num_classes, in_channels=in_channels, recipe=recipe,
            native_px=native, budget=budget, tolerance=tolerance or 0.0,
        )  # fmt: skip
    if as_json:
        show_json(found.to_dict())
    else:
        show(check_report(found.to_dict()))
    if not found.ok:
        raise BaseError(f"check-base found {found.problems} problem{'s' if found.problems > 1 else ''} in {base!r}")
    if not as_json:
        given = [] if tolerance is None else ["--tolerance", f"{tolerance:g}"]
        given += [] if data is None else ["--data", data]
        given += [] if resolution is None else ["--resolution", str(resolution)]
        chosen = [] if study == "default" else [study]
        command = ["scalesearch", "run", *chosen, "--budget", budget, "--base", base, *given]
        sys.stdout.write(f"Nothing stands in the way: {shlex.join(command)}\n")
