"""The table of named networks: for the terminal, as CSV, and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scalesearch.environment.cells import cell
from scalesearch.report.layout import ByWidth, plain_table
from scalesearch.report.text import NONE
from scalesearch.scaling.answers.named import (
    NamedRow,
    PublishedAgreement,
    PublishedFigures,
    figure_differences,
    misquotes,
)
from scalesearch.scaling.units import engineering

WIDE = 112
"""Columns from which the terminal's table shows whole numbers."""

_BROKEN = {"activations": "activa-\ntions"}
"""Headings that are broken where there are few columns."""

_LEAVE_OUT = ("activa-\ntions", "top-1 %,\nprinted", "params,\nprinted", "FLOPs,\nprinted", "px")

CLOSED = "Counted in closed form for one image in eval mode; --check counts again with fvcore."
CHECKED = "Counted in closed form for one image in eval mode, and again by fvcore, which agrees."
STAR = "* printed otherwise than counted:"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the terminal's and Markdown's table; `narrow` says it in few characters, "" leaves it out."""

    name: str
    cell: Callable[[NamedRow], str]
    narrow: Callable[[NamedRow], str] | None = None
    number: bool = True


def _whole(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _short(value: int | None) -> str:
    return NONE if value is None else engineering(value)


def _printed(row: NamedRow, get: Callable[[PublishedFigures], PublishedAgreement | None]) -> str:
    figure = get(row.published) if row.published else None
    return NONE if figure is None else f"{figure.text}{' ' if figure.agrees else '*'}"


def _top1(row: NamedRow) -> str:
    top1 = row.published.top1_percent if row.published else None
    return NONE if top1 is None else f"{top1:.1f}"


_COLUMNS = (
    _Column("network", lambda r: r.name, lambda r: r.name, number=False),
    _Column("px", lambda r: str(r.resolution_px), lambda r: str(r.resolution_px)),
    _Column("FLOPs", lambda r: _whole(r.macs), lambda r: _short(r.macs)),
    _Column("fvcore total", lambda r: _whole(r.fvcore_total)),
    _Column("params", lambda r: _whole(r.params), lambda r: _short(r.params)),
    _Column("activations", lambda r: _whole(r.activations), lambda r: _short(r.activations)),
    _Column("FLOPs, printed", lambda r: _printed(r, _macs), lambda r: _printed(r, _macs)),
    _Column("params, printed", lambda r: _printed(r, _params), lambda r: _printed(r, _params)),
    _Column("top-1 %, printed", _top1, _top1),
)


def _macs(figures: PublishedFigures) -> PublishedAgreement | None:
    return figures.macs


def _params(figures: PublishedFigures) -> PublishedAgreement | None:
    return figures.params


def render_named(rows: tuple[NamedRow, ...]) -> RenderableType:
    """The whole answer: table, where printed and counted differ, sources.

    In a narrow terminal with short numbers, and without fvcore's totals.
    """
    notes: list[RenderableType] = []
    for heading, lines in footnotes(rows):
        notes += [
            Text(heading, style="dim"),
            *(Padding(Text(line, style="dim"), (0, 0, 0, 2), expand=False) for line in lines),
        ]
    return Group(ByWidth(WIDE, lambda narrow: named_table(rows, narrow=narrow)), *notes)


def named_table(rows: Sequence[NamedRow], *, narrow: bool = False) -> Table:
    """One line a network; a star where the printed figure is not the rounded count."""
    table = plain_table(leave_out=_LEAVE_OUT)
    cells = [(c.name, c.narrow if narrow else c.cell, c.number) for c in _COLUMNS]
    shown = [(name, cell, number) for name, cell, number in cells if cell is not None]
    for name, _, number in shown:
        justify: Literal["left", "right"] = "right" if number else "left"
        heading = _BROKEN.get(name, name) if narrow else name
        table.add_column(heading.replace(", ", ",\n"), justify=justify, overflow="fold", no_wrap=number)
    for row in rows:
        table.add_row(*(escape(cell(row)) for _, cell, _ in shown))
    return table


def footnotes(rows: tuple[NamedRow, ...]) -> Iterator[tuple[str, list[str]]]:
    """Headings with their lines: how it was counted, what differs, what is misquoted, and where it is printed."""
    yield f"FLOPs are multiply-adds. {CHECKED if rows and all(r.checked for r in rows) else CLOSED}", []
    unlike = [f"{row.name}: {'; '.join(found)}{_note(row)}" for row in rows if (found := figure_differences(row))]
    if unlike:
        yield STAR, unlike
    quotes = [f"{quote.name}: {quote.words} ({quote.source})" for quote in misquotes(rows)]
    if quotes:
        yield "misquoted elsewhere:", quotes
    sources = _sources(rows)
    if sources:
        yield "printed in:", [f"{', '.join(names)}: {source}" for source, names in sources.items()]


def _note(row: NamedRow) -> str:
    return f" ({row.published.note})" if row.published and row.published.note else ""


def _sources(rows: Sequence[NamedRow]) -> dict[str, list[str]]:
    sources: dict[str, list[str]] = {}
    for row in rows:
        if row.published:
            note = "" if figure_differences(row) else _note(row)
            sources.setdefault(f"{row.published.source}{note}", []).append(row.name)
    return sources


_CSV: dict[str, Callable[[NamedRow], object]] = {
    "name": lambda r: r.name,
    "resolution_px": lambda r: r.resolution_px,
    "macs": lambda r: r.macs,
    "fvcore_total": lambda r: r.fvcore_total,
    "params": lambda r: r.params,
    "activations": lambda r: r.activations,
    "published_macs": lambda r: r.published and r.published.macs and r.published.macs.printed,
    "published_params": lambda r: r.published and r.published.params and r.published.params.printed,
    "published_top1_percent": lambda r: r.published and r.published.top1_percent,
    "macs_agrees": lambda r: _said(r, _macs),
    "params_agrees": lambda r: _said(r, _params),
    "source": lambda r: r.published and r.published.source,
    "note": lambda r: r.published and r.published.note,
}


def _said(row: NamedRow, get: Callable[[PublishedFigures], PublishedAgreement | None]) -> str | None:
    figure = get(row.published) if row.published else None
    return None if figure is None else str(figure.agrees).lower()


def named_csv(rows: Sequence[NamedRow]) -> str:
    """A header and one line a network, plain numbers; a cell is empty where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    writer.writerows([cell(get(row)) for get in _CSV.values()] for row in rows)
    return text.getvalue()


def named_markdown(rows: tuple[NamedRow, ...]) -> str:
    """A table in GitHub's Markdown, with the footnotes of the terminal's as lists under it."""
    lines = [_markdown_row(c.name for c in _COLUMNS)]
    lines.append(_markdown_row("---:" if c.number else "---" for c in _COLUMNS))
    lines += [_markdown_row(c.cell(row).strip() for c in _COLUMNS) for row in rows]
    for heading, points in footnotes(rows):
        lines += ["", _plain(heading)]
        lines += ["", *(f"- {_plain(point)}" for point in points)] if points else []
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Characters that Markdown reads as markup, as themselves."""
    for mark in "\\|*_`<[":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")
