"""The studentized range: the numbers of scipy, of printed tables, and of the t distribution where two means are all."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from scalesearch.analysis.leader import studentized_range as quantile


@pytest.mark.parametrize(("means", "degrees"), [(2, 1), (3, 2), (6, 5), (10, 22), (22, 100), (22, 2000), (100, 10)])
def test_quantiles_are_those_of_scipy(means, degrees):
    assert quantile(0.95, means, degrees) == pytest.approx(stats.studentized_range.ppf(0.95, means, degrees), rel=1e-9)


@pytest.mark.parametrize(("means", "degrees", "printed"), [(3, 5, 4.6), (10, 10, 5.6), (20, 60, 5.24), (5, 120, 3.92)])
def test_quantiles_are_those_of_printed_tables(means, degrees, printed):
    assert quantile(0.95, means, degrees) == pytest.approx(printed, abs=0.005)


@pytest.mark.parametrize("degrees", [1, 4, 30, 20_000])
def test_of_two_means_it_is_student(degrees):
    assert quantile(0.95, 2, degrees) == pytest.approx(math.sqrt(2) * stats.t.ppf(0.975, degrees), rel=1e-9)


@pytest.mark.parametrize("means", [500, 5000])
def test_of_many_means_it_is_what_normal_draws_reach(means):
    """With endless degrees of freedom the range of m normal numbers is known by one integral over the least of them."""
    q, steps = quantile(0.95, means, 10**7), 20_000
    grid = [-8 + 16 * i / steps for i in range(steps + 1)]
    normal = stats.norm
    inside = means * sum(normal.pdf(grid) * (normal.cdf([z + q for z in grid]) - normal.cdf(grid)) ** (means - 1))
    assert inside * 16 / steps == pytest.approx(0.95, abs=1e-6)
