"""`verify` with planted accuracies: nothing is trained, everything else is real."""

from __future__ import annotations

import itertools
import json
import shutil

import pandas as pd
import pytest
from fake_executor import World

from scalesearch.errors import InfeasibleError, ScaleSearchError, StudyError, UnknownNameError, UsageError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.study.config import config_from_dict
from scalesearch.study.record import TIME_COLUMNS

LEADS = ("depth", "width", "resolution", "uniform", "efficientnet", "baseline")


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


def definition(**changes):
    return config_from_dict(
        {"trials": 7, "seeds": 2, "workers": 2, "proxy": {"train_images": 20, "val_images": 20}, **changes}
    )


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    paths = StudyPaths(tmp_path_factory.mktemp("verify") / "s")
    run(definition(), paths, make_executor=World().executor)
    return paths


@pytest.fixture
def study(studied, tmp_path):
    shutil.copytree(studied.folder, tmp_path / "s")
    return StudyPaths(tmp_path / "s")


def evidence(paths: StudyPaths) -> pd.DataFrame:
    return pd.read_csv(paths.evidence)


def asked(paths: StudyPaths, world: World | None = None, **ask):
    world = world or World()
    result = verify(paths, VerifyRequest(**ask), make_executor=world.executor)
    return world, result


def test_leaders_references_and_baseline_are_trained_on_new_seeds(study):
    world, _ = asked(study, seeds=3)
    rows = evidence(study)
    assert set(rows.seed) == {5000, 5001, 5002}
    assert set(rows.purpose) == {"verify"} and set(rows.split) == {"test"}
    told = {name for roles in rows.roles for name in str(roles).split("+")}
    assert told >= set(LEADS)
    assert len(world.done) == len(rows) == 3 * rows.trial.nunique()
    searched = pd.read_csv(study.trials)
    best = searched.groupby("trial").accuracy.mean().drop(0).idxmax()
    assert best in set(rows.trial)


def test_accuracy_is_measured_on_the_test_images(study):
    world, _ = asked(study, seeds=1)
    dataset = world.setups[0].dataset
    assert len(dataset.val) == 3000
    assert dataset.test is None


def test_the_search_is_not_changed_by_verification(study):
    before = study.trials.read_bytes()
    asked(study, seeds=2)
    assert study.trials.read_bytes() == before


def test_the_same_call_again_trains_nothing_and_more_seeds_are_added(study):
    first, _ = asked(study, seeds=2)
    again, _ = asked(study, seeds=2)
    more, _ = asked(study, seeds=4)
    assert not again.done and not again.setups
    assert {job.seed for job in more.done} == {5002, 5003}
    assert len(more.done) == len(first.done)


@pytest.mark.parametrize("after", [1, 3, 6])
def test_an_interrupted_verification_goes_on_where_it_stopped(study, tmp_path, after):
    shutil.copytree(study.folder, tmp_path / "whole")
    whole = StudyPaths(tmp_path / "whole")
    asked(whole, seeds=2)
    stopped = World(stop_after=after)
    with pytest.raises(KeyboardInterrupt):
        verify(study, VerifyRequest(seeds=2), make_executor=stopped.executor)
    assert len(evidence(study)) == after
    rest, _ = asked(study, seeds=2)
    assert len(rest.done) + len(stopped.done) == len(evidence(whole))
    left, right = (frame.drop(columns=list(TIME_COLUMNS)) for frame in (evidence(study), evidence(whole)))
    pd.testing.assert_frame_equal(left, right)


def test_a_stopped_run_leaves_whole_pairs(study):
    world = World(stop_after=9)
    with pytest.raises(KeyboardInterrupt):
        verify(study, VerifyRequest(seeds=3), make_executor=world.executor)
    per_seed = evidence(study).groupby("seed").trial.nunique()
    assert per_seed.iloc[0] >= max(per_seed)


def test_seeds_that_the_search_used_are_refused(study):
    with pytest.raises(UsageError, match=r"seeds 1 to 3 were asked for, and the search has used 1: .*--first-seed 2"):
        asked(study, seeds=3, first_seed=1)
    _, _ = asked(study, seeds=2, first_seed=2)
    assert set(evidence(study).seed) == {2, 3}


def test_larger_phi_trains_what_the_coefficients_give_there_on_its_own_budget(study):
    asked(study, seeds=2, phis=(2.0, 3.0))
    rows = evidence(study)
    for phi, ratio in ((2.0, 4), (3.0, 8)):
        own = rows[(rows.purpose == "transfer") & (rows.factor == phi)]
        assert (abs(own.macs / (ratio * 569_956) - 1) < 0.03).all()
        assert set(own.seed) == {5000, 5001}
        at_one = rows[rows.purpose == "verify"].set_index("trial").alpha.to_dict()
        for row in own.itertuples():
            assert row.alpha == pytest.approx(at_one[row.trial] ** phi)
    assert "baseline" not in set(rows[rows.purpose == "transfer"].roles)


def test_networks_that_coincide_are_trained_once(study):
    world, _ = asked(study, seeds=2, phis=(2.0,))
    rows = evidence(study)
    transfer = rows[rows.purpose == "transfer"]
    specs = transfer.groupby(["seed", "depths", "widths", "resolution_px"]).accuracy.nunique()
    assert (specs == 1).all()
    assert len({(job.spec, job.seed) for job in world.done}) == len(world.done)


def test_fidelity_changes_the_recipe_and_takes_what_the_search_has(study):
    world, _ = asked(study, seeds=1, fidelity=True, longer=3)
    recipes = [(s.recipe.epochs, s.recipe.learning_rate) for s in world.setups]
    assert recipes == [(2, 0.2), (6, 0.2), (2, 0.1), (2, 0.4)]
    rows = evidence(study)
    assert set(rows.purpose) == {"verify", "longer", "rate"}
    assert set(rows[rows.purpose == "rate"].split) == {"validation"}
    assert set(rows[rows.purpose == "rate"].seed) == {0, 1}
    assert not ((rows.purpose == "rate") & (rows.factor == 1)).any()


def test_a_longer_proxy_is_held_against_new_seeds_of_the_same_networks(study):
    """The leaders of the search were lucky on its seeds: there a longer training would only take that from them."""
    _, result = asked(study, seeds=3, fidelity=True, rates=False)
    rows = evidence(study)
    assert set(rows.purpose) == {"verify", "longer"}
    longer, verified = rows[rows.purpose == "longer"], rows[rows.purpose == "verify"]
    assert (set(longer.seed), set(longer.split), set(longer.factor)) == ({5000, 5001, 5002}, {"test"}, {4.0})
    assert set(longer.trial) == set(verified.trial) - {0}
    told = {name for roles in longer.roles for name in str(roles).split("+")}
    assert told >= {"depth", "width", "resolution", "uniform", "efficientnet"}
    (change,) = result.budgets[0].proof.fidelity.rank_changes
    assert (change.networks, change.seeds) == (longer.trial.nunique(), 3)
    means = verified.groupby("trial").accuracy.mean()
    assert change.agreement.tau == 1.0 and means.nunique() > 4


def test_two_lengths_are_kept_and_told_beside_each_other(study):
    asked(study, seeds=2, fidelity=True, rates=False, longer=16)
    world, result = asked(study, seeds=2, fidelity=True, rates=False, longer=4)
    assert {setup.recipe.epochs for setup in world.setups} == {8}
    found = result.budgets[0].proof.fidelity
    assert [change.longer for change in found.rank_changes] == [4.0, 16.0]
    assert "4 times the epochs" in found.words and "16 times the epochs" in found.words
    stored = json.loads(study.result.read_text())["budgets"][0]["fidelity"]["rank_changes"]
    assert [one["longer"] for one in stored] == [4.0, 16.0]
    assert all(one["words"].endswith("spreads of the networks).") for one in stored)


def test_a_study_without_a_finished_training_is_told_what_to_run(tmp_path):
    paths = StudyPaths(tmp_path / "empty")
    with pytest.raises(KeyboardInterrupt):
        run(definition(), paths, make_executor=World(stop_after=0).executor)
    with pytest.raises(StudyError, match=r"no network with a finished training.*scalesearch resume empty"):
        asked(paths)


def test_a_study_of_one_network_has_nothing_to_compare(tmp_path):
    paths = StudyPaths(tmp_path / "one")
    stopped = World(stop_after=4)
    with pytest.raises(KeyboardInterrupt):
        run(definition(workers=1), paths, make_executor=stopped.executor)
    with pytest.raises(StudyError, match=r"one network on each budget.*--trials 8"):
        asked(paths)


def test_wrong_questions_are_one_line(study):
    with pytest.raises(UnknownNameError, match="unknown budget '9x'"):
        asked(study, budget="9x")
    for bad, words in (
        ({"seeds": 0}, "--seeds is 0"),
        ({"top": 0}, "--top is 0"),
        ({"top": 201}, "--top is 201; allowed: 1 to 200"),
        ({"phis": (1.0,)}, "--phi 1 cannot be checked; allowed: above 1"),
        ({"longer": 1.0}, "--longer is 1; allowed: above 1"),
        ({"first_seed": -1}, "--first-seed is -1"),
    ):
        with pytest.raises(UsageError, match=words):
            VerifyRequest(**bad)


def test_a_phi_whose_networks_cannot_be_counted_is_refused_before_anything_is_trained(study):
    with pytest.raises(InfeasibleError, match=r"--phi 14 of 2x is 1.64e\+04x efficientnet_micro; allowed: 10,000x"):
        asked(study, seeds=2, phis=(14.0,))
    assert not study.evidence.exists() or not len(evidence(study))


def test_the_result_file_is_whole_after_verification(study):
    asked(study, seeds=2)
    stored = json.loads(study.result.read_text())
    assert stored["complete"]
    with StudyStoreOpen(study) as store:
        numbers = [r.stage.name for r in store.evidence()]
    assert len(set(numbers)) == 1


class StudyStoreOpen:
    def __init__(self, paths):
        self.store = StudyStore(paths)

    def __enter__(self):
        return self.store

    def __exit__(self, *_):
        self.store.close()


def test_a_failed_training_is_kept_and_not_repeated(study):
    counter = itertools.count()
    world = World(accuracy=lambda spec, seed: None if next(counter) == 2 else 0.8)
    asked(study, world, seeds=2)
    again, _ = asked(study, seeds=2)
    assert not again.done
    assert (evidence(study).status == "failed").sum() == 1


def test_errors_are_scalesearchs_own():
    assert issubclass(StudyError, ScaleSearchError)
