"""The response surface in the terminal: where the optimum is, how sure that is, and how well the surface predicts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from scalesearch.analysis.response.surface import PHRASES, WITHIN, Name, NoSurface, ResponseSurface, SurfaceFit
from scalesearch.report.layout import plain_table
from scalesearch.report.text import NONE

STARRED = f"* the simplest within {WITHIN} of the least error"


def words(surface: ResponseSurface | NoSurface, *, saved: bool = False) -> str:
    """What a surface says, for people; `saved` as for `surface_lines`."""
    if isinstance(surface, NoSurface):
        return surface.words
    parts = (surface.optimum.told(saved=saved), surface.accuracy.words, surface.missing)
    return " ".join(part for part in parts if part)


def surface_lines(surface: ResponseSurface | NoSurface, *, saved: bool = False) -> Iterator[RenderableType]:
    """The optimum and its region, and the errors at networks that were left out.

    Args:
        saved: whether the budget is under the baseline's cost.
    """
    if isinstance(surface, NoSurface):
        yield _line("surface", surface.words)
        return
    yield _line("optimum", surface.optimum.told(saved=saved), "yellow" if surface.optimum.flat else "")
    yield _line("surface", surface.accuracy.words, "yellow" if surface.accuracy.preferred == "mean" else "")
    if surface.missing:
        yield _line("missing", surface.missing)
    yield errors_table(surface)


def errors_table(surface: ResponseSurface) -> Table:
    """One row a model: its error at a network that was left out, for accuracy and for loss."""
    table = plain_table()
    table.add_column("predicts a left-out network", no_wrap=True)
    for fit in surface.fits:
        table.add_column(f"{fit.target} ({'points' if fit.target == 'accuracy' else 'nats'})", justify="right")
    for words, cells in errors_rows(surface):
        table.add_row(words, *cells)
    table.caption, table.caption_justify = f"{STARRED}\n", "left"
    return table


def errors_rows(surface: ResponseSurface) -> list[tuple[str, tuple[str, ...]]]:
    """The rows of that table: what predicts, and its error for every target; `*` marks the preferred."""
    rows = [(words, tuple(_cell(fit, name) for fit in surface.fits)) for name, words in PHRASES.items()]
    if any(fit.noise is not None for fit in surface.fits):
        rows.append(("Seed noise alone", tuple(_value(fit, fit.noise) for fit in surface.fits)))
    return rows


def _cell(fit: SurfaceFit, name: Name) -> str:
    return _value(fit, dict(fit.errors)[name]) + (" *" if name == fit.preferred else "")


def _value(fit: SurfaceFit, error: float | None) -> str:
    if error is None:
        return NONE
    return f"{100 * error:.2f}" if fit.target == "accuracy" else f"{error:.4f}"


def _line(label: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{label}: ", "dim"), (value, style))
