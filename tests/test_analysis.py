"""Noise, fronts, summaries, verdicts and the result: planted parameters, brute force and numbers by hand."""

import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic import BASELINE_MACS, Plan, manifest_of, records_of, study

from scalesearch.analysis.leader import compare_best
from scalesearch.analysis.noise import one_way_anova, reliability, seeds_needed, spearman_brown
from scalesearch.analysis.pareto import pareto_front
from scalesearch.analysis.response.standings import standings
from scalesearch.analysis.result import compute_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.analysis.summary import pooled_anova, ranked, summarize, with_role
from scalesearch.analysis.verdict import NO_EVIDENCE
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import REFERENCES, Coefficients, simplex_lattice
from scalesearch.study.record import NetworkRecord, TrainingOutcome, TrialRecord

modest = settings(max_examples=60)


PLACES = simplex_lattice(7)


def network(trial, roles=(), budget="2x", macs=1000, within=True):
    one = (1.0, 1.0)
    spec = NetworkSpec((1, trial + 1), (8, 16), 32)
    return NetworkRecord(
        trial, budget, roles, Coefficients(1.2, 1.1, 1.15), PLACES[trial], one, one, one,
        spec, macs, 10, 20, "macs", macs, 1000, within,
    )  # fmt: skip


def training(seed, accuracy):
    if accuracy is None:
        return TrainingOutcome(seed, "failed", None, None, 2.0, (), "2026-11-24T10:00:00Z", "diverged")
    return TrainingOutcome(seed, "complete", accuracy, 1.0 - accuracy, 2.0, (), "2026-11-24T10:00:00Z")


def records(groups, roles=None, **fields):
    """One network a group of accuracies (None: a failed training), numbered from 0."""
    for trial, group in enumerate(groups):
        own = network(trial, (roles or {}).get(trial, ()), **fields)
        yield from (TrialRecord(own, training(seed, accuracy)) for seed, accuracy in enumerate(group))


def simulate(rng, networks, seeds, sd_network, sd_seed):
    true = 0.8 + sd_network * rng.standard_normal((networks, 1))
    return (true + sd_seed * rng.standard_normal((networks, seeds))).tolist()


# Noise


@pytest.mark.parametrize(("sd_network", "sd_seed"), [(0.02, 0.01), (0.005, 0.0066), (0.004, 0.012)])
def test_planted_spreads_and_icc_are_recovered(sd_network, sd_seed):
    found = reliability(simulate(np.random.default_rng(1), 4000, 3, sd_network, sd_seed))
    icc = sd_network**2 / (sd_network**2 + sd_seed**2)
    assert found.icc == pytest.approx(icc, abs=0.03)
    assert found.sd_network == pytest.approx(sd_network, rel=0.05)
    assert found.sd_seed == pytest.approx(sd_seed, rel=0.05)
    assert found.ci95[0] < icc < found.ci95[1]
    assert found.reliability == pytest.approx(3 * icc / (1 + 2 * icc), abs=0.04)


def test_unequal_numbers_of_seeds_recover_the_same_icc():
    rng = np.random.default_rng(2)
    groups = [group[: 1 + i % 4] for i, group in enumerate(simulate(rng, 4000, 4, 0.01, 0.01))]
    found = reliability(groups)
    assert found.icc == pytest.approx(0.5, abs=0.04)
    assert 2.0 < found.seeds < 2.5


@pytest.mark.parametrize("icc", [0.3, 0.7])
def test_the_interval_of_the_icc_covers_it_95_times_in_100(icc):
    rng = np.random.default_rng(3)
    intervals = [reliability(simulate(rng, 10, 3, math.sqrt(icc), math.sqrt(1 - icc))).ci95 for _ in range(300)]
    assert 0.91 <= statistics.mean(low <= icc <= high for low, high in intervals) <= 0.98


def test_mean_squares_are_those_of_a_one_way_analysis_of_variance():
    groups = simulate(np.random.default_rng(4), 6, 4, 0.01, 0.01)
    anova = one_way_anova(groups)
    assert anova.ms_between / anova.ms_within == pytest.approx(stats.f_oneway(*groups).statistic)
    assert (anova.networks, anova.trainings, anova.df_within, anova.n0) == (6, 24, 18, 4.0)


def test_icc_of_a_small_example_by_hand():
    """Means 1, 4, 7 and within-squares of 0.5 each: MSB 18, MSW 0.5, so (18 - 0.5) / (18 + 0.5)."""
    found = reliability([[0.5, 1.5], [3.5, 4.5], [6.5, 7.5]])
    assert found.icc == pytest.approx(17.5 / 18.5)
    assert (found.sd_seed, found.sd_network) == pytest.approx((math.sqrt(0.5), math.sqrt(8.75)))
    low, high = 36 / stats.f.ppf(0.975, 2, 3), 36 * stats.f.ppf(0.975, 3, 2)
    assert found.ci95 == pytest.approx(((low - 1) / (low + 1), (high - 1) / (high + 1)))


@pytest.mark.parametrize(
    "groups",
    [[], [[]], [[0.8]], [[0.8, 0.9]], [[0.8], [0.9]], [[0.8], [0.9], [0.7]], [[0.8, 0.9], []]],
    ids=str,
)
def test_noise_that_cannot_be_measured_is_none(groups):
    assert reliability(groups) is None


@pytest.mark.parametrize("accuracy", [0.1, 0.8645, 0.97875, 0.2435])
@pytest.mark.parametrize("sizes", [(2, 2), (3, 3, 3), (2, 3), (5, 6, 7)], ids=str)
def test_networks_that_are_all_alike_have_no_icc_and_no_winner(accuracy, sizes):
    """All at chance, say: rounding in the last digit must not be taken for a spread."""
    groups = [[accuracy] * size for size in sizes]
    found = reliability(groups)
    assert (found.icc, found.sd_seed, found.sd_network, found.seeds_for_80) == (0.0, 0.0, 0.0, None)
    assert found.ci95 == (0.0, 1.0)
    assert "luck" in found.words
    _, comparisons = verdict(groups, {i: (name,) for i, name in zip(range(len(sizes)), REFERENCES, strict=False)})
    assert {c.words for c in comparisons} == {"the same network", NO_EVIDENCE}


def test_seeds_that_change_nothing_leave_all_the_spread_to_the_networks():
    found = reliability([[0.8, 0.8], [0.9, 0.9]])
    assert (found.icc, found.ci95, found.seeds_for_80, found.reliability) == (1.0, (1.0, 1.0), 1, 1.0)


def test_networks_that_differ_less_than_their_seeds_have_icc_zero():
    found = reliability([[0.7, 0.9], [0.9, 0.7]])
    assert (found.icc, found.sd_network, found.seeds_for_80) == (0.0, 0.0, None)
    assert "cannot tell its networks apart" in found.words


@modest
@given(st.lists(st.lists(st.floats(0.0, 1.0), max_size=4), max_size=6))
def test_noise_is_always_finite_and_in_range(groups):
    found = reliability(groups)
    if found is not None:
        assert 0.0 <= found.icc <= 1.0
        assert 0.0 <= found.ci95[0] <= found.ci95[1] <= 1.0
        assert all(math.isfinite(x) for x in (found.sd_seed, found.sd_network, found.reliability))


@pytest.mark.parametrize(("icc", "seeds", "expected"), [(0.5, 1, 0.5), (0.5, 4, 0.8), (0.31, 2, 0.4733), (0.0, 9, 0.0)])
def test_spearman_brown_by_hand(icc, seeds, expected):
    assert spearman_brown(icc, seeds) == pytest.approx(expected, abs=1e-4)


@modest
@given(st.floats(0.001, 1.0))
def test_the_seeds_asked_for_are_the_fewest_that_are_reliable(icc):
    needed = seeds_needed(icc)
    assert spearman_brown(icc, needed) >= 0.8 - 1e-6
    assert needed == 1 or spearman_brown(icc, needed - 1) < 0.8


@pytest.mark.parametrize(("icc", "low", "high"), [(0.31, 9, 9), (0.37, 7, 7), (0.87, 1, 1)])
def test_the_measured_tasks_need_the_seeds_written_down(icc, low, high):
    assert low <= seeds_needed(icc) <= high


# Pareto front

points = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=12)


def beats(a, b):
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@modest
@given(points)
def test_the_front_is_what_brute_force_finds_ties_included(pairs):
    front = pareto_front([c for c, _ in pairs], [s for _, s in pairs])
    expected = {p for p in pairs if not any(beats(q, p) for q in pairs)}
    assert [pairs[i] for i in front] == sorted(expected)
    assert list(front) == [pairs.index(p) for p in sorted(expected)]


def test_the_front_of_nothing_is_empty():
    assert pareto_front([], []) == ()


# Summaries


def test_means_spreads_and_pooled_intervals_by_hand():
    """Within-squares 0.0002, 0.0008, 0 over df 3: pooled variance 1/3000; the third has one seed."""
    one, two, three = summarize(records([[0.80, 0.82], [0.86, 0.90], [0.85]]))
    assert (one.mean, two.mean, three.mean) == pytest.approx((0.81, 0.88, 0.85))
    assert (one.sd, two.sd, three.sd) == (pytest.approx(0.01 * 2**0.5), pytest.approx(0.02 * 2**0.5), None)
    variance = (0.0002 + 0.0008) / 2
    half = stats.t.ppf(0.975, 2) * math.sqrt(variance)
    assert one.ci95 == pytest.approx((0.81 - half / 2**0.5, 0.81 + half / 2**0.5))
    assert three.ci95 == pytest.approx((0.85 - half, 0.85 + half))


def test_ranks_follow_the_means_and_ties_go_to_the_cheaper_then_the_earlier_network():
    groups = [[0.8, 0.8], [0.9, 0.9], [0.9, 0.9], [0.9, 0.9]]
    rows = [*records(groups[:2]), *(TrialRecord(network(2, macs=900), training(s, 0.9)) for s in range(2))]
    rows += [TrialRecord(network(3), training(s, 0.9)) for s in range(2)]
    assert [s.rank for s in summarize(rows)] == [4, 2, 1, 3]


def test_a_network_that_failed_once_is_never_ranked_however_good():
    good, failed = summarize(records([[0.8, 0.81], [0.99, None]]))
    assert (good.rank, failed.rank) == (1, None)
    assert (failed.status, failed.failed, failed.mean, failed.ranked) == ("failed", 1, 0.99, False)


def test_a_network_off_budget_is_never_ranked_even_if_it_was_trained():
    rows = [*records([[0.8, 0.81]]), *(TrialRecord(network(1, within=False), training(s, 0.99)) for s in range(2))]
    rows.append(TrialRecord(network(2, within=False), None))
    assert [s.rank for s in summarize(rows)] == [1, None, None]
    assert summarize(rows)[2].status == "off_budget"


def test_failed_and_off_budget_networks_do_not_move_the_intervals_of_the_others():
    clean = [[0.80, 0.82], [0.86, 0.90]]
    rows = [*records([*clean, [0.1, 0.5, None]])]
    assert pooled_anova(summarize(rows)) == pooled_anova(summarize(records(clean)))
    assert summarize(rows)[0].ci95 == summarize(records(clean))[0].ci95


@modest
@given(st.lists(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4), min_size=2, max_size=6))
def test_shrinkage_lies_between_the_mean_and_the_mean_of_all(groups):
    summaries = summarize(records(groups))
    anova = pooled_anova(summaries)
    for summary in summaries:
        if anova is None:
            assert summary.shrunk is None
        else:
            low, high = sorted((summary.mean, anova.mean))
            assert low - 1e-12 <= summary.shrunk <= high + 1e-12


def test_networks_that_cannot_be_told_apart_shrink_all_the_way():
    summaries = summarize(records([[0.7, 0.9], [0.91, 0.7]]))
    assert [s.shrunk for s in summaries] == pytest.approx([0.8025, 0.8025])


def test_shrinkage_predicts_the_truth_better_than_the_mean_does():
    rng, raw, shrunk = np.random.default_rng(5), [], []
    for _ in range(30):
        true = 0.8 + 0.005 * rng.standard_normal(10)
        groups = true[:, None] + 0.01 * rng.standard_normal((10, 2))
        found = summarize(records(groups.tolist()))
        raw += [(s.mean - t) ** 2 for s, t in zip(found, true, strict=True)]
        shrunk += [(s.shrunk - t) ** 2 for s, t in zip(found, true, strict=True)]
    assert statistics.mean(shrunk) < 0.8 * statistics.mean(raw)


def test_summaries_do_not_depend_on_the_order_in_which_trainings_finished():
    rows = list(records([[0.80, 0.82, 0.81], [0.86, 0.90, 0.88]]))
    assert summarize(reversed(rows)) == summarize(rows)


def test_budgets_are_ranked_apart():
    rows = [*records([[0.8, 0.81], [0.7, 0.71]])]
    rows += [TrialRecord(network(t, budget="4x"), training(s, 0.9 + t / 100)) for t in (2, 3) for s in range(2)]
    assert [s.rank for s in summarize(rows)] == [1, 2, 2, 1]


# Verdicts


def verdict(groups, roles):
    every = summarize(records(groups, roles))
    baseline = with_role(every, "baseline")
    rivals = [s for s in every if s is not baseline]
    found = standings(rivals, baseline)
    own = ranked(rivals, found.by_number if found else {})
    return own[0], compare_best(own[0], own, baseline, REFERENCES, found)


def test_far_more_seeds_than_noise_give_the_difference_of_the_means():
    rng, sd, groups = np.random.default_rng(9), 0.01, []
    for mean in (0.9, 0.8, 0.85, 0.84, 0.83, 0.82):
        noise = rng.standard_normal(200)
        groups.append((mean + sd * (noise - noise.mean()) / noise.std()).tolist())
    _, comparisons = verdict(groups, {1: ("uniform",), 2: ("baseline",)})
    uniform, baseline = comparisons
    assert uniform.difference == pytest.approx(0.1, abs=5e-4) and baseline.difference == pytest.approx(0.05, abs=5e-4)
    for one in comparisons:  # the standard error of a difference of two means
        half = 1.96 * sd * math.sqrt(2 / 200)
        assert one.ci95 == pytest.approx((one.difference - half, one.difference + half), abs=0.3 * half)
        assert (one.words, one.chance) == ("better", 1.0)


def test_a_network_of_few_seeds_is_known_less_well():
    rng = np.random.default_rng(10)
    true = rng.normal(0.8, 0.02, 12)
    groups = [(t + rng.normal(0, 0.01, 4)).tolist() for t in true]
    groups[int(true.argmin())] = groups[int(true.argmin())][:1]
    few, many = int(true.argmin()), int(np.argsort(true)[1])
    _, comparisons = verdict(groups, {few: ("depth",), many: ("width",)})
    widths = {c.against: c.ci95[1] - c.ci95[0] for c in comparisons}
    assert widths["depth"] > 1.15 * widths["width"]
    assert {c.against: c.seeds for c in comparisons} == {"depth": (4, 1), "width": (4, 4)}


def test_on_flat_data_the_winner_is_called_better_than_a_reference_at_most_1_time_in_20():
    rng, names = np.random.default_rng(7), ["depth", "width", "resolution", "uniform", "efficientnet"]
    calls = []
    for _ in range(60):
        _, comparisons = verdict(
            simulate(rng, 9, 2, 0.0, 0.01), {8: ("baseline",), **{i: (n,) for i, n in enumerate(names)}}
        )
        calls.append([c.words == "better" for c in comparisons if c.words != "the same network"])
    assert statistics.mean(map(any, calls)) <= 0.05


def test_a_large_planted_difference_is_found():
    rng = np.random.default_rng(8)
    groups = simulate(rng, 8, 3, 0.0, 0.004)
    groups[6] = [a + 0.05 for a in groups[6]]
    best, comparisons = verdict(groups, {0: ("uniform",), 1: ("depth", "efficientnet"), 7: ("baseline",)})
    assert best.network.number == 6
    assert [(c.against, c.words) for c in comparisons] == [
        *[("depth", "better"), ("uniform", "better"), ("efficientnet", "better"), ("baseline", "better")]
    ]
    assert all(c.ci95[0] <= c.difference <= c.ci95[1] for c in comparisons)


def test_a_reference_that_is_the_best_is_called_the_same_network():
    _best, comparisons = verdict([[0.9, 0.91], [0.8, 0.81]], {0: ("uniform",), 1: ("depth",)})
    same = next(c for c in comparisons if c.against == "uniform")
    assert (same.words, same.difference, same.ci95) == ("the same network", 0.0, None)


def test_one_seed_gives_a_difference_without_a_claim():
    _best, (comparison,) = verdict([[0.9], [0.8], [0.7]], {1: ("uniform",)})
    assert (comparison.words, comparison.ci95, comparison.chance) == ("not known (one seed)", None, None)
    assert comparison.difference == pytest.approx(0.1)


def test_a_small_difference_is_no_evidence():
    _best, (comparison,) = verdict([[0.80, 0.84], [0.79, 0.83], [0.78, 0.84]], {1: ("uniform",)})
    assert comparison.words in {NO_EVIDENCE, "the same network"}


def test_a_reference_that_failed_is_not_compared():
    _best, comparisons = verdict([[0.9, 0.91], [0.8, None]], {1: ("uniform",)})
    assert comparisons == ()


def test_networks_are_in_the_order_of_what_is_expected_of_them():
    found = study(networks=11, seeds=2, sd_seed=0.02).budgets[0]
    expected = [s.shrunk for s in found.networks]
    assert expected == sorted(expected, reverse=True) and [s.rank for s in found.networks] == list(range(1, 12))
    means = [s.mean for s in found.networks]
    assert max(expected) - min(expected) < max(means) - min(means)  # drawn in


# The result of a study


def as_json(result):
    return json.loads(json.dumps(result_to_dict(result), allow_nan=False))


WHOLE = Plan(budgets=("2x", "4x"), failed=True, off_budget=True)


@pytest.fixture(scope="module")
def document():
    return as_json(compute_result(manifest_of(WHOLE), records_of(WHOLE)))


def test_the_result_has_every_promised_field(document):
    assert {
        *("schema", "study", "baseline", "data", "budgets", "best", "references", "pareto", "trainings", "networks"),
        *("seconds", "device", "versions", "command"),
    } <= set(document)
    assert all({"budget", "target_macs", "tolerance"} <= set(b) for b in document["budgets"])
    fields = {
        *("alpha", "beta", "gamma", "alpha_range", "beta_range", "gamma_range", "shares", "network", "macs", "params"),
        *("accuracy_mean", "accuracy_sd", "seeds"),
    }
    assert all(fields <= set(entry) for entry in document["best"])
    assert all(fields | {"name"} <= set(entry) for entry in document["references"])
    assert all({"macs", "accuracy_mean", "network"} == set(e) - {"budget", "cost"} for e in document["pareto"])
    assert {"depths", "widths", "resolution_px"} <= set(document["best"][0]["network"])
    assert set(document["best"][0]["shares"]) == {"depth", "width", "resolution"}


def test_the_result_counts_what_was_trained(document):
    rows = list(records_of(WHOLE))
    outcomes = [r.outcome for r in rows if r.outcome]
    assert document["trainings"] == len(outcomes)
    assert document["networks"] == len({r.network.number for r in rows if r.outcome})
    assert document["seconds"] == pytest.approx(sum(o.seconds for o in outcomes))
    assert document["complete"] is True


def test_each_budget_has_its_best_and_the_five_references_by_name(document):
    assert [entry["budget"] for entry in document["best"]] == ["2x", "4x"]
    for budget in ("2x", "4x"):
        names = [r["name"] for r in document["references"] if r["budget"] == budget]
        assert names == list(REFERENCES)
    for best, budget in zip(document["best"], document["budgets"], strict=True):
        expected = [n["accuracy_shrunk"] for n in budget["networks"] if n["rank"]]
        assert best["accuracy_shrunk"] == max(expected)
        assert expected == sorted(expected, reverse=True)


def test_the_front_runs_over_all_budgets_by_rising_cost_and_rising_accuracy(document):
    costs = [p["macs"] for p in document["pareto"]]
    scores = [p["accuracy_mean"] for p in document["pareto"]]
    assert len(costs) >= 2
    assert costs == sorted(set(costs))
    assert scores == sorted(set(scores))


def test_off_budget_and_failed_networks_are_listed_and_never_best_nor_on_the_front(document):
    listed = {n["status"]: n for budget in document["budgets"] for n in budget["networks"]}
    assert {"complete", "failed", "off_budget"} == set(listed)
    assert listed["off_budget"]["rank"] is listed["failed"]["rank"] is None
    chosen = [e["network"] for e in (*document["best"], *document["pareto"])]
    assert listed["off_budget"]["network"] not in chosen
    assert listed["failed"]["network"] not in chosen


def test_a_study_without_records_is_a_result_that_says_so():
    result = compute_result(manifest_of(Plan()), [])
    document = as_json(result)
    assert (document["best"], document["references"], document["pareto"]) == ([], [], [])
    assert (document["trainings"], document["networks"], document["complete"]) == (0, 0, False)
    assert document["baseline"] == {"name": "efficientnet_micro", "macs": BASELINE_MACS, "cost": BASELINE_MACS}
    assert document["budgets"][0]["answer"]["todo"] == "Nothing was trained on this budget yet."


def test_a_study_with_one_seed_has_a_best_without_intervals():
    document = as_json(study(seeds=1))
    (best,) = document["best"]
    assert (best["seeds"], best["accuracy_sd"], best["accuracy_ci95"]) == (1, None, None)
    assert document["budgets"][0]["reliability"] is None
    assert {c["words"] for c in document["budgets"][0]["verdict"]} <= {"not known (one seed)", "the same network"}


def test_a_study_where_everything_failed_has_no_best():
    plan = Plan(networks=5)
    rows = [TrialRecord(r.network, training(r.outcome.seed, None)) for r in records_of(plan)]
    document = as_json(compute_result(manifest_of(plan), rows))
    assert (document["best"], document["pareto"]) == ([], [])
    assert {n["status"] for n in document["budgets"][0]["networks"]} == {"failed"}


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_study_that_was_stopped_has_a_result_and_is_not_complete(part):
    document = as_json(study(trained=part))
    assert document["complete"] is False
    assert document["trainings"] > 0


def test_a_study_whose_last_network_was_not_yet_proposed_is_not_complete():
    rows = list(records_of(Plan()))
    last = max(r.network.number for r in rows)
    kept = [r for r in rows if r.network.number < last]
    assert compute_result(manifest_of(Plan()), rows).complete
    assert not compute_result(manifest_of(Plan()), kept).complete


def test_planted_accuracy_is_found_when_seeds_are_quiet():
    document = as_json(study(sd_seed=0.0001, networks=20, seeds=3))
    best = document["best"][0]
    assert best["shares"]["resolution"] >= 0.3
    assert best["shares"]["depth"] <= 0.3
    assert document["budgets"][0]["reliability"]["icc"] > 0.9
    words = {c["against"]: c["words"] for c in document["budgets"][0]["verdict"]}
    assert words["depth"] == words["baseline"] == "better"
