"""What is computed from sums of trainings, held against the dense algebra over trainings; and how much it may take."""

from __future__ import annotations

import numpy as np
import pytest
from dense_surface import DensePolynomial, DensePosterior
from planted_study import many_networks, many_outcomes
from scipy import linalg

from scalesearch.analysis.response import posterior as module
from scalesearch.analysis.response.features import Features, kernel
from scalesearch.analysis.response.observations import Noise, Observations, plane
from scalesearch.analysis.response.polynomials import FLAT_GRID, Polynomial
from scalesearch.analysis.response.posterior import GRID, ROUGH, SHAPES, SurfacePosterior
from scalesearch.analysis.response.sums import Layout
from scalesearch.analysis.response.surface import ResponseSurface, response_surface
from scalesearch.analysis.summary import summarize
from scalesearch.scaling.coefficients import Shares, lattice_with, simplex_lattice
from scalesearch.study.record import TrialRecord

LATTICE = plane(simplex_lattice(5))
LAYOUTS = {
    "every network on every seed": [range(3)] * 12,
    "one seed each": [range(1)] * 12,
    "stopped in mid-study": [range(4)] * 7 + [range(2)] * 5,
    "more of some": [range(1 + i % 5) for i in range(12)],
    "overlapping": [range(i % 3, i % 3 + 2 + i % 2) for i in range(12)],
    "no seed in common": [range(3 * i, 3 * i + 2) for i in range(12)],
}


def table(layout: str, networks: int = 12, sd: float = 0.004, block: float = 0.003):
    """Shares, rows of each network, seeds, values."""
    rng = np.random.default_rng(len(layout))
    shares, own = lattice_with(networks)[:networks], LAYOUTS[layout]
    effects = rng.normal(0.0, block, 60)
    seeds = np.array([seed for one in own for seed in one])
    network = np.repeat(np.arange(networks), [len(one) for one in own])
    points = plane(shares)[network]
    values = 0.8 - 0.03 * ((points - [0.1, -0.2]) ** 2).sum(1) + effects[seeds] + rng.normal(0.0, sd, len(seeds))
    return shares, [np.flatnonzero(network == i) for i in range(networks)], seeds, values


def apart(a, b) -> float:
    return float(np.abs(np.asarray(a) - b).max())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("terms", "grid"), [(1, FLAT_GRID), (3, FLAT_GRID), (6, FLAT_GRID), (1, GRID)])
def test_models_are_those_of_the_dense_algebra(layout, terms, grid):
    shares, groups, seeds, values = table(layout)
    ours, dense = (kind(shares, groups, seeds, terms, grid) for kind in (Polynomial, DensePolynomial))
    assert ours.left_out(values) == pytest.approx(dense.left_out(values), abs=1e-10)
    assert ours.coefficients(values) == pytest.approx(dense.coefficients(values), abs=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("noise", [None, Noise(7, 1.7e-5)])
def test_the_posterior_is_that_of_the_dense_algebra(monkeypatch, layout, corrected, noise):
    monkeypatch.setattr(module, "LEAST_WEIGHT", 0.0)
    shares, groups, seeds, values = table(layout)
    network = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    drift = 0.002 * np.sin(network.astype(float)) if corrected else None
    data = Observations(plane(shares)[network], seeds, values, noise, drift)
    found = SurfacePosterior(data).at(LATTICE)
    dense = DensePosterior(data)
    weights, means, covers = dense.at(LATTICE)
    assert apart(found.weights, np.sort(weights)[::-1]) < 1e-9
    assert apart(np.sort(found.noise), np.sort([s[-2] for s in dense.settings])) < 1e-12
    assert apart(found.mean, weights @ means) < 1e-10
    mixed = np.einsum("h,hij->ij", weights, covers)
    assert apart(np.einsum("h,hij->ij", found.weights, found.covariances), mixed) < 1e-9 * mixed.max()


def test_the_order_of_trainings_and_the_names_of_seeds_are_nothing():
    shares, groups, seeds, values = table("more of some")
    ours = Polynomial(shares, groups, 100 - 3 * seeds, 1, GRID)
    assert ours.left_out(values) == pytest.approx(
        Polynomial(shares, groups, seeds, 1, GRID).left_out(values), abs=1e-12
    )


def test_seeds_on_the_same_networks_are_one_kind():
    layout = Layout(np.repeat(np.arange(4), 50), np.tile(np.arange(50), 4))
    assert layout.seeds_of.tolist() == [50] and layout.together.tolist() == [4]
    stopped = Layout(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0]))
    assert sorted(zip(stopped.seeds_of.tolist(), stopped.together.tolist(), strict=True)) == [(1, 2), (1, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("networks", [3, 40, 900])
def test_few_features_are_the_whole_covariance(shape, networks):
    rng = np.random.default_rng(1)
    points = plane([Shares(*row) for row in rng.dirichlet((1, 1, 1), networks)])
    found = Features(points, shape)
    told = found.at(LATTICE)
    rest = found.untold(LATTICE, told)
    assert apart(found.of_points @ found.of_points.T, kernel(points, points, shape)) < 1e-11
    assert apart(found.at(points), found.of_points) < 1e-8
    assert apart(told @ found.of_points.T, kernel(LATTICE, points, shape)) < 1e-8
    assert apart(told @ told.T + rest @ rest.T, kernel(LATTICE, LATTICE, shape)) < 1e-10


def test_a_surface_has_few_features_however_many_networks_there_are():
    rng = np.random.default_rng(0)
    points = plane([Shares(*row) for row in rng.dirichlet((1, 1, 1), 4000)])
    counts = [[Features(points[:n], shape).count for n in (500, 4000)] for shape in SHAPES]
    assert counts[0] == [5, 5]
    assert all(large < 1.4 * small and large < 260 for small, large in counts)
    assert all(Features(points[:4000], shape).count < 800 for shape in ROUGH)


def largest_matrices(monkeypatch, networks: int, seeds: int) -> tuple[int, int]:
    """Sides of the largest matrix that is factored for a surface, and of the largest table of networks or trainings."""
    sides, rows = [0], [0]
    cholesky, solve = linalg.cholesky, np.linalg.solve
    monkeypatch.setattr(linalg, "cholesky", lambda a, **kw: sides.append(len(a)) or cholesky(a, **kw))
    monkeypatch.setattr(np.linalg, "solve", lambda a, b: sides.append(a.shape[-1]) or solve(a, b))
    at = Features.__init__
    monkeypatch.setattr(Features, "__init__", lambda self, p, s: rows.append(len(p)) or at(self, p, s))
    pairs = [(n, many_outcomes(n, seeds)) for n in many_networks(networks)]
    summaries = summarize(TrialRecord(network, outcome) for network, outcomes in pairs for outcome in outcomes)
    found = response_surface([s for s in summaries if s.network.budget == "2x"])
    assert isinstance(found, ResponseSurface) and found.trainings == networks * seeds
    monkeypatch.undo()
    return max(sides), max(rows)


def test_matrices_grow_with_neither_trainings_nor_networks(monkeypatch):
    few, many = (largest_matrices(monkeypatch, 9, seeds) for seeds in (2, 60))
    assert few == many == (10, 9)
    side, rows = largest_matrices(monkeypatch, 400, 1)
    assert rows == 400 and side <= 401
