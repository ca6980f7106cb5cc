"""Single-dimension against compound scaling: planted differences are found, costs are equal, a joint run goes on."""

from __future__ import annotations

import json
import random
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from fake_executor import World
from shown import flat, said
from synthetic import Plan, manifest_of, records_of

from scalesearch import search
from scalesearch.analysis import paired
from scalesearch.analysis.compare import COMPOUND, ROWS, compare_scaling, compare_studies, comparison_to_dict, realized
from scalesearch.analysis.paired import PairedTable
from scalesearch.analysis.printed import printed_table
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.errors import ConfigError, StudyError, UnknownNameError
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.report.comparison import LEGEND, render_comparisons
from scalesearch.scaling.candidates import TOLERANCES
from scalesearch.scaling.coefficients import REFERENCES, parse_budget
from scalesearch.scaling.realize import make_surface, realize
from scalesearch.study.config import definitions
from scalesearch.study.joint import read_definition
from scalesearch.study.record import TrialRecord

PAPER = ("paper_table3", "paper_table7", "paper_table3_imagenet", "paper_table7_imagenet")
EQUAL = dict.fromkeys(ROWS, 0.8)
SMALL = """
base = ["mobilenet_v1_micro", "resnet_micro"]
budgets = ["2x"]
trials = 5
seeds = 2
workers = 1
device = "cpu"

[proxy]
learning_rate = 0.2
train_images = 20
val_images = 20
"""


def planted(means: dict[str, float], sd: float = 0.004, **changes: object) -> StudyResult:
    """A study at 4x whose networks have these true accuracies by role; others have none of the roles' and 0.99."""
    plan = Plan(**{"networks": 5, "seeds": 5, "budgets": ("4x",), **changes})
    noise = random.Random(5)

    def with_accuracy(record: TrialRecord) -> TrialRecord:
        if record.outcome is None or record.outcome.accuracy is None:
            return record
        true = next((means[role] for role in record.network.roles if role in means), 0.99)
        return replace(record, outcome=replace(record.outcome, accuracy=true + noise.gauss(0, sd)))

    return compute_result(manifest_of(plan), map(with_accuracy, records_of(plan)))


def words(result: StudyResult) -> dict[str, str]:
    return {"+".join(row.names): row.words for row in compare_scaling(result)[0].rows}


def test_planted_differences_are_found_and_nothing_else():
    found = words(planted({**EQUAL, "depth": 0.7, "width": 0.9, "baseline": 0.75}))
    assert found == {
        "baseline": "better",
        "depth": "better",
        "width": "worse",
        "resolution": "no evidence of a difference",
        "uniform": "no evidence of a difference",
        "efficientnet": "",
    }


def test_a_difference_within_the_noise_is_no_evidence():
    assert set(words(planted({**EQUAL, "depth": 0.79}, sd=0.03)).values()) == {"", "no evidence of a difference"}


def test_the_finding_is_one_sentence():
    found = compare_scaling(planted({**EQUAL, "depth": 0.7, "width": 0.9}))[0].words
    assert found == (
        "Compound scaling: better than depth; worse than width; "
        "no evidence of a difference to baseline, resolution, uniform."
    )


def test_a_difference_is_that_of_the_means_inside_its_interval():
    result = planted({**EQUAL, "depth": 0.7})
    table = compare_scaling(result)[0]
    means = {name: row.summary.mean for row in table.rows for name in row.names}
    for row in table.rows[:-1]:
        assert row.difference == pytest.approx(means[COMPOUND] - row.summary.mean)
        assert row.ci95[0] < row.difference < row.ci95[1]
    assert (table.seeds, table.finished) == ((0, 1, 2, 3, 4), True)


def test_networks_that_miss_the_budget_are_compared_at_equal_cost():
    """Depth costs more than it may, which is worth 1.5 ± 1 points: its level is lower, and the interval wider."""
    result = planted({**EQUAL, "depth": 0.815})
    (budget,) = result.budgets
    dearer = tuple(
        (name, replace(s, off=0.015, off_sd=0.01) if name == "depth" else s) for name, s in budget.references
    )
    exact = {row.names[0]: row for row in compare_scaling(result)[0].rows}
    level = compare_scaling(replace(result, budgets=(replace(budget, references=dearer),)))[0].rows
    at_cost = {row.names[0]: row for row in level}
    assert exact["depth"].words == "worse"
    assert at_cost["depth"].words == "no evidence of a difference"
    assert at_cost["depth"].difference == pytest.approx(exact["depth"].difference + 0.015)
    assert np.ptp(at_cost["depth"].ci95) > np.ptp(exact["depth"].ci95) + 0.02
    assert at_cost["width"].ci95 == pytest.approx(exact["width"].ci95, abs=2e-3)


def test_intervals_that_hold_together_are_wider_and_agree_with_their_p():
    result = planted({**EQUAL, "depth": 0.78, "width": 0.79}, sd=0.01)
    accuracies = [s.accuracies for s in (result.baseline, *(s for _, s in result.budgets[0].references))]
    paired = PairedTable(np.array(accuracies))
    for other in range(len(accuracies) - 1):
        alone, together = (paired.difference(5, other, among=among) for among in (1, 5))
        assert together.ci95[0] < alone.ci95[0] < alone.ci95[1] < together.ci95[1]
        assert together.p == pytest.approx(min(1, 5 * alone.p))
        assert (together.p < 0.05) == (not together.ci95[0] <= 0 <= together.ci95[1])


def test_one_seed_has_differences_and_no_verdict():
    rows = compare_scaling(planted(EQUAL, seeds=1))[0].rows
    assert {row.words for row in rows[:-1]} == {"not known (one seed)"}
    assert all(row.ci95 is None and row.difference is not None for row in rows[:-1])


def test_a_network_that_diverged_is_shown_and_not_compared():
    rows = {row.names[0]: row for row in compare_scaling(planted(EQUAL, failed=True))[0].rows}
    assert (rows[COMPOUND].words, rows[COMPOUND].difference) == ("diverged", None)
    assert rows["depth"].words == "compound not trained"


def test_the_sampler_s_own_networks_are_left_out():
    rows = compare_scaling(planted(EQUAL, networks=11))[0].rows
    assert [name for row in rows for name in row.names] == list(ROWS)


def test_an_unfinished_study_says_so_and_counts_the_common_seeds_only():
    table = compare_scaling(planted(EQUAL, trained=0.5))[0]
    assert not table.finished
    assert table.seeds == (0, 1)
    assert "go on with: scalesearch resume synthetic" in flat(render_comparisons([table]))


def test_nothing_trained_is_an_error_and_a_wrong_budget_names_the_right_ones():
    with pytest.raises(StudyError, match="has not trained its baseline yet"):
        compare_scaling(planted(EQUAL, trained=0.0))
    with pytest.raises(UnknownNameError, match=r"unknown budget '2x'.*Allowed: 4x"):
        compare_scaling(planted(EQUAL), "2x")


def test_a_study_without_its_baseline_is_left_out_and_named():
    begun, waiting = planted(EQUAL), planted(EQUAL, trained=0.0, name="late")
    tables, names = compare_studies([waiting, begun])
    assert ([table.study for table in tables], names) == (["synthetic"], ["late"])
    with pytest.raises(StudyError, match="no baseline was trained yet in late, late"):
        compare_studies([waiting, waiting])


def test_json_is_plain_and_complete():
    found = json.loads(json.dumps(comparison_to_dict(compare_scaling(planted(EQUAL))[0]), allow_nan=False))
    rows = {row["names"][0]: row for row in found["rows"]}
    assert list(rows) == list(ROWS)
    assert rows["depth"]["realized"]["alpha"] == pytest.approx(4.0)
    assert rows["depth"]["ratio"] == pytest.approx(4.0, rel=0.02)
    assert rows["depth"]["paper"] == {"macs_text": "1.8B", "top1_percent": 79.0}
    assert [row["compound"] for row in found["rows"]] == [False] * 5 + [True]
    assert rows["uniform"]["paper"] is None


@pytest.mark.parametrize("width", [80, 120, 160])
def test_the_table_fits_and_shows_every_row(width):
    text = said(render_comparisons(compare_scaling(planted({**EQUAL, "depth": 0.7}))), width)
    assert max(map(len, text.splitlines())) <= width
    assert [name for name in (*ROWS[:-1], "compound") if name not in text] == []
    assert LEGEND.split(".")[0][:40] in text


def test_realized_multipliers_are_those_of_the_whole_numbers():
    found = realized(NetworkSpec((1, 3), (9, 21), 30, 8, 40), NetworkSpec((1, 1), (10, 20), 20, 8, 40))
    assert (found.alpha, found.beta, found.gamma) == (2.0, 1.0, 1.5)


def test_the_paper_s_rows_are_found_by_the_kind_of_baseline():
    assert printed_table("resnet_micro").rows["width"].top1_percent == 77.7
    assert "depth" not in printed_table("mobilenet_v1").rows
    assert printed_table("vit_tiny_patch16_224") is None


@pytest.mark.parametrize("name", PAPER)
def test_the_shipped_definitions_compare_networks_of_equal_cost(name):
    definition = read_definition(name)
    assert definition.config.trials == len(REFERENCES)  # the references alone
    assert definition.config.tolerance == 0  # as little as leaves enough networks: 2 % for these
    for base in definition.bases:
        baseline = get_baseline(base)
        surface = make_surface(baseline, baseline.task, parse_budget(definition.config.budgets[0]), TOLERANCES[0])
        found = [realize(surface, surface.coefficients(shares)) for shares in REFERENCES.values()]
        costs = [baseline.macs(candidate.spec, baseline.task) for candidate in found]
        own = baseline.macs(baseline.spec, baseline.task)
        assert [cost for cost in costs if abs(cost / (4 * own) - 1) > TOLERANCES[0]] == []
        assert len({candidate.spec for candidate in found}) == len(REFERENCES)


def test_the_two_forms_of_a_table_differ_in_networks_and_data_alone():
    for name in ("paper_table3", "paper_table7"):
        small, large = read_definition(name), read_definition(f"{name}_imagenet")
        assert [printed_table(b) for b in small.bases] == [printed_table(b) for b in large.bases]
        assert small.config.budgets == large.config.budgets
    assert set(PAPER) < set(definitions())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base = []", "base is []"),
        ('base = ["resnet_micro", "resnet_micro"]', "each one once"),
        ("base = [1]", "base is 1"),
        ('base = ["resnet_micro"]\ntrails = 3', "unknown key 'trails'"),
    ],
)
def test_a_list_of_baselines_that_makes_no_sense_is_refused(tmp_path, text, told):
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_definition(str(path))
    assert told in str(caught.value)


@pytest.fixture
def joint(tmp_path, monkeypatch):
    """A definition of two baselines in the current folder; trainings go to the `World` that is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "both.toml").write_text(SMALL)
    before = signal.getsignal(signal.SIGTERM)

    def use(world: World) -> World:
        for name in ("run", "resume"):
            trained = partial(getattr(search, name), make_executor=world.executor)
            monkeypatch.setattr(f"scalesearch.cli.run_study.{name}", trained)
        return world

    yield use
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures and reports take seconds a study."""
    monkeypatch.setattr("scalesearch.cli.run_study.write_outputs", lambda result, paths: ())


def test_one_definition_runs_a_study_for_each_baseline_and_prints_one_table(joint, call, tmp_path):
    world = joint(World())
    code, out, err = call("run", "both.toml")
    assert code == 0
    assert len(world.done) == 2 * 6 * 2
    assert sorted(p.name for p in (tmp_path / "studies").iterdir()) == ["both-mobilenet_v1_micro", "both-resnet_micro"]
    assert out.count("Compound scaling:") == 2
    assert (tmp_path / "studies/both-resnet_micro/report.html").is_file()
    assert "[12/12]" in err


def test_stopped_anywhere_the_same_command_goes_on_and_repeats_nothing(joint, undrawn, call, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["scalesearch", "run", "both.toml"])
    done = []
    for stop in (5, 9):  # in the first study, then in the second
        world = joint(World(stop_after=stop))
        with pytest.raises(SystemExit) as caught:
            call("run", "both.toml")
        assert caught.value.code == 130
        assert "go on with: scalesearch run both.toml" in capsys.readouterr().err
        done += world.done
    done += joint(World()).done
    world = joint(World())
    code, out, _ = call("run", "both.toml", "--json")
    done += world.done
    tables = json.loads(out)
    assert (code, [table["base"] for table in tables]) == (0, ["mobilenet_v1_micro", "resnet_micro"])
    assert len(done) == len({(job.spec, job.seed) for job in done}) == 2 * 6 * 2
    last = joint(World())
    assert call("run", "both.toml", "--json")[:2] == (0, out)
    assert last.done == []


@pytest.mark.slow
def test_studies_of_another_definition_are_not_gone_on_with(joint, undrawn, call):
    joint(World())
    call("run", "both.toml")
    world = joint(World())
    code, _, err = call("run", "both.toml", "--seeds", "3", "--epochs", "4")
    assert (code, world.done) == (1, [])
    assert "study 'both-mobilenet_v1_micro' exists and was made otherwise: --seeds is 2 there, 3 here" in err
    assert "--epochs is 2 there, 4 here" in err
    assert call("run", "both.toml", "--time-limit", "9h")[0] == 0


def test_a_wrong_baseline_is_told_before_anything_is_trained(joint, undrawn, call, tmp_path):
    (tmp_path / "both.toml").write_text(SMALL.replace('"resnet_micro"', '"resnet_mikro"'))
    world = joint(World())
    code, _, err = call("run", "both.toml")
    assert (code, world.done) == (2, [])
    assert "did you mean 'resnet_micro'" in err


@pytest.mark.slow
def test_one_baseline_of_the_list_can_be_run_alone_and_all_compared(joint, undrawn, call, capsys):
    joint(World(stop_after=0))
    with pytest.raises(SystemExit):
        call("run", "both.toml")
    capsys.readouterr()
    joint(World())
    assert call("run", "both.toml", "--base", "resnet_micro")[0] == 0
    code, out, err = call("compare", "both", "--json")
    assert (code, [table["study"] for table in json.loads(out)]) == (0, ["both-resnet_micro"])
    assert err == "note: both-mobilenet_v1_micro has not trained its baseline yet, and is left out\n"
    call("run", "both.toml")
    code, out, err = call("compare", "both")
    assert (code, err, out.count("Compound scaling:")) == (0, "", 2)
    assert call("compare", "both-resnet_micro", "both")[1].count("Compound scaling:") == 2  # each study once
    code, _, err = call("compare", "bot")
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown study 'bot'" in err
    code, _, err = call("compare", "both", "--budget", "8x")
    assert (code, "Allowed: 2x" in err) == (2, True)


def test_comparing_where_there_is_no_study_is_one_line(joint, call):
    code, _, err = call("compare", "nothing")
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown study 'nothing'" in err


def test_drawing_tables_in_parts_changes_no_bit(monkeypatch):
    table = np.random.default_rng(3).normal(size=(6, 7))
    whole = PairedTable(table).difference(0, 1)
    monkeypatch.setattr(paired, "_CELLS", 42 * 13)
    assert PairedTable(table).difference(0, 1) == whole
