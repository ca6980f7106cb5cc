"""Figures to files and to text: the same study gives the same bytes, and a file is whole or not there."""

from __future__ import annotations

import io
import re
from html import escape
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from scalesearch.environment.files import write_atomic
from scalesearch.errors import UsageError
from scalesearch.report.figures.settings import own_settings

SUFFIXES = ("png", "svg", "pdf")
_FONTS = ["DejaVu Sans", "Verdana", "sans-serif"]
"""Text stays text in an svg: small and searchable. The fonts after the first one are no wider, so labels still fit."""
_LINKS = re.compile(rb'<a xlink:href="#[^>]*>|</a>')
"""Marks lead to rows of the page, which a file of its own does not have."""
_NO_DATE: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
}


def _encode(fig: Figure, suffix: str) -> bytes:
    buffer = io.BytesIO()
    # Fonts of a pdf are TrueType: publishers refuse matplotlib's own choice, Type 3.
    own = rc_context(
        {"svg.hashsalt": "scalesearch", "svg.fonttype": "none", "font.sans-serif": _FONTS, "pdf.fonttype": 42}
    )
    with own_settings(), own:
        fig.savefig(buffer, format=suffix, metadata=_NO_DATE[suffix])
    return buffer.getvalue()


def save_figure(fig: Figure, path: Path) -> None:
    """Write a figure as png, svg or pdf, by the suffix of `path`.

    Raises:
        UsageError: another suffix.
        StorageError: the folder cannot be written.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in SUFFIXES:
        raise UsageError(f"figure file {str(path)!r} ends in {path.suffix!r}; allowed: .png, .svg, .pdf")
    content = _encode(fig, suffix)
    write_atomic(path, _LINKS.sub(b"", content) if suffix == "svg" else content)


def svg_text(fig: Figure, label: str) -> str:
    """A figure as an `<svg>` element to stand inside HTML; screen readers get `label`. Marks lead to `#network-N`."""
    text = _encode(fig, "svg").decode()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
