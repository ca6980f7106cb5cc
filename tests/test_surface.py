"""The response surface: planted polynomials, errors by hand and by refitting, honest words, a legible figure."""

from __future__ import annotations

import io
import itertools
import json
import math
import random
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from dense_surface import covariance
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from synthetic import Plan, networks_of, study

from scalesearch.analysis.failed.causes import Failures
from scalesearch.analysis.response.observations import Observations, plane
from scalesearch.analysis.response.optimum import areas, percent
from scalesearch.analysis.response.polynomials import FLAT_GRID, Polynomial, scheffe
from scalesearch.analysis.response.posterior import GRID, SurfacePosterior
from scalesearch.analysis.response.surface import (
    NoSurface,
    ResponseSurface,
    SurfaceFit,
    optimum_to_dict,
    response_surface,
    surface_to_dict,
)
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.errors import StudyError, UnknownNameError
from scalesearch.report.figures import figure
from scalesearch.report.figures.save import svg_text
from scalesearch.report.figures.surface import draw_surface, surface_info
from scalesearch.report.surface import surface_lines
from scalesearch.scaling.coefficients import PUBLISHED_SHARES, REFERENCES, Shares, lattice_with, simplex_lattice

UNIFORM = REFERENCES["uniform"]
PLANTED = (0.80, 0.82, 0.83, 0.02, -0.03, 0.11)
ANY_NETWORK = networks_of(Plan(networks=1))[-1]


def summary(
    trial: int, shares: Shares, values: dict[int, float], losses: dict[int, float] | None = None
) -> NetworkSummary:
    losses = losses or {seed: 2 - 2 * value for seed, value in values.items()}
    return NetworkSummary(
        network=replace(ANY_NETWORK, number=trial, shares=shares),
        seeds=tuple(values),
        accuracies=tuple(values.values()),
        losses=tuple(losses.values()),
        seconds=(1.0,) * len(values),
    )


def planted(shares: Shares, coefficients: tuple[float, ...] = PLANTED) -> float:
    return float(scheffe([shares], 6)[0] @ coefficients)


def networks(points, seeds, truth, sd, rng_seed=0, effect=None) -> list[NetworkSummary]:
    """`seeds` of every point: a number, or one number a point."""
    rng = np.random.default_rng(rng_seed)
    counts = [seeds] * len(points) if isinstance(seeds, int) else seeds
    return [
        summary(i, p, {s: truth(p) + rng.normal(0, sd) + (effect or {}).get(s, 0.0) for s in range(n)})
        for i, (p, n) in enumerate(zip(points, counts, strict=True))
    ]


def flat(_: Shares) -> float:
    return 0.7


def peak(shares: Shares) -> float:
    return 0.7 - 0.3 * ((shares.depth - 0.1) ** 2 + (shares.width - 0.4) ** 2 + (shares.resolution - 0.5) ** 2)


def fitted(*args, **options) -> ResponseSurface:
    found = response_surface(networks(*args, **options))
    assert isinstance(found, ResponseSurface)
    return found


TEN, FIFTEEN = lattice_with(10), lattice_with(15)


@pytest.mark.parametrize("seeds", [1, 3, (1, 2, 3, 4, 1, 2, 3, 4, 1, 5)])
def test_a_planted_quadratic_is_recovered_exactly(seeds):
    found = fitted(TEN, seeds, planted, 0.0)
    assert found.accuracy.coefficients == pytest.approx(PLANTED, abs=1e-9)
    assert found.loss.coefficients[:3] == pytest.approx([2 - 2 * c for c in PLANTED[:3]], abs=1e-9)
    errors = dict(found.accuracy.errors)
    assert errors["quadratic"] == pytest.approx(0, abs=1e-9)
    assert errors["mean"] > errors["process"] > errors["quadratic"]
    assert found.accuracy.preferred == "quadratic"


def test_a_planted_plane_prefers_the_plane():
    found = fitted(TEN, 2, lambda s: planted(s, (0.8, 0.82, 0.85, 0, 0, 0)), 0.0)
    assert found.accuracy.preferred == "plane"
    assert found.accuracy.coefficients[3:] == pytest.approx([0, 0, 0], abs=1e-9)


def test_the_error_of_the_mean_by_hand():
    """Accuracies .5, .6, .8: the others' means are .7, .65, .55."""
    points = [Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)]
    found = response_surface(
        [
            summary(i, p, {0: a - 0.01, 1: a + 0.01})
            for i, (p, a) in enumerate(zip(points, (0.5, 0.6, 0.8), strict=True))
        ]
    )
    errors = dict(found.accuracy.errors)
    assert errors["mean"] == pytest.approx(math.sqrt((0.2**2 + 0.05**2 + 0.25**2) / 3))
    assert errors["plane"] is None and errors["quadratic"] is None
    assert dict(found.loss.errors)["mean"] == pytest.approx(2 * errors["mean"])


def test_the_error_of_the_plane_by_hand():
    """On an edge and its two halves a plane is a line through the others: each end is extrapolated from the middle."""
    points = [Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1), Shares(1 / 3, 1 / 3, 1 / 3)]
    values = (0.5, 0.5, 0.5, 0.56)
    found = response_surface([summary(i, p, {0: a}) for i, (p, a) in enumerate(zip(points, values, strict=True))])
    # Without a corner the plane through the rest puts it at 3 * .56 - .5 - .5 = .68; without the centre that is at .5.
    assert dict(found.accuracy.errors)["plane"] == pytest.approx(math.sqrt((3 * 0.18**2 + 0.06**2) / 4))


@pytest.mark.parametrize(("terms", "grid"), [(1, FLAT_GRID), (3, FLAT_GRID), (6, FLAT_GRID), (1, GRID)])
def test_leaving_out_equals_fitting_the_others(terms, grid):
    rows = networks(TEN, (2, 3, 1, 2, 3, 2, 1, 2, 4, 2), peak, 0.004, effect={1: 0.01})
    shares = [s.network.shares for s in rows]
    counts = [len(s.seeds) for s in rows]
    seeds = np.array([seed for s in rows for seed in s.seeds])
    values = np.array([a for s in rows for a in s.accuracies])
    ends = np.cumsum(counts)
    groups = [np.arange(end - n, end) for end, n in zip(ends, counts, strict=True)]
    found = Polynomial(shares, groups, seeds, terms, grid).left_out(values)
    for out, group in enumerate(groups):
        assert found[out] == pytest.approx(_refitted(shares, counts, seeds, values, terms, grid, out, group), abs=1e-10)


def _refitted(shares, counts, seeds, values, terms, grid, out, group) -> float:
    """The prediction of the network's trainings from the others' alone, one setting after the other."""
    design = np.repeat(scheffe(shares, terms), counts, axis=0)
    points = np.repeat(plane(shares), counts, axis=0)
    rest = np.setdiff1d(np.arange(len(values)), group)
    gaps, logs = [], []
    for choice in grid:
        cover = covariance(points, seeds, choice)
        inverse = np.linalg.inv(cover[np.ix_(rest, rest)])
        information = design[rest].T @ inverse @ design[rest]
        beta = np.linalg.solve(information, design[rest].T @ inverse @ values[rest])
        residual = values[rest] - design[rest] @ beta
        predicted = design[group] @ beta + cover[np.ix_(group, rest)] @ inverse @ residual
        gaps.append((values[group] - predicted).mean())
        degrees = len(rest) - terms
        logs.append(
            -0.5 * np.linalg.slogdet(cover[np.ix_(rest, rest)])[1]
            - 0.5 * np.linalg.slogdet(information)[1]
            - 0.5 * degrees * np.log(residual @ inverse @ residual)
        )
    weights = np.exp(np.array(logs) - max(logs))
    return float(weights @ gaps / weights.sum())


def test_on_pure_noise_the_mean_is_preferred_and_the_quadratic_is_told_to_be_worse():
    found = [fitted(FIFTEEN, 2, flat, 0.006, rng_seed=i) for i in range(12)]
    assert sum(f.accuracy.preferred == "mean" for f in found) >= 8
    told = next(f for f in found if f.accuracy.preferred == "mean")
    assert "worse than the plain mean" in told.words and "not to be trusted" in told.words


def test_a_flat_surface_is_called_flat():
    found = [fitted(TEN, 3, flat, 0.005, rng_seed=i) for i in range(12)]
    assert sum(f.optimum.flat for f in found) >= 11
    assert np.median([f.optimum.region_area for f in found]) > 0.7
    told = next(f for f in found if f.optimum.flat)
    assert "The surface is flat" in told.words


def test_equal_accuracies_leave_everything_open():
    found = fitted(TEN, 2, flat, 0.0)
    assert found.optimum.shares == UNIFORM
    assert (found.optimum.gain, found.optimum.p_beats_uniform) == (0.0, 0.0)
    assert found.optimum.flat and found.optimum.region_area > 0.9
    assert found.optimum.p_best < 0.3  # any of ten


def test_a_clear_peak_is_found():
    found = fitted(FIFTEEN, 4, peak, 0.003)
    optimum = found.optimum
    assert math.dist(plane([optimum.shares])[0], plane([Shares(0.1, 0.4, 0.5)])[0]) < 0.15
    assert Shares(2 / 21, 8 / 21, 11 / 21) in optimum.region and not optimum.flat
    assert optimum.p_beats_uniform > 0.9 and optimum.gain_ci95[0] < optimum.gain < optimum.gain_ci95[1]
    true_gain = peak(optimum.shares) - peak(UNIFORM)
    assert optimum.gain_ci95[0] < true_gain < optimum.gain_ci95[1]
    assert f"Highest at {percent(optimum.shares)}" in found.words


def test_more_seeds_shrink_the_region():
    areas = [
        [fitted(FIFTEEN, seeds, peak, 0.02, rng_seed=i).optimum.region_area for i in range(3)] for seeds in (1, 3, 9)
    ]
    few, some, many = (float(np.median(a)) for a in areas)
    assert few > some > many and many < 0.2


def test_the_leader_is_surer_the_further_it_is_ahead():
    def p_best(lead: float) -> float:
        points = [Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1), UNIFORM]
        rng = np.random.default_rng(0)
        rows = [
            summary(i, p, {s: 0.6 + lead * (i == 2) + rng.normal(0, 0.005) for s in range(4)})
            for i, p in enumerate(points)
        ]
        return response_surface(rows).optimum.p_best

    assert p_best(0.0) < p_best(0.01) < p_best(0.05)
    assert p_best(0.05) > 0.97


def test_p_best_is_the_share_of_draws_in_which_the_leader_leads():
    rows = networks(TEN, 2, peak, 0.01)
    found = response_surface(rows)
    points = plane([s.network.shares for s in rows])
    data = Observations(
        np.repeat(points, 2, axis=0), np.tile([0, 1], 10), np.array([a for s in rows for a in s.accuracies])
    )
    process = SurfacePosterior(data)
    leader = int(process.mean(points).argmax())
    draws = process.draw(points, 20_000, np.random.default_rng(5))
    assert found.optimum.best == leader
    assert found.optimum.p_best == pytest.approx((draws.argmax(1) == leader).mean(), abs=0.03)


def test_a_constant_added_to_one_seed_changes_no_contrast():
    plain = fitted(TEN, 3, planted, 0.003)
    moved = fitted(TEN, 3, planted, 0.003, effect={1: 0.5})
    gaps = np.array(moved.accuracy.coefficients[:3]) - plain.accuracy.coefficients[:3]
    assert gaps == pytest.approx(np.full(3, 0.5 / 3), abs=1e-9)  # the level moves by the mean effect
    assert moved.accuracy.coefficients[3:] == pytest.approx(plain.accuracy.coefficients[3:], abs=1e-9)
    for model in ("mean", "plane", "quadratic"):
        assert dict(moved.accuracy.errors)[model] == pytest.approx(dict(plain.accuracy.errors)[model], abs=1e-9)


def test_a_moderate_effect_of_seeds_hardly_moves_the_process():
    plain = fitted(FIFTEEN, 3, peak, 0.003)
    moved = fitted(FIFTEEN, 3, peak, 0.003, effect={0: 0.004, 1: -0.004})
    contrasts = [np.array(f.expected) - f.expected[0] for f in (plain, moved)]
    assert contrasts[1] == pytest.approx(contrasts[0], abs=0.001)
    assert moved.optimum.region_area == pytest.approx(plain.optimum.region_area, abs=0.1)


def test_a_large_effect_of_a_seed_is_seen_through_where_seeds_are_unequal():
    """Half of the networks have the seed that adds ten points; plain means would follow it."""
    seeds = (3, 2, 3, 2, 3, 2, 3, 2, 3, 2)
    found = fitted(TEN, seeds, planted, 0.0005, effect={2: 0.1})
    level = found.accuracy.coefficients[0] - PLANTED[0]
    assert np.array(found.accuracy.coefficients[:3]) - level == pytest.approx(PLANTED[:3], abs=0.003)
    assert found.accuracy.coefficients[3:] == pytest.approx(PLANTED[3:], abs=0.012)


def test_repeats_of_one_network_alone_still_count():
    """Seeds that no other network has tell of that network, because their effects are not free to take it all."""
    points = [*TEN[:9]]
    few = networks(points, 1, flat, 0.0)
    rng = np.random.default_rng(0)
    high = {s: 0.73 + rng.normal(0, 0.003) for s in range(1, 9)}
    lone = summary(9, TEN[9], {0: 0.70, **high})
    found = fitted_from([*few, lone])
    assert found.expected[found.lattice.index(TEN[9])] > 0.71


def fitted_from(rows) -> ResponseSurface:
    found = response_surface(rows)
    assert isinstance(found, ResponseSurface)
    return found


def test_the_order_of_networks_changes_nothing():
    rows = networks(TEN, (2, 3, 1, 2, 3, 2, 1, 2, 4, 2), peak, 0.004)
    shuffled = random.Random(0).sample(rows, len(rows))
    assert response_surface(shuffled) == response_surface(rows)


@pytest.mark.parametrize(("points", "seeds"), [(2, 3), (3, 1), (0, 1)])
def test_too_few_for_any_surface(points, seeds):
    found = response_surface(networks(TEN[:points], seeds, peak, 0.01))
    assert isinstance(found, NoSurface)
    assert f"has {points} and {points * seeds}: run with --trials 8 --seeds 2 or more." in found.words
    assert optimum_to_dict(found) is None
    assert surface_to_dict(found) == {"words": found.words}


@pytest.mark.parametrize(
    ("mean", "plane", "noise", "said"),
    [
        (0.03, 0.013, 0.015, "; it is no more than the noise of the seeds (1.50 points), which hides the rest."),
        (0.014, 0.01, 0.015, "; both are no more than the noise of the seeds (1.50 points), which hides the rest."),
        (0.03, 0.016, 0.015, " by the plain mean of the others."),
        (0.03, 0.016, None, " by the plain mean of the others."),
    ],
)
def test_a_best_surface_under_the_noise_is_called_that(mean, plane, noise, said):
    errors = (("mean", mean), ("plane", plane), ("quadratic", None), ("process", None))
    words = SurfaceFit("accuracy", errors, noise, "plane", None).words
    assert words.startswith("A plane predicts") and words.endswith(said)


@pytest.mark.parametrize(
    ("plane", "process", "said"),
    [
        (0.0054, 0.0053, "as well as any and is the simplest, with an error of 0.54 points"),
        (0.00538, 0.00536, "best, with an error of 0.54 points"),  # nobody sees the difference
        (0.0054, 0.0061, "best, with an error of 0.54 points"),
    ],
)
def test_the_simplest_is_not_called_best_where_the_table_shows_another_ahead(plane, process, said):
    errors = (("mean", 0.01), ("plane", plane), ("quadratic", None), ("process", process))
    words = SurfaceFit("accuracy", errors, None, "plane", None).words
    against = "against 1.00 points by the plain mean of the others."
    assert words == f"A plane predicts a left-out network's accuracy {said} {against}"


@pytest.mark.parametrize(
    ("quadratic", "process", "said"),
    [
        (
            0.0240,
            0.0168,
            "No surface predicts a left-out network's accuracy better than the plain mean of the others does",
        ),
        (
            None,
            0.0168,
            "No surface predicts a left-out network's accuracy better than the plain mean of the others does",
        ),
        (0.0240, 0.0154, "No surface predicts a left-out network's accuracy more than 2 % better than the plain mean"),
    ],
)
def test_that_no_surface_beats_the_mean_is_said_whatever_the_quadratic_does(quadratic, process, said):
    errors = (("mean", 0.0156), ("plane", 0.0157), ("quadratic", quadratic), ("process", process))
    words = SurfaceFit("accuracy", errors, None, "mean", None).words
    assert said in words and "(error 1.56 points): none is to be trusted" in words
    assert words.startswith("A quadratic surface predicts") == (quadratic is not None)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (TEN[:4], "The quadratic surface has 6 coefficients and this budget has 4 networks: run with --trials 8"),
        (
            [Shares(i / 8, 1 - i / 8, 0) for i in range(9)],
            "lie too close to a line to fix a quadratic's 6 coefficients",
        ),
        (
            lattice_with(6),
            "takes all 6 networks of this budget, so none can be left out to test it: run with --trials 10",
        ),
    ],
)
def test_what_a_quadratic_lacks_is_said(points, words):
    found = fitted(points, 2, peak, 0.003)
    assert words in found.words
    assert dict(found.accuracy.errors)["quadratic"] is None
    assert (found.accuracy.coefficients is None) == (len(points) != 6)


EDGES = [
    (1.0, 0.0), (0.0, 0.7118759323769369), (0.0, 0.0), (0.40109949435121994, 0.0), (0.3748035831078, 0.6251964168922),
    (0.7261321593077471, 0.0), (0.0, 0.6519804063125889), (0.6678173280427023, 0.0), (0.372177126622054, 0.0),
    (6.666666666666667e-05, 6.666666666666667e-05),
]  # fmt: skip


@pytest.mark.parametrize("dust", [0.0, 1e-5, 1e-9])
def test_networks_on_the_edges_of_the_triangle_have_a_surface_and_no_quadratic_that_rests_on_dust(dust):
    """As a network of four branches gave them: one alone has depth and width, and without it nothing tells of both."""
    points = [Shares(d, max(w, dust), 1 - d - max(w, dust)) for d, w in EDGES]
    found = fitted(points, 2, flat, 0.01)
    errors = dict(found.accuracy.errors)
    assert errors["quadratic"] is None
    assert "one of the 10 networks of this budget alone" in found.missing.lower()
    assert all(0 < errors[model] < 0.03 for model in ("mean", "plane", "process"))


def test_a_plane_is_not_fitted_to_shares_that_differ_by_rounding():
    points = [Shares(d, w, 1 - d - w) for d, w in ((1, 0), (0.48, 2e-5), (0, 0), (0.73, 0), (0.31, 0), (0, 3e-5))]
    assert dict(fitted(points, 2, flat, 0.01).accuracy.errors)["plane"] is None


def test_a_quadratic_that_is_fitted_and_tested_lacks_nothing():
    assert fitted(TEN, 2, peak, 0.003).missing == ""


def test_networks_without_a_rank_or_shares_are_left_out():
    rows = networks(TEN, 2, peak, 0.003)
    others = [
        replace(rows[0], failures=Failures(diverged=1)),
        replace(rows[1], network=replace(rows[1].network, number=98, shares=None)),
        replace(rows[2], network=replace(rows[2].network, number=99, within_tolerance=False)),
    ]
    assert response_surface([*rows[1:], *others]) == response_surface(rows[1:])


def test_a_missing_loss_leaves_accuracy():
    rows = networks(TEN, 2, peak, 0.003)
    found = fitted_from([replace(rows[0], losses=rows[0].losses[:1]), *rows[1:]])
    assert found.loss is None and found.fits == (found.accuracy,)


@pytest.mark.parametrize("order", [1, 3, 21])
def test_the_areas_of_the_lattice_make_up_the_triangle(order):
    parts = areas(simplex_lattice(order))
    assert parts.sum() == pytest.approx(1)
    assert parts[0] == pytest.approx(1 / (3 * order**2))  # a sixth of a hexagon; the triangle is order^2 / 2 of them


def test_seed_noise_is_the_error_of_a_perfect_model():
    found = fitted(FIFTEEN, 4, flat, 0.004)
    assert found.accuracy.noise == pytest.approx(0.004 / 2, rel=0.2)
    assert fitted(TEN, 1, flat, 0.004).accuracy.noise is None


def test_the_file_form_is_plain_and_complete():
    found = fitted(TEN, 2, peak, 0.003)
    text = json.dumps({"optimum": optimum_to_dict(found), "surface": surface_to_dict(found)}, allow_nan=False)
    read = json.loads(text)
    assert read["optimum"].keys() >= {"shares", "region_area", "p_best", "flat", "gain_ci95"}
    assert sum(read["optimum"]["shares"].values()) == pytest.approx(1)
    assert read["surface"]["loss"]["leave_one_network_out"].keys() == {"mean", "plane", "quadratic", "process"}
    assert read["surface"]["accuracy"]["preferred"] in {"mean", "plane", "quadratic", "process"}


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_words_and_errors(width):
    console = Console(width=width, record=True, file=io.StringIO())
    found = fitted(TEN, 2, peak, 0.003)
    for line in surface_lines(found):
        console.print(line)
    text = console.export_text()
    assert "optimum: Highest at" in text and "A quadratic surface" in text
    assert " *" in text and "* the simplest within 2 % of the least error" in text
    assert f"{100 * dict(found.accuracy.errors)['process']:.2f}" in text
    assert max(map(len, text.splitlines())) <= width


def test_published_shares_are_the_published_numbers():
    assert percent(PUBLISHED_SHARES["EfficientNet"]) == "28/29/43 %"
    assert percent(PUBLISHED_SHARES["pycls"]) == "10/80/10 %"
    assert percent(PUBLISHED_SHARES["EfficientNet-X TPU"]) == "38/36/26 %"
    assert len(PUBLISHED_SHARES) == 5


CASES: dict[str, dict[str, object]] = {
    "peak": {"seeds": 5, "networks": 14, "sd_seed": 0.001},
    "flat": {"seeds": 2, "networks": 14, "sd_seed": 0.02},
    "two": {"budgets": ("2x", "800k"), "seeds": 3, "networks": 12},
    "three": {"budgets": ("2x", "4x", "8x"), "networks": 17, "seeds": 3},
    "one not trained": {"budgets": ("2x", "4x"), "networks": 10, "seeds": 1, "trained": 0.5},
    "constant": {"budgets": ("1x", "2x"), "networks": 10, "sd_seed": 0.0},
}


@cache
def drawn(name: str) -> Figure:
    return draw_surface(surface_info(study(**CASES[name])))


@pytest.mark.parametrize("name", [name for name in CASES if name != "two"])
def test_no_text_of_the_figure_lies_on_another_or_outside(name):
    fig = drawn(name)
    renderer = FigureCanvasAgg(fig).get_renderer()
    texts = [t for ax in fig.axes for t in ax.texts] + [fig._suptitle, *fig.legends[0].get_texts()]
    for ax in fig.axes:
        if hasattr(ax, "taxis"):
            texts += [t for axis in (ax.taxis, ax.laxis, ax.raxis) for t in axis.get_ticklabels()]
    extents = [t.get_window_extent(renderer) for t in texts if t.get_text().strip()]
    for box in extents:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1
    for one, two in itertools.combinations(extents, 2):
        assert min(one.x1, two.x1) - max(one.x0, two.x0) <= 1 or min(one.y1, two.y1) - max(one.y0, two.y0) <= 1


def test_the_figure_names_every_proposal_and_says_what_is_known():
    text = svg_text(drawn("flat"), "surface")
    for name in (*PUBLISHED_SHARES, "flat, 95 % region", "left-out network", "the answer", "all on depth"):
        assert name in text


def test_the_figure_of_a_study_without_a_surface_is_refused():
    with pytest.raises(StudyError, match="takes 3 networks and 4 trainings"):
        figure(study(networks=2), "surface")


def test_one_budget_can_be_drawn_and_an_unknown_one_is_refused():
    result = study(**CASES["two"])
    assert [p.panel.budget for p in surface_info(result, "800k").panels] == ["800k"]
    with pytest.raises(UnknownNameError, match="9x"):
        surface_info(result, "9x")


def test_the_same_study_gives_the_same_figure_without_pyplot():
    assert svg_text(drawn("peak"), "x") == svg_text(draw_surface(surface_info(study(**CASES["peak"]))), "x")
    loaded = "*(m in sys.modules for m in ('matplotlib.pyplot', 'torch'))"
    code = f"import sys, scalesearch.report.figures.surface; print({loaded})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
