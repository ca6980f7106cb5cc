"""A network beside the baseline, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass

from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.line import multiplier


@dataclass(frozen=True, slots=True)
class StageRow:
    """One part of a network: its blocks and channels in the baseline and in the found network; empty has none."""

    name: str
    blocks: tuple[str, str]
    channels: tuple[str, str]


def stage_rows(base: NetworkSpec, found: NetworkSpec) -> tuple[StageRow, ...]:
    """Every part whose size scaling may change, input side first.

    Example:
        >>> rows = stage_rows(NetworkSpec((1, 2), (8, 16), 20, 8), NetworkSpec((2, 4), (10, 20), 40, 9))
        >>> [(row.name, row.blocks, row.channels) for row in rows][:2]
        [('stem', ('', ''), ('8', '9')), ('stage 1', ('1', '2'), ('8', '10'))]
    """
    if found.unit == "thousandth":
        depth, width = (
            (_times(a), _times(b)) for a, b in ((base.depths[0], found.depths[0]), (base.widths[0], found.widths[0]))
        )
        return (StageRow("multiplier", depth, width),)
    rows = [StageRow("stem", ("", ""), _pair(base.stem_width, found.stem_width))]
    sizes = zip(base.depths, found.depths, base.widths, found.widths, strict=True)
    for number, (was, now, narrow, wide) in enumerate(sizes, start=1):
        rows.append(StageRow(f"stage {number}", _pair(was, now), _pair(narrow, wide)))
    rows.append(StageRow("head", ("", ""), _pair(base.head_width, found.head_width)))
    return tuple(row for row in rows if any((*row.blocks, *row.channels)))


def _pair(base: int, found: int) -> tuple[str, str]:
    return (str(base), str(found)) if base or found else ("", "")


def _times(thousandths: int) -> str:
    return f"x{multiplier(thousandths):g}"
