"""Text in the cells of a table that people open with a spreadsheet."""

from __future__ import annotations

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that spreadsheets compute."""


def cell(value: object) -> object:
    """A value as a cell: text that would be computed gets an apostrophe before it; numbers stay what they are.

    Source: OWASP, CSV Injection.

    Example:
        >>> cell("=1+1"), cell("-x"), cell("a-b"), cell(-0.5)
        ("'=1+1", "'-x", 'a-b', -0.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
