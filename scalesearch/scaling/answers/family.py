"""The family that coefficients give, one network for each phi, and where its blocks and its cost come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scalesearch.networks.spec import NetworkSpec, RoundingRules, spec_to_dict
from scalesearch.scaling.coefficients import Coefficients


@dataclass(frozen=True, slots=True)
class CountedNetwork:
    """A network and its cost for one image.

    Attributes:
        fvcore_total: multiply-adds with what fvcore adds; None where the family has no closed form.
        stages: multiply-adds by stage; empty where the family has no closed form.
    """

    spec: NetworkSpec
    macs: int
    fvcore_total: int | None
    params: int
    activations: int
    stages: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ScaledMember:
    """The network of one phi.

    Attributes:
        multipliers: of depth, width and resolution: alpha, beta and gamma to the power phi.
        target: the baseline's cost times the product of the surface (alpha * beta^2 * gamma^2 by default) to the power
            phi, in `currency`.
        network: rounded, and its channels moved until it meets the target.
        cost_before_repair: after plain rounding.
        within_tolerance: whether `network` meets the target.
        extrapolated: whether nothing was searched that large (or that small), or verified there.
        transfer: what `verify --phi` found there: `leads`, `not shown otherwise` or `no longer leads`; empty when it
            has not been run.
    """

    phi: float
    multipliers: Coefficients
    currency: str
    target: float
    network: CountedNetwork
    cost_before_repair: float
    within_tolerance: bool
    extrapolated: bool
    transfer: str = ""

    @property
    def cost(self) -> int:
        """In `currency`: one of the counts of `network`."""
        return int(getattr(self.network, self.currency))

    @property
    def residual(self) -> float:
        """Signed relative miss of the target: cost / target - 1."""
        return self.cost / self.target - 1.0


@dataclass(frozen=True, slots=True)
class Released:
    """A released network of the EfficientNet family, and which phi of the paper's coefficients it is.

    Attributes:
        depth: multiplier from B0 in the official code; the same for `width`.
        phi: at which B0's multiply-adds times the nominal product are the network's own.
        multipliers: alpha, beta and gamma to the power of that phi.
        phi_depth: the phi that gives `depth`; the same for width and resolution. They are not one number.
    """

    name: str
    depth: float
    width: float
    resolution_px: int
    macs: int
    params: int
    phi: float
    multipliers: Coefficients
    phi_depth: float
    phi_width: float
    phi_resolution: float


@dataclass(frozen=True, slots=True)
class ScaledFamily:
    """Everything that `scalesearch scale` says.

    Attributes:
        base: name of the baseline.
        coefficients: at phi = 1.
        ratio: the target at phi = 1 as a multiple of the baseline, in `currency`.
        origin: where the coefficients come from, in words.
        rules: how scaled values became whole numbers.
        baseline: the unscaled network.
        released: the released networks where the baseline is their B0; else empty.
    """

    base: str
    coefficients: Coefficients
    ratio: float
    currency: str
    origin: str
    rules: RoundingRules
    baseline: CountedNetwork
    members: tuple[ScaledMember, ...]
    released: tuple[Released, ...]


@dataclass(frozen=True, slots=True)
class StageGrowth:
    """One stage in the baseline and in a member; pairs are (baseline, member).

    Attributes:
        blocks: None for stem and head.
        exact_blocks: the multiplier times the baseline's blocks, before rounding.
        channels: None where the stage has no count of its own that scales.
        exact_channels: the multiplier times the baseline's channels.
        macs: None where the family has no closed form.
    """

    stage: str
    blocks: tuple[int, int] | None
    exact_blocks: float | None
    channels: tuple[int, int] | None
    exact_channels: float | None
    macs: tuple[int, int] | None

    @property
    def added_blocks(self) -> int:
        """Blocks more than in the baseline."""
        return self.blocks[1] - self.blocks[0] if self.blocks else 0

    @property
    def added_macs(self) -> int:
        """Multiply-adds more than in the baseline."""
        return self.macs[1] - self.macs[0] if self.macs else 0


def growth(baseline: CountedNetwork, member: ScaledMember) -> tuple[StageGrowth, ...]:
    """What was added to the baseline, stage by stage; blocks and multiply-adds sum to the whole difference."""
    costs = [dict(sized.stages) for sized in (baseline, member.network)]
    counts = [_named(sized.spec) for sized in (baseline, member.network)]
    names = dict.fromkeys([*costs[0], *costs[1]] or counts[0])
    found = (_stage_growth(name, counts, costs, member.multipliers) for name in names)
    return tuple(stage for stage in found if stage.blocks or stage.channels or any(stage.macs or ()))


def _named(spec: NetworkSpec) -> dict[str, tuple[int, int]]:
    """Stage name -> (blocks, channels); 0 where it has none."""
    middle = {str(i): pair for i, pair in enumerate(zip(spec.depths, spec.widths, strict=True))}
    named = {"stem": (0, spec.stem_width), **middle, "head": (0, spec.head_width)}
    return {name: pair for name, pair in named.items() if any(pair)}


def _stage_growth(
    name: str, counts: Sequence[dict[str, tuple[int, int]]], costs: Sequence[dict[str, int]], multipliers: Coefficients
) -> StageGrowth:
    (blocks, channels), (new_blocks, new_channels) = (named.get(name, (0, 0)) for named in counts)
    return StageGrowth(
        stage=name,
        blocks=(blocks, new_blocks) if blocks else None,
        exact_blocks=multipliers.alpha * blocks if blocks else None,
        channels=(channels, new_channels) if channels else None,
        exact_channels=multipliers.beta * channels if channels else None,
        macs=(costs[0].get(name, 0), costs[1].get(name, 0)) if costs[0] else None,
    )


def block_order(base: Sequence[int], scaled: Sequence[int]) -> tuple[int, ...]:
    """Stages in the order in which the proportional rule gives out the blocks beyond the baseline's.

    Example:
        >>> block_order((1, 2, 2, 3, 3, 4, 1), (1, 2, 2, 4, 4, 5, 1))
        (5, 3, 4)
    """
    given = [(-size / (2 * n + 1), i) for i, size in enumerate(base) for n in range(size, scaled[i])]
    return tuple(index for _, index in sorted(given))


def explain(family: ScaledFamily, member: ScaledMember) -> tuple[str, ...]:
    """In words, how the depth rule and the snapping of the resolution gave this network, and what repair did."""
    if member.network.spec == family.baseline.spec:
        return ("this is the baseline itself",)
    return (*_depth_words(family, member), _resolution_word(family, member), _repair_word(member))


SHOWN_BLOCKS = 24
"""Added blocks whose order is told one by one."""


def _depth_words(family: ScaledFamily, member: ScaledMember) -> Iterator[str]:
    base, scaled, alpha = family.baseline.spec, member.network.spec, member.multipliers.alpha
    if family.rules.depth_rule == "proportional" or base.unit != "block":
        yield from _shared_words(base, scaled, alpha)
        return
    rounding = {"official": "up", "round": "to the nearest whole number"}[family.rules.depth_rule]
    yield f"depth: {alpha:.4g} x the blocks of each stage, rounded {rounding} (rule {family.rules.depth_rule})"
    for index, (before, after) in enumerate(zip(base.depths, scaled.depths, strict=True)):
        yield f"stage {index}: {alpha:.4g} x {before} = {alpha * before:.4g} -> {after}"


def _shared_words(base: NetworkSpec, scaled: NetworkSpec, alpha: float) -> Iterator[str]:
    before, after = sum(base.depths), sum(scaled.depths)
    if base.unit != "block":
        yield f"depth: {alpha:.4g} x the baseline's, as a multiplier in thousandths -> {after}"
        return
    total = f"depth: {alpha:.4g} x {before} = {alpha * before:.4g} -> {after} blocks in all"
    yield f"{total}, shared in proportion to the baseline's by Webster's method (rule proportional)"
    order = block_order(base.depths, scaled.depths)
    if order:
        shown = ", ".join(map(str, order[:SHOWN_BLOCKS])) + (" ..." if len(order) > SHOWN_BLOCKS else "")
        yield (
            f"{len(order)} more, one at a time where the baseline's blocks / (2 x blocks so far + 1) are most: "
            f"stage {shown}"
        )
    elif after < before:
        yield f"{before - after} fewer, at least one a stage"


def _resolution_word(family: ScaledFamily, member: ScaledMember) -> str:
    native, px, gamma = family.baseline.spec.resolution_px, member.network.spec.resolution_px, member.multipliers.gamma
    steps = f"whole steps of {family.rules.resolution_step_px} px from {native}"
    return f"resolution: {gamma:.4g} x {native} = {gamma * native:.4g} -> {px} px ({steps})"


def _repair_word(member: ScaledMember) -> str:
    before = 100 * (member.cost_before_repair / member.target - 1)
    width = f"width: {member.multipliers.beta:.4g} x the channels, rounded, misses the target by {before:+.1f} %"
    return f"{width}; fitted to the target: {100 * member.residual:+.2f} %"


def family_to_dict(family: ScaledFamily, *, explained: bool = False) -> dict[str, Any]:
    """A plain mapping for JSON; with `explained`, stage by stage what each member adds."""
    c = family.coefficients
    return {
        "base": family.base,
        "coefficients": {"alpha": c.alpha, "beta": c.beta, "gamma": c.gamma, "origin": family.origin},
        "rounding": family.rules.depth_rule,
        "currency": family.currency,
        "ratio": family.ratio,
        "baseline": _sized_to_dict(family.baseline),
        "members": [
            _member_to_dict(member) | ({"explanation": _explanation(family, member)} if explained else {})
            for member in family.members
        ],
        "released": [_released_to_dict(released) for released in family.released],
    }


def _sized_to_dict(sized: CountedNetwork) -> dict[str, Any]:
    return {
        "macs": sized.macs,
        "fvcore_total": sized.fvcore_total,
        "params": sized.params,
        "activations": sized.activations,
        "network": spec_to_dict(sized.spec),
    }


def _member_to_dict(member: ScaledMember) -> dict[str, Any]:
    m = member.multipliers
    return {
        "phi": member.phi,
        "alpha": m.alpha,
        "beta": m.beta,
        "gamma": m.gamma,
        "currency": member.currency,
        "target": member.target,
        "cost": member.cost,
        "cost_before_repair": member.cost_before_repair,
        "target_macs": round(member.target) if member.currency == "macs" else None,
        "macs_before_repair": member.cost_before_repair if member.currency == "macs" else None,
        "residual": member.residual,
        "within_tolerance": member.within_tolerance,
        "extrapolated": member.extrapolated,
        "transfer": member.transfer or None,
        **_sized_to_dict(member.network),
    }


def _released_to_dict(released: Released) -> dict[str, Any]:
    fields = asdict(released)
    return fields | {f"{name}_at_phi": value for name, value in fields.pop("multipliers").items()}


def _explanation(family: ScaledFamily, member: ScaledMember) -> dict[str, Any]:
    stages = [
        {**asdict(stage), "added_blocks": stage.added_blocks, "added_macs": stage.added_macs}
        for stage in growth(family.baseline, member)
    ]
    return {"stages": stages, "words": list(explain(family, member))}
