"""Is the proxy to be trusted? Planted biases are found with the right words, and noise is not taken for one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from shown import check_legible, flat
from synthetic import Plan, networks_of, records_of

from scalesearch.analysis.fidelity.summary import (
    fidelity,
    fidelity_to_dict,
    rank_agreement,
    rank_change,
    rate_check,
    rung_check,
)
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.seed_table import SeedTable
from scalesearch.analysis.summary import summarize
from scalesearch.analysis.verified.proof import prove
from scalesearch.report.fidelity import render_fidelity
from scalesearch.report.figures.fidelity import FidelityInfo, FidelityPanel, draw_fidelity
from scalesearch.scaling.coefficients import REFERENCES, lattice_with
from scalesearch.study.record import EpochPoint, TrainingOutcome, TrialRecord
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage

TEN = networks_of(Plan(networks=10))[1:]
ALL_2X_4X = networks_of(Plan(budgets=("2x", "4x"), networks=8))


def on_shares(shares):
    """Networks with these shares; nothing else of them is looked at."""
    return tuple(replace(TEN[0], number=i + 1, roles=(), shares=s) for i, s in enumerate(shares))


LATTICE = on_shares(lattice_with(15))
DEPTH = plane([n.shares for n in LATTICE])[:, 1]


def table(networks, means, seeds: int = 5, sd: float = 0.0, draw: int = 0, diverged=()) -> SeedTable:
    shape = (len(networks), seeds)
    accuracy = np.asarray(means)[:, None] + sd * np.random.default_rng(draw).standard_normal(shape)
    return SeedTable(tuple(networks), tuple(range(seeds)), accuracy, 1 - accuracy, tuple(diverged))


def trained(network, seed: int, accuracies, status: str = "complete") -> TrialRecord:
    curve = tuple(EpochPoint(t, 1.0, 1.0, a) for t, a in enumerate(accuracies, start=1))
    last = accuracies[-1] if status == "complete" else None
    return TrialRecord(network, TrainingOutcome(seed, status, last, last, 9.0, curve, "2026-11-24T10:00:00Z"))


def curves(networks, truth, early, *, epochs: int = 4, seeds: int = 2, sd: float = 0.0):
    """Trainings that go from `early` accuracies to the true ones."""
    rng = np.random.default_rng(0)
    part = np.linspace(0.0, 1.0, epochs)
    return [
        trained(network, seed, list((1 - part) * early[i] + part * truth[i] + sd * rng.standard_normal(epochs)))
        for i, network in enumerate(networks)
        for seed in range(seeds)
    ]


# By epoch


def test_the_order_of_the_end_is_found_where_it_begins():
    truth = np.linspace(0.8, 0.9, 8)
    found = rank_agreement("2x", curves(TEN[:8], truth, truth[::-1], epochs=5))
    assert [one.epoch for one in found] == [1, 2, 3, 4]
    assert [one.agreement.tau for one in found] == [-1.0, -1.0, None, 1.0]
    assert found[0].agreement.regret == pytest.approx(0.1)
    known = fidelity("2x", curves(TEN[:8], truth, truth[::-1], epochs=5), (), None)
    assert known.words.startswith("From epoch 4 on the order is much like that of the end")


def test_an_order_that_comes_last_is_said():
    truth = np.linspace(0.8, 0.9, 8)
    known = fidelity("2x", curves(TEN[:8], truth, truth[::-1], epochs=3), (), None)
    assert known.words == (
        "Before the last epoch the order of the end is not there: at epoch 2 Kendall's tau is not defined."
    )


def test_networks_that_seeds_do_not_tell_apart_have_no_order_to_find():
    known = fidelity("2x", curves(TEN, np.full(len(TEN), 0.9), np.full(len(TEN), 0.7), seeds=3, sd=0.01), (), None)
    assert "cannot be told: the seeds hardly tell these networks apart" in known.words


def test_curves_of_one_epoch_say_nothing():
    records = curves(TEN, np.linspace(0.8, 0.9, len(TEN)), np.zeros(len(TEN)), epochs=1)
    assert rank_agreement("2x", records) == ()
    assert fidelity("2x", records, (), None) is None
    change = rank_change(table(LATTICE, 0.9 + 0 * DEPTH), table(LATTICE, 0.9 + 0 * DEPTH), 4.0)
    assert fidelity("2x", records, (change,), None).words.endswith(
        "The proxy's curves say nothing: they have one epoch."
    )


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        (0, "no network has a whole one."),
        (1, "only 1 network went to the end, and it takes 3."),
        (2, "only 2 networks went to the end, and it takes 3."),
    ],
)
def test_too_few_curves_are_told_as_that_and_not_as_one_epoch(networks, said):
    truth, seeds = np.linspace(0.8, 0.9, 3), range(3)
    records = curves(TEN[:networks], truth[:networks], truth[:networks])
    change = rank_change(table(LATTICE, 0.9 + 0 * DEPTH), table(LATTICE, 0.9 + 0 * DEPTH), 4.0)
    assert fidelity("2x", records, (change,), None).words.endswith(f"The proxy's curves say nothing: {said}")
    apart = [trained(network, seed, [0.1, 0.2]) for network, seed in zip(TEN[:3], seeds, strict=True)]
    assert fidelity("2x", apart, (change,), None).words.endswith(
        "fewer than 3 networks were trained on the same seeds."
    )


def test_a_training_that_lacks_or_diverged_costs_no_others():
    truth = np.linspace(0.8, 0.9, 8)
    records = [*curves(TEN[:8], truth, truth, seeds=3), trained(TEN[8], 0, [0.1, 0.2, 0.3, 0.99])]
    found = rank_agreement("2x", records)
    assert (found[0].agreement.networks, found[0].agreement.seeds) == (8, 3)
    lost = rank_agreement("2x", [*records, trained(TEN[0], 7, [0.1], status="failed")])
    assert lost[0].agreement.networks == 7


def test_many_epochs_are_thinned():
    truth = np.linspace(0.8, 0.9, 3)
    found = [one.epoch for one in rank_agreement("2x", curves(TEN[:3], truth, truth, epochs=100, seeds=1))]
    assert (len(found), found[0], found[-1]) == (24, 1, 99)


# The rung


def test_a_rung_that_ranks_like_the_end_is_trusted():
    truth = np.linspace(0.8, 0.9, 8)
    found = rung_check(curves(TEN[:8], truth, truth - 0.3), 1)
    assert (found.trusted, found.concordance, found.best_kept, found.networks) == (True, 1.0, 1.0, 8)
    assert found.ci95[0] > 0.5
    assert found.ci95[1] == 1.0
    assert found.words.startswith(
        "early stopping is on: one training at epoch 1 orders 100 % of the pairs of 8 networks"
    )


def test_a_rung_that_ranks_otherwise_switches_early_stopping_off():
    truth = np.linspace(0.8, 0.9, 8)
    found = rung_check(curves(TEN[:8], truth, truth[::-1] - 0.3), 1)
    assert (found.trusted, found.concordance) == (False, 0.0)
    assert found.best_kept < 0.1
    assert "early stopping is off" in found.words


def test_four_networks_may_be_enough_and_three_are_not():
    truth = np.linspace(0.8, 0.9, 4)
    assert rung_check(curves(TEN[:4], truth, truth), 1).trusted
    assert not rung_check(curves(TEN[:3], truth[:3], truth[:3]), 1).trusted


def test_budgets_are_never_compared_with_each_other():
    """A larger budget leads at every epoch, which tells nothing about its networks."""
    levels = {"1x": 0.7, "2x": 0.8, "4x": 0.9}
    order = np.arange(len(ALL_2X_4X)) * 0.001
    truth = np.array([levels[n.budget] for n in ALL_2X_4X]) + order
    early = np.array([levels[n.budget] for n in ALL_2X_4X]) - 0.3 - order
    found = rung_check(curves(ALL_2X_4X, truth, early), 1)
    assert (found.concordance, found.trusted, found.networks) == (0.0, False, len(ALL_2X_4X) - 1)


def test_the_noise_of_one_training_is_part_of_the_rung():
    truth = np.linspace(0.8, 0.81, 10)
    quiet = rung_check(curves(TEN, truth, truth, seeds=4, sd=1e-4), 1)
    noisy = rung_check(curves(TEN, truth, truth, seeds=4, sd=0.01), 1)
    assert quiet.concordance > 0.95
    assert 0.4 < noisy.concordance < 0.85


def test_nothing_to_check_is_not_trusted():
    none = rung_check([], 1)
    assert (none.trusted, none.concordance, none.networks) == (False, None, 0)
    truth = np.linspace(0.8, 0.9, 6)
    assert "no two networks" in rung_check(curves(TEN[:6], truth, truth, epochs=2), 2).words


def test_chance_is_rarely_trusted():
    rng, trusted = np.random.default_rng(1), 0
    for _ in range(100):
        truth, early = rng.standard_normal((2, 6))
        trusted += rung_check(curves(TEN[:6], truth, early, epochs=2, seeds=1), 1).trusted
    assert trusted <= 5


# A longer proxy


def test_a_proxy_that_punishes_depth_is_told_as_such():
    """As NNI's picture of ImageNet: after 5 epochs depth comes last, after full training all tie."""
    short, long = table(LATTICE, 0.7 - 0.03 * DEPTH, sd=0.006), table(LATTICE, 0.77 + 0 * DEPTH, sd=0.004, draw=1)
    found = rank_change(short, long, 70.0)
    assert "depth" in found.bias
    assert found.slopes["depth"] > 0
    assert found.intervals["depth"][0] > 0
    assert "punishes depth" in found.words
    assert "against one of 70 times the epochs" in found.words
    assert fidelity("2x", [], (found,), None).words.startswith("This proxy punishes depth")


def test_a_proxy_that_favours_a_dimension_is_told_as_such():
    short, long = table(LATTICE, 0.7 + 0.03 * DEPTH, sd=0.004), table(LATTICE, 0.77 - 0.02 * DEPTH, sd=0.004, draw=1)
    found = rank_change(short, long, 4.0)
    assert "favours depth" in found.words
    assert "punishes depth" not in found.words


def test_slopes_are_in_spreads_of_the_networks_and_sum_to_nothing():
    slope = 0.02
    short, long = table(LATTICE, 0.7 - slope * DEPTH), table(LATTICE, 0.77 + slope * DEPTH)
    found = rank_change(short, long, 4.0)
    unit = slope * DEPTH.std(ddof=1)
    assert found.slopes["depth"] == pytest.approx(2 * slope / unit)
    assert sum(found.slopes.values()) == pytest.approx(0.0, abs=1e-9)


def test_the_same_standing_on_another_scale_is_no_bias():
    """The longer training brings all networks nearer together, and is much noisier against that."""
    true, alarms = 0.01 * DEPTH - 0.02 * DEPTH**2, 0
    for draw in range(30):
        short, long = (
            table(LATTICE, 0.7 + true, sd=0.002, draw=draw),
            table(LATTICE, 0.8 + true / 3, sd=0.004, draw=1000 + draw),
        )
        alarms += bool(rank_change(short, long, 4.0).bias)
    assert alarms <= 3


@pytest.mark.parametrize(
    "networks", [on_shares(REFERENCES.values()), pytest.param(LATTICE, marks=pytest.mark.slow)], ids=["five", "fifteen"]
)
def test_noise_is_rarely_taken_for_a_bias(networks):
    alarms = 0
    for draw in range(200):
        found = rank_change(*(table(networks, [0.8] * len(networks), 3, 0.005, 2 * draw + i) for i in (0, 1)), 4.0)
        alarms += bool(found.bias)
        if not found.bias:
            assert found.words.startswith(
                "Whether the proxy favours depth, width or resolution, against one of 4 times the epochs, cannot be "
                f"told from {len(networks)} networks of 3 seeds: intervals reach as far as "
            )
            widest = max(abs(bound) for bounds in found.intervals.values() for bound in bounds)
            assert f"as far as {widest:.1f} spreads" in found.words and widest > 1
    assert alarms <= 12  # at most 5 % are meant; 12 of 200 is what 5 % gives at most four times in five


def test_where_every_interval_is_narrow_nothing_is_seen():
    """Networks that stand alike in both, apart by much more than their noise."""
    true = -0.02 * DEPTH**2
    found = rank_change(*(table(LATTICE, true + 0.7 + i / 10, sd=0.0005, draw=i) for i in (0, 1)), 4.0)
    assert found.words.startswith(
        "No sign that the proxy favours depth, width or resolution, against one of 4 times the epochs (slopes within 0."
    )


@pytest.mark.parametrize(("choice", "lost"), [(1, 0.03), (2, 0.0), (3, 0.01)])
def test_what_is_lost_is_that_of_the_network_that_the_search_chose(choice, lost):
    """On the new seeds network 1 leads after the short training, whatever the search put first."""
    short, long = (table(LATTICE[:5], means) for means in ([0.8, 0.7, 0.6, 0.5, 0.4], [0.87, 0.9, 0.89, 0.88, 0.86]))
    found = rank_change(short, long, 4.0, choice)
    assert found.agreement.regret == pytest.approx(lost) and found.regret_of == ""
    rate = rate_check({1.0: short, 2.0: long}, choice)
    assert rate.agreements[2.0].regret == pytest.approx(lost) and "regret" not in rate.words


def test_where_the_searchs_choice_is_not_among_them_it_is_said_whose_loss_is_told():
    short, long = (table(TEN[:5], means) for means in ([0.7, 0.8, 0.6, 0.5, 0.4], [0.9, 0.87, 0.89, 0.88, 0.86]))
    said = "The top-1 regret is that of network 2 (width), which is first on these seeds."
    for found in (rank_change(short, long, 4.0, 77), rate_check({1.0: short, 2.0: long}, 77)):
        assert found.words.endswith(said)
        agreed = found.agreement if hasattr(found, "agreement") else found.agreements[2.0]
        assert agreed.regret == pytest.approx(0.03)


def test_too_few_networks_or_seeds_are_said():
    few = rank_change(table(LATTICE[:3], DEPTH[:3]), table(LATTICE[:3], DEPTH[:3]), 4.0)
    assert (few.slopes, few.bias) == ({}, ())
    assert few.words.startswith("3 networks are too few")
    single = rank_change(table(LATTICE, DEPTH, seeds=1), table(LATTICE, DEPTH), 4.0)
    assert single.words.startswith("With one seed a longer proxy cannot tell")
    line = on_shares([s for s in lattice_with(15) if s.resolution == 0])
    assert len(line) >= 4
    assert rank_change(*(table(line, [0.8] * len(line), sd=0.01, draw=i) for i in (0, 1)), 4.0).words.startswith(
        "The networks differ in one direction only"
    )
    assert rank_change(table(LATTICE[:1], [0.8]), table(LATTICE, DEPTH), 4.0) is None


def test_every_length_is_told_and_what_it_turns_comes_first():
    tied = rank_change(table(LATTICE, 0 * DEPTH, sd=0.004), table(LATTICE, 0 * DEPTH, sd=0.004, draw=1), 4.0)
    turned = rank_change(table(LATTICE, 0.7 - 0.03 * DEPTH, sd=0.006), table(LATTICE, 0 * DEPTH, sd=0.004), 16.0)
    found = fidelity("2x", [], (tied, turned), None)
    assert found.words.index("punishes depth") < found.words.index("against one of 4 times the epochs")
    shown = [flat(part) for part in render_fidelity(found)]
    for change in (tied, turned):
        low, high = sorted(-bound for bound in change.intervals["depth"])
        assert f"depth {-change.slopes['depth']:+.2f} {low:+.2f} to {high:+.2f} {change.longer:g}" in shown[2]
    assert "4 times the epochs" in shown[1] and "16 times the epochs" in shown[1]


def test_a_length_is_held_against_trainings_on_its_own_seeds_and_images():
    """As studies had it before: on the search's seeds and the validation images; and now on those of `verify`."""
    records = [r for r in records_of(Plan(networks=6, seeds=2)) if r.network.budget == "2x"]
    new = [replace(r, outcome=replace(r.outcome, seed=5000 + r.outcome.seed)) for r in records]
    evidence = [
        EvidenceRecord(EvidenceStage(*stage), r.network, r.outcome)
        for stage, rows in (
            (("longer", "2x", 4.0, "validation"), records),
            (("verify", "2x", 1.0, "test"), new),
            (("longer", "2x", 16.0, "test"), new),
            (("longer", "2x", 8.0, "validation"), new),  # of images on which the short ones were not scored
        )
        for r in rows
    ]
    summaries = summarize(records)
    best = next(s for s in summaries if s.rank == 1)
    found = prove("2x", best, records, evidence, summaries).fidelity
    assert [(one.longer, one.networks, one.seeds) for one in found.rank_changes] == [(4.0, 6, 2), (16.0, 6, 2)]


def test_what_is_lost_by_the_searchs_choice_is_told_also_where_luck_puts_another_first_on_new_seeds():
    records = [r for r in records_of(Plan(networks=6, seeds=2)) if r.network.budget == "2x"]
    summaries = summarize(records)
    best = next(s for s in summaries if s.rank == 1)
    other = next(r.network.number for r in records if r.network.number != best.network.number)

    def trained_anew(first: int, purpose: str, factor: float, lead: float) -> list[EvidenceRecord]:
        stage = EvidenceStage(purpose, "2x", factor, "test")
        return [
            EvidenceRecord(stage, r.network, replace(r.outcome, seed=5000 + r.outcome.seed, accuracy=accuracy))
            for r in records
            for accuracy in [
                0.8 + lead * (r.network.number == first) + 0.01 * (r.network.number == best.network.number)
            ]
        ]

    evidence = [
        *trained_anew(other, "verify", 1.0, 0.05),
        *trained_anew(other, "longer", 4.0, 0.03),
        *trained_anew(best.network.number, "longer", 16.0, 0.03),
        *trained_anew(other, "rate", 2.0, 0.07),
    ]
    found = prove("2x", best, records, evidence, summaries).fidelity
    assert [one.agreement.regret for one in found.rank_changes] == pytest.approx([0.02, 0.0])
    assert found.rate.agreements[2.0].regret == pytest.approx(0.06)
    assert "top-1 regret" not in found.words


# Other learning rates

WIDTH, FIVE = TEN[1], TEN[:5]
BASE = np.array([0.90, 0.88, 0.87, 0.86, 0.85])


def rates(low, own, high, seeds: int = 5, sd: float = 0.003, networks=FIVE):
    tables = zip((0.5, 1.0, 2.0), (low, own, high), strict=True)
    return {rate: table(networks, means, seeds, sd, draw=i) for i, (rate, means) in enumerate(tables)}


def test_another_leader_at_another_rate_is_the_headline():
    moved = [0.90, 0.92, 0.87, 0.86, 0.85]
    found = rate_check(rates(BASE, BASE, moved))
    assert (found.changed, found.leaders) == (True, {0.5: TEN[0].number, 1.0: TEN[0].number, 2.0: WIDTH.number})
    (one,) = found.overtaking
    assert (one.rate, one.number, one.lead) == (2.0, WIDTH.number, pytest.approx(0.02, abs=0.006))
    assert one.ci95[0] < 0.02 < one.ci95[1]
    assert found.words.startswith(
        "The order of the networks depends on the learning rate: at twice the rate network 2 (width) leads network 1"
    )
    assert "Coefficients found at one rate are not the coefficients." in found.words
    assert found.best_rates[WIDTH.number] == 2.0
    assert [u.number for u in found.untuned] == [WIDTH.number]
    change = rank_change(table(LATTICE, 0.7 - 0.03 * DEPTH, sd=0.006), table(LATTICE, 0 * DEPTH, sd=0.004), 70.0)
    words = fidelity("2x", [], (change,), found).words
    assert words.index("depends on the learning rate") < words.index("punishes depth")


def test_the_same_order_at_every_rate_is_said():
    found = rate_check(rates(BASE - 0.01, BASE, BASE - 0.02))
    assert (found.changed, found.untuned, set(found.best_rates.values())) == (False, (), {1.0})
    assert found.words.startswith("The same network leads at every learning rate that was tried")
    assert found.agreements[2.0].tau >= 0.8


def test_a_rate_that_suits_all_better_is_said_and_changes_no_order():
    found = rate_check(rates(BASE, BASE, BASE + 0.03))
    assert not found.changed
    assert len(found.untuned) == 5
    assert "twice the rate is better for network" in found.words


def test_a_leader_by_luck_at_the_studys_rate_is_no_dependence_on_the_rate():
    """Network 2 is a little better at every rate; where network 1 leads at the study's own, that was noise."""
    close, alarms = np.array([0.900, 0.906, 0.87, 0.86, 0.85]), 0
    for draw in range(40):
        tables = {rate: table(FIVE, close, 4, 0.005, draw=3 * draw + i) for i, rate in enumerate((0.5, 1.0, 2.0))}
        alarms += rate_check(tables).changed
    assert alarms <= 3


def test_one_seed_is_not_told_from_luck():
    found = rate_check(rates(BASE, BASE, BASE[::-1], seeds=1))
    assert not found.changed
    assert "with one seed it cannot be told from luck" in found.words


def test_a_network_that_diverged_at_a_rate_is_named_and_left_out():
    tables = rates(BASE, BASE, BASE)
    high = tables[2.0]
    tables[2.0] = SeedTable(high.networks[:4], high.seeds, high.accuracy[:4], high.loss[:4], (FIVE[4].number,))
    found = rate_check(tables)
    assert len(found.best_rates) == 4
    assert found.diverged == {2.0: (FIVE[4].number,)}
    assert f"At twice the rate network {FIVE[4].number} diverged, and is left out." in found.words


def test_without_another_rate_there_is_nothing_to_check():
    own = table(FIVE, BASE)
    assert rate_check({1.0: own}) is None
    assert rate_check({2.0: own, 4.0: own}) is None
    assert rate_check({1.0: own, 2.0: table(FIVE, BASE, seeds=0)}) is None


def test_everything_fits_into_json():
    truth = np.linspace(0.8, 0.9, 8)
    change = rank_change(table(LATTICE, 0.7 - 0.03 * DEPTH, sd=0.006), table(LATTICE, 0 * DEPTH, sd=0.004), 70.0)
    found = fidelity("2x", curves(TEN[:8], truth, truth), (change,), rate_check(rates(BASE, BASE, BASE[::-1])))
    content = json.loads(json.dumps(fidelity_to_dict(found), allow_nan=False))
    assert content["rate"]["leaders"]["2"] == FIVE[4].number
    assert "depth" in content["rank_changes"][0]["bias"]
    assert content["epochs"][0]["agreement"]["tau"] == 1.0


# What people see


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("budgets", [("2x",), ("2x", "4x")])
def test_the_figure_is_legible(budgets, seeds):
    truth = np.linspace(0.8, 0.9, 8)
    epochs = rank_agreement("2x", curves(TEN[:8], truth, truth[::-1], epochs=9, seeds=seeds, sd=0.01))
    rows = tuple((f"{i} times the epochs, and more of a label", one.agreement) for i, one in enumerate(epochs[:3]))
    panels = tuple(FidelityPanel(budget, rows) for budget in budgets)
    check_legible(draw_fidelity(FidelityInfo("a study: $a$ on data", panels)))


def test_the_terminal_shows_the_headline_first_and_the_tables_behind_it():
    truth = np.linspace(0.8, 0.9, 8)
    change = rank_change(table(LATTICE, 0.7 - 0.03 * DEPTH, sd=0.006), table(LATTICE, 0 * DEPTH, sd=0.004), 70.0)
    rate = rate_check(rates(BASE, BASE, [0.90, 0.92, 0.87, 0.86, 0.85]))
    found = fidelity("2x", curves(TEN[:8], truth, truth, epochs=20), (change,), rate)
    shown = [flat(part) for part in render_fidelity(found)]
    assert shown[0].startswith("proxy: The order of the networks depends on the learning rate")
    assert "epoch 1 " in shown[1]
    assert "epoch 19" in shown[1]
    assert "epoch 2 " not in shown[1]
    assert "70 times the epochs" in shown[1]
    assert "twice the rate" in shown[1]
    assert f"depth {-found.rank_changes[0].slopes['depth']:+.2f}" in shown[2]
    assert shown[3].startswith("highest mean at: ")
