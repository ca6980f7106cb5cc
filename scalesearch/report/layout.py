"""Tables in any width: columns that matter least go first, then a row becomes lines. No number is ever cut off.

rich shortens what does not fit to "…", numbers too. So widths are settled here, and rich is left nothing to cut.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

BREAKABLE = 12
"""Characters of a column that wraps, below which it is not squeezed; a longer word is broken where that is allowed."""
UNLIMITED = 100_000
NARROWEST = 20
"""Columns of the narrowest terminal that is believed."""
TOLD_BELOW = 80
"""Terminals of fewer columns are told which columns they do not see, of tables that do not tell in any."""
ASCII_HEAD = Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)
"""`SIMPLE_HEAD` without line characters, for a terminal that has none."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How narrow and how wide a column may be, in characters."""

    least: int
    most: int


def shared_out(reaches: Sequence[Reach], room: int) -> list[int] | None:
    """Widths of columns that together take no more than `room`; None where even the least do not fit.

    What is left beyond the least goes to the narrowest first.

    Example:
        >>> shared_out([Reach(3, 3), Reach(5, 30), Reach(4, 8)], 24)
        [3, 13, 8]
        >>> shared_out([Reach(3, 3), Reach(5, 30)], 7) is None
        True
    """
    widths = [reach.least for reach in reaches]
    left = room - sum(widths)
    if left < 0:
        return None
    while left and (growing := [i for i, reach in enumerate(reaches) if widths[i] < reach.most]):
        narrowest = min(growing, key=lambda i: widths[i])
        widths[narrowest] += 1
        left -= 1
    return widths


def packed(items: Sequence[tuple[str, str]], width: int) -> list[list[tuple[str, str]]]:
    """Labels with their values in lines of at most `width`, each pair whole; the first line is two wider.

    Example:
        >>> packed([("px", "10"), ("FLOPs", "1.14M"), ("seeds", "2")], 14)
        [[('px', '10')], [('FLOPs', '1.14M')], [('seeds', '2')]]
    """
    lines: list[list[tuple[str, str]]] = []
    used = width
    for label, value in items:
        length = len(f"{label} {value}".strip())
        if not lines or used + 2 + length > width - 2:
            lines.append([])
            used = 0 if len(lines) > 1 else -2
        else:
            used += 2
        lines[-1].append((label, value))
        used += length
    return lines


def console(*, stderr: bool = False) -> Console:
    """What everything is printed on, as wide as the terminal; a width that nothing fits is taken as `NARROWEST`."""
    found = Console(stderr=stderr)
    return found if found.width >= NARROWEST else Console(stderr=stderr, width=NARROWEST)


@dataclass(frozen=True, slots=True)
class ByWidth:
    """What is drawn in another way where there is little room.

    Attributes:
        wide: columns of the terminal below which it is narrow.
        drawn: by whether it is.
    """

    wide: int
    drawn: Callable[[bool], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As the width allows."""
        yield self.drawn(options.max_width < self.wide)


class FittingTable(Table):
    """A table that leaves columns out, in the order it was told, and stacks its rows where all that is not enough."""

    def __init__(
        self, leave_out: Sequence[str | tuple[str, ...]] = (), told_below: int = TOLD_BELOW, **options: Any
    ) -> None:
        """The arguments are those of `rich.table.Table`.

        Args:
            leave_out: headers of columns that may go, the least important first; those of a tuple go together.
            told_below: columns of a terminal that is told which of them are gone.
        """
        super().__init__(**options)
        self.leave_out, self.told_below = tuple(leave_out), told_below

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many columns as fit, else a few lines a row."""
        shown = list(self.columns)
        gone: list[str] = []
        widths = self._widths(shown, console, options)
        for names in self.leave_out:
            if widths is not None:
                break
            going = (names,) if isinstance(names, str) else names
            kept = [column for column in shown if column.header not in going]
            if len(kept) < len(shown):
                gone += [" ".join(column.split()) for column in going]
                shown, widths = kept, self._widths(kept, console, options)
        if widths is None:
            yield from self._stacked(console, options)
            return
        yield from Table.__rich_console__(self._view(shown, widths, options), console, options)
        if gone and options.max_width < self.told_below:
            yield Text(f"not shown in {options.max_width} columns: {', '.join(gone)}", style="dim")

    def _widths(self, columns: Sequence[Column], console: Console, options: ConsoleOptions) -> list[int] | None:
        between = self.padding[1] + (0 if self.box is None else 1)
        edges = 0 if self.box is None else 2
        room = options.max_width - edges - between * (len(columns) - 1)
        return shared_out([self._reach(column, console, options) for column in columns], room)

    def _reach(self, column: Column, console: Console, options: ConsoleOptions) -> Reach:
        wide = options.update_width(UNLIMITED)
        parts = [*([column.header] if self.show_header else []), *column.cells]
        parts += [column.footer] if self.show_footer else []
        sizes = [Measurement.get(console, wide, part) for part in parts]
        most = max((size.maximum for size in sizes), default=1)
        if column.no_wrap:
            return Reach(most, most)
        word = max((size.minimum for size in sizes), default=1)
        least = min(word, BREAKABLE) if column.overflow == "fold" else max(word, BREAKABLE)
        return Reach(min(most, max(least, column.min_width or 0)), most)

    def _view(self, columns: Sequence[Column], widths: Sequence[int], options: ConsoleOptions) -> Table:
        """This table with some of its columns in settled widths; its rows and their styles are shared."""
        view = copy.copy(self)
        view.columns = [
            replace(column, width=width, min_width=None, overflow="fold", _index=index)
            for index, (column, width) in enumerate(zip(columns, widths, strict=True))
        ]
        if self.box is not None and options.ascii_only:
            view.box = ASCII_HEAD
        return view

    def _stacked(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        headers = [_plain(column.header, console) if self.show_header else "" for column in self.columns]
        cells = [list(column.cells) for column in self.columns]
        if self.show_footer:
            cells = [[*own, column.footer] for own, column in zip(cells, self.columns, strict=True)]
        for number, row in enumerate(zip(*cells, strict=True)):
            style = self.rows[number].style if number < len(self.rows) else self.footer_style
            values = [_plain(cell, console) for cell in row]
            items = [pair for pair in zip(headers, values, strict=True) if pair[1]]
            for index, line in enumerate(packed(items, options.max_width)):
                text = Text("  " if index else "", style=style or "", overflow="fold")
                for position, (label, value) in enumerate(line):
                    text.append("  " if position else "")
                    text.append(f"{label} " if label else "", style="dim").append(value)
                yield text
        if self.caption:
            yield Text(_plain(self.caption, console), style="dim")
        yield Text()


def _plain(part: Any, console: Console) -> str:
    text = part if isinstance(part, Text) else console.render_str(str(part))
    return " ".join(text.plain.split())


def plain_table(leave_out: Sequence[str | tuple[str, ...]] = (), **options: Any) -> FittingTable:
    """An empty table in the style of all; the arguments are those of `FittingTable`."""
    style: dict[str, Any] = {"box": SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False, "header_style": "bold"}
    return FittingTable(leave_out, **style, **options)
