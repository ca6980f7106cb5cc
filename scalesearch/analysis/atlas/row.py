"""One row of the atlas: a family on a data set at a budget, and where its optimum is."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.surface import ORDER
from scalesearch.scaling.coefficients import Coefficients, Shares, parse_budget, simplex_lattice
from scalesearch.scaling.units import DIMENSIONS

Floats = npt.NDArray[np.float64]

COARSE = 6
"""Order of the lattice that a row keeps its surface on: 28 points, uniform among them."""
PART = 0.8
"""Probability that a row's region holds the optimum."""


KINDS = (
    *("efficientnet", "mobilenet_v1", "mobilenet_v2", "mobilenetv2", "resnet", "densenet", "convnext", "vit", "deit"),
    "regnet",
)
"""How names of baselines begin, here and in timm."""


@dataclass(frozen=True, slots=True)
class AtlasGain:
    """An accuracy minus another at equal cost, 0 to 1, with its 95 % interval."""

    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class AtlasNetwork:
    """The network that the search put first."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    resolution_px: int
    coefficients: Coefficients
    shares: Shares
    uniform: bool


@dataclass(frozen=True, slots=True)
class LongerSlopes:
    """What a longer training does to the standing of networks, by where their cost went; see `fidelity.bias`.

    Attributes:
        times: epochs over the row's.
        networks: that were trained at both lengths, on so many `seeds` each.
        slopes: of depth, width and resolution: what it adds to the standing, in spreads of the networks, of a network
            with all of its cost there over one with uniform shares.
        ci95: their intervals, which hold all three together with 95 % (Bonferroni).
    """

    times: float
    networks: int
    seeds: int
    slopes: tuple[float, ...]
    ci95: tuple[tuple[float, float], ...]

    @property
    def seen(self) -> tuple[str, ...]:
        """Dimensions that the longer training thinks more or less of, beyond chance."""
        return tuple(name for name, (low, high) in zip(DIMENSIONS, self.ci95, strict=True) if low > 0 or high < 0)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a row comes from.

    Attributes:
        made: day of the study, as YYYY-MM-DD.
        seeds: of each network of the search; `new_seeds` of the verification.
        train_images: that a training sees in all its epochs together are these times `epochs`.
        learning_rate: smallest and largest over the networks: it was measured for each.
    """

    atlas: str
    version: str
    torch: str
    made: str
    device: str
    processor: str
    networks: int
    trainings: int
    seeds: int
    new_seeds: int
    epochs: int
    train_images: int
    val_images: int
    batch_size: int
    optimizer: str
    learning_rate: tuple[float, float]


@dataclass(frozen=True, slots=True)
class AtlasRow:
    """What one family, data set and budget gave.

    Attributes:
        family: the baseline by name.
        resolution_px: native, of the baseline.
        shares: mean of where the optimum is, over surfaces that the trainings leave possible. Under 1x they are shares
            of what is saved, not of what is spent.
        covariance: of it, float [3][3], in the order depth, width, resolution.
        region: indices of points of `simplex_lattice(21)` that hold the optimum with a probability of 80 %.
        region_area: their part of the triangle, 0 to 1.
        surface: expected accuracy minus that at uniform, on `simplex_lattice(6)`, 0 to 1.
        surface_sd: standard deviation of that, at each point.
        noise: standard deviation of one training.
        p_uniform: probability that uniform scaling is within `delta` of the best trained network; None where it was
            not trained.
        gain: of the network over uniform scaling in the search; None where it is that itself.
        verified: the same on new seeds and the test images; None where it was not verified.
        longer: by length; empty where no longer training was made.
    """

    family: str
    data: str
    budget: str
    resolution_px: int
    shares: Shares
    covariance: tuple[tuple[float, ...], ...]
    region: tuple[int, ...]
    region_area: float
    network: AtlasNetwork
    surface: tuple[float, ...]
    surface_sd: tuple[float, ...]
    noise: float
    p_uniform: float | None
    delta: float
    gain: AtlasGain | None
    verified: AtlasGain | None
    provenance: Provenance
    longer: tuple[LongerSlopes, ...] = ()

    @property
    def name(self) -> str:
        """Family, data and budget.

        Example:
            >>> " at ".join(("resnet_micro on cifar10", "2x"))
            'resnet_micro on cifar10 at 2x'
        """
        return f"{self.family} on {self.data} at {self.budget}"

    @property
    def kind(self) -> str:
        """The family without its size."""
        return kind_of(self.family)

    @property
    def ratio(self) -> float:
        """The budget over the baseline's cost."""
        return parse_budget(self.budget).multiple or 1.0

    @property
    def points(self) -> tuple[Shares, ...]:
        """The region's points."""
        lattice = simplex_lattice(ORDER)
        return tuple(lattice[index] for index in self.region)

    @property
    def sd(self) -> tuple[float, float, float]:
        """Standard deviation of the optimum's share of depth, width and resolution."""
        depth, width, resolution = (float(self.covariance[i][i]) ** 0.5 for i in range(3))
        return (depth, width, resolution)


def kind_of(family: str) -> str:
    """A baseline's name without its size and its library: what is the same in all members of a family.

    Example:
        >>> [kind_of(name) for name in ("resnet_micro", "timm:resnet50", "efficientnet_b0", "vit_tiny_patch16_224")]
        ['resnet', 'resnet', 'efficientnet', 'vit']
        >>> kind_of("mobilenet_v2_small"), kind_of("convnext_micro"), kind_of("densenet121"), kind_of("my_net:build")
        ('mobilenet_v2', 'convnext', 'densenet', '')
    """
    name = family.removeprefix("timm:").lower()
    if ":" in name:
        return ""
    found = next((kind for kind in KINDS if name.startswith(kind)), name)
    return {"mobilenetv2": "mobilenet_v2", "deit": "vit"}.get(found, found)


@functools.cache
def coarse() -> Floats:
    """The points of a row's surface in the plane, float64 [28, 2]."""
    return plane(simplex_lattice(COARSE))


def row_to_dict(row: AtlasRow) -> dict[str, Any]:
    """Plain values, rounded to what the noise leaves of them."""
    values = dataclasses.asdict(row)
    for name in ("surface", "surface_sd"):
        values[name] = [round(value, 5) for value in values[name]]
    values["covariance"] = [[round(value, 5) for value in line] for line in row.covariance]
    rounded: dict[str, Any] = _rounded(values)
    rounded["shares"] = _shares(row.shares)
    rounded["network"]["shares"] = _shares(row.network.shares)
    return rounded


def _shares(shares: Shares) -> dict[str, float]:
    """Rounded so that they still sum to 1."""
    depth, width = round(shares.depth, 6), round(shares.width, 6)
    return {"depth": depth, "width": width, "resolution": max(0.0, round(1 - depth - width, 6))}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value


def row_from_dict(values: Mapping[str, Any]) -> AtlasRow:
    """What `row_to_dict` wrote."""
    network, made = dict(values["network"]), dict(values["provenance"])
    return AtlasRow(
        **{
            **values,
            "shares": Shares(**values["shares"]),
            "covariance": tuple(tuple(line) for line in values["covariance"]),
            "region": tuple(values["region"]),
            "surface": tuple(values["surface"]),
            "surface_sd": tuple(values["surface_sd"]),
            "network": AtlasNetwork(
                **{
                    **network,
                    "depths": tuple(network["depths"]),
                    "widths": tuple(network["widths"]),
                    "coefficients": Coefficients(**network["coefficients"]),
                    "shares": Shares(**network["shares"]),
                }
            ),
            "gain": _gain(values["gain"]),
            "verified": _gain(values["verified"]),
            "provenance": Provenance(**{**made, "learning_rate": tuple(made["learning_rate"])}),
            "longer": tuple(map(_longer, values.get("longer", ()))),
        }
    )


def _longer(values: Mapping[str, Any]) -> LongerSlopes:
    bounds = tuple((low, high) for low, high in values["ci95"])
    return LongerSlopes(**{**values, "slopes": tuple(values["slopes"]), "ci95": bounds})


def _gain(values: Mapping[str, Any] | None) -> AtlasGain | None:
    return None if values is None else AtlasGain(values["value"], tuple(values["ci95"]))
