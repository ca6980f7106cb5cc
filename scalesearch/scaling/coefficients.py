"""Coefficients, budgets and the surface they lie on: pure arithmetic, nothing is built here.

The law (EfficientNet, Tan & Le 2019, equation 3)::

    alpha^a * beta^b * gamma^c = B          nominal exponents (a, b, c) = (1, 2, 2)

A point of the surface is named by its *shares*: the part of log(B) spent on depth, width and resolution.
They sum to 1, so every point proposed lies on the surface and nothing is proposed and then rejected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from scalesearch.errors import BudgetError, UsageError
from scalesearch.scaling.units import ALLOWED_BUDGET, UNITS, Kind, check_commas, meant_budget

_BUDGET = re.compile(
    r"^\s*(?P<number>[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*(?P<unit>x|us|ms|s|[kmg]?b|[kmgt])?\s*$", re.IGNORECASE
)
_LARGEST = 1e12
"""What remains finite when it is multiplied by the cost of any network."""
_FEWEST = 1000
"""No network has fewer multiply-adds or parameters: such a number lacks its unit."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Multipliers of depth, width and resolution at phi = 1 (dimensionless, above zero)."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} is {value!r}; allowed: a finite number above 0")

    def at(self, phi: float) -> Coefficients:
        """The multipliers at compound coefficient `phi`: each one to the power `phi`."""
        return Coefficients(self.alpha**phi, self.beta**phi, self.gamma**phi)


@dataclass(frozen=True, slots=True)
class Exponents:
    """How cost answers to each multiplier: cost = depth^a * width^b * resolution^c. The paper's are 1, 2, 2."""

    depth: float = 1.0
    width: float = 2.0
    resolution: float = 2.0


NOMINAL = Exponents()
MOST_TRIPLES = 1_000_000


@dataclass(frozen=True, slots=True)
class Shares:
    """The part of log-cost spent on depth, width and resolution. They sum to 1."""

    depth: float
    width: float
    resolution: float

    def __post_init__(self) -> None:
        total = self.depth + self.width + self.resolution
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise UsageError(f"shares {astuple(self)} sum to {total:g}; allowed: shares that sum to 1")


def distance(a: Shares, b: Shares) -> float:
    """Squared distance of two points of the triangle.

    Example:
        >>> distance(Shares(1.0, 0.0, 0.0), Shares(0.5, 0.5, 0.0))
        0.5
    """
    return (a.depth - b.depth) ** 2 + (a.width - b.width) ** 2 + (a.resolution - b.resolution) ** 2


MET = 0.1
"""Distance in shares within which a network is a reference, and not another that stands for it."""


def is_met(reference: Shares, place: Shares) -> bool:
    """Whether a network at a place may be called by a reference's name.

    Example:
        >>> is_met(Shares(1.0, 0.0, 0.0), Shares(0.95, 0.05, 0.0)), is_met(Shares(1.0, 0.0, 0.0), Shares(0.8, 0.2, 0.0))
        (True, False)
    """
    return distance(reference, place) <= MET**2


REFERENCES: dict[str, Shares] = {
    "depth": Shares(1.0, 0.0, 0.0),
    "width": Shares(0.0, 1.0, 0.0),
    "resolution": Shares(0.0, 0.0, 1.0),
    "uniform": Shares(1 / 3, 1 / 3, 1 / 3),
}
"""The obvious proposals that every search must beat; `efficientnet` is added below from its own coefficients."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A target cost: relative to the baseline (`multiple`) or an amount of some kind. Exactly one of them is set.

    Attributes:
        amount: operations or weights, seconds, or bytes, as `kind` says.
    """

    text: str
    multiple: float | None
    amount: float | None
    kind: Kind | None = None

    def target(self, baseline: float) -> float:
        """The target, given the baseline's own cost."""
        return self.amount if self.amount is not None else (self.multiple or 0.0) * baseline

    def ratio(self, baseline: float) -> float:
        """The target as a multiple of the baseline."""
        return self.multiple if self.multiple is not None else (self.amount or 0.0) / baseline


def parse_budget(text: str) -> Budget:
    """Read a budget as the command line writes it.

    Raises:
        BudgetError: not a number with an allowed unit, or not above zero.

    Example:
        >>> parse_budget("2x").multiple, parse_budget("800M").amount, parse_budget("5ms").amount
        (2.0, 800000000.0, 0.005)
    """
    number, kind, amount = _amount(text)
    if kind is None:
        return Budget(f"{number!r}".removesuffix(".0") + "x", number, None)
    if kind == "count" and amount < _FEWEST:
        raise BudgetError(f"budget {text!r} is {amount:g} operations or weights{meant_budget(text)}")
    return Budget(text.strip(), None, float(round(amount)) if kind == "count" else amount, kind)


def _amount(text: str) -> tuple[float, Kind | None, float]:
    """The number, the kind of its unit (None for `x`), and the number in the kind's own unit."""
    match = _BUDGET.match(text)
    if match is None:
        raise BudgetError(f"budget {text!r} is not understood{meant_budget(text)}")
    number, unit = float(match["number"]), (match["unit"] or "").lower()
    kind, size = UNITS.get(unit, (None, 1.0))
    amount = number * size
    if not (amount > 0 and math.isfinite(amount * _LARGEST)):
        raise BudgetError(f"budget {text!r} is not a finite number above zero; allowed: {ALLOWED_BUDGET}")
    return number, kind, amount


def parse_limit(option: str, text: str | None, kind: Kind) -> float | None:
    """Read a second limit, an amount of one kind; None stays None.

    Raises:
        BudgetError: not a number, or of another kind.

    Example:
        >>> parse_limit("--max-latency", "5ms", "seconds")
        0.005
    """
    if text is None:
        return None
    examples = {"count": "5M", "seconds": "5ms", "bytes": "2GB"}
    try:
        _, found, amount = _amount(text)
    except BudgetError:
        found, amount = None, 0.0
    if found != kind:
        raise BudgetError(f"{option} is {text!r}; allowed: {kind} above zero, for example {examples[kind]}")
    if kind == "count" and amount < _FEWEST:
        raise BudgetError(f"{option} is {text!r}: no network is so small; allowed: {_FEWEST} or more, for example 5M")
    return float(round(amount)) if kind == "count" else amount


def parse_budgets(text: str) -> tuple[Budget, ...]:
    """Read a comma-separated list of budgets, in the order given, each one once.

    Example:
        >>> [b.text for b in parse_budgets("1x,2x,2.0x,1x")]
        ['1x', '2x']
    """
    check_commas(text)
    unique: dict[tuple[float | None, float | None], Budget] = {}
    for budget in map(parse_budget, text.split(",")):
        unique.setdefault((budget.multiple, budget.amount), budget)
    return tuple(unique.values())


def coefficients_from_shares(shares: Shares, ratio: float, exponents: Exponents = NOMINAL) -> Coefficients:
    """The point of the surface `alpha^a * beta^b * gamma^c = ratio` that has these shares.

    Example:
        >>> coefficients_from_shares(Shares(1.0, 0.0, 0.0), 2.0)
        Coefficients(alpha=2.0, beta=1.0, gamma=1.0)
    """
    return Coefficients(
        ratio ** (shares.depth / exponents.depth),
        ratio ** (shares.width / exponents.width),
        ratio ** (shares.resolution / exponents.resolution),
    )


def shares_from_coefficients(coefficients: Coefficients, exponents: Exponents = NOMINAL) -> Shares:
    """The shares of log-cost of a triple, whatever its own product is.

    Raises:
        UsageError: the triple does not change the cost (its product is 1), so it has no shares.

    Example:
        >>> s = shares_from_coefficients(Coefficients(1.2, 1.1, 1.15))
        >>> round(s.depth, 3), round(s.width, 3), round(s.resolution, 3)
        (0.279, 0.292, 0.428)
    """
    parts = (
        exponents.depth * math.log(coefficients.alpha),
        exponents.width * math.log(coefficients.beta),
        exponents.resolution * math.log(coefficients.gamma),
    )
    total = math.fsum(parts)
    if abs(total) < 1e-12:
        raise UsageError(f"{coefficients} leaves the cost at 1x; shares need a product other than 1")
    return Shares(*(part / total for part in parts))


EFFICIENTNET = Coefficients(1.2, 1.1, 1.15)
"""Found by the paper's grid search for B0 on ImageNet; product 1.920."""

REFERENCES["efficientnet"] = shares_from_coefficients(EFFICIENTNET)


PUBLISHED_SHARES: dict[str, Shares] = {
    "EfficientNet": REFERENCES["efficientnet"],
    "pycls": Shares(0.1, 0.8, 0.1),
    "EfficientNet-X TPU": Shares(0.38, 0.36, 0.26),
    "EfficientNet-X GPU": Shares(0.38, 0.43, 0.19),
    "uniform": REFERENCES["uniform"],
}
"""Proposals of others as shares of log-cost. No two agree, each is for one network on one dataset.

Source: Tan & Le (2019); Dollar, Singh & Girshick (2021), fast compound scaling; Li et al. (2021), EfficientNet-X, whose
GPU shares are printed as 38/43/20 and sum to 101 %.
"""


def references(exponents: Exponents = NOMINAL) -> dict[str, Shares]:
    """The references on a surface with these exponents: EfficientNet's own triple is another split of its log-cost."""
    return {**REFERENCES, "efficientnet": shares_from_coefficients(EFFICIENTNET, exponents)}


def surface_product(coefficients: Coefficients, exponents: Exponents = NOMINAL) -> float:
    """The nominal cost multiple `alpha^a * beta^b * gamma^c`."""
    depth: float = coefficients.alpha**exponents.depth
    width: float = coefficients.beta**exponents.width
    resolution: float = coefficients.gamma**exponents.resolution
    return depth * width * resolution


def simplex_lattice(order: int) -> tuple[Shares, ...]:
    """All shares (i, j, k) / order with i + j + k = order: (order + 1)(order + 2) / 2 points, corners included.

    The {3, order} simplex lattice of Scheffe (1958).

    Example:
        >>> len(simplex_lattice(3)), simplex_lattice(1)[0]
        (10, Shares(depth=1.0, width=0.0, resolution=0.0))
    """
    if order < 1:
        raise UsageError(f"lattice order is {order}; allowed: 1 or more")
    return tuple(
        Shares(i / order, j / order, (order - i - j) / order)
        for i in range(order, -1, -1)
        for j in range(order - i, -1, -1)
    )


def lattice_with(points: int) -> tuple[Shares, ...]:
    """The smallest simplex lattice that has at least `points` points."""
    order = 1
    while (order + 1) * (order + 2) // 2 < points:
        order += 1
    return simplex_lattice(order)


def shares_from_square(u: float, v: float) -> Shares:
    """Map the unit square onto the triangle of shares so that equal areas stay equal.

    A uniform point of the square gives a uniform (Dirichlet(1, 1, 1)) point of the triangle.
    """
    root = math.sqrt(u)
    depth, width = 1.0 - root, root * (1.0 - v)
    return Shares(depth, width, 1.0 - depth - width)


def square_from_shares(shares: Shares) -> tuple[float, float]:
    """The inverse of `shares_from_square`; the depth corner, where v is free, gets v = 0.5."""
    root = min(1.0, max(0.0, 1.0 - shares.depth))
    v = 0.5 if root < 1e-12 else min(1.0, max(0.0, 1.0 - shares.width / root))
    return root * root, v


def _axis(step: float, limit: float) -> list[float]:
    return [round(1.0 + i * step, 10) for i in range(int((limit - 1.0) / step + 1e-9) + 1)]


def paper_grid(
    ratio: float, step: float, exponents: Exponents = NOMINAL, slack: float = 0.1
) -> tuple[Coefficients, ...]:
    """The paper's small grid: alpha, beta, gamma >= 1 on a step, kept where the product is within `slack` of the ratio.

    The paper states neither step nor slack. NNI's published example uses 0.05 and 0.1 at 2x, which this repeats;
    at other ratios the slack is scaled (`slack * ratio / 2`). Each triple kept is moved along its own direction onto
    the surface, so that rounding starts from the budget and not from 5 % beside it.

    Raises:
        UsageError: a step that is not in (0, 0.5] or gives more than `MOST_TRIPLES`; a ratio that is not above 1.
    """
    if not 0.0 < step <= 0.5:
        raise UsageError(f"grid step is {step:g}; allowed: above 0, at most 0.5")
    if ratio <= 1.0:
        raise UsageError(f"the grid sampler needs a budget above 1x, not {ratio:g}x; use lattice (--sampler lattice)")
    each = (exponents.depth, exponents.width, exponents.resolution)
    if (count := math.prod(1 + (ratio ** (1 / e) - 1) / step for e in each)) > MOST_TRIPLES:
        least = math.ceil(1000 * step * (count / MOST_TRIPLES) ** (1 / 3)) / 1000
        raise UsageError(f"grid step is {step:g}: {count:.0e} triples at {ratio:g}x; allowed there: {least:g} or more")
    triples = _grid_triples(ratio, step, exponents)
    kept = [c for c in triples if abs(surface_product(c, exponents) - ratio) < slack * ratio / 2]
    return tuple(coefficients_from_shares(shares_from_coefficients(c, exponents), ratio, exponents) for c in kept)


def _grid_triples(ratio: float, step: float, exponents: Exponents) -> Iterator[Coefficients]:
    limit = ratio  # no single multiplier may exceed the whole budget (NNI: alpha <= 2 at 2x)
    for alpha in _axis(step, limit ** (1 / exponents.depth)):
        for beta in _axis(step, limit ** (1 / exponents.width)):
            for gamma in _axis(step, limit ** (1 / exponents.resolution)):
                if max(alpha, beta, gamma) > 1.0:  # the baseline itself has no shares
                    yield Coefficients(alpha, beta, gamma)
