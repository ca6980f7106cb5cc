"""Whether cost answers to depth, width and resolution, how finely a budget can be met, and who counts what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.shapes import Amounts, count_shapes
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.function import UserBaseline
from scalesearch.scaling.candidates import ENOUGH, FEWEST, near, tells_no_steps
from scalesearch.scaling.coefficients import REFERENCES, Coefficients, lattice_with, parse_budget
from scalesearch.scaling.cost import count_agreement, uncounted_note
from scalesearch.scaling.cost.agreement import listed_operators
from scalesearch.scaling.realize import BudgetSurface, make_surface, realize, round_spec
from scalesearch.scaling.units import DIMENSIONS
from scalesearch.search.check_base.found import BudgetFit, BudgetPoint, Finding, Level, agreed

MULTIPLIERS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
BUDGET, LATTICE_POINTS, TOLERANCE = "2x", 21, 0.02
FEW_DEPTHS = 3
"""Distinct depths between 1 and 2, the ends included, under which depth is too coarse to be searched."""


def shapes(baseline: Baseline, spec: NetworkSpec, task: Task) -> Amounts:
    """Cost and output of one image, from shapes alone.

    Raises:
        BaseError, InfeasibleError: it cannot be built, or does not run.
    """
    if isinstance(baseline, UserBaseline):
        return baseline.shapes(spec, task)
    return count_shapes(lambda: baseline.build(spec, task), spec.resolution_px, task.in_channels)


def scaled_alone(baseline: Baseline, depth: float = 1.0, width: float = 1.0, resolution: float = 1.0) -> NetworkSpec:
    """The baseline scaled by plain rounding, without repair."""
    spec = round_spec(baseline.spec, Coefficients(depth, width, resolution), baseline.rules)
    return replace(spec, depths=baseline.depths(depth))


class Sweeps:
    """The networks of each dimension, scaled alone; what fails is kept with its reason."""

    def __init__(self, baseline: Baseline, task: Task) -> None:
        self.baseline, self.task = baseline, task
        self.points: dict[tuple[str, float], BudgetPoint] = {}
        self.failed: dict[tuple[str, float], str] = {}
        for dimension, multiplier in itertools.product(DIMENSIONS, MULTIPLIERS):
            try:
                self.points[dimension, multiplier] = self._point(dimension, multiplier)
            except ScaleSearchError as error:
                self.failed[dimension, multiplier] = str(error)

    def _point(self, dimension: str, multiplier: float) -> BudgetPoint:
        at = {name: multiplier if name == dimension else 1.0 for name in DIMENSIONS}
        spec = scaled_alone(self.baseline, **at)
        found = shapes(self.baseline, spec, self.task)
        macs, params = found.macs, found.params
        return BudgetPoint(at["depth"], at["width"], spec.resolution_px, macs, params, found.output)

    @property
    def distinct(self) -> tuple[BudgetPoint, ...]:
        """Every point once; the unscaled network is in all three sweeps."""
        return tuple(dict.fromkeys(self.points.values()))

    def along(self, dimension: str) -> dict[float, BudgetPoint]:
        """Multiplier -> point of one dimension."""
        return {multiplier: point for (name, multiplier), point in self.points.items() if name == dimension}

    def reasons(self, dimension: str) -> dict[str, Level]:
        """Why networks of one dimension fail, each reason once, and how much that matters: below 1 less."""
        found: dict[str, Level] = {}
        for (name, multiplier), reason in self.failed.items():
            if name == dimension and (multiplier >= 1 or reason not in found):
                found[reason] = "warning" if multiplier < 1 else "problem"
        return found

    def ignored(self, dimension: str) -> bool:
        """Whether the cost is the same at every multiplier that runs, some above 1 among them."""
        points = self.along(dimension)
        return bool(points) and max(points) > 1 and len({point.macs for point in points.values()}) == 1

    def told_ignored(self, dimension: str) -> str:
        """That a dimension changes nothing, in words."""
        points = self.along(dimension)
        cost = f"{points[min(points)].macs:,}"
        return f"{dimension} is ignored: {cost} multiply-adds at every value from {min(points):g} to {max(points):g}"


def ignored_words(baseline: Baseline, task: Task) -> str:
    """The arguments of a user's function on which nothing can be spent, in words.

    Returns:
        Empty where every argument changes the cost, and of a baseline that is no user's.
    """
    if not isinstance(baseline, UserBaseline):
        return ""
    sweeps = Sweeps(baseline, task)
    found = [sweeps.told_ignored(dimension) for dimension in DIMENSIONS if sweeps.ignored(dimension)]
    return f"{'; '.join(found)}: nothing can be spent on {'it' if len(found) == 1 else 'them'}" if found else ""


def output_findings(sweeps: Sweeps) -> Iterator[Finding]:
    """The shape of the output at every point."""
    wanted = (1, sweeps.task.num_classes)
    wrong = [point for point in sweeps.distinct if point.output != wanted]
    right = f"one image gives logits of shape {list(wanted)} at all {len(sweeps.distinct)} networks that were tried"
    if not wrong:
        yield Finding("ok", "output", right)
        return
    point = wrong[0]
    shape = "no tensor" if point.output is None else f"shape {list(point.output)}"
    where = f"at depth {point.depth:g}, width {point.width:g}, {point.resolution} px"
    yield Finding("problem", "output", f"one image gives {shape} {where}; wanted: {list(wanted)}")


def dimension_findings(sweeps: Sweeps, dimension: str) -> Iterator[Finding]:
    """Whether one dimension works everywhere, changes the cost, and never makes it smaller."""
    points = sweeps.along(dimension)
    failed = sweeps.reasons(dimension)
    for reason, level in failed.items():
        yield Finding(level, dimension, reason)
    if len(points) < 2:
        return
    macs = {multiplier: point.macs for multiplier, point in points.items()}
    ends = f"from {min(macs):g} to {max(macs):g}"
    if sweeps.ignored(dimension):
        yield Finding("problem", dimension, sweeps.told_ignored(dimension))
        return
    falls = next(((low, high) for low, high in itertools.pairwise(macs) if macs[high] < macs[low]), None)
    if falls:
        low, high = falls
        text = f"the cost falls from {macs[low]:,} at {dimension} {low:g} to {macs[high]:,} at {high:g}"
        yield Finding("problem", dimension, f"{text}; wanted: cost that does not fall")
        return
    own = macs.get(1.0) or 1
    span = f"{macs[min(macs)] / own:.2f}x to {macs[max(macs)] / own:.2f}x"
    text = f"the cost goes {span} for {dimension} {ends}, and never falls"
    yield Finding("ok", dimension, text + _sizes(sweeps, dimension))
    if dimension == "depth":
        try:
            yield from _depth_grain(sweeps.baseline)
        except ScaleSearchError as error:
            if str(error) not in failed:
                raise


def _sizes(sweeps: Sweeps, dimension: str) -> str:
    if dimension != "resolution":
        return ""
    rules = sweeps.baseline.rules
    return f"; images of {rules.min_resolution_px} px and more, in steps of {rules.resolution_step_px} px"


def _depth_grain(baseline: Baseline) -> Iterator[Finding]:
    """How many networks depth alone gives between 1 and 2."""
    found = {baseline.depths(1 + step / 30) for step in range(31)}
    text = f"{len(found)} distinct depths between 1 and 2"
    hint = "; with more of them depth can be searched, as in sharing round(6 * depth) blocks over the stages"
    yield agreed("depth", len(found) >= FEW_DEPTHS, text, f"only {text}{hint}", "warning")


def budget_fit(baseline: Baseline, task: Task, budget: str = BUDGET, tolerance: float = 0.0) -> BudgetFit:
    """How closely a budget is met all over its surface.

    Args:
        tolerance: allowed miss; 0 takes 2 %, or what leaves enough networks where they are few.

    Raises:
        ScaleSearchError: a network of the surface cannot be built or run.
    """
    allowed = tolerance or TOLERANCE
    surface = make_surface(baseline, task, parse_budget(budget), allowed)
    if tells_no_steps(surface):
        return _enumerated_fit(surface, budget, tolerance)
    found = [realize(surface, surface.coefficients(shares)) for shares in lattice_with(LATTICE_POINTS)]
    misses = [abs(candidate.residual) for candidate in found]
    return BudgetFit(
        budget=budget,
        points=len(found),
        tolerance=allowed,
        within_tolerance=sum(miss <= allowed for miss in misses) / len(misses),
        networks=len({candidate.spec for candidate in found}),
        within_1_percent=sum(miss <= 0.01 for miss in misses) / len(misses),
        within_2_percent=sum(miss <= 0.02 for miss in misses) / len(misses),
        largest_miss=max(misses),
        largest_miss_before=max(abs(c.cost_before_repair / c.target - 1) for c in found),
    )


def _enumerated_fit(surface: BudgetSurface, budget: str, tolerance: float) -> BudgetFit:
    """The networks that there are, where only trying shows them."""
    found = near(surface, tolerance)
    candidates = [realize(found.surface, surface.coefficients(s)) for s in REFERENCES.values() if found.surface.members]
    misses = [abs(member.cost / surface.target - 1) for member in found.surface.members]
    return BudgetFit(
        budget=budget,
        points=len(misses),
        networks=len(misses),
        within_1_percent=sum(miss <= 0.01 for miss in misses) / max(1, len(misses)),
        within_2_percent=sum(miss <= 0.02 for miss in misses) / max(1, len(misses)),
        largest_miss=max(misses, default=0.0),
        largest_miss_before=max(
            (abs(c.cost_before_repair / c.target - 1) for c in candidates if math.isfinite(c.cost_before_repair)),
            default=0.0,
        ),
        within=found.within,
        refused=found.refused,
    )


def _enumerated_findings(fit: BudgetFit) -> Iterator[Finding]:
    each = ", ".join(f"{count} within {100 * tolerance:g} %" for tolerance, count in fit.within)
    text = f"networks that can be built near {fit.budget}: {each}; their largest miss is {100 * fit.largest_miss:.1f} %"
    hint = (
        "; depth, width or resolution come in coarse steps; what helps: widths in smaller multiples, more blocks to "
        "share out, a resolution with finer steps, or stages()"
    )
    enough = fit.networks >= ENOUGH
    level: Level = "ok" if enough else "warning" if fit.networks >= FEWEST else "problem"
    yield Finding(level, "budget", text if enough else text + hint)
    if fit.refused:
        yield Finding("warning", "budget", f"some sizes near {fit.budget} do not run: {fit.refused[0]}")


def budget_findings(fit: BudgetFit, unit: str) -> Iterator[Finding]:
    """What the fit means: a network off the budget is never trained.

    Args:
        unit: of the baseline's spec, which says what can be moved.
    """
    if fit.within:
        yield from _enumerated_findings(fit)
        return
    met, closely = (round(part * fit.points) for part in (fit.within_tolerance, fit.within_1_percent))
    text = (
        f"{fit.budget} is met within {100 * fit.tolerance:g} % at {met} of {fit.points} points (within 1 % at "
        f"{closely}), by {fit.networks} networks; the largest miss is {100 * fit.largest_miss:.1f} %, and "
        f"{100 * fit.largest_miss_before:.0f} % by plain rounding"
    )
    if met == fit.points:
        yield Finding("ok", "budget", text)
        return
    finer = (
        "a smaller divisor" if unit == "block" else "more channels early in the network, multiples of 1, or stages()"
    )
    hint = f"; networks off the budget are not trained, what helps: {finer}"
    yield Finding("problem" if met < fit.points / 2 else "warning", "budget", text + hint)


def count_findings(baseline: Baseline, task: Task) -> Iterator[Finding]:
    """Whether fvcore, which runs the network, counts what shapes tell, and what neither counts."""
    found = count_agreement(baseline, baseline.spec, task)
    yield agreed(
        "count",
        found.shapes == found.fvcore,
        f"fvcore counts {found.fvcore:,} multiply-adds, and so do the shapes",
        f"{found.difference()}; networks are fitted to the budget by their shapes, and held against it by fvcore",
        "warning" if found.within(TOLERANCE) else "problem",
    )
    if note := uncounted_note(found):
        yield Finding("warning", "operators", note)
    if found.cheap:
        text = f"not counted, because they cost a few operations an element: {listed_operators(found.cheap)}"
        yield Finding("ok", "operators", text)
    if not (found.costly or found.cheap):
        yield Finding("ok", "operators", "every operator was counted")
