"""The group of commands, and the options that they share."""

from __future__ import annotations

from typing import Annotated

import typer

from scalesearch.cli.app import SEARCH, app
from scalesearch.cli.shell import pages

group = typer.Typer(
    cls=pages.GroupPage,
    help="Where the best coefficients lie, for several families, data sets and budgets.\n\nSee docs/atlas.md.",
    epilog="scalesearch atlas show",
    rich_markup_mode=None,
)
app.add_typer(group, name="atlas", rich_help_panel=SEARCH)
LOOK, MAKE = "Look at it", "Make one"

Definition = Annotated[
    str, typer.Option("--definition", metavar="NAME", help="Definition of the atlas, or a TOML file.")
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME,...", help="Baselines, data sets and budgets, e.g. vit_micro,2x [all]."),
]
DataPlaces = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="NAME=SPEC", help="Where a data set is, e.g. cifar10=folder:PATH; repeat it."),
]
