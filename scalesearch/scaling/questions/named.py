"""Every named network, counted, beside its published figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Published
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.scaling.answers.named import NamedRow, PublishedFigures, beside_published
from scalesearch.scaling.cost import Cost, closed_form, count


def named_rows(
    names: Iterable[str] = (), *, check: bool = False, told: Callable[[str], None] = lambda name: None
) -> tuple[NamedRow, ...]:
    """Networks at their native resolution and with their own task, counted in closed form, each one once.

    Args:
        names: of baselines; none takes every named one.
        check: count each network again with fvcore, which runs it.
        told: called with the name of each network before fvcore counts it.

    Raises:
        UnknownNameError: no such baseline.
        ScaleSearchError: fvcore counts another number.
    """
    baselines = [get_baseline(name) for name in dict.fromkeys(names) or BASELINES]
    return tuple(_row(baseline, check, told) for baseline in baselines)


def _row(baseline: Baseline, check: bool, told: Callable[[str], None]) -> NamedRow:
    spec, task = baseline.spec, baseline.task
    closed = closed_form(baseline, spec, task) if isinstance(baseline, ClosedFormBaseline) else None
    macs, params, activations = (baseline.amount(name, spec, task) for name in ("macs", "params", "activations"))
    total = closed.fvcore_total if closed else None
    if check:
        told(baseline.name)
        counted = count(baseline, spec, task)
        _agree(baseline.name, macs, counted)
        total = counted.fvcore_total
    published = _published(baseline.published, macs, params) if baseline.published else None
    return NamedRow(baseline.name, spec.resolution_px, macs, total, params, activations, published, checked=check)


def _agree(name: str, macs: int, counted: Cost) -> None:
    """For families without a closed form; where there is one, `count` has compared every stage of it."""
    if macs != counted.macs:
        raise ScaleSearchError(f"{name}: {macs:,} multiply-adds without running it, but fvcore counts {counted.macs:,}")


def _published(figures: Published, macs: int, params: int) -> PublishedFigures:
    return PublishedFigures(
        params=beside_published(figures.params_text, params) if figures.params_text else None,
        macs=beside_published(figures.macs_text, macs) if figures.macs_text else None,
        top1_percent=figures.top1_percent,
        source=figures.source,
        note=figures.note,
    )
