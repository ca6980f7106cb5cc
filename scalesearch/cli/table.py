"""`scalesearch table`: the named networks beside their published figures."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from scalesearch.cli.app import BEFORE, AsJson, command, show, show_json
from scalesearch.cli.shell import completion
from scalesearch.errors import UsageError


@command(BEFORE, "scalesearch table efficientnet_b0 resnet50 --markdown")
def table(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAMES", help="Baseline networks [every named one].", autocompletion=completion.baselines
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Count again with fvcore, which runs each network (seconds to minutes).")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values on stdout, plain numbers.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A Markdown table on stdout.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the named networks beside their published figures.

    They are counted in closed form, which is exact: it equals fvcore's count (see --check).
    """
    from scalesearch.report.named import named_csv, named_markdown, render_named
    from scalesearch.scaling.answers.named import row_to_dict
    from scalesearch.scaling.questions.named import named_rows

    forms = {"--json": as_json, "--csv": as_csv, "--markdown": as_markdown}
    if sum(forms.values()) > 1:
        given = " and ".join(option for option, asked in forms.items() if asked)
        raise UsageError(f"{given} exclude each other; give one")
    rows = named_rows(names or (), check=check, told=_tell)
    if as_json:
        show_json([row_to_dict(row) for row in rows])
    elif as_csv:
        sys.stdout.write(named_csv(rows))
    elif as_markdown:
        sys.stdout.write(named_markdown(rows))
    else:
        show(render_named(rows))


def _tell(name: str) -> None:
    sys.stderr.write(f"counting {name}\n")
