"""A search that starts from the atlas: what is expected, what trainings leave of it, and never unasked."""

import dataclasses

import numpy as np
import pytest
from atlas_rows import row, rows
from synthetic import Plan, manifest_of, records_of, study

from scalesearch.analysis.atlas.expected import expected_words, priors_of, surface_of
from scalesearch.analysis.response.observations import Observations, plane
from scalesearch.analysis.response.posterior import SurfacePosterior
from scalesearch.analysis.result import compute_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.errors import UsageError
from scalesearch.scaling.coefficients import REFERENCES, Shares, simplex_lattice
from scalesearch.study.config import StudyConfig, config_from_dict
from scalesearch.study.manifest import manifest_from_dict, manifest_to_dict

POINTS = simplex_lattice(3)
WIDE = Shares(0.1, 0.8, 0.1)


def accuracy(top, shares=POINTS, height=0.04):
    return 0.8 - height * ((plane(shares) - plane([top])) ** 2).sum(1)


def posterior(top, networks, noise, prior=None, seeds=2):
    """What trainings of the first networks say where the truth has its top somewhere."""
    rng = np.random.default_rng(1)
    own = [POINTS[i] for i in networks]
    values = np.repeat(accuracy(top, own), seeds) + rng.normal(0, noise, seeds * len(own))
    points, seed = np.repeat(plane(own), seeds, axis=0), np.tile(np.arange(seeds), len(own))
    return SurfacePosterior(Observations(points, seed, values, prior=prior))


def chosen(process):
    lattice = simplex_lattice(12)
    return lattice[int(process.mean(plane(lattice)).argmax())]


def test_the_mean_surface_of_rows_is_their_quadratic():
    found = surface_of([row(shares=(0.1, 0.8, 0.1), height=0.04)])
    points = plane([REFERENCES["uniform"], WIDE])
    expected = accuracy(WIDE, [REFERENCES["uniform"], WIDE])
    assert found.at(points) == pytest.approx(expected - expected[0], abs=1e-9)


def test_a_true_prior_finds_the_top_from_three_noisy_networks():
    prior, few = surface_of([row(shares=(0.1, 0.8, 0.1), height=0.04)]), (0, 6, 9)
    without, with_it = (posterior(WIDE, few, 0.01, prior=p) for p in (None, prior))
    at = {name: accuracy(WIDE, [chosen(process)])[0] for name, process in (("without", without), ("with", with_it))}
    assert at["with"] > at["without"]
    assert with_it.lean > 0.4


def test_trainings_that_contradict_it_are_believed():
    wrong = surface_of([row(shares=(0.8, 0.1, 0.1), height=0.04)])
    process = posterior(WIDE, range(10), 0.002, prior=wrong)
    assert process.lean < 0.25  # 0.375 before any training
    assert accuracy(WIDE, [chosen(process)])[0] > 0.799


def test_a_prior_of_nothing_changes_nothing():
    flat = surface_of([row(height=0.0)])
    plain, same = posterior(WIDE, range(10), 0.005), posterior(WIDE, range(10), 0.005, prior=flat)
    assert same.mean(plane(POINTS)) == pytest.approx(plain.mean(plane(POINTS)), abs=2e-5)
    rng = np.random.default_rng
    gap = plain.draw(plane(POINTS), 4000, rng(0)).std(0) - same.draw(plane(POINTS), 4000, rng(0)).std(0)
    assert np.abs(gap).max() < 2e-4


def test_draws_lie_around_the_mean():
    prior = surface_of([row(shares=(0.1, 0.8, 0.1), height=0.04)])
    process = posterior(WIDE, (0, 6, 9), 0.004, prior=prior)
    points = plane(POINTS)
    drawn = process.draw(points, 20_000, np.random.default_rng(0))
    assert drawn.mean(0) == pytest.approx(process.mean(points), abs=5e-4)
    assert process.at(points).mean == pytest.approx(process.mean(points), abs=1e-12)
    assert drawn.std(0) == pytest.approx(np.sqrt(np.diag(process.at(points).covariance)), rel=0.4)


def test_it_is_asked_for_or_absent():
    assert StudyConfig().prior == "none"
    assert study().manifest.priors == ()
    with pytest.raises(UsageError, match=r"unknown prior 'atlass'.*did you mean 'atlas'"):
        config_from_dict({"prior": "atlass"})


def test_the_rows_are_kept_with_the_study_and_told():
    facts = priors_of(rows(), "resnet50", "fashion-mnist-mini", [("2x", 2.0), ("1x", 1.0)])
    assert [(f.budget, f.rows) for f in facts] == [("2x", ("resnet_micro on fashion-mnist at 2x",))]
    manifest = dataclasses.replace(manifest_of(Plan()), priors=facts)
    assert manifest_from_dict(manifest_to_dict(manifest), "").priors == facts
    result = compute_result(manifest, records_of(Plan()))
    (caution,) = [text for text in result.budgets[0].cautions if "atlas" in text]
    assert "as in the atlas (resnet_micro on fashion-mnist at 2x); by the trainings" in caution
    assert caution in result_to_dict(result)["budgets"][0]["cautions"]
    assert result.budgets[0].standings.expected != pytest.approx(study().budgets[0].standings.expected, abs=1e-9)
    told = list(expected_words(facts))
    assert told[0] == (
        "2x starts from the atlas (resnet_micro on fashion-mnist at 2x): trainings tell whether 0 %, 50 %, 100 % "
        "of it are taken"
    )
    assert "same family where there is one" in told[1]


def test_a_budget_that_no_row_serves_is_refused():
    with pytest.raises(UsageError, match="no row that serves 1x; allowed: --prior none"):
        priors_of(rows(), "resnet50", "cifar10", [("1x", 1.0)])
