"""What a check of a baseline found, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scalesearch.report.layout import FittingTable, plain_table

STYLES = {"ok": "green", "warning": "bold yellow", "problem": "bold red"}


def check_report(found: Mapping[str, Any]) -> Group:
    """The findings, and the networks that were counted.

    Args:
        found: a `scalesearch.search.check_base.BaseCheck` as plain values.
    """
    parts: list[RenderableType] = [Text(f"Check of {found['base']}", style="bold"), _findings(found["findings"])]
    if found["points"]:
        parts.append(_points(found["points"]))
    return Group(*parts)


def _findings(findings: list[dict[str, str]]) -> Table:
    table = FittingTable(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        level = finding["level"]
        table.add_row(Text(level, style=STYLES[level]), finding["check"], Text(finding["text"]))
    return table


def _points(points: list[dict[str, Any]]) -> Table:
    table = plain_table(leave_out=("output", "params"))
    for name in ("depth", "width", "px", "FLOPs (multiply-adds)", "params", "output"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in points:
        output = "–" if point["output"] is None else " x ".join(str(size) for size in point["output"])
        numbers = (f"{point['depth']:g}", f"{point['width']:g}", str(point["resolution"]))
        table.add_row(*numbers, f"{point['macs']:,}", f"{point['params']:,}", output)
    return table
