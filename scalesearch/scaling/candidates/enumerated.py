"""Depths x widths x resolutions that can be built, near the budget and near the surface, each at its own shares.

A dimension's part of the log-cost is what it costs alone, as counted. Together the parts say nearly what a network
costs, so that only networks likely to be near the budget are built and counted, and none is kept that was not.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from scalesearch.errors import BaseError, InfeasibleError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.candidates.axis import Step
from scalesearch.scaling.candidates.dimensions import NARROWER, UNFELT, Axes, DimensionProbe, axes
from scalesearch.scaling.candidates.tolerance import TOLERANCES
from scalesearch.scaling.coefficients import Shares, distance
from scalesearch.scaling.realize import GOAL, BudgetSurface, EnumeratedNetwork, fit_channels, skeleton_map
from scalesearch.scaling.units import meets

SKELETONS, FAR_SKELETONS = 40, 120
"""Pairs of depth and resolution whose widths are looked for; of more, the ones farthest apart. The second where too few
networks lie within the triangle: steps that coarse give few pairs."""

LOOKS = 6
"""Widths that are counted for one pair before it is given up."""

ALIKE = 0.03
"""Log-costs of two widths of one pair that are nearer than this: the one that meets the budget better is kept."""

TWIN = 1e-4
"""Places that are nearer than this are one."""

SKELETON_POINTS = 66


def enumerated(surface: BudgetSurface, beyond: float = NARROWER) -> tuple[BudgetSurface, tuple[str, ...]]:
    """The surface with its members: the networks within the largest tolerance that could be found.

    The largest is the last of `TOLERANCES`, or the surface's own where that is wider.

    Args:
        beyond: part of the log-budget by which a network may lie outside of the triangle: `NARROWER` or `FAR`.

    Returns:
        The surface, and why networks were left out that do not run.
    """
    probe = DimensionProbe(surface, beyond)
    functions = surface.baseline.spec.unit == "thousandth"
    found = list(_of_function(probe) if functions else _of_stages(probe))
    unique = {member.spec: member for member in found}
    ordered = sorted(unique.values(), key=lambda m: (m.outside, abs(m.cost / surface.target - 1), m.spec))
    return replace(surface, members=tuple(apart(ordered))), tuple(dict.fromkeys(probe.refused))


def apart(members: Sequence[EnumeratedNetwork]) -> Iterator[EnumeratedNetwork]:
    """The members, those at one place moved towards the centre by too little to see, so that each has a place.

    Two resolutions may both be "all on resolution" and meet the budget from two sides.

    Args:
        members: the first of a place stays there.
    """
    taken: list[Shares] = []
    for member in members:
        place, shift = member.shares, 0.0
        while any(distance(place, other) < TWIN**2 for other in taken):
            shift += 2 * TWIN
            parts = (member.shares.depth, member.shares.width, member.shares.resolution)
            place = Shares(*(part + shift * (1 / 3 - part) for part in parts))
        taken.append(place)
        yield replace(member, shares=place)


def _near(surface: BudgetSurface, cost: float | None) -> bool:
    return cost is not None and meets(cost, surface.target, max(TOLERANCES[-1], surface.tolerance))


def own_shares(parts: Sequence[float], total: float, beyond: float = NARROWER) -> tuple[Shares, float] | None:
    """The place of a network whose dimensions have these parts of the log-cost; None when it is far off the triangle.

    Args:
        parts: of depth, width and resolution.
        total: log of the budget in baselines.
        beyond: how far off it may be.

    Returns:
        The place, on an edge where it would be beyond it, and by how much it would be.

    Example:
        >>> own_shares((0.75, -0.25, 0.5), 1.0)
        (Shares(depth=0.6, width=0.0, resolution=0.4), 0.25)
        >>> own_shares((1.2, -0.5, 0.0), 0.69) is None
        True
    """
    scaled = [part / total for part in parts]
    if min(scaled) < -beyond or sum(scaled) <= 0:
        return None
    kept = [max(0.0, part) for part in scaled]
    return Shares(*(part / sum(kept) for part in kept)), sum(max(0.0, -part) for part in scaled)


def _of_function(probe: DimensionProbe) -> Iterator[EnumeratedNetwork]:
    surface = probe.surface
    found, total = axes(probe), math.log(surface.ratio)
    for depth, size in _pairs(found, total, probe.beyond):
        for width, cost, part in _widths(probe, found.widths, depth, size):
            parts = depth.part + depth.unfelt, part - depth.unfelt - size.unfelt, size.part + size.unfelt
            place = own_shares(parts, total, probe.beyond)
            if place is not None and _near(surface, cost):
                yield EnumeratedNetwork(_spec(surface, depth, width, size), cost, *place)


def _spec(surface: BudgetSurface, depth: Step, width: int, size: Step) -> NetworkSpec:
    return replace(surface.baseline.spec, depths=(depth.value,), widths=(width,), resolution_px=size.value)


def _pairs(found: Axes, total: float, beyond: float) -> list[tuple[Step, Step]]:
    """Pairs of depth and resolution that leave something for the width; of many, the ones farthest apart."""
    least, most = found.widths[0].part / total, found.widths[-1].part / total
    low, high = min(least, most), max(least, most)
    pairs = {}
    for depth, size in itertools.product(found.depths, found.sizes):
        left = 1 - (depth.part + size.part) / total
        deep, large = (depth.part + depth.unfelt) / total, (size.part + size.unfelt) / total
        if low - beyond <= left <= high + beyond and 1 - deep - large >= -beyond:
            pairs[depth, size] = Shares(deep, 1 - deep - large, large)
    return _farthest(pairs, SKELETONS if beyond <= NARROWER else FAR_SKELETONS)


def _farthest(pairs: dict[tuple[Step, Step], Shares], most: int) -> list[tuple[Step, Step]]:
    if len(pairs) <= most:
        return list(pairs)
    left = dict(pairs)
    chosen: list[tuple[Step, Step]] = []
    corners = (Shares(1.0, 0.0, 0.0), Shares(0.0, 1.0, 0.0), Shares(0.0, 0.0, 1.0), Shares(1 / 3, 1 / 3, 1 / 3))
    for corner in corners:
        nearest = min(left, key=lambda pair: distance(left[pair], corner))
        chosen.append(nearest)
        del left[nearest]
    gaps = {pair: min(distance(place, pairs[c]) for c in chosen) for pair, place in left.items()}
    while len(chosen) < most:
        farthest = max(gaps, key=gaps.__getitem__)
        del gaps[farthest]
        chosen.append(farthest)
        gaps = {pair: min(gap, distance(pairs[pair], pairs[farthest])) for pair, gap in gaps.items()}
    return chosen


def _widths(
    probe: DimensionProbe, widths: Sequence[Step], depth: Step, size: Step
) -> Iterator[tuple[int, float, float]]:
    """Widths of one pair on both sides of the target, as (width, cost, part of the width): counted, near or not."""
    surface, target = probe.surface, probe.surface.target
    parts = [width.part for width in widths]
    wanted = math.log(surface.ratio) - depth.part - size.part
    costs: dict[int, float] = {}
    index = _closest(parts, wanted)
    for _ in range(LOOKS):
        cost = probe.cost(_spec(surface, depth, widths[index].value, size))
        if cost is None:
            break
        costs[index] = cost
        missing = math.log(target / cost)
        beside = index + (1 if missing > 0 else -1)
        aim = _closest(parts, parts[index] + missing)
        index = aim if aim not in costs else beside
        if index in costs or not 0 <= index < len(widths):
            break
    found = {widths[i].value: (cost, parts[i]) for i, cost in costs.items()}
    finer = _between(probe, widths, costs, depth, size)
    best = min(finer, key=lambda width: abs(finer[width][0] / target - 1), default=None)
    if best is not None and abs(finer[best][0] / target - 1) <= GOAL * TOLERANCES[0]:
        found, finer = {}, {best: finer[best]}  # steps this fine meet the budget: one network stands for the pair
    yield from _distinct(found | finer, target)


def _distinct(found: dict[int, tuple[float, float]], target: float) -> Iterator[tuple[int, float, float]]:
    """The width nearest to the target, and those that cost clearly something else: of fine steps one stands for all."""
    kept: list[float] = []
    for width in sorted(found, key=lambda width: (abs(found[width][0] / target - 1), width)):
        cost, part = found[width]
        if all(abs(math.log(cost / other)) >= ALIKE for other in kept):
            kept.append(cost)
            yield width, cost, part


def _closest(parts: Sequence[float], wanted: float) -> int:
    above = min(bisect_left(parts, wanted), len(parts) - 1)
    below = max(above - 1, 0)
    return above if abs(parts[above] - wanted) <= abs(parts[below] - wanted) else below


def _between(
    probe: DimensionProbe, widths: Sequence[Step], costs: dict[int, float], depth: Step, size: Step
) -> dict[int, tuple[float, float]]:
    """Finer widths between the two that enclose the target, where there are any: by interpolation, a few looks."""
    surface = probe.surface
    below = [i for i, cost in costs.items() if cost <= surface.target and costs.get(i + 1, 0.0) > surface.target]
    if not below or not widths[below[0]].splits:
        return {}
    low, high = widths[below[0]], widths[below[0] + 1]
    ends = [(low.value, costs[below[0]]), (high.value, costs[below[0] + 1])]
    found: dict[int, tuple[float, float]] = {}
    for _ in range(3):
        (left, cheap), (right, dear) = ends
        # By the secant in log-cost, kept off the ends: cost goes in steps, and a secant may stand still at one.
        share = math.log(surface.target / cheap) / math.log(dear / cheap)
        width = round(left + min(0.9, max(0.1, share)) * (right - left))
        cost = None if width in (left, right) else probe.cost(_spec(surface, depth, width, size))
        if cost is None:
            break
        part = low.part + (high.part - low.part) * (width - low.value) / (high.value - low.value)
        found[width] = (cost, part)
        if abs(cost / surface.target - 1) <= GOAL * TOLERANCES[0]:
            break
        ends = [(width, cost), ends[1]] if cost <= surface.target else [ends[0], (width, cost)]
        if ends[0][1] >= ends[1][1]:
            break
    return found


def _of_stages(probe: DimensionProbe) -> Iterator[EnumeratedNetwork]:
    """Every table of depths and every resolution of the surface, with the channels that meet the budget best."""
    surface, spec = probe.surface, probe.surface.baseline.spec
    total, own = math.log(surface.ratio), surface.meter.cost(spec)
    for skeleton in list(skeleton_map(surface, SKELETON_POINTS))[:SKELETONS]:
        try:
            found = surface._widths.get(skeleton) or fit_channels(surface, skeleton)
        except (BaseError, InfeasibleError) as error:
            probe.refused.append(str(error))
            continue
        alone = (
            replace(spec, depths=found.depths),
            spec.with_channels(found.channels),
            replace(spec, resolution_px=found.resolution_px),
        )
        costs = [probe.cost(one) for one in alone]
        cost = probe.cost(found)
        if cost is None or not _near(surface, cost) or any(c is None for c in costs):
            continue
        depth, width, size = (math.log((c or own) / own) for c in costs)
        if abs(size) < UNFELT:  # the currency does not answer to the resolution: its place is the nominal one
            size = surface.exponents.resolution * math.log(found.resolution_px / spec.resolution_px)
            width -= size
        place = own_shares((depth, width, size), total)
        if place is not None:
            yield EnumeratedNetwork(found, cost, *place)
