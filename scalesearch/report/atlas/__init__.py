"""The atlas as a table, on the terminal and in Markdown, and what is the same and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.text import Text

from scalesearch.analysis.atlas.differ import share_differences
from scalesearch.analysis.atlas.leads import leads
from scalesearch.analysis.atlas.row import AtlasGain, AtlasRow
from scalesearch.analysis.told import span
from scalesearch.report.layout import UNLIMITED, plain_table
from scalesearch.report.text import NONE
from scalesearch.scaling.units import DIMENSIONS, plural

HEADS = (
    "family", "data", "budget", "optimum, %", "region %", "alpha", "beta", "gamma", "gain, points", "on new seeds",
    "uniform will do",
)  # fmt: skip
LEGEND = (
    "optimum: mean of where it may be, on depth/width/resolution, each ± its standard deviation; shares of what is "
    "spent, under 1x of what is saved. region: part of the triangle that holds it with 80 % probability. alpha, beta, "
    "gamma: of the network that came first. gain: of it over uniform scaling in the search, and on new seeds and test "
    "images, with 95 % intervals. uniform will do: probability, by the search alone, that it is within {delta:g} "
    "points of the best."
)


LONGER_HEADS = (
    "family", "data", "budget", "longer", "networks x seeds", *DIMENSIONS,
)  # fmt: skip
LONGER_LEGEND = (
    "What a training of so many times the epochs adds to the standing of a network with all of its cost on depth, "
    "width or resolution, over uniform shares, in spreads of the networks, with intervals that hold the three together "
    "with 95 %. Above 0 the atlas's short training thinks too little of it; * where the interval leaves out 0. {rest}"
)


def render_atlas(rows: Sequence[AtlasRow]) -> RenderableType:
    """The table, what its columns mean, and what differs."""
    if not rows:
        return Text("The atlas has no row yet.")
    table = plain_table(leave_out=("region %", "uniform will do", "alpha", "beta", "gamma"), told_below=UNLIMITED)
    for name in HEADS:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*cells(row))
    return Group(table, Text(legend(rows), style="dim"), Text(), *map(Text, differing(rows)), *_render_longer(rows))


def _render_longer(rows: Sequence[AtlasRow]) -> Iterator[RenderableType]:
    table = plain_table(leave_out=("networks x seeds",))
    for name in LONGER_HEADS:
        table.add_column(name, no_wrap=True)
    for found in longer_cells(rows):
        table.add_row(*found)
    yield Text()
    if table.rows:
        yield table
    yield Text(longer_legend(rows), style="dim")


def legend(rows: Sequence[AtlasRow]) -> str:
    """What the columns mean."""
    return LEGEND.format(delta=100 * rows[0].delta)


def cells(row: AtlasRow) -> tuple[str, ...]:
    """One row of the table."""
    found = row.network.coefficients
    return (
        row.family,
        row.data,
        row.budget,
        _optimum(row),
        f"{100 * row.region_area:.0f}",
        *(span((value, value)) for value in (found.alpha, found.beta, found.gamma)),
        "uniform" if row.network.uniform else told(row.gain),
        NONE if row.network.uniform else told(row.verified),
        NONE if row.p_uniform is None else f"{row.p_uniform:.2f}",
    )


def longer_cells(rows: Sequence[AtlasRow]) -> list[tuple[str, ...]]:
    """One line a row and length, where longer trainings were made."""
    return [
        (
            *(row.family, row.data, row.budget, f"{one.times:g}x", f"{one.networks} x {one.seeds}"),
            *(
                f"{slope:+z.1f} ({low:+z.1f} to {high:+z.1f}){'*' if name in one.seen else ''}"
                for name, slope, (low, high) in zip(DIMENSIONS, one.slopes, one.ci95, strict=True)
            ),
        )
        for row in rows
        for one in row.longer
    ]


def longer_legend(rows: Sequence[AtlasRow]) -> str:
    """What the columns mean, and where nothing was measured."""
    lack = sum(not row.longer for row in rows)
    if lack == len(rows):
        return "Whether a longer training would move these optima was not measured in any row."
    rest = f"Not measured in {plural(lack, 'other row')}." if lack else ""
    return LONGER_LEGEND.format(rest=rest).rstrip()


def _optimum(row: AtlasRow) -> str:
    pairs = zip((row.shares.depth, row.shares.width, row.shares.resolution), row.sd, strict=True)
    return " / ".join(f"{100 * mean:.0f}±{100 * sd:.0f}" for mean, sd in pairs)


def told(gain: AtlasGain | None) -> str:
    """A gain in points with its interval."""
    if gain is None:
        return NONE
    low, high = (100 * bound for bound in gain.ci95)
    return f"{100 * gain.value:+z.2f} ({low:+z.2f} to {high:+z.2f})"


def differing(rows: Sequence[AtlasRow]) -> list[str]:
    """What leaders gain and what differs between families, data sets and budgets: spending and saving apart."""
    found = leads(rows)
    first = [found.words] if found else []
    return [*first, *_differing([row for row in rows if row.ratio > 1], "Above 1x"), *_saving(rows)]


def _saving(rows: Sequence[AtlasRow]) -> list[str]:
    return _differing([row for row in rows if row.ratio < 1], "Under 1x, where shares are of what is saved")


def _differing(rows: Sequence[AtlasRow], where: str) -> list[str]:
    found = share_differences(rows)
    if not found:
        return []
    same = [one for one in found if not one.differs]
    lines = [f"{where} ({plural(len(rows), 'row')}):"]
    lines += [f"- {one.words}" for one in found if one.differs]
    if same:
        named = ", ".join(f"{one.dimension} by {one.of} (p = {one.p_holm:.2g})" for one in same)
        lines.append(f"- No evidence of a difference in the share of {named}; p after Holm.")
    return lines


def markdown_atlas(rows: Sequence[AtlasRow]) -> str:
    """The same for a page of documentation."""
    if not rows:
        return "No cell has been computed yet."
    return "\n".join(_markdown(rows))


def _markdown(rows: Sequence[AtlasRow]) -> Iterator[str]:
    yield f"| {' | '.join(HEADS)} |"
    yield "|" + "---|" * len(HEADS)
    for row in rows:
        yield f"| {' | '.join(cells(row))} |"
    yield ""
    yield legend(rows)
    yield ""
    for line, after in pairwise([*differing(rows), ""]):
        yield line
        if not (line.startswith("-") and after.startswith("-")):  # items of one list stand together
            yield ""
    longer = longer_cells(rows)
    if longer:
        yield f"| {' | '.join(LONGER_HEADS)} |"
        yield "|" + "---|" * len(LONGER_HEADS)
        yield from (f"| {' | '.join(found)} |" for found in longer)
        yield ""
    yield longer_legend(rows)
