"""The networks that a study would train, for `run --dry-run`; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scalesearch.networks.spec import NetworkSpec
from scalesearch.report.layout import plain_table
from scalesearch.report.text import blocks, channels
from scalesearch.scaling.units import short_amount


def render_planned(networks: Sequence[Mapping[str, Any]], currency: str) -> Group:
    """One table a budget.

    Args:
        networks: `search.ahead.PlannedNetwork` as plain values.
        currency: of their costs.
    """
    return Group(*_parts(networks, currency))


def _parts(networks: Sequence[Mapping[str, Any]], currency: str) -> Iterator[RenderableType]:
    for budget in dict.fromkeys(network["budget"] for network in networks):
        own = [network for network in networks if network["budget"] == budget]
        trained = sum(not network["why_not"] for network in own)
        yield Text(f"Budget {budget}: {trained} to train, {len(own) - trained} not", style="bold")
        yield _table(own, currency)


def _table(networks: Sequence[Mapping[str, Any]], currency: str) -> Table:
    staged = any(network["spec"]["unit"] == "block" for network in networks)
    table = plain_table(
        leave_out=("channels", "depth", "width", "resolution") if staged else ("built depth", "built width")
    )
    for name in ("depth", "width", "resolution"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("blocks", "channels") if staged else ("built depth", "built width"):
        table.add_column(name)
    for name in ("px", "cost", "target %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note")
    for network in networks:
        spec = NetworkSpec(**network["spec"])
        given = (f"x{network['coefficients'][name]:.3f}" for name in ("alpha", "beta", "gamma"))
        cost = (short_amount(network["cost"], currency), f"{100 * network['cost'] / network['target']:.1f}")
        why_not = f"{network['why_not']}, not trained" if network["why_not"] else ""
        note = ", ".join(text for text in (*network["roles"], why_not) if text)
        style = "dim" if why_not else ""
        table.add_row(*given, blocks(spec), channels(spec), str(spec.resolution_px), *cost, note, style=style)
    return table
