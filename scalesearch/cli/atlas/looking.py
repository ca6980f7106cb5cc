"""`scalesearch atlas show` and `scalesearch atlas collect`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.app import AsJson, StudiesDir, show, show_json
from scalesearch.cli.atlas.group import LOOK, MAKE, Definition, group
from scalesearch.cli.shell import pages
from scalesearch.errors import StudyError
from scalesearch.scaling.units import plural

if TYPE_CHECKING:
    from scalesearch.analysis.atlas.row import AtlasRow

Rows = Annotated[
    Path | None, typer.Option("--rows", metavar="FILE", help="Rows that `atlas collect` wrote [those that come along].")
]


@group.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show_rows(rows=None, plot=None, as_json=False)


@pages.command(group, LOOK, "scalesearch atlas show --plot atlas.png", "show")
def show_rows(
    rows: Rows = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the regions too: .png, .svg or .pdf.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every row, and what is the same and what differs between families, data sets and budgets."""
    from scalesearch.analysis.atlas.row import row_to_dict
    from scalesearch.report.atlas import differing, render_atlas

    found = _read(rows)
    if plot is not None:
        from scalesearch.report.atlas.figure import draw_atlas
        from scalesearch.report.figures.save import save_figure

        save_figure(draw_atlas(found), plot)
    if as_json:
        show_json({"rows": [row_to_dict(row) for row in found], "differences": differing(found)})
        return
    show(render_atlas(found))
    if plot is not None:
        sys.stdout.write(f"wrote {plot}\n")


@pages.command(group, MAKE, "scalesearch atlas collect --out atlas.json", "collect")
def collect(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the rows go.")] = Path("atlas.json"),
    beside: Annotated[
        Path | None,
        typer.Option(
            "--beside", metavar="FILE", help="Rows made elsewhere, kept for cells that are not searched here."
        ),
    ] = None,
    definition: Definition = "atlas",
    studies_dir: StudiesDir = Path("studies"),
) -> None:
    """Write the rows of all cells that are searched, from their studies."""
    from scalesearch.analysis.atlas.collect import collected
    from scalesearch.analysis.atlas.shipped import joined, rows_text
    from scalesearch.environment.files import write_atomic
    from scalesearch.study.config.atlas import read_atlas

    atlas = read_atlas(definition)
    found = collected(atlas, studies_dir)
    if beside is not None:
        found = joined(found, _read(beside), atlas)
    if not found:
        raise StudyError(
            f"no cell of {atlas.name} is searched in {str(studies_dir)!r}; begin with: scalesearch atlas run"
        )
    write_atomic(out, rows_text(found).encode())
    asked = len(atlas.studies) * len(atlas.budgets)
    sys.stdout.write(f"{plural(len(found), 'row')} of {asked} cells\nwrote {out}\n")


def _read(rows: Path | None) -> tuple[AtlasRow, ...]:
    from scalesearch.analysis.atlas.shipped import read_rows, shipped_rows

    if rows is None:
        return shipped_rows()
    try:
        return read_rows(rows.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"rows {str(rows)!r} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{str(rows)!r} holds no rows of an atlas; allowed: what `atlas collect` wrote") from error
