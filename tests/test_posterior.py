"""The posterior over a budget's networks: the textbook formula, the stated moments, the truth when data are many."""

from __future__ import annotations

import numpy as np
import pytest
from dense_surface import covariance
from scipy import stats

from scalesearch.analysis.response import posterior as module
from scalesearch.analysis.response.features import kernel
from scalesearch.analysis.response.observations import Observations, plane
from scalesearch.analysis.response.posterior import GRID, SurfacePosterior
from scalesearch.scaling.coefficients import Shares, lattice_with, simplex_lattice

LATTICE = plane(simplex_lattice(6))


def truth(points: np.ndarray) -> np.ndarray:
    return 0.8 + 0.01 * points[:, 0] - 0.02 * ((points - [0.1, -0.2]) ** 2).sum(1)


def trainings(networks: int, seeds: int, sd: float, rng_seed: int = 0, block: float = 0.0) -> Observations:
    rng = np.random.default_rng(rng_seed)
    points = np.repeat(plane(lattice_with(networks)[:networks]), seeds, axis=0)
    numbers = np.tile(np.arange(seeds), networks)
    effects = rng.normal(0, block, seeds)
    return Observations(points, numbers, truth(points) + effects[numbers] + rng.normal(0, sd, len(points)))


def only(monkeypatch: pytest.MonkeyPatch, *choices: module.Choice) -> None:
    monkeypatch.setattr(module, "GRID", choices)


def test_the_triangle_is_equilateral_around_uniform():
    corners = plane([Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)])
    assert np.hypot(*corners.T) == pytest.approx([1, 1, 1])
    assert corners @ corners.T == pytest.approx(np.where(np.eye(3), 1, -0.5))
    assert plane([Shares(1 / 3, 1 / 3, 1 / 3)]) == pytest.approx(np.zeros((1, 2)), abs=1e-15)


@pytest.mark.parametrize("choice", [GRID[0], GRID[1], (1.2, GRID[-1][1], 0.7), (4.8, GRID[2][1], 0.0)])
def test_one_setting_is_the_textbook_prediction_with_a_flat_mean(monkeypatch, choice):
    only(monkeypatch, choice)
    data = trainings(7, 2, 0.004)
    n, m = len(data.values), len(LATTICE)
    found = SurfacePosterior(data).at(LATTICE)

    signal, shape, _ = choice
    huge = 1e6  # a flat mean is a Gaussian one of any variance
    both = np.vstack([data.points, LATTICE])
    prior = signal**2 * kernel(both, both, shape) + huge
    seen = covariance(data.points, data.seeds, choice) + huge
    cross = np.linalg.solve(seen, prior[:n, n:])
    mean = 0.8 + cross.T @ (data.values - 0.8)
    cover = prior[n:, n:] - prior[:n, n:].T @ cross
    scale = (data.values - 0.8) @ np.linalg.solve(seen, data.values - 0.8) / (n - 1)
    assert found.means[0] == pytest.approx(mean, abs=1e-6)
    assert found.covariances[0] == pytest.approx(scale * cover, abs=1e-4 * scale * m)
    assert found.noise[0] == pytest.approx(scale, rel=1e-5)


def test_settings_are_weighted_by_the_likelihood_of_the_differences(monkeypatch):
    """Contrasts to the first training are free of the mean; their density with s^2 integrated out is a t density."""
    choices = (GRID[0], GRID[1], GRID[20], GRID[-1])
    only(monkeypatch, *choices)
    monkeypatch.setattr(module, "LEAST_WEIGHT", 0.0)
    data = trainings(6, 2, 0.004)
    differences = data.values[1:] - data.values[0]
    n = len(data.values)
    contrast = np.hstack([-np.ones((n - 1, 1)), np.eye(n - 1)])
    logs = []
    for choice in choices:
        cover = contrast @ covariance(data.points, data.seeds, choice) @ contrast.T
        quadratic = differences @ np.linalg.solve(cover, differences)
        prior = 0.0 if choice[0] else np.log(module.FLAT_WEIGHT)
        logs.append(prior - 0.5 * np.linalg.slogdet(cover)[1] - 0.5 * (n - 1) * np.log(quadratic))
    expected = np.exp(np.array(logs) - max(logs))
    found = SurfacePosterior(data).at(LATTICE).weights
    assert np.sort(found) == pytest.approx(np.sort(expected / expected.sum()), rel=1e-8)


def test_two_ways_of_drawing_have_the_stated_mean_and_covariance():
    process = SurfacePosterior(trainings(10, 2, 0.004))
    points = LATTICE[[0, 5, 12, 20, 27]]
    stated = process.at(points)
    inflate = stated.degrees / (stated.degrees - 2)
    gaps = stated.means - stated.mean
    within = np.einsum("h,hij->ij", stated.weights, stated.covariances)
    cover = inflate * within + np.einsum("h,hi,hj->ij", stated.weights, gaps, gaps)
    assert stated.covariance == pytest.approx(cover - (inflate - 1) * within, rel=1e-12)
    size = np.sqrt(np.outer(np.diag(cover), np.diag(cover)))
    for draws in (
        stated.draw(100_000, np.random.default_rng(0)),
        process.draw(points, 100_000, np.random.default_rng(1)),
    ):
        assert draws.shape == (100_000, 5)
        assert np.abs(draws.mean(0) - stated.mean) / np.sqrt(np.diag(cover)) == pytest.approx(np.zeros(5), abs=0.015)
        assert (np.cov(draws.T) - cover) / size == pytest.approx(np.zeros((5, 5)), abs=0.03)


def test_the_mean_without_covariances_is_the_same_mean():
    process = SurfacePosterior(trainings(9, 3, 0.004, block=0.01))
    assert process.mean(LATTICE) == pytest.approx(process.at(LATTICE).mean, abs=1e-13)


def test_draws_are_the_same_every_time_and_of_any_number():
    process = SurfacePosterior(trainings(5, 1, 0.004))
    one, two = (process.draw(LATTICE, 50, np.random.default_rng(3)) for _ in range(2))
    assert one.tolist() == two.tolist()
    assert process.draw(LATTICE, 1, np.random.default_rng(3)).shape == (1, len(LATTICE))


def test_many_trainings_give_the_truth_and_its_noise():
    process = SurfacePosterior(trainings(21, 10, 0.004))
    found = process.at(LATTICE)
    assert found.mean == pytest.approx(truth(LATTICE), abs=0.003)
    assert np.sqrt(found.noise_variance) == pytest.approx(0.004, rel=0.15)
    assert (np.sqrt(np.diag(found.covariance)) < 0.002).all()


def test_a_surface_without_noise_is_met_at_every_network():
    data = trainings(10, 1, 0.0)
    assert SurfacePosterior(data).mean(data.points) == pytest.approx(data.values, abs=5e-4)


def test_equal_accuracies_are_one_flat_surface():
    data = trainings(6, 2, 0.0)
    same = Observations(data.points, data.seeds, np.full(12, 0.5))
    assert SurfacePosterior(same).mean(LATTICE) == pytest.approx(np.full(len(LATTICE), 0.5))


def test_only_differences_and_the_unit_matter():
    data = trainings(8, 2, 0.004)
    base = SurfacePosterior(data).at(LATTICE)
    moved = SurfacePosterior(Observations(data.points, data.seeds, 100 * data.values - 30)).at(LATTICE)
    assert moved.mean == pytest.approx(100 * base.mean - 30, abs=1e-9)
    assert moved.covariance == pytest.approx(1e4 * base.covariance, rel=1e-6)


def test_the_order_of_trainings_and_the_names_of_seeds_change_nothing():
    data = trainings(8, 3, 0.004, block=0.005)
    order = np.random.default_rng(0).permutation(len(data.values))
    shuffled = Observations(data.points[order], 1000 - 7 * data.seeds[order], data.values[order])
    assert SurfacePosterior(shuffled).mean(LATTICE) == pytest.approx(SurfacePosterior(data).mean(LATTICE), abs=1e-12)


def test_what_a_seed_does_to_all_networks_does_not_look_like_noise():
    plain = SurfacePosterior(trainings(15, 3, 0.003)).at(LATTICE)
    blocked = SurfacePosterior(trainings(15, 3, 0.003, block=0.003)).at(LATTICE)
    assert blocked.noise_variance < 2 * plain.noise_variance
    contrast = (plain.mean - plain.mean[0]) - (blocked.mean - blocked.mean[0])
    assert np.abs(contrast).max() < 0.001


def test_intervals_of_differences_cover_the_truth():
    """Surfaces from the prior itself, so that coverage is exact but for the grid: 95 % within 3 standard errors."""
    inside = []
    for repeat in range(200):
        rng = np.random.default_rng(repeat)
        signal, shape, _ = GRID[rng.integers(2, len(GRID))]
        points = plane(lattice_with(10))
        both = np.vstack([points, LATTICE])
        cover = kernel(both, both, shape) + 1e-10 * np.eye(len(both))
        surface = 0.004 * signal * np.linalg.cholesky(cover) @ rng.standard_normal(len(both))
        rows = np.repeat(np.arange(10), 2)
        values = 0.7 + surface[rows] + rng.normal(0, 0.004, 20)
        process = SurfacePosterior(Observations(points[rows], np.tile([0, 1], 10), values))
        draws = process.draw(LATTICE[[0, 14]], 2000, rng)
        low, high = np.quantile(draws[:, 1] - draws[:, 0], (0.025, 0.975))
        gap = surface[10 + 14] - surface[10]
        inside.append(low <= gap <= high)
    assert stats.binomtest(sum(inside), 200, 0.95).pvalue > 0.003
