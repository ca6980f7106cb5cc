"""Sizes of images that a user's network steps over: where it takes coarse steps, which do not run, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.user.baseline import first_step
from scalesearch.networks.user.function import UserBaseline
from scalesearch.scaling.coefficients import Budget
from scalesearch.search.check_base.found import Finding
from scalesearch.user_code.importing import one_line

NAMED, REASONS = 6, 3
"""How many sizes are named for each reason, and how many reasons."""


def skipped_sizes(baseline: UserBaseline, task: Task) -> dict[int, str]:
    """The sizes between the native one and one step up that do not run, and what each says.

    Every size on the finest step that a search would try is run on shapes alone.
    """
    native, step = baseline.spec.resolution_px, baseline.rules.resolution_step_px
    finest, found = first_step(native), dict[int, str]()
    for px in range(native + finest, native + step, finest):
        try:
            baseline.shapes(replace(baseline.spec, resolution_px=px), task)
        except ScaleSearchError as error:
            found[px] = one_line(_first_cause(error))
    return found


def _first_cause(error: BaseException) -> BaseException:
    """What the network itself said."""
    return error if error.__cause__ is None else _first_cause(error.__cause__)


def _told(skipped: Mapping[int, str]) -> str:
    """The sizes with their reasons; those that differ in their numbers alone are one.

    Example:
        >>> _told({22: "size 5", 24: "no 24", 26: "size 6"})
        '22, 26 px (size 5); 24 px (no 24)'
    """
    alike: dict[str, list[int]] = {}
    for px, reason in skipped.items():
        alike.setdefault(re.sub(r"\d+", "#", reason), []).append(px)
    told = []
    for sizes in [*alike.values()][:REASONS]:
        more = f" and {len(sizes) - NAMED} more" if len(sizes) > NAMED else ""
        told.append(f"{', '.join(map(str, sizes[:NAMED]))}{more} px ({skipped[sizes[0]]})")
    return "; ".join(told)


def skipped_findings(baseline: Baseline, task: Task, budget: Budget) -> Iterator[Finding]:
    """What is stepped over, where the next size costs more than the budget, which leaves resolution nothing."""
    if not isinstance(baseline, UserBaseline) or budget.kind not in (None, "count"):
        return
    native, step = baseline.spec.resolution_px, baseline.rules.resolution_step_px
    try:
        own, larger = (baseline.macs(replace(baseline.spec, resolution_px=px), task) for px in (native, native + step))
    except ScaleSearchError:
        return  # no step runs, which is a finding of its own
    if not own < budget.target(own) < larger or not (skipped := skipped_sizes(baseline, task)):
        return
    yield Finding(
        "warning",
        "resolution",
        f"the next size over {native} px is {native + step} px, which alone costs {larger / own:.1f}x: at "
        f"{budget.text} nothing is spent on resolution. It does not run at {_told(skipped)}",
    )
