"""The family that coefficients give: each member realized on its own target, and counted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from scalesearch.errors import InfeasibleError, UsageError, choice_error
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.families.efficientnet import MEMBERS, efficientnet_b
from scalesearch.networks.spec import DEPTH_RULES, DepthRule, NetworkSpec, round_widths
from scalesearch.scaling.answers.family import CountedNetwork, Released, ScaledFamily, ScaledMember
from scalesearch.scaling.coefficients import EFFICIENTNET, NOMINAL, Budget, Coefficients, Exponents, surface_product
from scalesearch.scaling.cost import closed_form
from scalesearch.scaling.cost.meter import CostMeter
from scalesearch.scaling.realize import MAX_RATIO, make_surface, realize
from scalesearch.scaling.units import meets

MAX_MEMBERS = 50
"""Largest family; more would be a curve, not a table."""

_RANGE = re.compile(r"\s*([+-]?\d+)\.\.([+-]?\d+)\s*")
_ALLOWED = "a number such as 0.5, a range of whole numbers such as 0..7, or several as 0,1,2"


def parse_phis(text: str) -> tuple[float, ...]:
    """Read compound coefficients as the command line writes them: in the order given, each one once.

    Raises:
        UsageError: not a number, a range with a fraction or that goes down, or more than `MAX_MEMBERS`.

    Example:
        >>> parse_phis("0..3"), parse_phis("0.5,2,2"), parse_phis("-1")
        ((0.0, 1.0, 2.0, 3.0), (0.5, 2.0), (-1.0,))
    """
    found: dict[float, None] = {}
    for part in text.split(","):
        found.update(dict.fromkeys(_phis(part, text)))
    if len(found) > MAX_MEMBERS:
        raise UsageError(f"phi {text!r} has {len(found)} members; allowed: {MAX_MEMBERS} or fewer")
    return tuple(found)


def _phis(part: str, text: str) -> tuple[float, ...]:
    if match := _RANGE.fullmatch(part):
        first, last = int(match[1]), int(match[2])
        if last < first:
            raise UsageError(f"phi {text!r} goes down from {first} to {last}; allowed: {_ALLOWED}")
        if last - first >= MAX_MEMBERS:
            raise UsageError(f"phi {text!r} has {last - first + 1} members; allowed: {MAX_MEMBERS} or fewer")
        return tuple(float(phi) for phi in range(first, last + 1))
    try:
        phi = float(part)
    except ValueError:
        phi = math.nan
    if not math.isfinite(phi):
        raise UsageError(f"phi {text!r} is not understood; allowed: {_ALLOWED}")
    return (phi + 0.0,)  # -0 is 0


@dataclass(frozen=True, slots=True)
class ScalingRequest:
    """What is scaled, and how.

    Attributes:
        baseline: with the depth rule asked for.
        coefficients: at phi = 1.
        origin: where the coefficients come from, in words.
        tolerance: allowed |cost / target - 1| of each member.
        largest: the highest cost that was searched; None where only phi says what was.
        currency: what targets are counted in: multiply-adds, parameters or activations.
        exponents: of the surface that the coefficients lie on.
        transfer: phi -> what `verify` found there for these coefficients.
        found: the network at phi = 1, where a study has found it; None where the coefficients alone say what it is.
    """

    baseline: Baseline
    task: Task
    coefficients: Coefficients
    origin: str
    tolerance: float = 0.02
    largest: float | None = None
    currency: str = "macs"
    exponents: Exponents = NOMINAL
    transfer: Mapping[float, str] = field(default_factory=dict)
    found: NetworkSpec | None = None

    @property
    def meter(self) -> CostMeter:
        """What a network costs in the currency."""
        return CostMeter(self.baseline, self.task, self.currency)

    def product(self, multipliers: Coefficients) -> float:
        """The cost of these multipliers as a multiple of the baseline's, by the surface."""
        return surface_product(multipliers, self.exponents)


def scale_family(question: ScalingRequest, phis: Sequence[float]) -> ScaledFamily:
    """Realize and count one member for each phi.

    Raises:
        InfeasibleError: a member over `MAX_RATIO` baselines, or under the smallest network of the family.
    """
    baseline, task = question.baseline, question.task
    for phi in phis:
        _check_size(question, phi)
    return ScaledFamily(
        base=baseline.name,
        coefficients=question.coefficients,
        ratio=question.product(question.coefficients),
        currency=question.currency,
        origin=question.origin,
        rules=baseline.rules,
        baseline=_sized(baseline, baseline.spec, task),
        members=tuple(_member(question, phi) for phi in phis),
        released=released_family() if baseline.name == "efficientnet_b0" else (),
    )


def _check_size(question: ScalingRequest, phi: float) -> None:
    """Before any power is taken: it could be too large for a float."""
    c = question.coefficients
    limit = math.log(MAX_RATIO) + 1e-9
    named = {"cost": question.product(c), "depth": c.alpha, "width": c.beta, "resolution": c.gamma}
    for name, value in named.items():
        if (size := phi * math.log(value)) > limit:
            power = size / math.log(10)
            times = f"{math.exp(size):.3g}" if size < 700 else f"10^{power:.0f}" if power < 1e9 else f"10^{power:.1e}"
            raise InfeasibleError(
                f"phi {phi:g} has {times}x the {name} of {question.baseline.name}; allowed: {MAX_RATIO:,.0f}x or less, "
                f"which is reached at phi {limit / math.log(value):.3g}"
            )


def _member(question: ScalingRequest, phi: float) -> ScaledMember:
    baseline, meter = question.baseline, question.meter
    multipliers = question.coefficients.at(phi)
    target = question.product(multipliers) * meter.cost(baseline.spec)
    spec, within = _on_target(question, multipliers, target if phi == 1 else None)
    plain = spec.with_channels(round_widths(baseline.spec, multipliers.beta, baseline.rules))
    beyond = question.largest is not None and target > question.largest * (1 + question.tolerance)
    return ScaledMember(
        phi=phi,
        multipliers=multipliers,
        currency=question.currency,
        target=target,
        network=_sized(baseline, spec, question.task),
        cost_before_repair=meter.cost(plain),
        within_tolerance=within,
        extrapolated=phi not in question.transfer and (beyond or not 0 <= phi <= 1),
        transfer=question.transfer.get(phi, ""),
    )


def _on_target(question: ScalingRequest, multipliers: Coefficients, searched: float | None) -> tuple[NetworkSpec, bool]:
    """The network on its target, and whether it meets it; multipliers of 1 are the baseline itself.

    Args:
        searched: the target at phi = 1, where the network may have been found already; None at every other phi.
    """
    if question.found is not None and searched is not None:
        return question.found, meets(question.meter.cost(question.found), searched, question.tolerance)
    if multipliers == Coefficients(1.0, 1.0, 1.0):
        return question.baseline.spec, True
    ratio = question.product(multipliers)
    surface = make_surface(
        question.baseline,
        question.task,
        Budget(f"{ratio:.4g}x", ratio, None),
        question.tolerance,
        meter=question.meter,
        exponents=question.exponents,
    )
    found = realize(surface, multipliers)
    return found.spec, found.within_tolerance


def _sized(baseline: Baseline, spec: NetworkSpec, task: Task) -> CountedNetwork:
    if isinstance(baseline, ClosedFormBaseline):
        cost = closed_form(baseline, spec, task)
        stages = tuple((stage.name, stage.macs) for stage in cost.stages)
        return CountedNetwork(spec, cost.macs, cost.fvcore_total, cost.params, cost.activations, stages)
    macs, params, activations = (baseline.amount(name, spec, task) for name in ("macs", "params", "activations"))
    return CountedNetwork(spec, macs, None, params, activations, ())


def released_family() -> tuple[Released, ...]:
    """EfficientNet-B0 to B7 as released, each beside the phi of the paper's coefficients that costs as much.

    Example:
        >>> b7 = released_family()[7]
        >>> round(b7.phi, 2), round(b7.multipliers.alpha, 2), b7.depth
        (7.02, 3.6, 3.1)
    """
    own = efficientnet_b(0).macs(efficientnet_b(0).spec, efficientnet_b(0).task)
    return tuple(_released(index, own) for index in range(len(MEMBERS)))


def _released(index: int, b0_macs: int) -> Released:
    member, baseline, paper = MEMBERS[index], efficientnet_b(index), EFFICIENTNET
    sized = _sized(baseline, baseline.spec, baseline.task)
    phi = _phi(sized.macs / b0_macs, surface_product(paper))
    return Released(
        name=baseline.name,
        depth=member.depth,
        width=member.width,
        resolution_px=member.resolution_px,
        macs=sized.macs,
        params=sized.params,
        phi=phi,
        multipliers=paper.at(phi),
        phi_depth=_phi(member.depth, paper.alpha),
        phi_width=_phi(member.width, paper.beta),
        phi_resolution=_phi(member.resolution_px / MEMBERS[0].resolution_px, paper.gamma),
    )


def _phi(multiple: float, base: float) -> float:
    return math.log(multiple) / math.log(base)


def with_rule(baseline: Baseline, rounding: str) -> Baseline:
    """The same baseline under another depth rule.

    Raises:
        UnknownNameError: no such rule.
    """
    if rounding not in DEPTH_RULES:
        raise choice_error("rounding rule", rounding, DEPTH_RULES)
    return replace(baseline, rules=replace(baseline.rules, depth_rule=cast(DepthRule, rounding)))
