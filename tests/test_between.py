"""One study against another: whether they may be compared, which answer is better, and in what they differ."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
import synthetic
from planted_study import plant
from scipy import stats
from shown import flat, said
from synthetic_evidence import verified_study

from scalesearch.analysis.between.alike import Differing, definition_differences, obstacles
from scalesearch.analysis.between.answers import between, between_to_dict
from scalesearch.analysis.between.pairs import difference
from scalesearch.report.comparison import comparison_table, render_between
from scalesearch.study import StudyPaths
from scalesearch.study.manifest import PixelFacts


def changed(result, study="other", **manifest):
    return dataclasses.replace(result, manifest=dataclasses.replace(result.manifest, study=study, **manifest))


def with_recipe(result, **recipe):
    config = result.manifest.config
    proxy = dataclasses.replace(config.proxy, **recipe)
    return changed(result, config=dataclasses.replace(config, proxy=proxy))


@pytest.fixture(scope="module")
def mine():
    return synthetic.study(name="mine", seeds=4)


# ------------------------------------------------------------------ may they be compared


def test_a_study_and_its_copy_may_be_compared_and_are_the_same(mine):
    found = between(mine, changed(mine))
    assert (found.obstacles, found.differs, found.same_base) == ((), (), True)
    (one,) = found.budgets
    networks = len(mine.budgets[0].networks)
    assert (one.words, one.difference) == ("the same network", None)
    assert one.common == (networks, networks, networks)
    assert one.repeated == (4 * networks, 4 * networks)
    assert one.apart == 0.0


OTHERS = {
    "images": (lambda r: changed(r, data=dataclasses.replace(r.manifest.data, fingerprint="00" * 32)), "data"),
    "epochs": (lambda r: with_recipe(r, epochs=8), "epochs is 4 in mine and 8 in other"),
    "augmentation": (lambda r: with_recipe(r, augmentation="flip"), "augmentation is "),
    "rate": (lambda r: with_recipe(r, learning_rate=0.1), "learning rate is "),
    "device": (lambda r: changed(r, device="cuda:0"), "device is cpu in mine and cuda in other"),
}


def test_a_study_from_before_contents_were_seen_has_the_same_images(mine):
    facts = dataclasses.replace(mine.manifest.data, fingerprint="c" * 64, earlier_fingerprint="e" * 64)
    new, old = (
        changed(mine, data=one)
        for one in (facts, dataclasses.replace(facts, fingerprint="e" * 64, earlier_fingerprint=""))
    )
    touched = changed(mine, data=dataclasses.replace(facts, fingerprint="d" * 64))
    assert between(new, old).obstacles == between(old, new).obstacles == ()
    (told,) = between(new, touched).obstacles
    assert told.what == "data"


@pytest.mark.parametrize("what", OTHERS)
def test_what_measures_otherwise_may_not_be_compared(mine, what):
    other, why = OTHERS[what]
    weaker = dataclasses.replace(
        other(mine), budgets=(dataclasses.replace(mine.budgets[0], best=mine.budgets[0].networks[-1]),)
    )
    found = between(mine, weaker)
    assert len(found.obstacles) == 1
    assert found.words[0].startswith("Accuracies of mine and other may not be compared: ")
    assert why in found.words[0]
    (one,) = found.budgets
    assert (one.difference, one.ci95, one.apart, one.words) == (None, None, None, "may not be compared")
    assert not re.search(r"[+-]\d+\.\d\d points", " ".join(found.words))


def test_photographs_that_one_study_stores_softer_may_not_be_compared(mine):
    sharp = changed(mine, "sharp", pixels=PixelFacts(161, resampling="lanczos"))
    soft = changed(mine, "soft", pixels=PixelFacts(128))
    (told,) = between(sharp, soft).obstacles
    assert told.told("sharp", "soft") == (
        "the filter that photographs are stored by is lanczos in sharp and bilinear in soft"
    )
    assert not between(sharp, changed(mine, "larger", pixels=PixelFacts(193, resampling="lanczos"))).obstacles
    assert not between(sharp, changed(mine, "in_memory")).obstacles


def test_another_number_of_the_gpu_or_of_seeds_is_no_obstacle(mine):
    gpu = changed(mine, device="cuda:0")
    assert obstacles(gpu, changed(mine, device="cuda:3")) == ()
    config = dataclasses.replace(mine.manifest.config, seeds=9, workers=7)
    other = changed(mine, config=config)
    assert obstacles(mine, other) == ()
    assert definition_differences(mine.manifest, other.manifest) == (Differing("seeds", "4", "9"),)  # and no workers


def test_another_learning_rate_that_each_has_measured_is_no_obstacle(mine):
    a, b = (with_recipe(mine, learning_rate=0.0) for _ in range(2))
    assert obstacles(a, b) == ()
    assert "measured in" in obstacles(a, with_recipe(mine, learning_rate=0.1))[0].told("a", "b")


def test_budgets_of_one_name_and_another_cost_are_not_compared(mine):
    facts = dataclasses.replace(mine.budgets[0].facts, target=3 * mine.budgets[0].facts.target)
    other = dataclasses.replace(
        changed(mine, config=dataclasses.replace(mine.manifest.config, base="resnet_micro")),
        budgets=(dataclasses.replace(mine.budgets[0], facts=facts),),
    )
    found = between(mine, other)
    assert (found.same_base, found.budgets[0].difference, found.budgets[0].common[0]) == (False, None, 0)
    assert "of another cost" in found.words[0]


def test_studies_without_a_common_budget_say_so(mine):
    found = between(mine, synthetic.study(name="other", budgets=("4x",)))
    assert found.budgets == ()
    assert found.words[-1] == "They have no budget in common."


# ------------------------------------------------------------------ which answer is better


def with_accuracies(summary, seeds, accuracies, pixels):
    network = dataclasses.replace(summary.network, spec=dataclasses.replace(summary.network.spec, resolution_px=pixels))
    sd = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
    return dataclasses.replace(
        summary, network=network, seeds=tuple(seeds), accuracies=tuple(accuracies), sd=sd, off=0.0, off_sd=0.0
    )


def test_seeds_of_their_own_give_welch_s_interval(mine):
    a, b = [0.81, 0.83, 0.80, 0.86], [0.78, 0.79, 0.775]
    best = mine.budgets[0].networks[0]
    first, second = with_accuracies(best, (0, 1, 2, 3), a, 14), with_accuracies(best, (7, 8, 9), b, 16)
    value, ci95, seeds = difference(first, second, [])
    expected = stats.ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert seeds == ()
    assert value == pytest.approx(np.mean(a) - np.mean(b))
    assert ci95 == pytest.approx((low, high))
    assert difference(second, first, [])[1] == pytest.approx((-high, -low))


def test_one_seed_has_a_difference_and_no_interval(mine):
    best = mine.budgets[0].networks[0]
    first, second = with_accuracies(best, (0,), [0.8], 14), with_accuracies(best, (1,), [0.7], 16)
    value, ci95, _ = difference(first, second, [])
    assert (value, ci95) == (pytest.approx(0.1), None)


def test_what_a_seed_does_to_all_networks_cancels(mine):
    """Planted: 2 points, seeds that move everything by up to 10 points, noise of 0.1 points."""
    rng = np.random.default_rng(0)
    moves, noise = rng.normal(0, 0.05, 5), rng.normal(0, 0.001, (4, 5))
    best = mine.budgets[0].networks[0]
    rows = [
        with_accuracies(best, range(5), list(0.8 + gain + moves + noise[i]), 10 + i)
        for i, gain in enumerate((0.02, 0.0, 0.01, -0.01))
    ]
    value, ci95, seeds = difference(rows[0], rows[1], rows[2:])
    assert seeds == (0, 1, 2, 3, 4)
    assert value == pytest.approx(0.02, abs=0.002)
    assert ci95 is not None and 0.01 < ci95[0] < 0.02 < ci95[1] < 0.03
    assert difference(rows[0], rows[1], [*rows, *rows])[1] == ci95  # no network counts twice


def test_the_answer_says_which_is_better_and_by_how_much(mine):
    other = changed(mine)
    last = mine.budgets[0].networks[-1]
    worse = with_accuracies(last, last.seeds, [accuracy - 0.2 for accuracy in last.accuracies], 11)
    weaker = dataclasses.replace(other, budgets=(dataclasses.replace(mine.budgets[0], best=worse),))
    one, two = between(mine, weaker), between(weaker, mine)
    assert one.words[0].endswith("on 4 seeds of both): better.")
    assert two.words[0].endswith("on 4 seeds of both): worse.")
    assert one.budgets[0].difference == pytest.approx(-two.budgets[0].difference)
    assert 0.19 < one.budgets[0].difference < 0.25


def test_where_both_were_verified_the_new_seeds_decide():
    """The search's own accuracies flatter the best of each; new seeds on other images do not."""
    one = verified_study(name="mine")
    budget = one.budgets[0]
    best, proof = budget.best.network.number, budget.proof
    rival = next(s for s in budget.networks if s.network.number in proof.verified and s.network.number != best)
    two = dataclasses.replace(changed(one), budgets=(dataclasses.replace(budget, best=rival),))
    (found,) = between(one, two).budgets
    ours, theirs = proof.verified[best], proof.verified[rival.network.number]
    assert (found.split, found.seeds) == ("test", proof.verification.seeds)
    assert found.difference == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert found.difference != pytest.approx(np.mean(budget.best.accuracies) - np.mean(rival.accuracies))
    assert f"on {len(found.seeds)} new seeds of both and test images): " in between(one, two).words[0]
    bare = dataclasses.replace(budget.proof, verification=None, verified={})
    unverified = dataclasses.replace(changed(one), budgets=(dataclasses.replace(budget, best=rival, proof=bare),))
    (found,) = between(one, unverified).budgets
    assert (found.split, found.seeds) == (None, budget.best.seeds)
    assert found.difference == pytest.approx(np.mean(budget.best.accuracies) - np.mean(rival.accuracies))


# ------------------------------------------------------------------ what people see


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_comparison_fits_and_names_both(mine, width):
    config = dataclasses.replace(mine.manifest.config, sampler="surface", seeds=9)
    text = said(render_between(between(mine, changed(mine, study="a_study_of_another_name", config=config))), width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert "mine against a_study_of_another_name" in words
    for field, was, now in (("sampler", "lattice", "surface"), ("seeds", "4", "9")):
        assert re.search(rf"{field} (mine )?{was} (a_study_of_another_name )?{now}", words)


def test_the_same_definition_is_told(mine):
    assert "Their definitions are the same." in flat(render_between(between(mine, changed(mine))))


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_rows_of_ways_to_scale_have_their_names(mine, width):
    from scalesearch.analysis.compare import compare_scaling

    text = said(comparison_table(compare_scaling(mine)[0]), width)
    assert max(map(len, text.splitlines())) <= width
    for name in ("baseline", "depth", "width", "resolution", "compound"):
        assert re.search(rf"^ *{name}", text, re.MULTILINE) or f"+ {name}" in text or f"scaled {name}" in text


def test_compare_prints_a_against_b(call, empty_folder, tmp_path):
    for name in ("one", "two"):
        plant(StudyPaths(tmp_path / "studies" / name), 6, 3)
    code, out, err = call("compare", "one", "studies/two")
    assert (code, err) == (0, "")
    assert "one against two" in out
    assert " ".join(out.split()).count("Compound scaling:") == 2
    found = json.loads(call("compare", "one", "two", "--json")[1], parse_constant=pytest.fail)
    assert [table["study"] for table in found["tables"]] == ["one", "two"]
    (pair,) = found["between"]
    assert (pair["first"], pair["second"], pair["comparable"], pair["obstacles"]) == ("one", "two", True, [])
    assert pair["budgets"][0]["words"] == "the same network"
    assert isinstance(json.loads(call("compare", "one", "--json")[1]), list)
    assert isinstance(json.loads(call("compare", "one", "./studies/one", "--json")[1]), list)


def test_json_is_plain(mine):
    json.dumps(between_to_dict(between(mine, synthetic.study(name="other", seeds=2))), allow_nan=False)
