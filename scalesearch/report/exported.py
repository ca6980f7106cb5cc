"""What a library built of an export, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scalesearch.report.layout import plain_table
from scalesearch.report.text import NONE


def check_table(check: Mapping[str, Any]) -> Group:
    """One line a network: parameters and multiply-adds as counted in the library, and how near the logits are.

    Args:
        check: `check` of a `card.json`.
    """
    table: Table = plain_table()
    table.add_column("network", no_wrap=True)
    for name in ("params", "FLOPs", "logits\ndiffer by"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note")
    for one in check["builders"]:
        gap = NONE if one["gap"] is None else f"{one['gap']:.1e}"
        table.add_row(escape(one["name"]), _count(one["params"]), _count(one["macs"]), gap, escape(one["note"]))
    return Group(Text(f"built by {check['library']} {check['version']}, equal to the study's networks"), table)


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"
