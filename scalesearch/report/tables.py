"""Tables of a study for the terminal; `layout` makes them fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.result import BudgetResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import span
from scalesearch.analysis.verdict import BETTER, PROBABLY_BETTER, PROBABLY_WORSE, SAME, WORSE
from scalesearch.networks.user.line import multiplier
from scalesearch.report.layout import UNLIMITED, plain_table
from scalesearch.report.text import (
    NONE,
    accuracy,
    blocks,
    channels,
    cost,
    expected,
    is_function,
    layer_heads,
    note,
    points,
    points_interval,
    residual,
)
from scalesearch.scaling.units import CURRENCIES, engineering, plural
from scalesearch.study.summaries import NOTHING, Summary

MOST_ROWS = 20
"""Networks that a result table shows beside the references."""
ORDERED = "in the order of what all trainings together let expect"
"""Why a network may stand above one with a better mean."""
VERDICT_STYLES = {
    BETTER: "bold green",
    PROBABLY_BETTER: "green",
    WORSE: "bold red",
    PROBABLY_WORSE: "red",
    SAME: "dim",
}


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study in a list of them.

    Attributes:
        state: `complete`, `running`, `stopped`, or what is wrong with it.
        found: what it holds; empty where something is wrong with it.
    """

    name: str
    state: str
    found: Summary = NOTHING


def result_table(budget: BudgetResult, limit: int | None = None) -> Table:
    """The networks of one budget, best first, those without a rank last.

    Args:
        budget: what the budget gave.
        limit: show at most this many; the references and a line with the number left out always stay.
    """
    table = plain_table(leave_out=_LEAVE_OUT if _columns(budget) is _COLUMNS else _LEAVE_OUT_PASSED)
    plain = all(s.network.currency == "macs" for s in budget.networks)
    unknown = all(s.shrunk is None for s in budget.networks)
    columns = [c for c in _columns(budget) if not (plain and c is _COST) and not (unknown and c is _EXPECTED)]
    short = CURRENCIES[budget.networks[0].network.currency].short if budget.networks else ""
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.number else "left"
        name = short if column is _COST else column.name
        wrapped = column.name in _WRAPPED
        table.add_column(name, justify=justify, no_wrap=not wrapped, min_width=_WRAPPED.get(column.name))
    for summary in _shown(budget, limit):
        table.add_row(*(column.cell(summary) for column in columns), style=_row_style(summary))
    hidden = len(budget.networks) - table.row_count
    table.caption_justify = "left"
    said = [f"{plural(hidden, 'more network')} not shown"] if hidden else []
    said += [ORDERED] if out_of_order(budget) else []
    table.caption = f"{'; '.join(said)}\n" if said else None
    return table


def out_of_order(budget: BudgetResult) -> bool:
    """Whether the networks are in another order than their own means are."""
    means = [s.level_mean for s in budget.networks if s.rank is not None and s.level_mean is not None]
    return means != sorted(means, reverse=True)


@dataclass(frozen=True, slots=True)
class _ResultColumn:
    name: str
    cell: Callable[[NetworkSummary], str]
    number: bool = True


_WRAPPED = {"channels": 20, "note": None}
"""Columns that may be wrapped, and the least characters of them."""
_LEAVE_OUT = ("target %", "channels", "expected %", "blocks", "seeds", "FLOPs", "px")
_LEAVE_OUT_PASSED = ("target %", "expected %", "gamma", "beta", "alpha", "seeds", "FLOPs")
"""Where the columns are what is passed to a function."""
_COST = _ResultColumn("cost", lambda s: cost(s.network))
"""Shown where the budget is not in multiply-adds, which have a column anyway."""
_EXPECTED = _ResultColumn("expected %", expected)
_COEFFICIENTS = (
    _ResultColumn("alpha", lambda s: span(s.network.alpha_range), number=False),
    _ResultColumn("beta", lambda s: span(s.network.beta_range), number=False),
    _ResultColumn("gamma", lambda s: span(s.network.gamma_range), number=False),
)
_RANK = _ResultColumn("#", lambda s: str(s.rank or NONE))
_LAYERS = (
    _ResultColumn("blocks", lambda s: blocks(s.network.spec), number=False),
    _ResultColumn("channels", lambda s: channels(s.network.spec), number=False),
    _ResultColumn("px", lambda s: str(s.network.spec.resolution_px)),
)
_MEASURED = (
    _ResultColumn("FLOPs", lambda s: engineering(s.network.macs)),
    _COST,
    _ResultColumn("target %", lambda s: residual(s.network)),
    _ResultColumn("accuracy %", accuracy),
    _EXPECTED,
    _ResultColumn("seeds", lambda s: str(len(s.accuracies))),
    _ResultColumn("note", lambda s: escape(note(s)), number=False),
)
_NUMBER = _ResultColumn("network", lambda s: str(s.network.number))
_COLUMNS = (_RANK, _NUMBER, *_COEFFICIENTS, *_LAYERS, *_MEASURED)
_PASSED = (
    _ResultColumn("depth", lambda s: str(multiplier(s.network.spec.depths[0]))),
    _ResultColumn("width", lambda s: str(multiplier(s.network.spec.widths[0]))),
    _ResultColumn("resolution", lambda s: str(s.network.spec.resolution_px)),
)
"""What is passed to a user's function."""


def _columns(budget: BudgetResult) -> tuple[_ResultColumn, ...]:
    """Columns of depth, width and resolution: what is passed to a user's function first, coefficients after."""
    if not all(is_function(s.network) for s in budget.networks):
        return _COLUMNS
    return (_RANK, _NUMBER, *_PASSED, *_COEFFICIENTS, *_MEASURED)


def _shown(budget: BudgetResult, limit: int | None) -> list[NetworkSummary]:
    kept = {s.network.number for s in budget.networks[:limit]} | {s.network.number for _, s in budget.references}
    return [s for s in budget.networks if s.network.number in kept]


def _row_style(summary: NetworkSummary) -> str:
    return "bold" if summary.rank == 1 else "dim" if summary.rank is None else ""


def verdict_table(comparisons: Iterable[Comparison], heading: str = "best against") -> Table:
    """The best network against each reference and the baseline, in points of accuracy."""
    table = plain_table()
    table.add_column(heading, no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("95 % interval (points)", justify="right", no_wrap=True)
    table.add_column("verdict")
    for comparison in comparisons:
        same = comparison.words == SAME
        table.add_row(
            escape(comparison.label),
            NONE if same else points(comparison.difference),
            points_interval(comparison),
            Text(comparison.words, style=VERDICT_STYLES.get(comparison.words, "")),
        )
    return table


def front_table(front: Iterable[NetworkSummary]) -> Table:
    """The networks that no other beats on both cost and accuracy."""
    front = list(front)
    heads = layer_heads(summary.network.spec for summary in front)
    table = plain_table(leave_out=(heads[1], heads[0], "px"))
    short = CURRENCIES[front[0].network.currency].short if front else "cost"
    for name, justify in ((short, "right"), ("accuracy %", "right"), ("budget", "left"), ("px", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for head in heads:
        table.add_column(head)
    for summary in front:
        spec = summary.network.spec
        table.add_row(
            cost(summary.network),
            accuracy(summary),
            escape(", ".join([summary.network.budget, *summary.network.names])),
            str(spec.resolution_px),
            blocks(spec),
            channels(spec),
        )
    return table


def studies_table(rows: Iterable[StudyRow]) -> Table:
    """One line a study."""
    table = plain_table(leave_out=("data", "base"), told_below=UNLIMITED)
    for name in ("study", "base", "data", "budgets"):
        table.add_column(name)
    table.add_column("trainings", justify="right", no_wrap=True)
    table.add_column("best %", justify="right", no_wrap=True)
    table.add_column("state")
    for row in rows:
        found = row.found
        best = NONE if found.best is None else f"{100 * found.best:.2f}"
        names = [escape(text) for text in (row.name, found.base, found.data, ", ".join(found.budgets))]
        table.add_row(*names, f"{found.trained}/{found.planned}", best, escape(row.state))
    return table


def count_table(cost: Mapping[str, Any], name: str) -> Group:
    """What a network costs, stage by stage.

    Args:
        cost: a `scalesearch.scaling.cost.Cost` as plain values: macs, fvcore_total, params, activations, resolution_px,
            stages, uncounted_ops (pairs or a mapping of operator and times).
        name: of the network.
    """
    title = Text(f"{name} at {cost['resolution_px']} px, one image, eval mode", style="bold")
    table = plain_table(("fvcore total", "activations"), show_footer=True, footer_style="bold")
    table.add_column("stage", footer="total")
    labels = {"macs": "FLOPs (multiply-adds)", "fvcore_total": "fvcore total"}
    for key in ("macs", "fvcore_total", "params", "activations"):
        table.add_column(labels.get(key, key), justify="right", footer=f"{cost[key]:,}", no_wrap=True)
    for stage in cost["stages"]:
        numbers = (f"{stage[key]:,}" for key in ("macs", "fvcore_total", "params", "activations"))
        table.add_row(escape(str(stage["name"])), *numbers)
    return Group(title, table, _uncounted(dict(cost["uncounted_ops"])))


def _uncounted(times: Mapping[str, int]) -> RenderableType:
    if not times:
        return Text("Every operator was counted.", style="dim")
    listing = ", ".join(f"{op} × {count}" for op, count in times.items())
    return Text(f"Not counted: {listing}", style="yellow")
