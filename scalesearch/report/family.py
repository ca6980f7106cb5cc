"""The family that coefficients give, for the terminal: members, what each one adds, and the released networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scalesearch.report.layout import plain_table
from scalesearch.report.text import NONE, blocks, channels
from scalesearch.scaling.answers.family import Released, ScaledFamily, ScaledMember, StageGrowth, explain, growth
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.units import CURRENCIES, engineering

EXTRAPOLATED = (
    "Extrapolated: outside of what was searched for these coefficients. That the split found there stays the best one "
    "is the assumption of compound scaling, not a finding."
)
RELEASED = (
    "EfficientNet-B0 to B7 as released, beside the paper's 1.2, 1.1, 1.15 at the phi of the same FLOPs. No one phi "
    "gives a network's three multipliers: the last columns say which phi each of them is."
)


def render_family(family: ScaledFamily, explained: bool = False) -> RenderableType:
    """The whole answer: the members, their networks, and what was asked for beside them.

    Args:
        explained: whether each member is taken apart, stage by stage.
    """
    parts: list[RenderableType] = [
        Text(f"{family.base} scaled by {_triple(family)}", style="bold"),
        members_table(family),
        networks_table(family),
    ]
    if any(member.extrapolated for member in family.members):
        parts.append(Text(EXTRAPOLATED, style="yellow"))
    if explained:
        parts += [part for member in family.members for part in _explained(family, member)]
    if family.released:
        parts += [Text(f"\n{RELEASED}", style="bold"), released_table(family.released)]
    return Group(*parts)


def _triple(family: ScaledFamily) -> str:
    c = family.coefficients
    values = f"alpha {c.alpha:.4g}, beta {c.beta:.4g}, gamma {c.gamma:.4g}"
    what = "" if family.currency == "macs" else f" the {CURRENCIES[family.currency].unit}"
    return f"{values} ({family.ratio:.3g}x{what} at phi = 1; {family.origin}); depth rule {family.rules.depth_rule}"


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    cell: Callable[[ScaledMember], str]
    number: bool = True


def member_note(member: ScaledMember) -> str:
    """What a reader must know of a member."""
    found = (
        ("extrapolated", member.extrapolated),
        (f"verified: {member.transfer}", bool(member.transfer)),
        ("off target", not member.within_tolerance),
    )
    return ", ".join(word for word, true in found if true)


_MEMBER_COLUMNS = (
    _Column("phi", lambda m: f"{m.phi:g}"),
    _Column("depth", lambda m: f"{m.multipliers.alpha:.2f}"),
    _Column("width", lambda m: f"{m.multipliers.beta:.2f}"),
    _Column("resol.", lambda m: f"{m.multipliers.gamma:.2f}"),
    _Column("px", lambda m: str(m.network.spec.resolution_px)),
    _Column("target", lambda m: engineering(m.target)),
    _Column("before\nrepair", lambda m: engineering(m.cost_before_repair)),
    _Column("FLOPs", lambda m: engineering(m.network.macs)),
    _Column("miss %", lambda m: f"{100 * m.residual:+z.2f}"),
    _Column("params", lambda m: engineering(m.network.params)),
    _Column("activ.", lambda m: engineering(m.network.activations)),
    _Column("note", member_note, number=False),
)


def members_table(family: ScaledFamily) -> Table:
    """One line a member: multipliers, target, cost before and after repair."""
    table = plain_table(leave_out=("depth", "width", "resol.", "activ.", "before\nrepair", "target", "miss %"))
    for column in _MEMBER_COLUMNS:
        table.add_column(column.name, justify=_justify(column.number), no_wrap=column.name != "note")
    for member in family.members:
        table.add_row(*(escape(column.cell(member)) for column in _MEMBER_COLUMNS))
    return table


def networks_table(family: ScaledFamily) -> Table:
    """One line a member: blocks of the stages, and every channel count."""
    table = plain_table()
    table.add_column("phi", justify="right", no_wrap=True)
    table.add_column("blocks", no_wrap=False)
    table.add_column("channels: stem, stages, head")
    for member in family.members:
        spec = member.network.spec
        table.add_row(f"{member.phi:g}", blocks(spec), channels(spec))
    return table


def _justify(number: bool) -> Literal["left", "right"]:
    return "right" if number else "left"


def _explained(family: ScaledFamily, member: ScaledMember) -> Iterator[RenderableType]:
    own, spec = family.baseline, member.network.spec
    blocks = sum(spec.depths) - sum(own.spec.depths)
    times = member.network.macs / own.macs
    yield Text(f"phi {member.phi:g}: {blocks:+d} {_noun(family, blocks)}, {times:.3g}x the FLOPs", style="bold")
    for line in explain(family, member):
        yield Padding(Text(line), (0, 0, 0, 2), expand=False)
    if member.network != own:
        yield growth_table(growth(own, member))


def _noun(family: ScaledFamily, blocks: int) -> str:
    if family.baseline.spec.unit != "block":
        return "thousandths of depth"
    return "block" if abs(blocks) == 1 else "blocks"


def growth_table(stages: tuple[StageGrowth, ...]) -> Table:
    """One line a stage: blocks, channels and multiply-adds of the baseline and of the member."""
    table = plain_table(leave_out=("exact", "added", "times", "channels", "blocks"))
    table.add_column("stage", no_wrap=True)
    for name in ("blocks", "added", "channels", "exact", "FLOPs", "times", "part of\ngrowth %"):
        table.add_column(name, justify="right", no_wrap=True)
    whole = sum(stage.added_macs for stage in stages)
    for stage in stages:
        table.add_row(escape(stage.stage), *_growth_cells(stage, whole))
    return table


def _growth_cells(stage: StageGrowth, whole: int) -> Iterator[str]:
    yield f"{stage.blocks[0]} -> {stage.blocks[1]}" if stage.blocks else NONE
    yield f"{stage.added_blocks:+d}" if stage.blocks else NONE
    yield f"{stage.channels[0]} -> {stage.channels[1]}" if stage.channels else NONE
    yield NONE if stage.exact_channels is None else f"{stage.exact_channels:.1f}"
    yield f"{engineering(stage.macs[0])} -> {engineering(stage.macs[1])}" if stage.macs else NONE
    yield f"{stage.macs[1] / stage.macs[0]:.2f}" if stage.macs and stage.macs[0] else NONE
    yield f"{100 * stage.added_macs / whole:.1f}" if stage.macs and whole else NONE


def released_table(released: tuple[Released, ...]) -> Table:
    """One line a released network: what it is, what alpha^phi would have been, and the phi of each multiplier.

    Args:
        released: B0 first.
    """
    at_phi, of = [f"{name}\nat\nphi" for name in _SCALED], [f"phi\nof\n{name}" for name in _SCALED]
    table = plain_table(leave_out=("params", *of, *at_phi))
    table.add_column("net", no_wrap=True)
    for name in ("FLOPs", "params", *_SCALED, "phi", *at_phi, *of):
        table.add_column(name, justify="right", no_wrap=True)
    for r in released:
        counts = [engineering(value) for value in (r.macs, r.params)]
        own = (f"{r.depth:.1f}", f"{r.width:.1f}", str(r.resolution_px))
        phis = (f"{phi:.2f}" for phi in (r.phi, r.phi_depth, r.phi_width, r.phi_resolution))
        at = _at(r.multipliers, released[0].resolution_px)
        table.add_row(r.name.removeprefix("efficientnet_"), *counts, *own, next(phis), *at, *phis)
    return table


_SCALED = ("depth", "width", "px")


def _at(multipliers: Coefficients, native_px: int) -> tuple[str, str, str]:
    return f"{multipliers.alpha:.2f}", f"{multipliers.beta:.2f}", f"{native_px * multipliers.gamma:.0f}"
