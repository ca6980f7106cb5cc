"""The search loop with planted accuracies: nothing is trained, everything else is real."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import made_before
from fake_executor import World, planted

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.load import load_result
from scalesearch.errors import InfeasibleError, ScaleSearchError, StudyError
from scalesearch.networks import registry
from scalesearch.networks.base import Task
from scalesearch.networks.families.efficientnet import EfficientNetConfig, make_baseline, stage_table
from scalesearch.networks.spec import RoundingRules
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.scaling.cost import closed_form, count, meter
from scalesearch.scaling.cost.latency import Latency
from scalesearch.search import Silent, records, resume, run
from scalesearch.study import StudyPaths, StudyStore, load_manifest
from scalesearch.study.config import StudyConfig, config_from_dict, load_config
from scalesearch.study.manifest import manifest_from_dict, manifest_to_dict
from scalesearch.study.plain import to_plain
from scalesearch.study.record import TIME_COLUMNS
from scalesearch.study.trials import read_network

TINY = {"proxy": {"train_images": 20, "val_images": 20}}


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    """fvcore takes a tenth of a second a network; that both agree is tested with the cost room, and once below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


def definition(**changes) -> StudyConfig:
    return config_from_dict({**TINY, "trials": 8, "seeds": 2, "workers": 2, **changes})


def table(paths: StudyPaths) -> pd.DataFrame:
    return pd.read_csv(paths.trials).drop(columns=list(TIME_COLUMNS))


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def studied(tmp_path, config: StudyConfig, world: World | None = None, name: str = "s"):
    paths = StudyPaths(tmp_path / name)
    result = run(config, paths, make_executor=(world or World()).executor)
    return paths, result


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return studied(tmp_path_factory.mktemp("whole"), definition(trials=12))


def test_the_planted_optimum_is_found(whole):
    _, result = whole
    budget = result.budgets[0]
    assert budget.best.network.spec.resolution_px == 14
    trained = [s.network.spec for s in budget.networks]
    assert budget.best.network.spec == max(trained, key=lambda spec: planted(spec, 0) + planted(spec, 1))


def test_the_baseline_and_the_five_references_are_always_there(whole):
    _, result = whole
    assert result.baseline.network.roles == ("baseline",)
    assert {name for name, _ in result.budgets[0].references} == set(REFERENCES)


def test_every_network_meets_the_budget_as_counted_by_fvcore(whole):
    paths, result = whole
    rows = pd.read_csv(paths.trials)
    assert (abs(rows.macs / rows.target_macs - 1) <= 0.02).all()
    baseline = registry.get_baseline("efficientnet_micro")
    for summary in result.budgets[0].networks[:3]:
        assert count(baseline, summary.network.spec, Task(10, 1)).macs == summary.network.macs


def test_files_agree_with_each_other(whole):
    paths, result = whole
    stored = json.loads(paths.result.read_text())
    rows = pd.read_csv(paths.trials)
    assert stored["trainings"] == len(rows) == 2 * 13
    assert stored["networks"] == rows.trial.nunique() == 13
    assert stored["complete"]
    best = rows[rows.trial == result.budgets[0].best.network.number]
    assert stored["best"][0]["accuracy_mean"] == pytest.approx(best.accuracy.mean())
    assert load_result(paths) == result


@pytest.mark.parametrize("sampler", ["lattice", "grid", "random", "qmc", "tpe"])
def test_a_sampler_trains_as_many_distinct_networks_as_asked(tmp_path, sampler):
    paths, _ = studied(tmp_path, definition(sampler=sampler, trials=9, seeds=1))
    rows = table(paths)
    own = rows[rows.budget == "2x"]
    assert own.trial.nunique() == 9
    assert len(own.drop_duplicates(["depths", "widths", "resolution_px", "stem_width", "head_width"])) == 9
    assert sorted(rows.trial.unique()) == list(range(10))


@pytest.mark.slow
def test_gp_trains_as_many_distinct_networks_as_asked(tmp_path):
    paths, _ = studied(tmp_path, definition(sampler="gp", trials=8, seeds=1))
    assert table(paths).trial.nunique() == 9


@pytest.mark.parametrize("sampler", ["lattice", pytest.param("tpe", marks=pytest.mark.slow)])
def test_more_networks_than_the_surface_has_ends_with_all_of_them(tmp_path, sampler):
    _, result = studied(tmp_path, definition(sampler=sampler, trials=500, seeds=1))
    assert len(result.budgets[0].networks) >= result.manifest.budgets[0].networks_on_surface
    assert result.complete


def test_several_budgets_in_one_study(tmp_path):
    paths, result = studied(tmp_path, definition(budgets=["1x", "2x", "4x", "0.5x"], seeds=1))
    rows = table(paths)
    assert Counter(rows.budget) == {"1x": 1, "2x": 8, "4x": 8, "0.5x": 8}
    assert [b.facts.text for b in result.budgets] == ["1x", "2x", "4x", "0.5x"]
    assert rows.trial.is_unique
    assert all(b.best for b in result.budgets)
    assert result.complete


def test_one_budget_in_two_units_is_searched_once(tmp_path):
    _, result = studied(tmp_path, definition(budgets=["1.2M", "1200k"], seeds=1))
    assert len(result.budgets) == 1


def test_a_budget_under_the_smallest_network_writes_nothing(tmp_path):
    with pytest.raises(InfeasibleError, match=r"0\.001x .* allowed: "):
        studied(tmp_path, definition(budgets=["0.001x"]))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def coarse():
    """A baseline whose channels come in steps far coarser than the tolerance."""
    config = EfficientNetConfig(stage_table((1, 3, 1, 64, 1), (2, 3, 2, 64, 2)), 64, 64, stem_stride=1)
    rules = RoundingRules(width_divisor=64, resolution_step_px=8, min_resolution_px=8)
    registry.register("coarse_test", lambda: make_baseline("coarse_test", config, 16, rules=rules, task=Task(10, 1)))
    yield "coarse_test"
    del registry.BASELINES["coarse_test"]


def test_a_network_off_the_budget_is_kept_and_never_trained(tmp_path, coarse):
    world = World()
    paths, result = studied(tmp_path, definition(base=coarse, budgets=["2x"], seeds=1), world)
    off = pd.read_csv(paths.trials).query("status == 'off_budget'")
    assert len(off) > 0
    assert off.accuracy.isna().all()
    assert (abs(off.macs / off.target_macs - 1) > 0.02).all()
    assert not {job.number for job in world.done} & set(off.trial)
    assert result.complete


def test_a_wider_tolerance_trains_it(tmp_path, coarse):
    paths, _ = studied(tmp_path, definition(base=coarse, budgets=["2x"], seeds=1, tolerance=0.9))
    assert (table(paths).status == "complete").all()


def test_a_network_with_a_failed_training_is_never_best(tmp_path):
    best_first = World(
        accuracy=lambda spec, seed: None if spec.resolution_px == 14 and seed == 1 else planted(spec, seed)
    )
    paths, result = studied(tmp_path, definition(), best_first)
    failed = [s for s in result.budgets[0].networks if s.status == "failed"]
    assert failed
    assert all(s.rank is None for s in failed)
    assert result.budgets[0].best.network.spec.resolution_px != 14
    assert set(table(paths).status) == {"complete", "failed"}
    json.loads(paths.result.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("sampler", ["lattice", "random", "tpe"])
def test_two_runs_with_one_seed_are_identical(tmp_path, sampler):
    first, _ = studied(tmp_path, definition(sampler=sampler), name="a")
    second, _ = studied(tmp_path, definition(sampler=sampler), World(newest_first=True), name="b")
    pd.testing.assert_frame_equal(table(first), table(second))


def test_another_seed_draws_other_points(tmp_path):
    first, _ = studied(tmp_path, definition(sampler="random", seed=1), name="a")
    second, _ = studied(tmp_path, definition(sampler="random", seed=2), name="b")
    assert set(table(first).alpha) != set(table(second).alpha)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing_for_a_fixed_plan(tmp_path, workers):
    two, _ = studied(tmp_path, definition(), name="a")
    other, _ = studied(tmp_path, definition(workers=workers), name="b")
    pd.testing.assert_frame_equal(table(two), table(other))


@pytest.mark.parametrize(
    ("sampler", "workers", "seeds", "newest_first"),
    [
        pytest.param("lattice", 2, 2, False, marks=pytest.mark.slow),
        pytest.param("lattice", 2, 2, True, marks=pytest.mark.slow),
        pytest.param("tpe", 1, 2, True, marks=pytest.mark.slow),
        ("tpe", 2, 1, True),
        pytest.param("tpe", 3, 1, True, marks=pytest.mark.slow),
        *(pytest.param("tpe", *many, False, marks=pytest.mark.slow) for many in ((1, 2), (2, 1), (3, 1))),
    ],
)
def test_interrupted_anywhere_and_resumed_equals_the_uninterrupted_study(
    tmp_path, sampler, workers, seeds, newest_first
):
    config = definition(sampler=sampler, workers=workers, seeds=seeds, trials=7)
    whole, result = studied(tmp_path, config, name="whole")
    for stop in range(0, result.trainings, 1 if sampler == "tpe" else 3):
        world = World(stop_after=stop, newest_first=newest_first)
        paths = StudyPaths(tmp_path / f"cut{stop}")
        with pytest.raises(KeyboardInterrupt):
            run(config, paths, make_executor=world.executor)
        assert len(pd.read_csv(paths.trials)) == stop
        world.stop_after = None
        resume(paths, make_executor=world.executor)
        pd.testing.assert_frame_equal(table(paths), table(whole))
        assert len({(job.number, job.seed) for job in world.done}) == len(world.done) == result.trainings


def test_resuming_again_and_again_gets_there(tmp_path):
    config = definition()
    whole, result = studied(tmp_path, config, name="whole")
    paths, world = StudyPaths(tmp_path / "often"), World(stop_after=0)
    with pytest.raises(KeyboardInterrupt):
        run(config, paths, make_executor=world.executor)
    for stop in itertools.count(3, 3):
        world.stop_after = stop
        try:
            resume(paths, make_executor=world.executor)
            break
        except KeyboardInterrupt:
            continue
    pd.testing.assert_frame_equal(table(paths), table(whole))
    assert len(world.done) == result.trainings


def test_a_finished_study_resumes_to_itself(tmp_path):
    paths, result = studied(tmp_path, definition())
    world = World()
    assert resume(paths, make_executor=world.executor) == result
    assert world.done == []


def test_the_time_limit_stops_and_resume_completes(tmp_path):
    world = World(before_job=lambda: time.sleep(0.25))
    paths, result = studied(tmp_path, definition(time_limit=2.5), world)
    assert not result.complete
    assert 0 < result.trainings < 18
    done = resume(paths, time_limit=1000.0, make_executor=World().executor)
    assert done.complete
    assert done.trainings == 18


def test_a_time_limit_under_one_training_says_what_would_do(tmp_path):
    """The same command would run into it for ever."""
    paths, heard, limited = StudyPaths(tmp_path / "s"), Notes(), World(before_job=lambda: time.sleep(0.25))
    assert run(definition(time_limit=0.01), paths, listener=heard, make_executor=limited.executor).trainings == 0
    (said,) = [note for note in heard.notes if "time limit" in note]
    assert said.startswith("the time limit was reached before any training ended; go on with: scalesearch resume ")
    minutes = re.search(r" --time-limit (\d+)m$", said)
    assert minutes
    done = resume(paths, listener=heard, time_limit=60.0 * int(minutes[1]), make_executor=World().executor)
    assert done.complete


def test_nothing_finished_is_lost_when_the_database_disappears_under_the_loop(tmp_path):
    def breaks(job_count=[0]):  # noqa: B006 (counts the calls)
        job_count[0] += 1
        if job_count[0] == 6:
            raise ScaleSearchError("the machine is on fire")

    paths = StudyPaths(tmp_path / "s")
    with pytest.raises(ScaleSearchError, match="on fire"):
        run(definition(), paths, make_executor=World(before_job=breaks).executor)
    assert len(table(paths)) == 5


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"budgets": ("4x",)}, r"--budget is 2x, not 4x"),
        ({"base": "efficientnet_b0"}, r"base is efficientnet_micro, not efficientnet_b0"),
        ({"data": "cifar10"}, r"data is fashion-mnist-mini, not cifar10"),
    ],
)
def test_resuming_as_something_else_says_what_differs(whole, asked, said):
    with pytest.raises(StudyError, match=said):
        resume(whole[0], asked=asked, make_executor=World().executor)


def write_npz(path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    np.savez(path, x=draw.integers(0, 255, (60, 16, 16), dtype=np.uint8), y=np.arange(60) % 3)


def test_data_that_changed_on_the_disk_is_refused(tmp_path):
    write_npz(tmp_path / "d.npz", 1)
    config = replace(definition(), data=f"npz:{tmp_path / 'd.npz'}")
    paths, _ = studied(tmp_path, config)
    write_npz(tmp_path / "d.npz", 2)
    with pytest.raises(StudyError, match="has changed"):
        resume(paths, make_executor=World().executor)


def test_a_taken_name_is_refused(whole):
    with pytest.raises(StudyError, match=r"exists already.*resume"):
        run(definition(), whole[0], make_executor=World().executor)


def test_two_processes_cannot_run_one_study(tmp_path):
    paths = StudyPaths(tmp_path / "s")
    world = World(stop_after=0)
    with pytest.raises(KeyboardInterrupt):
        run(definition(), paths, make_executor=world.executor)
    world.stop_after = None
    world.before_job = lambda: resume(paths, make_executor=World().executor)
    with pytest.raises(StudyError, match="another process"):
        resume(paths, make_executor=world.executor)


def test_a_listener_hears_the_plan_and_every_training(tmp_path):
    class Heard(Silent):
        def __init__(self):
            self.plans, self.started_, self.finished_ = [], [], []

        def preflight(self, plan):
            self.plans.append(plan)

        def started(self, job, network):
            self.started_.append(job)

        def finished(self, job, network, outcome):
            self.finished_.append(job)

    heard = Heard()
    run(definition(), StudyPaths(tmp_path / "s"), listener=heard, make_executor=World().executor)
    (plan,) = heard.plans
    assert plan.trainings == len(heard.started_) == len(heard.finished_) == 18
    assert plan.estimate_seconds == pytest.approx(1.0 * 2 * (8 + 0.5) / 2, rel=0.01)
    assert plan.budgets[0].same == (("uniform", "efficientnet"),)


@pytest.mark.parametrize("folder", ["a?b", "a#b", "a%20b", "a b", "ü"])
def test_a_study_stays_in_its_own_folder_whatever_its_path_is_called(tmp_path, folder):
    root = tmp_path / folder
    root.mkdir()
    first, _ = studied(root, definition(seeds=1), name="first")
    world = World()
    studied(root, definition(seeds=1), world, name="second")
    assert first.database.is_file()
    assert len(world.done) == 9
    assert sorted(p.name for p in tmp_path.iterdir()) == [folder]


def test_a_study_on_relative_data_resumes_from_another_folder(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    write_npz(here / "d.npz", 1)
    monkeypatch.chdir(here)
    paths, _ = studied(tmp_path, replace(definition(), data="npz:d.npz"))
    resume(paths, asked={"data": "npz:d.npz"}, make_executor=World().executor)
    monkeypatch.chdir(there)
    assert resume(paths, make_executor=World().executor).complete


def test_a_finished_study_s_own_definition_can_be_run_again(tmp_path):
    first, _ = studied(tmp_path, definition(), name="a")
    second, _ = studied(tmp_path, load_config(first.definition), name="b")
    pd.testing.assert_frame_equal(table(first), table(second))


def test_a_budget_that_the_baseline_itself_meets_trains_the_baseline_alone(tmp_path):
    _, result = studied(tmp_path, definition(budgets=["570k"], seeds=1))
    assert result.networks == 1
    found = answer(result, result.budgets[0])
    assert (found.kind, found.network) == ("baseline", result.baseline) and "only network" in found.todo


def test_studies_of_different_seeds_share_no_training(tmp_path):
    first, _ = studied(tmp_path, definition(seed=0), name="a")
    second, _ = studied(tmp_path, definition(seed=1), name="b")
    assert not set(table(first).seed) & set(table(second).seed)


@pytest.mark.parametrize("currency", ["params", "activations"])
def test_a_study_can_count_its_budget_in_something_else(tmp_path, currency):
    paths, result = studied(tmp_path, definition(cost=currency, trials=6, seeds=1))
    rows = table(paths)
    own = rows[rows.budget == "2x"]
    assert (own.cost == own[currency]).all()
    assert (abs(own.cost / own.target - 1) <= 0.02).all()
    assert own.target_macs.isna().all()
    assert result.manifest.baseline_cost * 2 == own.target.iloc[0]
    stored = json.loads(paths.result.read_text())
    assert stored["currency"] == stored["budgets"][0]["currency"] == currency
    assert stored["budgets"][0]["target_macs"] is None
    assert load_result(paths) == result


def limited(tmp_path, world=None, **changes):
    """A limit that is broken by the networks of few pixels, whose channels are many."""
    return studied(tmp_path, definition(max_params=115_000, trials=8, seeds=1, **changes), world)


@pytest.mark.parametrize("sampler", ["lattice", "tpe"])
def test_a_network_over_a_second_limit_is_kept_with_the_violation_and_not_trained(tmp_path, sampler):
    world = World()
    paths, result = limited(tmp_path, world, sampler=sampler)
    rows = table(paths)
    over = rows[(rows.params > 115_000) & (rows.budget == "2x")]
    assert 0 < len(over) < len(rows) - 1
    assert set(over.status) == {"infeasible"}
    assert over.accuracy.isna().all()
    assert {job.number for job in world.done}.isdisjoint(over.trial)
    for _, row in over.iterrows():
        ((name, part),) = json.loads(row.violations)
        assert (name, part) == ("max_params", pytest.approx(row.params / 115_000 - 1))
    assert set(rows[rows.params <= 115_000].violations) == {"[]"}
    assert result.complete
    assert all(s.rank is None for s in result.budgets[0].networks if s.network.violations)
    assert resume(paths, make_executor=World().executor) == result


def test_optuna_knows_the_limits_of_every_network_as_constraints(tmp_path):
    paths, _ = limited(tmp_path)
    store = StudyStore(paths)
    try:
        budget = store.budget("2x")
        trials = [t for t in budget.trials() if budget.network(t)]
        for trial in trials:
            part = budget.network(trial).params / 115_000 - 1
            assert trial.constraints == {"max_params": pytest.approx(part)}
            assert trial.state.name == ("PRUNED" if part > 0 else "COMPLETE")
    finally:
        store.close()


@pytest.mark.slow
def test_gp_goes_on_under_limits(tmp_path):
    paths, result = limited(tmp_path, sampler="gp")
    assert result.complete
    assert table(paths).trial.nunique() == 9


def test_the_plan_says_how_many_networks_a_limit_rules_out(tmp_path):
    heard = []

    class Hear(Silent):
        def preflight(self, plan):
            heard.append(plan)

    paths = StudyPaths(tmp_path / "s")
    run(definition(max_params=115_000, trials=8, seeds=1), paths, listener=Hear(), make_executor=World().executor)
    rows = table(paths)
    budget = heard[0].budgets[0]
    assert budget.infeasible == (rows.status == "infeasible").sum()
    assert heard[0].trainings == (rows.status == "complete").sum()


def test_a_baseline_that_has_changed_since_is_not_resumed(tmp_path):
    paths = StudyPaths(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        run(definition(), paths, make_executor=World(stop_after=2).executor)
    made_before(paths)
    text = (paths.folder / "study.toml").read_text()
    (paths.folder / "study.toml").write_text(text.replace("baseline_macs = 56", "baseline_macs = 57"))
    with pytest.raises(StudyError, match="baseline 'efficientnet_micro' has changed since study 's' began"):
        resume(paths, make_executor=World().executor)


def test_a_study_from_before_other_currencies_can_be_read(whole):
    _, result = whole
    values = manifest_to_dict(result.manifest)
    del values["made"]["baseline_cost"], values["made"]["exponents"], values["cost"]
    for budget in values["made"]["budgets"]:
        budget["target_macs"] = round(budget.pop("target"))
    assert manifest_from_dict(values, "old") == result.manifest
    network = to_plain(result.budgets[0].best.network)
    old = {k: v for k, v in network.items() if k not in ("currency", "cost", "target", "excess")}
    assert read_network({**old, "target_macs": round(network["target"])}) == result.budgets[0].best.network


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"tolerance": 0.00001},
            ["none of the 8 planned networks at 2x is within 0.001 %", "allowed: --tolerance 0.01"],
        ),
        ({"max_params": 10_000}, ["none of the 8 planned networks at 2x is within the limits", "% over max-params"]),
    ],
)
def test_a_study_of_which_nothing_would_be_trained_is_refused_before_it_begins(tmp_path, changes, parts):
    with pytest.raises(InfeasibleError) as caught:
        studied(tmp_path, definition(**changes))
    assert [part for part in parts if part not in str(caught.value)] == []
    assert list(tmp_path.iterdir()) == []


class Clock:
    """A planted latency on a machine whose speed can change between two sessions."""

    def __init__(self, monkeypatch):
        self.slower, self.calls = 1.0, 0
        monkeypatch.setattr(meter, "measure_latency", self.measure)

    def measure(self, build, px, channels, *, batch_size, device):
        self.calls += 1
        weights = sum(p.numel() for p in build().parameters())
        seconds = self.slower * (1e-3 + 1e-8 * weights * px * px)
        return Latency(seconds, seconds, seconds, 15, batch_size, device, 1)


@pytest.mark.parametrize("budget", ["2x", "4ms"])
def test_a_budget_of_latency_is_the_same_one_after_a_restart_on_a_slower_machine(tmp_path, monkeypatch, budget):
    clock = Clock(monkeypatch)
    config = definition(cost="latency", tolerance=0.05, budgets=[budget], trials=8, seeds=1, workers=1)
    paths = StudyPaths(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        run(config, paths, make_executor=World(stop_after=3).executor)
    before = table(paths)
    clock.slower = 1.3
    result = resume(paths, make_executor=World().executor)
    rows = table(paths)
    assert result.complete
    assert rows[rows.budget == budget].target.nunique() == 1
    assert rows[rows.budget == budget].target.iloc[0] == pytest.approx(result.budgets[0].facts.target)
    assert rows.head(len(before)).equals(before)
    if budget == "2x":
        assert result.budgets[0].facts.target == 2 * result.manifest.baseline_cost
    clock.calls = 0
    assert resume(paths, make_executor=World().executor) == result
    assert clock.calls <= 2  # the cautions look at a wide baseline; nothing of the study is timed again


def test_a_file_that_the_baseline_imports_is_named_where_it_was_edited(tmp_path, monkeypatch):
    net = """
from torch import nn

def build(depth, width, resolution, num_classes, in_channels):
    from my_pkg.parts.act import ACT
    c = round(24 * width)
    block = (lambda: nn.Conv2d(c, c, 3, 1, 1, bias=False), lambda: nn.BatchNorm2d(c), ACT)
    layers = [make() for _ in range(round(4 * depth)) for make in block]
    return nn.Sequential(nn.Conv2d(in_channels, c, 3, 2, 1), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(c, num_classes))
"""
    files = {"my_pkg/__init__.py": "from .net import build\n", "my_pkg/net.py": net, "unused.py": "",
             "my_pkg/parts/act.py": "from torch import nn\n\nACT = nn.ReLU\n"}  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "count", count)
    paths = StudyPaths(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt):
        config = definition(base="my_pkg:build", trials=5, seeds=1, tolerance=0.1)
        run(config, paths, make_executor=World(stop_after=2).executor)
    assert sorted(load_manifest(paths).baseline_imports) == ["my_pkg/net.py", "my_pkg/parts/act.py"]
    (tmp_path / "unused.py").write_text("EDITED = 1\n")
    for file in ("my_pkg/net.py", "my_pkg/parts/act.py"):
        (tmp_path / file).write_text(files[file] + "\nEDITED = 1\n")
        with pytest.raises(StudyError, match=rf"began \(it imports '{file}', which is not what it was\)"):
            resume(paths, make_executor=World().executor)
        (tmp_path / file).write_text("# a comment changes nothing\n" + files[file])
    assert resume(paths, make_executor=World().executor).complete


def test_a_users_file_that_has_changed_at_the_same_cost_is_not_resumed(tmp_path, monkeypatch):
    source = """
from torch import nn

def build(depth, width, resolution, num_classes, in_channels):
    c = round(24 * width)
    block = (lambda: nn.Conv2d(c, c, 3, 1, 1, bias=False), lambda: nn.BatchNorm2d(c), nn.ReLU)
    layers = [make() for _ in range(round(4 * depth)) for make in block]
    return nn.Sequential(nn.Conv2d(in_channels, c, 3, 2, 1), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(c, num_classes))
"""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "count", count)
    (tmp_path / "edited_net.py").write_text(source)
    paths = StudyPaths(tmp_path / "s")
    config = definition(base="edited_net:build", trials=5, seeds=1, tolerance=0.1)
    with pytest.raises(KeyboardInterrupt):
        run(config, paths, make_executor=World(stop_after=2).executor)
    (tmp_path / "edited_net.py").write_text(source.replace("ReLU", "SiLU"))
    with pytest.raises(StudyError, match="baseline 'edited_net:build' has changed since study 's' began"):
        resume(paths, make_executor=World().executor)
    (tmp_path / "edited_net.py").write_text("# a comment changes nothing\n" + source)
    assert resume(paths, make_executor=World().executor).complete
