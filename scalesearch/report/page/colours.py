"""The colours of the page by light and by dark, and how well they can be told apart."""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "ink": "#1d1d1f",
    "quiet": "#5c5c62",
    "page": "#ffffff",
    "card": "#f5f5f7",
    "line": "#d8d8dc",
    "edge": "#85858c",
    "good": "#00734f",
    "bad": "#b3400a",
    "mark": "#0060a8",
}
"""Names that the style sheet and the figures use; `edge` is that of buttons and fields."""

DARK: Mapping[str, str] = {
    "ink": "#ececf0",
    "quiet": "#a6a6ad",
    "page": "#17171a",
    "card": "#222226",
    "line": "#3a3a40",
    "edge": "#7c7c85",
    "good": "#4cc79a",
    "bad": "#f08a4b",
    "mark": "#6db7f2",
}

READ: tuple[str, ...] = ("ink", "quiet", "good", "bad", "mark")
"""Colours that text has."""
UNDER: tuple[str, ...] = ("page", "card")
"""Colours that text stands on."""


def variables(colours: Mapping[str, str]) -> str:
    """Colours as CSS declarations.

    Example:
        >>> variables({"ink": "#000000"})
        '--ink: #000000;'
    """
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 (black) to 1 (white).

    Source: WCAG 2.2, definition of relative luminance.
    """
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21; text takes 4.5, the edge of a control 3.

    Source: WCAG 2.2, success criteria 1.4.3 and 1.4.11.

    Example:
        >>> contrast("#000000", "#ffffff"), contrast("#777777", "#777777")
        (21.0, 1.0)
    """
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
