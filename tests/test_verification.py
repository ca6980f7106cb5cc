"""What new seeds say: differences of paired networks, their intervals and p values, and the words made of them."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats
from synthetic import Plan, networks_of

from scalesearch.analysis.paired import DRAWS, OWN, PairedTable, against, degrees, detectable, holm, seeds_to_detect
from scalesearch.analysis.seed_table import SeedTable, layout
from scalesearch.analysis.verified.verification import Verification, verification_to_dict, verify_budget
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.study.record import NetworkRecord, TrainingOutcome

NETWORKS = networks_of(Plan(networks=21))
REFERENCE_ROLES = ("depth", "width", "resolution", "uniform", "efficientnet")


def noise(networks: int, seeds: int, sd: float = 0.004, seed: int = 0) -> np.ndarray:
    return sd * np.random.default_rng(seed).standard_normal((networks, seeds))


def numbered(*roles: str) -> tuple[NetworkRecord, ...]:
    """Networks 0, 1, ... with these roles; an empty text is none, and + joins several."""
    return tuple(
        replace(NETWORKS[i], number=i, roles=tuple(filter(None, text.split("+")))) for i, text in enumerate(roles)
    )


def as_layout(roles: tuple[str, ...], accuracy: object, diverged: tuple[int, ...] = ()) -> SeedTable:
    table = np.asarray(accuracy, dtype=np.float64)
    return SeedTable(numbered(*roles), tuple(range(5000, 5000 + table.shape[1])), table, 1 - table, diverged)


def verified(table: SeedTable, found: int, split: str = "test", **search_means: float) -> Verification:
    means = {int(name.removeprefix("n")): value for name, value in search_means.items()}
    result = verify_budget(table, budget="2x", split=split, found=found, search_means=means)  # type: ignore[arg-type]
    assert result is not None
    return result


# Many networks.


@pytest.mark.parametrize("networks", [127, 260])
def test_however_many_are_compared_they_are_judged(networks):
    """5,000 draws show no p that would be small after so many comparisons, nor the end of their joint interval."""
    table = noise(networks, 3)
    table[0] += 0.2
    found = against(table, 0, range(1, networks))
    assert all(one.p_holm < 0.05 and one.words == "better" for one in found)
    assert all(one.joint_ci95[0] <= one.ci95[0] < one.difference < one.ci95[1] <= one.joint_ci95[1] for one in found)


def test_few_are_judged_by_the_draws_they_always_were():
    assert PairedTable(noise(26, 2)).difference(0, 1, among=25).p >= 25 / 5000
    assert DRAWS == 4999


# Differences of two rows.


def test_two_networks_are_judged_by_their_own_differences():
    found = PairedTable(np.array([[0.80, 0.82, 0.84], [0.79, 0.80, 0.84]])).difference(0, 1)
    # 1, 2 and 0 points: mean 1, standard deviation 1.
    assert found.value == pytest.approx(0.01)
    assert found.standard_error == pytest.approx(0.01 / math.sqrt(3))
    assert (found.ci95[0] + found.ci95[1]) / 2 == pytest.approx(found.value)
    assert found.ci95[0] < 0 < found.ci95[1] and found.p > 0.05


@pytest.mark.parametrize("networks", [3, 4, 8])
def test_the_noise_of_a_pair_is_that_of_all_pairs_differences(networks):
    """Grubbs from the variances of all pairs' differences, not from residuals."""
    table = noise(networks, 6, seed=4) + np.arange(6) / 100
    apart = np.array([[(a - b).var(ddof=1) for a in table] for b in table])
    total = apart.sum() / 2 / (networks - 1)
    own = (apart.sum(1) - total) / (networks - 2)
    pooled = total / networks
    for i, j in itertools.combinations(range(networks), 2):
        expected = (OWN * (own[i] + own[j]) + (1 - OWN) * 2 * pooled) / 6
        assert PairedTable(table).difference(i, j).standard_error == pytest.approx(math.sqrt(expected))
    assert PairedTable(table).sd == pytest.approx(math.sqrt(pooled))


def test_a_noisy_network_has_wider_intervals():
    table = noise(6, 10, seed=1)
    table[5] *= 5
    judge = PairedTable(table)
    width = {j: np.ptp(judge.difference(0, j).ci95) for j in range(1, 6)}
    assert width[5] > 2 * max(width[j] for j in range(1, 5))


def test_on_a_large_table_the_bootstrap_is_students_t():
    judge = PairedTable(noise(8, 40, seed=2))
    for other in range(1, 8):
        found = judge.difference(0, other)
        half = (found.ci95[1] - found.ci95[0]) / 2
        assert half == pytest.approx(stats.t.ppf(0.975, degrees(8, 40)) * found.standard_error, rel=0.04)
        t = abs(found.value) / found.standard_error
        assert found.p == pytest.approx(2 * stats.t.sf(t, degrees(8, 40)), abs=0.03)


def test_an_interval_leaves_out_nothing_exactly_where_p_is_small():
    judge = PairedTable(noise(5, 4, seed=3))
    base = judge.difference(0, 1)
    for shift in np.linspace(-6, 6, 241) * base.standard_error:
        table = judge.table.copy()
        table[0] += shift
        found = PairedTable(table)
        found._drawn = judge._drawn  # a shift of a row leaves the residuals as they are
        told = found.difference(0, 1)
        assert (told.p < 0.05) == (not told.ci95[0] <= 0 <= told.ci95[1])


def test_what_a_seed_does_to_all_networks_cancels():
    table = noise(6, 5, seed=6) + np.arange(6)[:, None] / 200
    moved = PairedTable(table + np.array([0.3, -0.2, 0.1, 0.05, 0.0]))
    for other in range(1, 6):
        before, after = PairedTable(table).difference(0, other), moved.difference(0, other)
        assert after.value == pytest.approx(before.value, abs=1e-12)
        assert after.ci95 == pytest.approx(before.ci95, abs=1e-6)
        assert after.p == pytest.approx(before.p, abs=2 / DRAWS)


def test_the_same_table_gives_the_same_answer_in_any_order():
    table = noise(7, 5, seed=7)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(7), rng.permutation(5)
    shuffled = PairedTable(table[np.ix_(rows, columns)])
    where = {int(row): position for position, row in enumerate(rows)}
    for other in range(1, 7):
        first = PairedTable(table).difference(0, other)
        assert first == PairedTable(table.copy()).difference(0, other)
        again = shuffled.difference(where[0], where[other])
        assert again.value == pytest.approx(first.value, abs=1e-12)
        assert again.ci95 == pytest.approx(first.ci95, abs=1e-6)
        reverse = shuffled.difference(where[other], where[0])
        assert reverse.ci95 == (-again.ci95[1], -again.ci95[0]) and reverse.p == again.p


def test_p_is_never_zero():
    table = noise(3, 5) + np.array([[0.5], [0.0], [0.0]])
    assert PairedTable(table).difference(0, 1).p == 1 / (DRAWS + 1)


@pytest.mark.parametrize("seed_effect", [0.0, 0.1])
def test_seeds_that_make_no_difference(seed_effect):
    table = np.array([[0.8], [0.8], [0.7]]) + seed_effect * np.array([1.0, 0.37, -0.11])
    judge = PairedTable(table)
    alike, apart = judge.difference(0, 1), judge.difference(0, 2)
    assert (alike.value, alike.p) == (pytest.approx(0.0), 1.0)
    assert apart.ci95 == pytest.approx((0.1, 0.1)) and apart.p < 0.001


# Several comparisons, and what could have been seen.


def test_holm_by_a_worked_example():
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, each at least the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_rejects_step_by_step():
    """The definition: the smallest p against 5 % of all, the next against 5 % of the rest, until one fails."""
    rng = random.Random(0)
    for _ in range(200):
        found = [rng.random() ** 4 for _ in range(6)]
        rejected = set()
        for position, index in enumerate(sorted(range(6), key=found.__getitem__)):
            if found[index] >= 0.05 / (6 - position):
                break
            rejected.add(index)
        assert {i for i, p in enumerate(holm(found)) if p < 0.05} == rejected


def test_degrees_of_freedom_in_closed_form():
    assert degrees(2, 5) == 4
    # Three networks: a pair's own noise is that of its differences alone, 4 of 8 degrees.
    assert degrees(3, 5) == pytest.approx(1 / (OWN**2 * (1 / 4 - 1 / 8) + 1 / 8))
    for networks, seeds in itertools.product((3, 4, 8, 30), (2, 3, 10)):
        assert seeds - 1 <= degrees(networks, seeds) <= (networks - 1) * (seeds - 1)
        assert degrees(networks, seeds) < degrees(networks + 1, seeds)


def test_degrees_of_freedom_are_those_of_the_estimate():
    """Twice the squared mean over the variance of an estimated variance is its degrees of freedom."""
    rng = np.random.default_rng(0)
    squared = np.empty(3000)
    for i in range(len(squared)):
        judge = PairedTable(rng.standard_normal((8, 6)))
        judge._drawn = np.ones(DRAWS)
        squared[i] = judge.difference(0, 1).standard_error ** 2
    assert squared.mean() == pytest.approx(2 / 6, rel=0.03)
    assert 2 * squared.mean() ** 2 / squared.var() == pytest.approx(degrees(8, 6), rel=0.12)


def test_smallest_detectable_difference_in_closed_form():
    # t tables, 4 degrees of freedom: 2.776445 two-sided at 5 %, 0.940965 for a power of 80 %.
    assert detectable(0.01, 2, 5) == pytest.approx((2.776445 + 0.940965) * 0.01 * math.sqrt(2 / 5), rel=1e-5)
    reach = special.stdtrit(degrees(8, 5), 0.975) + special.stdtrit(degrees(8, 5), 0.8)
    assert detectable(0.005, 8, 5) == pytest.approx(reach * 0.005 * math.sqrt(0.4))
    assert detectable(0.01, 8, 5) == pytest.approx(2 * detectable(0.005, 8, 5))


@pytest.mark.parametrize("networks", [2, 3, 8])
@pytest.mark.parametrize("difference", [0.0004, 0.003, 0.02, 0.5])
def test_seeds_to_detect_are_the_fewest(networks, difference):
    seeds = seeds_to_detect(difference, 0.005, networks)
    assert seeds is not None and detectable(0.005, networks, seeds) <= difference
    assert seeds == 2 or detectable(0.005, networks, seeds - 1) > difference


def test_half_of_a_difference_takes_about_four_times_the_seeds():
    smallest = detectable(0.005, 8, 20)
    assert seeds_to_detect(smallest / 2, 0.005, 8) in range(76, 81)
    assert seeds_to_detect(0.0, 0.005, 8) is None
    assert seeds_to_detect(1e-6, 0.5, 8) is None


@pytest.mark.slow
@pytest.mark.parametrize(("networks", "seeds"), [(2, 5), (3, 5), (8, 3), (8, 5)])
def test_the_smallest_detectable_difference_is_seen_four_times_in_five(networks, seeds):
    rng = np.random.default_rng(5)
    shift = np.eye(networks, 1) * detectable(0.01, networks, seeds)
    tables = (PairedTable(0.01 * rng.standard_normal((networks, seeds)) + shift) for _ in range(1000))
    seen = sum(table.difference(0, 1).p < 0.05 for table in tables) / 1000
    assert 0.76 < seen < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("noisy", [1.0, 2.0])
@pytest.mark.parametrize(("networks", "seeds"), [(3, 3), (3, 5), (8, 3), (8, 5)])
def test_intervals_hold_the_truth_as_often_as_they_say(networks, seeds, noisy):
    rng = np.random.default_rng(6)
    scale = np.where(np.arange(networks) == 0, noisy, 1.0)[:, None]
    held = np.zeros(2)
    for _ in range(1000):
        table = PairedTable(scale * rng.standard_normal((networks, seeds)))
        for position, other in enumerate(((0, 1), (1, 2))):
            low, high = table.difference(*other).ci95
            held[position] += low <= 0 <= high
    assert np.all(held / 1000 > 0.915) and np.all(held / 1000 < 0.98)


@pytest.mark.slow
@pytest.mark.parametrize("noisy", [1.0, 2.0])
def test_a_flat_field_seldom_has_a_better_network(noisy):
    """The whole way from the table to the words, the found network as noisy as the others or twice as noisy."""
    rng = np.random.default_rng(7)
    scale = np.where(np.arange(7) == 6, noisy, 1.0)[:, None]
    told = 0
    for _ in range(1000):
        accuracy = 0.8 + 0.005 * (scale * rng.standard_normal((7, 5)) + rng.standard_normal(5))
        found = verified(as_layout((*REFERENCE_ROLES, "baseline", ""), accuracy), 6)
        told += any(v.words == "better" for v in found.verdicts)
    assert told / 1000 <= 0.05


# The verdict of a budget.

ROLES = ("baseline", "depth", "width", "resolution", "uniform+efficientnet", "", "")
"""Networks 0 to 6; 5 and 6 are leaders of the search."""


def planted(*points: float, sd: float = 0.002, seeds: int = 5, seed: int = 0) -> SeedTable:
    """Planted accuracies in points over 80 %; the noise of every row has mean 0, so that means are exact."""
    raw = noise(len(points), seeds, sd, seed)
    table = 0.8 + np.array(points)[:, None] / 100 + raw - raw.mean(1, keepdims=True)
    return as_layout(ROLES[: len(points)], table)


def test_every_other_network_is_named_and_compared():
    found = verified(planted(-5, 0, -1, -2, 1.5, 2, 2.1), 5)
    assert [v.against for v in found.verdicts] == [
        "depth", "width", "resolution", "uniform+efficientnet", "network 6", "baseline",
    ]  # fmt: skip
    assert [v.number for v in found.verdicts] == [1, 2, 3, 4, 6, 0]
    differences = [100 * v.difference for v in found.verdicts]
    assert differences == pytest.approx([2, 3, 4, 0.5, -0.1, 7])
    words = {v.against: v.words for v in found.verdicts}
    assert words["depth"] == words["baseline"] == "better"
    assert words["network 6"] == "no evidence of a difference"
    assert {v.seeds for v in found.verdicts} == {5} and {v.budget for v in found.verdicts} == {"2x"}
    assert found.mean == pytest.approx(0.82)


def test_intervals_are_those_of_the_table_and_p_is_adjusted_for_all_comparisons():
    table = planted(-0.3, 0.1, 0.2, 0.0, 0.4, 0.5)
    found = verified(table, 5)
    judge = PairedTable(table.accuracy)
    raw = {v.number: judge.difference(5, v.number) for v in found.verdicts}
    assert {v.number: v.ci95 for v in found.verdicts} == {trial: d.ci95 for trial, d in raw.items()}
    adjusted = holm([d.p for d in raw.values()])
    assert [v.p_holm for v in found.verdicts] == pytest.approx(adjusted)
    assert max(v.p_holm or 0 for v in found.verdicts) > max(d.p for d in raw.values()) - 1e-12


def test_a_network_that_is_worse_is_said_to_be():
    found = verified(planted(-5, 0, -1, -2, 3, 0, 0), 5)
    assert next(v for v in found.verdicts if "uniform" in v.against).words == "worse"
    assert "worse than uniform+efficientnet" in found.words and "better than" in found.words


def test_the_reference_that_was_found_is_the_same_network():
    found = verified(planted(-5, 0, -1, -2, 1.5, 0, 0), 4)
    same = found.verdicts[:2]
    assert [(v.against, v.words) for v in same] == [
        ("uniform", "the same network"), ("efficientnet", "the same network"),
    ]  # fmt: skip
    assert {(v.difference, v.ci95, v.p_holm, v.number) for v in same} == {(0.0, None, None, 4)}
    assert found.lead is None and found.search_lead is None
    assert found.words.startswith("The search's choice is uniform scaling itself; better than")


def test_on_the_baselines_own_budget_the_baseline_may_be_found():
    found = verified(planted(1, 0, -1), 0)
    first, *others = found.verdicts
    assert (first.against, first.words) == ("baseline", "the same network")
    assert [v.against for v in others] == ["depth", "width"]


def test_a_difference_that_counts_only_on_its_own_is_said_to():
    for gap in np.linspace(0.05, 0.6, 56):
        found = verified(planted(0, 0, 0, 0, -gap, 0, sd=0.003, seed=2), 5)
        uniform = next(v for v in found.verdicts if "uniform" in v.against)
        assert uniform.ci95 is not None
        alone = uniform.ci95[0] > 0 and uniform.words == "no evidence of a difference"
        said = re.search(r"(its|their) own the intervals? against (.*) leaves? out 0; among 5 comparisons", found.words)
        assert alone == (said is not None and "uniform+efficientnet (ahead)" in said[2].split(", "))
        assert said is None or (said[1] == "its") == (", " not in said[2])
        if alone:
            return
    pytest.fail("no gap lay between the interval and the adjusted p")


def test_the_winners_curse_is_measured_as_a_lead():
    found = verified(planted(-5, 0, -1, -2, 1.5, 2.1), 5, n5=0.859, n4=0.841)
    assert found.search_mean == 0.859
    assert (found.search_lead, found.lead) == (pytest.approx(0.018), pytest.approx(0.006))
    told = "it was 1.80 points ahead in the search by plain means, on new seeds and other images 0.60 points ahead."
    assert f"Against uniform scaling {told}" in found.words
    behind = verified(planted(-5, 0, -1, -2, 2.1, 1.5), 5, n5=0.859, n4=0.841)
    told = "it was 1.80 points ahead in the search by plain means, on new seeds and other images 0.60 points behind."
    assert told in behind.words
    assert "85.9" not in found.words


def test_accuracies_themselves_are_compared_on_the_same_images_only():
    table = planted(0, 1, 1.5)
    same = verified(table, 2, "validation", n2=0.859)
    other = verified(table, 2, "test", n2=0.859)
    assert "The search showed 85.90 %, new seeds 81.50 %." in same.words
    assert "85.90" not in other.words and other.search_mean == 0.859


def test_what_could_have_been_seen_and_what_half_would_take():
    table = planted(-5, 0, -1, -2, 1.5, 2)
    found = verified(table, 5)
    sd = PairedTable(table.accuracy).sd
    smallest = detectable(sd, 6, 5)
    assert found.smallest_detectable_difference == pytest.approx(smallest)
    assert found.seeds_for_half == seeds_to_detect(smallest / 2, sd, 6)
    assert f"5 seeds show a difference of {100 * smallest:.2f} points four times in five" in found.words
    assert f"for half of that it takes {found.seeds_for_half} (--seeds)" in found.words


def test_two_networks():
    found = verified(as_layout(("uniform", ""), [[0.80, 0.81, 0.82], [0.81, 0.82, 0.825]]), 1)
    (only,) = found.verdicts
    assert only.against == "uniform" and only.difference == pytest.approx(0.025 / 3)
    assert only.p_holm is not None and only.ci95 is not None


def test_one_seed_has_no_interval_and_says_what_to_run():
    found = verified(as_layout(("baseline", "uniform", ""), [[0.7], [0.8], [0.81]]), 2, n1=0.8, n2=0.82)
    assert {(v.ci95, v.p_holm, v.words, v.seeds) for v in found.verdicts} == {(None, None, "not known (one seed)", 1)}
    assert [v.difference for v in found.verdicts] == pytest.approx([0.01, 0.11])
    assert found.smallest_detectable_difference is None and found.seeds_for_half is None
    assert found.words == (
        "Against uniform scaling it was 2.00 points ahead in the search by plain means, on new seeds and other images "
        "1.00 points ahead. "
        "One seed shows no interval: run it again with --seeds 5 or more."
    )


def test_seeds_that_make_no_difference_are_named():
    found = verified(as_layout(("uniform", ""), [[0.8, 0.8], [0.81, 0.81]]), 1)
    assert "The seeds made no difference to any network." in found.words
    assert found.seeds_for_half is None


def outcome(seed: int, accuracy: float | None) -> TrainingOutcome:
    status = "failed" if accuracy is None else "complete"
    loss = None if accuracy is None else 1 - accuracy
    return TrainingOutcome(seed, status, accuracy, loss, 1.0, (), "2026-11-24T10:00:00Z")


def trained(diverged: int) -> list[tuple[NetworkRecord, TrainingOutcome]]:
    networks, values = numbered("baseline", "uniform", "", ""), noise(4, 5) + 0.8
    return [
        (network, outcome(seed, None if (i, seed) == (diverged, 3) else float(values[i, seed])))
        for i, network in enumerate(networks)
        for seed in range(5)
    ]


def test_a_diverged_network_is_left_out_and_named():
    found = verified(layout(trained(3)), 2)
    assert [v.against for v in found.verdicts] == ["uniform", "baseline"]
    assert found.diverged == (3,) and found.seeds == (0, 1, 2, 3, 4)
    assert "Left out, because a training diverged: network 3." in found.words


def test_a_found_network_that_diverged_is_the_news():
    found = verified(layout(trained(2)), 2)
    assert found.verdicts == () and found.mean is None
    assert found.words.startswith("The search's choice, network 2, diverged on a new seed: ")
    assert "--lr" in found.words and "Left out" not in found.words
    assert json.dumps(verification_to_dict(found), allow_nan=False)


def test_the_order_of_trainings_changes_nothing():
    rows = trained(3)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert verified(layout(rows), 2) == verified(layout(shuffled), 2)


@pytest.mark.parametrize(
    "table",
    [
        as_layout((), np.empty((0, 0))),
        as_layout(("uniform",), [[0.8, 0.81]]),
        as_layout(("uniform", ""), np.empty((2, 0))),
        as_layout(("baseline", "uniform"), [[0.7, 0.71], [0.8, 0.81]]),
    ],
    ids=["nothing", "one network", "no common seed", "without the found one"],
)
def test_nothing_is_said_before_there_is_something_to_compare(table):
    found = 0 if len(table.networks) == 1 else 2 if table.seeds else 1
    assert verify_budget(table, budget="2x", split="test", found=found, search_means={}) is None


def test_the_result_file_holds_plain_values():
    found = verified(planted(-5, 0, -1, -2, 1.5, 2), 5, n5=0.83, n4=0.82)
    stored = json.loads(json.dumps(verification_to_dict(found), allow_nan=False))
    assert stored["seeds"] == [5000, 5001, 5002, 5003, 5004]
    assert set(stored["verdict"][0]) == {
        "budget", "against", "trial", "difference", "ci95", "p_holm", "words", "seeds", "near",
    }  # fmt: skip
    assert stored["verdict"][0]["against"] == "depth" and len(stored["verdict"][0]["ci95"]) == 2
    assert stored["smallest_detectable_difference"] == found.smallest_detectable_difference


def test_references_come_in_their_usual_order():
    names = tuple(REFERENCES)
    found = verified(as_layout(("baseline", *reversed(names), ""), 0.8 + noise(7, 3)), 6)
    assert [v.against for v in found.verdicts] == [*names, "baseline"]


def test_a_network_that_stands_for_uniform_is_not_called_uniform():
    """No network is at uniform: the nearest stands for it, and every sentence says so."""
    layout = as_layout(("", "uniform+depth", "width"), 0.8 + noise(3, 4) + [[0.05], [0.0], [0.0]])
    first, nearest, last = layout.networks
    layout = replace(layout, networks=(first, replace(nearest, stands_for=("uniform",)), last))
    found = verified(layout, 0, n0=0.85, n1=0.8)
    assert [v.called for v in found.verdicts] == ["width", "near uniform+depth"]
    assert "The search's choice beats the network nearest to uniform scaling on new seeds (+" in found.words
    assert "; better than width, near uniform+depth." in found.words
    assert (
        "Against the network nearest to uniform scaling it was 5.00 points ahead in the search by plain means, on new "
        in found.words
    )
    own = verified(layout, 1, n0=0.85, n1=0.8)
    assert own.words.startswith("The search's choice is the network nearest to uniform scaling; ")
