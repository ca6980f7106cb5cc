"""What `scalesearch exponents` and `scalesearch space` print, in 80 columns; nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scalesearch.analysis.told import span
from scalesearch.report.layout import plain_table
from scalesearch.report.text import NONE, blocks, layer_heads
from scalesearch.scaling.answers.exponents import ExponentReport, Slope, Staircase
from scalesearch.scaling.answers.surface import BACKWARD, DepthRange, SpaceReport, Spread
from scalesearch.scaling.units import CURRENCIES, DIMENSIONS, amount, engineering, plural

LABELS = {"macs": "FLOPs", "params": "params", "activations": "activations", "latency": "latency"}
MOST_CHANGES = 24
"""Breakpoints of a depth rule that are listed."""
MOST_SIZES = 24
"""Efficient sizes that are listed; where more are efficient, every size is."""


def signed_percent(part: float | None) -> str:
    """A relative difference, with its sign.

    Example:
        >>> signed_percent(0.1437), signed_percent(-0.2), signed_percent(None)
        ('+14.4 %', '-20.0 %', '–')
    """
    return NONE if part is None else f"{100 * part:+z.1f} %"


def slope_text(slope: Slope) -> str:
    """An exponent with its standard error, and how far the networks lie from the law.

    Example:
        >>> slope_text(Slope(1.918, 0.0262, 0.029)), slope_text(Slope(0.0, 0.0, 0.0))
        ('1.92 ± 0.03 (2.9 %)', '0.00')
    """
    if slope.residual_sd == 0.0:
        return f"{slope.exponent:.2f}"
    return f"{slope.exponent:.2f} ± {slope.standard_error:.2f} ({100 * slope.residual_sd:.1f} %)"


def render_exponents(report: ExponentReport) -> Group:
    """Exponents, then the sizes of the image at which nothing is wasted."""
    return Group(*_exponent_parts(report))


def _exponent_parts(report: ExponentReport) -> Iterator[RenderableType]:
    yield Text(f"{report.base}: how cost answers to each multiplier", style="bold")
    yield _exponents_table(report)
    multipliers = report.sweep("macs", "depth").multipliers
    yield Text(
        "cost = depth^a * width^b * resolution^c, fitted to rounded networks, one dimension at a time, "
        f"{len(multipliers)} multipliers from {multipliers[0]:g} to {multipliers[-1]:g}. ± standard error; "
        "in brackets how far the networks lie from the fit. The paper's nominal exponents are 1, 2 and 2.",
        style="dim",
    )
    if report.timing:
        timing = report.timing
        yield Text(
            f"Latency: {timing.networks} networks on {timing.device}, batch of {timing.batch_size}, each the median of "
            f"{timing.repeats} repeats or more; their quartiles are {100 * timing.spread:.0f} % of the median apart, "
            f"{100 * timing.worst_spread:.0f} % at worst.",
            style="dim",
        )
    yield Text()
    yield from _staircase_parts(report.base, report.staircase)


def _exponents_table(report: ExponentReport) -> Table:
    table = plain_table()
    table.add_column("cost", no_wrap=True)
    for dimension in DIMENSIONS:
        table.add_column(dimension, no_wrap=True)
    for quantity in report.quantities:
        cells = (slope_text(report.sweep(quantity, dimension).slope) for dimension in DIMENSIONS)
        table.add_row(LABELS[quantity], *cells)
    return table


def _staircase_parts(base: str, stairs: Staircase) -> Iterator[RenderableType]:
    low, high = stairs.steps[0][0], stairs.steps[-1][0]
    yield Text(f"Efficient sizes from {low} to {high} px", style="bold")
    efficient = stairs.efficient_px
    if stairs.stride_px is None:
        yield Text("None can be told: at no stride do all feature maps divide evenly.")
        return
    if len(efficient) > MOST_SIZES or len(efficient) == len(stairs.steps):
        yield Text(f"Every size that {base} runs at: {len(stairs.steps)} of them, none pads or cuts a feature map.")
        return
    yield _sizes_table(stairs)
    yield Text(f"Multiples of {stairs.stride_px} px, where every feature map divides evenly. {native_text(stairs)}")


def _sizes_table(stairs: Staircase) -> Table:
    table = plain_table()
    for name in ("px", "FLOPs", "next size costs"):
        table.add_column(name, justify="right", no_wrap=True)
    macs = dict(stairs.steps)
    for px in stairs.efficient_px:
        style = "bold" if px == stairs.native_px else ""
        table.add_row(str(px), engineering(macs[px]), signed_percent(stairs.next_step(px)), style=style)
    return table


def native_text(stairs: Staircase) -> str:
    """What the native size pays beyond its need, or leaves out."""
    native, waste = stairs.native_px, stairs.waste(stairs.native_px)
    if waste is None or native in stairs.efficient_px:
        return f"The native {native} px is one."
    if waste < 0:
        return f"The native {native} px is not: some of its pixels are cut off."
    return f"The native {native} px is not: it costs {100 * waste:.1f} % more than maps that divide evenly would."


def render_space(report: SpaceReport) -> Group:
    """The networks of a budget, the references among them, the depth rules, and what a study would compute."""
    return Group(*_space_parts(report))


def _space_parts(report: SpaceReport) -> Iterator[RenderableType]:
    target = f"{engineering(report.target)} FLOPs (multiply-adds)"
    if report.currency != "macs":
        target = amount(report.target, report.currency)
    rule = f", depth rule {report.rounding}" if report.rules else ""
    yield Text(f"{report.base} at {report.budget}: {target}{rule}", style="bold")
    for note in report.notes:
        yield Text(f"{note}.", style="yellow")
    if report.is_baseline:
        yield Text(
            "This is the baseline's own cost: the baseline is the only network, and there is nothing to share out."
        )
    else:
        yield Text(coincidence(report))
        yield _costs_table(report)
        limits = sorted({0.01, 0.02, report.tolerance})
        first, *rest = ((f"{100 * report.within(limit):.1f} %", f"within {100 * limit:g} %") for limit in limits)
        others = "".join(f", {share} {limit}" for share, limit in rest)
        yield Text(f"Of the networks, {first[0]} are {first[1]} of the budget{others}.")
        yield Text()
        yield _references_table(report)
        if report.rules:
            yield Text("Tables of blocks that each depth rule makes as alpha grows", style="bold")
            yield _rules_table(report)
    yield Text(study_text(report))


def coincidence(report: SpaceReport) -> str:
    """How many points are how many networks, and the largest set of coefficients that is one network."""
    largest = report.networks[0]
    found = f"{len(report.points)} points of alpha * beta^2 * gamma^2 = {report.ratio:.4g} are"
    if len(largest.points) == 1:
        return f"{found} as many networks: no two coincide."
    ranges = ", ".join(f"{name} {span(largest.range_of(name))}" for name in ("alpha", "beta", "gamma"))
    depth = f"{blocks(largest.spec)} blocks" if largest.spec.unit == "block" else f"depth {blocks(largest.spec)}"
    networks = plural(len(report.networks), "network")
    return (
        f"{found} {networks}. The most that are one: {len(largest.points)} points with {ranges}, all of them "
        f"{depth} at {largest.spec.resolution_px} px."
    )


def _costs_table(report: SpaceReport) -> Table:
    table = plain_table()
    table.add_column(f"{CURRENCIES[report.currency].short} in baselines", no_wrap=True)
    for name in ("least", "median", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    rows: tuple[tuple[str, Spread], ...] = (
        ("plain rounding", report.before),
        ("networks that there are" if report.enumerated else "channels repaired", report.after),
    )
    for label, cost in rows:
        table.add_row(label, *(_baselines(value) for value in (cost.least, cost.median, cost.most)))
    return table


def _baselines(cost: float) -> str:
    """A cost in baselines; a dash where a user's code does not run."""
    return "–" if math.isnan(cost) else f"{cost:.3f}"


def _references_table(report: SpaceReport) -> Table:
    head = layer_heads(network.spec for _, network in report.references.values())[0]
    table = plain_table(leave_out=("plain", head, "repaired"))
    table.add_column("reference", no_wrap=True)
    for name in ("alpha", "beta", "gamma"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(head)
    for name in ("px", "plain", "repaired"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, (point, network) in report.references.items():
        c, spec = point.coefficients, network.spec
        numbers = (f"{value:.3f}" for value in (c.alpha, c.beta, c.gamma))
        costs = (_baselines(point.before), _baselines(network.after))
        called = f"near {name}" if name in report.near else name
        table.add_row(called, *numbers, blocks(spec), str(spec.resolution_px), *costs)
    return table


def _rules_table(report: SpaceReport) -> Table:
    table = plain_table()
    table.add_column("rule", no_wrap=True)
    table.add_column("tables", justify="right", no_wrap=True)
    table.add_column("changes at alpha")
    for rule, ranges in report.rules.items():
        table.add_row(rule, str(len(ranges)), changes(ranges), style="bold" if rule == report.rounding else "")
    return table


def changes(ranges: Sequence[DepthRange]) -> str:
    """Where one table of blocks gives way to the next."""
    found = [f"{before.alpha[1]:.2f}" for before in ranges[:-1]]
    shown = " ".join(found[:MOST_CHANGES])
    hidden = len(found) - MOST_CHANGES
    return f"{shown} and {hidden} more" if hidden > 0 else shown or NONE


def study_text(report: SpaceReport) -> str:
    """The multiply-adds of a study; the time they take is another question."""
    study = report.study
    networks = f"{plural(study.networks, 'network')} and the baseline" if study.networks else "The baseline"
    return (
        f"A study: {networks} x {plural(study.seeds, 'seed')} = {plural(study.trainings, 'training')} of "
        f"{plural(study.epochs, 'epoch')} on "
        f"{study.images:,} images, {study.macs:.2g} multiply-adds (a training step as {BACKWARD} forward passes). "
        "How long that takes on this machine, `run` measures before it trains."
    )
