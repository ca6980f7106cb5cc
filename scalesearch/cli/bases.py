"""Commands on a network of one's own: write one to begin with, and check one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.app import AsJson, app, show, show_json
from scalesearch.errors import BaseError


@app.command("new-base")
def new_base(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="New file, ending in .py.")],
) -> None:
    """Write a small network of your own to begin with, every argument explained."""
    from scalesearch.networks.user_template import write_base_template

    folder, reference = write_base_template(path)
    sys.stdout.write(f"wrote {path}\nnext{f' (in {folder})' if folder else ''}:\n")
    sys.stdout.write(f"  scalesearch check-base {reference}\n")
    sys.stdout.write(f"  scalesearch run --budget 2x --base {reference}\n")


@app.command("check-base")
def check_base_command(
    base: Annotated[
        str, typer.Argument(metavar="BASE", help="package.module:function, a built-in baseline, or timm:NAME.")
    ],
    resolution: Annotated[int | None, typer.Option(help="Of the unscaled network, in pixels [its own].")] = None,
    num_classes: Annotated[int | None, typer.Option("--classes", help="Outputs of the classifier.")] = None,
    in_channels: Annotated[int | None, typer.Option("--in-channels", help="Channels of the image.")] = None,
    study: Annotated[
        str, typer.Option(help="Definition whose recipe trains it: a name or a TOML file, as run takes it.")
    ] = "default",
    as_json: AsJson = False,
) -> None:
    """Check a network of your own before searching: does cost answer, can budgets be met, does it train."""
    from scalesearch.checkbase import check_base
    from scalesearch.report.checkbase import check_report
    from scalesearch.study.joint import read_definition

    recipe = read_definition(study).config.proxy
    found = check_base(base, resolution_px=resolution, num_classes=num_classes, in_channels=in_channels, recipe=recipe)
    if as_json:
        show_json(found.to_dict())
    else:
        show(check_report(found.to_dict()))
    if not found.ok:
        raise BaseError(f"check-base found {found.problems} problem{'s' if found.problems > 1 else ''} in {base!r}")
