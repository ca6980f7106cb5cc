"""The rivals of benchmarks/rivals.py are what their sources say, and the arithmetic of regrets is right."""

import csv
import math
import sys
from fractions import Fraction

import numpy as np
import optuna
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "benchmarks" / "rivals"))
import fixed_shares
import nni_rule
import optuna_tpe
import rivals_told
from regret import intervals, truth

from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.realize import round_spec


def value(network):
    return 1 - sum((x - y) ** 2 for x, y in zip(network, (1.2, 1.1, 1.15), strict=True))


def costs(points):
    """Cost over the budget of networks by plain rounding, and how many networks they are."""
    baseline, task = get_baseline("efficientnet_micro"), Task(10, 1)
    networks = [round_spec(baseline.spec, Coefficients(*point), baseline.rules) for point in points]
    macs = np.array([baseline.amount("macs", network, task) for network in networks])
    return macs / (2 * baseline.amount("macs", baseline.spec, task)), len(set(networks))


class PlainTask:
    """A network is its multipliers, its cost their product over 2, and its accuracy is best at one place."""

    def __init__(self, trainings):
        self.left, self.trained = trainings, []

    @property
    def has_time(self):
        return len(self.trained) < self.left

    def network(self, depth, width, resolution):
        return (depth, width, resolution)

    def cost(self, network):
        depth, width, resolution = network
        return depth * width**2 * resolution**2 / 2

    def accuracy(self, network):
        self.trained.append(network)
        return value(network)


def test_nni_keeps_what_exact_arithmetic_keeps():
    def exact(most):
        return [Fraction(i, 20) for i in range(20, round(20 * most) + 1)]

    kept = {
        (float(a), float(b), float(c))
        for a in exact(2)
        for b in exact(1.5)
        for c in exact(1.5)
        if abs(a * b**2 * c**2 - 2) < Fraction(1, 10)
    }
    assert set(nni_rule.kept()) == kept
    assert len(nni_rule.kept()) == 108
    assert (1.2, 1.1, 1.15) in kept and (2.0, 1.0, 1.0) in kept and (1.0, 1.5, 1.0) not in kept


def test_what_rounding_makes_of_proposals_is_as_the_page_says():
    page = " ".join((ROOT / "benchmarks/rivals.md").read_text(encoding="utf-8").split())
    found, distinct = costs(nni_rule.kept())
    inside = int((np.abs(found - 1) <= 0.02).sum())
    assert f"{inside} of NNI's 108 points ({distinct} networks) are within 2 % of the budget" in page
    assert f"the others cost {found.min():.2f} to {found.max():.2f} of it" in page
    (pycls, uniform), _ = costs([fixed_shares.factors(1, 8, 1), fixed_shares.factors(1, 1, 1)])
    assert f"pycls' shares {pycls:.2f} and uniform {uniform:.2f}" in page


def test_nni_takes_the_best_of_what_it_had_time_for():
    whole, part = PlainTask(1000), PlainTask(7)
    assert nni_rule.search(whole, 0) == (1.2, 1.1, 1.15)
    assert len(whole.trained) == 108
    found = nni_rule.search(part, 0)
    assert len(part.trained) == 7 and found in part.trained
    assert value(found) == max(map(value, part.trained))


@pytest.mark.parametrize("cost, feasible", [(0.5, True), (1.0, True), (1.0199, True), (1.0201, False), (2.0, False)])
def test_the_limit_of_the_tpe_script(cost, feasible):
    assert (optuna_tpe.over(cost) <= 0) == feasible


def test_tpe_trains_and_proposes_nothing_over_the_budget():
    task = PlainTask(12)
    before = optuna.logging.get_verbosity()
    try:
        found = optuna_tpe.search(task, 0)
    finally:
        optuna.logging.set_verbosity(before)
    assert len(task.trained) == 12
    assert max(map(task.cost, task.trained)) <= 1.02
    assert found == max(task.trained, key=value)


@pytest.mark.parametrize("shares", [(1, 8, 1), (1, 1, 1), (1, 0, 0), (0, 1, 3)])
def test_fixed_shares_split_the_log_cost(shares):
    depth, width, resolution = fixed_shares.factors(*shares)
    logs = [math.log2(depth), 2 * math.log2(width), 2 * math.log2(resolution)]
    assert logs == pytest.approx([share / sum(shares) for share in shares])


def test_pycls_prints_these_factors_for_twice_the_cost():
    """d1_w8_g8_r1: 2^(1/10), 2^(8/20), 2^(1/20)."""
    assert fixed_shares.factors(1, 8, 1) == pytest.approx((1.07177, 1.31951, 1.03526), abs=1e-5)


COST = np.array([0.5, 1.0, 1.0, 2.0])


def planted(noise, draws=0, seeds=40):
    """Baseline, uniform, a better one, and a still better one that costs twice the budget."""
    means = np.array([70.0, 74.0, 75.0, 79.0])
    points = means[:, None] + noise * np.random.default_rng(0).standard_normal((4, seeds))
    return truth(points, COST, 0, 1, 0.02, draws)


@pytest.mark.parametrize("seeds", [2, 5, 40])
def test_regret_without_noise_is_the_distance_to_the_best_on_the_budget(seeds):
    known = planted(0.0, seeds=seeds)
    assert known.on_budget.tolist() == [1, 2]
    assert (known.best().item(), known.doubling().item()) == pytest.approx((75.0, 4.0))
    assert known.regrets(at_cost=False)[:, 0] == pytest.approx([5.0, 1.0, 0.0, -4.0])
    assert known.regrets(at_cost=True)[:, 0] == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-9)


def test_an_odd_number_of_seeds_counts_each_once():
    points = np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])
    assert truth(points, np.ones(2), 0, 1, 0.02).means[:, 0] == pytest.approx([3.0, 1.0])


def test_the_best_of_equal_networks_is_not_flattered_by_noise():
    rng = np.random.default_rng(1)
    best = [truth(rng.standard_normal((20, 6)), np.ones(20), 0, 1, 0.02).best().item() for _ in range(400)]
    assert abs(np.mean(best)) < 4 * np.std(best) / 20
    assert np.mean([rng.standard_normal((20, 6)).mean(1).max() for _ in range(400)]) > 0.5


def test_intervals_hold_what_was_planted_and_the_default_is_zero_against_itself():
    proposed = {"scalesearch": np.array([2, 2, 2, 1]), "other": np.array([1, 1, 1, 1])}
    regrets, gaps = intervals(planted(0.3), planted(0.3, 500), proposed, "scalesearch", at_cost=False)
    for name, right in (("scalesearch", 0.25), ("other", 1.0)):
        middle, low, high = regrets[name]
        assert low <= right <= high and low <= middle <= high
    assert gaps["scalesearch"] == (0.0, 0.0, 0.0)
    middle, low, high = gaps["other"]
    assert low <= -0.75 <= high and -1.2 < low < high < 0.2
    assert intervals(planted(0.3), planted(0.3, 500), proposed, "scalesearch", at_cost=False) == (regrets, gaps)


def write(path, lines):
    with path.open("w", newline="") as file:
        out = csv.DictWriter(file, list(lines[0]))
        out.writeheader()
        out.writerows(lines)


def test_only_whole_repeats_are_told(tmp_path):
    seen = {"scalesearch": "c", "NNI": "b", "Optuna TPE": "c", "Ax": "d"}
    blank = {"trainings": "9", "training_cpu_s": "5", "cpu_s": "8", "found": "", "recommended": "uniform"}
    cost = {"a": "0.5", "b": "1.01", "c": "1.00", "d": "1.30"}
    proposals = [
        {"repeat": str(repeat), "rival": name, "network": network, "cost": cost[network], **blank}
        for repeat, names in ((0, list(seen)), (1, ["scalesearch", "NNI"]))
        for name in names
        for network in (seen[name],)
    ]
    proposals += [
        {"repeat": "0", "rival": name, "network": "b", "cost": cost["b"], **blank} for name in ("pycls", "uniform")
    ]
    judged = [
        {"network": network, "seed": str(seed), "cost": cost[network], "accuracy": accuracy}
        for network, accuracy in (("a", "0.70"), ("b", "0.74"), ("c", "0.75"), ("d", "0.76"))
        for seed in (1, 2)
    ]
    scripts = ROOT / "benchmarks" / "rivals"
    assert rivals_told.told(tmp_path, scripts) == "No repeat is finished yet."
    write(tmp_path / "proposals.csv", proposals)
    write(tmp_path / "truth.csv", judged)
    told = rivals_told.told(tmp_path, scripts)
    cells = [[cell.strip() for cell in row.split("|")] for row in told.splitlines() if "|" in row]
    table = {row[1]: row[2:-1] for row in cells}
    assert told.splitlines()[-1].endswith('{"uniform": 1}.')
    assert "Repeats: 1. 4 networks were judged on 2 new seeds" in told
    assert table["NNI"][0] == "+1.00 (+1.00 to +1.00)" and table["NNI"][3] == "1 of 1"
    assert table["Ax"][0] == "-1.00 (-1.00 to -1.00)" and table["Ax"][3] == "0 of 1"
    assert table["scalesearch"][0] == "+0.00 (+0.00 to +0.00)" and table["scalesearch"][-1] == "1"
    write(tmp_path / "truth.csv", judged[:-1])  # d lacks a seed: the repeat is not whole
    assert rivals_told.told(tmp_path, scripts) == "No repeat is finished yet."


def test_lines_are_those_that_somebody_wrote(tmp_path):
    script = tmp_path / "a.py"
    script.write_text('"""Docs\n\nof two lines."""\n\nimport math\n# why\n\nprint(math.pi)\n')
    assert rivals_told.lines(script) == 2
