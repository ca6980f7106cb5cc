"""Single-dimension against compound scaling, as one table a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scalesearch.analysis.between.answers import StudiesBetween
from scalesearch.analysis.compare import COMPOUND, Row, ScalingComparison
from scalesearch.analysis.told import span
from scalesearch.report.layout import UNLIMITED, plain_table
from scalesearch.report.tables import VERDICT_STYLES
from scalesearch.report.text import NONE, accuracy, points
from scalesearch.scaling.units import engineering

LEGEND = (
    "compound: the reference efficientnet, 28/29/43 % of log-cost on depth, width and resolution. compound - this: its "
    "accuracy minus this network's, in points, on the same seeds: those of the search, or new ones where verify has "
    "trained every row on as many. 95 % intervals hold for all rows of a baseline together; how wide they are rests "
    "on how far trainings of the two networks vary from seed to seed, and a little on those of the other rows. Few "
    "seeds tell little of that: with two, a narrow interval may be luck. The intervals of show and report are other "
    "ones, by all networks of a budget together. depth, width, px: over the baseline's, after rounding. paper: printed "
    "top-1 on ImageNet, one training each, for orientation only."
)


def render_comparisons(found: Sequence[ScalingComparison]) -> RenderableType:
    """Every table with its heading and its finding, and what its columns mean."""
    parts: list[RenderableType] = []
    for one in found:
        parts += [Text(heading(one), style="bold"), comparison_table(one), *map(Text, remarks(one)), Text()]
    return Group(*parts, Text(LEGEND, style="dim"))


def render_between(found: StudiesBetween) -> RenderableType:
    """One study against another: what may be said, their answers, and in what their definitions differ."""
    parts: list[RenderableType] = [Text(f"{found.first} against {found.second}", style="bold underline")]
    styles = ["bold yellow" if found.obstacles else "bold", *[""] * len(found.words)]
    parts += [Text(words, style=style) for words, style in zip(found.words, styles, strict=False)]
    parts += [_answers(found), _definitions(found), Text()]
    return Group(*parts)


def _answers(found: StudiesBetween) -> Table:
    table = plain_table(leave_out=("seeds", "px", "FLOPs"), told_below=UNLIMITED)
    for name in ("study", "budget", "alpha", "beta", "gamma"):
        table.add_column(name, no_wrap=True)
    for name in ("px", "FLOPs", "accuracy %", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.budgets:
        for study, best in ((found.first, one.first), (found.second, one.second)):
            if best is None:
                table.add_row(escape(study), one.budget)
                continue
            network = best.network
            ranges = (network.alpha_range, network.beta_range, network.gamma_range)
            numbers = (str(network.spec.resolution_px), engineering(network.macs), accuracy(best), str(len(best.seeds)))
            table.add_row(escape(study), one.budget, *map(span, ranges), *numbers)
    return table


def _definitions(found: StudiesBetween) -> RenderableType:
    if not found.differs:
        return Text("Their definitions are the same.")
    table = plain_table()
    for name in ("differs in", found.first, found.second):
        table.add_column(escape(name))
    for one in found.differs:
        table.add_row(escape(one.what), escape(one.first), escape(one.second))
    return table


def heading(found: ScalingComparison) -> str:
    """What is compared, on what, by which trainings."""
    return f"{found.base} at {found.budget} on {found.data}, {found.trainings} ({found.study})"


def remarks(found: ScalingComparison) -> list[str]:
    """The finding and what must be known to read it."""
    lines = [found.words, f"Costs of the networks at {found.budget} are at most {100 * found.apart:.1f} % apart."]
    if found.new_left_out:
        lines.append(f"Not every row has two or more new seeds, or as many; see scalesearch show {found.study}")
    if found.source:
        lines.append(f"paper: {found.source}.")
    if not found.finished:
        lines.append(f"Not finished, all of this may change; go on with: scalesearch resume {found.study}")
    return lines


def comparison_table(found: ScalingComparison) -> Table:
    """The rows of one baseline."""
    table = plain_table(leave_out=_LEAVE_OUT, told_below=UNLIMITED)
    for column in _COLUMNS:
        table.add_column(column.name, justify="right" if column.number else "left", no_wrap=column.number)
    for row in found.rows:
        table.add_row(*(column.cell(row) for column in _COLUMNS), style="bold" if row.is_compound else "")
    return table


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    cell: Callable[[Row], RenderableType]
    number: bool = True


def row_name(row: Row) -> str:
    """The first column: the references that it is, with the paper's word for its own."""
    return " + ".join(name.replace(COMPOUND, "compound") for name in row.called)


def mean_interval(row: Row) -> str:
    """The mean and its interval, in percent."""
    interval = row.summary.ci95
    return NONE if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def gap(row: Row) -> str:
    """Compound minus this one with its interval, in points."""
    if row.difference is None:
        return NONE
    if row.ci95 is None:
        return points(row.difference)
    return f"{points(row.difference)} ({points(row.ci95[0])} to {points(row.ci95[1])})"


def paper(row: Row) -> str:
    """The paper's accuracy."""
    return f"{row.printed.top1_percent:.1f}" if row.printed else NONE


_COLUMNS = (
    _Column("scaled", lambda row: escape(row_name(row)), number=False),
    _Column("depth", lambda row: f"{row.realized.alpha:.2f}"),
    _Column("width", lambda row: f"{row.realized.beta:.2f}"),
    _Column("px", lambda row: f"{row.realized.gamma:.2f}"),
    _Column("pixels", lambda row: str(row.summary.network.spec.resolution_px)),
    _Column("FLOPs", lambda row: engineering(row.summary.network.macs)),
    _Column("x", lambda row: f"{row.ratio:.2f}"),
    _Column("params", lambda row: engineering(row.summary.network.params)),
    _Column("accuracy %", lambda row: accuracy(row.summary)),
    _Column("95 %", mean_interval),
    _Column("compound - this", gap),
    _Column("compound is", lambda row: Text(row.words or NONE, VERDICT_STYLES.get(row.words, "")), number=False),
    _Column("paper", paper),
)
_LEAVE_OUT = ("95 %", "pixels", "params", "paper", "x", "FLOPs", ("depth", "width", "px"))
