"""Networks trained in full, in the terminal: one row a network or a recipe, beside the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from scalesearch.analysis.full import FullRow
from scalesearch.report.evidence import interval
from scalesearch.report.layout import plain_table
from scalesearch.report.tables import VERDICT_STYLES
from scalesearch.report.text import NONE, points
from scalesearch.scaling.units import duration, engineering, plural


def render_full(rows: Sequence[FullRow], scored: str) -> RenderableType:
    """The table, and under it what its numbers are of.

    Args:
        scored: the images of the accuracies, `test` or `validation`.
    """
    return Group(*_parts(rows, scored))


def _parts(rows: Sequence[FullRow], scored: str) -> Iterator[RenderableType]:
    table = plain_table(leave_out=("params", "FLOPs"))
    table.add_column("trained")
    for name in ("FLOPs", "params", "accuracy %", "points", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in rows:
        table.add_row(*_cells(row))
    yield table
    epochs, seconds = (max(getattr(row, name) for row in rows) for name in ("epochs", "seconds"))
    text = f"Accuracy on the {scored} images, mean ± sd of {plural(max(len(row.seeds) for row in rows), 'seed')}"
    if len(rows) > 1:
        text += f"; points of difference to {rows[0].label}, paired by seed, verdicts adjusted for their number (Holm)"
    yield Text(f"{text}. Up to {plural(epochs, 'epoch')}, {duration(seconds)} a training.", style="dim")


def _cells(row: FullRow) -> tuple[RenderableType, ...]:
    spread = "" if row.sd is None else f" ± {100 * row.sd:.2f}"
    return (
        escape(row.label),
        engineering(row.macs),
        engineering(row.params),
        NONE if row.mean is None else f"{100 * row.mean:.2f}{spread}",
        NONE if row.difference is None else points(row.difference),
        interval(row.difference_ci95),
        Text(row.words, style=VERDICT_STYLES.get(row.words, "")),
    )
