"""Before a study: the networks that it would train, and what the machine does; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scalesearch.networks.spec import NetworkSpec
from scalesearch.report.layout import plain_table
from scalesearch.report.text import blocks, channels
from scalesearch.scaling.units import duration, short_amount


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


HEADS = {
    "machine": "The device",
    "data": "Photographs, on their way to a network",
    "training": "Training, all workers together",
}


def render_bench(found: Mapping[str, Any]) -> Group:
    """The device, a table for each kind of rate, and the study.

    Args:
        found: `search.bench.Bench` as plain values.
    """
    return Group(*_rates(found))


def _rates(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    workers, threads = found["workers"], found["threads"]
    each = f" of {threads} thread{'s' if threads > 1 else ''}" if threads else ""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield Text(
        f"{found['device']}: {found['processor']}, {workers} worker{'s' if workers > 1 else ''}{each}, {versions}"
    )
    for of, head in HEADS.items():
        own = [rate for rate in found["rates"] if rate["of"] == of]
        if own:
            table = plain_table(title=None)
            table.add_column(head)
            table.add_column("a second", justify="right", no_wrap=True)
            for rate in own:
                table.add_row(rate["what"], f"{told(rate['value'])} {rate['unit']}")
            yield table
    for switch, why in found["left_out"]:
        yield Text(f"{switch} was not timed: {why}", style="dim")
    yield Text(f"a study takes about {duration(found['study_seconds'])} ({found['study']})")


def told(value: float) -> str:
    """Three digits are enough of a rate.

    Example:
        >>> [told(value) for value in (0.123456, 7.654, 98.76, 12345.6)]
        ['0.123', '7.65', '98.8', '12,300']
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"
