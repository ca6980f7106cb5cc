"""Figures inside the page: attributes in place of styles, colours of the page, marks that lead to their row.

The policy of the page allows no style but its own sheet, so what matplotlib writes as `style="..."` becomes attributes,
which the sheet can overrule: that is how figures follow light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from markupsafe import Markup

_STYLE = re.compile(r' style="([^"]*)"')
_SHEET = re.compile(r"<style\b.*?</style>", re.DOTALL)
_FONT = re.compile(r"(?:(italic|oblique) )?(?:(\d+|bold|normal) )?(\d+(?:\.\d+)?px) (.+)")
_ID = re.compile(r' id="([^"]+)"')
_LINK = re.compile(r'<a xlink:href="#network-(\d+)"[^>]*>')
_ROOT = ' stroke-linejoin="round" stroke-linecap="butt"'
"""What the sheet of matplotlib's own says of all lines."""


def row_id(number: int) -> str:
    """The id of a network's row, which marks of figures lead to."""
    return f"network-{number}"


def inline_figure(svg: str, kind: str, names: Mapping[int, str]) -> Markup:
    """A figure as it stands in the page.

    Args:
        svg: as `report.figures.svg_text` gives it.
        kind: makes the ids of its parts its own.
        names: number of a network -> what its mark is called when it is pointed at.
    """
    text = _SHEET.sub("", svg).replace("<svg", f"<svg{_ROOT}", 1)
    text = _STYLE.sub(lambda found: _attributes(found[1]), text)
    return Markup(_LINK.sub(lambda found: _link(int(found[1]), names), _own_ids(text, kind)))


def _attributes(style: str) -> str:
    """Declarations of a style as attributes of SVG, which all of matplotlib's are but `font`."""
    told = []
    for part in filter(None, map(str.strip, style.split(";"))):
        name, value = (side.strip() for side in part.split(":", 1))
        told += _font(value) if name == "font" else [f'{name}="{value}"']
    return "".join(f" {one}" for one in told)


def _font(value: str) -> list[str]:
    found = _FONT.fullmatch(value)
    if found is None:
        return []
    slant, weight, size, family = found.groups()
    told = {"font-style": slant, "font-weight": weight, "font-size": size, "font-family": family}
    return [f'{name}="{part}"' for name, part in told.items() if part]


def _own_ids(svg: str, kind: str) -> str:
    """Ids that are referred to get the kind before them, and the others go: a page has many figures."""
    used = {found for found in _ID.findall(svg) if f'#{found}"' in svg or f"#{found})" in svg}
    svg = _ID.sub(lambda found: f' id="{kind}-{found[1]}"' if found[1] in used else "", svg)
    for found in sorted(used):
        svg = svg.replace(f'"#{found}"', f'"#{kind}-{found}"').replace(f"url(#{found})", f"url(#{kind}-{found})")
    return svg


def _link(number: int, names: Mapping[int, str]) -> str:
    name = escape(names.get(number, f"network {number}"))
    return f'<a href="#{row_id(number)}" aria-label="{name}"><title>{name}</title>'
