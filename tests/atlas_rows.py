"""Rows of an atlas that were made up."""

import dataclasses

import numpy as np

from scalesearch.analysis.atlas.row import COARSE, AtlasGain, AtlasNetwork, AtlasRow, Provenance
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.surface import ORDER
from scalesearch.scaling.coefficients import Shares, coefficients_from_shares, simplex_lattice

MADE = Provenance(
    *("atlas", "0.1.0", "2.14.1", "2026-11-29", "cpu", "x86_64"),
    *(10, 20, 2, 3, 1, 10_000, 5_000, 50, "sgd", (0.1, 0.2)),
)


def row(family="resnet_micro", data="cifar10", budget="2x", shares=(0.2, 0.5, 0.3), sd=0.1, height=0.02, **changes):
    """A row whose accuracy falls with the squared distance from its optimum."""
    top = Shares(*shares)

    def accuracy(lattice):
        return -height * ((plane(lattice) - plane([top])) ** 2).sum(1)

    fine, own = accuracy(simplex_lattice(ORDER)), accuracy(simplex_lattice(COARSE))
    region = tuple(int(i) for i in np.flatnonzero(fine > -height * 0.1))
    found = AtlasRow(
        family=family, data=data, budget=budget, resolution_px=12, shares=top,
        covariance=tuple(tuple(sd**2 if i == j else -(sd**2) / 2 for j in range(3)) for i in range(3)),
        region=region, region_area=len(region) / 253,
        network=AtlasNetwork(
            (2, 2, 2), (10, 16, 24), 14, coefficients_from_shares(top, float(budget[:-1])), top, uniform=False
        ),
        surface=tuple(float(x) for x in own - own[_uniform(COARSE)]), surface_sd=(0.002,) * 28, noise=0.004,
        p_uniform=0.4, delta=0.002, gain=AtlasGain(0.01, (0.002, 0.018)), verified=AtlasGain(0.008, (0.001, 0.015)),
        provenance=MADE,
    )  # fmt: skip
    return dataclasses.replace(found, **changes)


def _uniform(order):
    return next(i for i, s in enumerate(simplex_lattice(order)) if s.depth == s.width == s.resolution)


def rows():
    """Two families that differ in width, two data sets and three budgets that do not."""
    return tuple(
        row(family, data, budget, (0.2, width, 0.8 - width), 0.05)
        for family, width in (("resnet_micro", 0.2), ("vit_micro", 0.6))
        for data in ("fashion-mnist", "cifar10")
        for budget in ("0.5x", "2x", "4x")
    )
