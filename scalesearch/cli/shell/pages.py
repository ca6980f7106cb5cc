"""Help in plain text: commands and options under headings, an example of each, in any width.

typer draws headings with rich alone, in boxes that take room; here they are click's own sections.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

WIDEST, NARROWEST = 100, 30
"""Columns that help takes at most, and that it believes in at least."""
STACKED_BELOW = 60
"""Columns below which what an option does stands under its name."""
OTHERS = "Options"

F = TypeVar("F", bound=Callable[..., Any])
Row = tuple[str, str]


def width() -> int:
    """Columns that help takes in this terminal."""
    return max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))


def grouped(rows: Iterable[tuple[str, Row]]) -> dict[str, list[Row]]:
    """Rows under their headings, in the order of first mention; what has no heading of its own first.

    But where that is `--help` alone, it is last.

    Example:
        >>> grouped([("What", ("-b", "")), ("Options", ("-a", "")), ("Options", ("-c", ""))])
        {'Options': [('-a', ''), ('-c', '')], 'What': [('-b', '')]}
        >>> list(grouped([("Options", ("--help", "")), ("What", ("-b", ""))]))
        ['What', 'Options']
    """
    found: dict[str, list[Row]] = {OTHERS: []}
    for heading, row in rows:
        found.setdefault(heading, []).append(row)
    if len(found[OTHERS]) <= 1:
        found[OTHERS] = found.pop(OTHERS)
    return found


def first_sentence(text: str) -> str:
    """What a command does, from its help.

    Example:
        >>> first_sentence("Draw it, e.g. as png. Not more.")
        'Draw it, e.g. as png'
    """
    first: str = re.split(r"\.(?= [A-Z]|$)", " ".join(text.partition("\n\n")[0].split()))[0]
    return first


def wrapped(command: str, columns: int) -> list[str]:
    """A command in lines that a shell takes as one; an option stays with its value.

    Example:
        >>> print("\\n".join(wrapped("scalesearch run --budget 2x", 20)))
        scalesearch run \\
          --budget 2x
    """
    first, *rest = re.split(r" (?=-)", command)
    lines = [first]
    for part in rest:
        if len(lines[-1]) + 1 + len(part) + 2 <= columns:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(f"  {part}")
    return lines


def _write(formatter: Any, rows: Sequence[Row]) -> None:
    """Names beside what they do, or above it where there is no room for both."""
    formatter.write_dl(rows, col_max=30 if formatter.width >= STACKED_BELOW else 1)


def _sections(formatter: Any, sections: dict[str, list[Row]]) -> None:
    for heading, rows in sections.items():
        if rows:
            with formatter.section(heading):
                _write(formatter, rows)


class Page:
    """What help has in common for one command and for all of them."""

    def get_help(self, ctx: Any) -> str:
        """The page, as wide as the terminal allows."""
        ctx.terminal_width = width()
        text: str = super().get_help(ctx)  # type: ignore[misc]
        return text

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options under their headings, then commands under theirs."""
        records = [(param, param.get_help_record(ctx)) for param in self.get_params(ctx)]  # type: ignore[attr-defined]
        known = [(param, record) for param, record in records if record is not None]
        _sections(formatter, {"Arguments": [row for param, row in known if param.param_type_name == "argument"]})
        options = [
            (getattr(param, "rich_help_panel", None) or OTHERS, row)
            for param, row in known
            if param.param_type_name != "argument"
        ]
        _sections(formatter, grouped(options))
        _sections(formatter, grouped(_commands(self, ctx)))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The example."""
        if example := getattr(self, "epilog", None):
            with formatter.section("Example"):
                for line in wrapped(example, formatter.width - formatter.current_indent):
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _commands(of: Any, ctx: Any) -> Iterable[tuple[str, Row]]:
    for name, command in getattr(of, "commands", {}).items():
        if not command.hidden:
            yield getattr(command, "rich_help_panel", None) or OTHERS, (name, first_sentence(command.help or ""))


class CommandPage(Page, TyperCommand):
    """A command with such help."""


class GroupPage(Page, TyperGroup):
    """Commands with such help."""


def command(app: typer.Typer, heading: str, example: str, name: str | None = None) -> Callable[[F], F]:
    """Make a function a command of `app`.

    Args:
        heading: that it stands under in the list of commands.
        example: of its use, which works as it is typed once there is a study `mine`.
    """
    return app.command(name, cls=CommandPage, rich_help_panel=heading, epilog=example)
