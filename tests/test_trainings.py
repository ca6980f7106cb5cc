"""The sampler `surface` and early stopping, in whole searches with planted accuracies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fake_executor import World

from scalesearch.analysis.load import load_result
from scalesearch.errors import ConfigError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import Silent, records, resume, run, trainings
from scalesearch.search.trainings import TrainingSource
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.study.config import config_from_dict
from scalesearch.study.record import TIME_COLUMNS

TINY = {"train_images": 20, "val_images": 20}


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


def noisy(sd: float, effect: float = 1.0):
    """Best at 12 px and few blocks, with seed noise of this size."""

    def accuracy(spec, seed):
        key = abs(hash((spec.depths, spec.resolution_px, seed))) % 2**32
        truth = 0.85 - effect * (0.002 * abs(spec.resolution_px - 12) + 0.001 * (sum(spec.depths) - 9))
        return truth + float(np.random.default_rng(key).normal(0, sd))

    return accuracy


def definition(**changes):
    return config_from_dict({"sampler": "surface", "trials": 15, "seeds": 3, "workers": 2, "proxy": TINY, **changes})


def studied(folder, config, world, name="s"):
    paths = StudyPaths(folder / name)
    return paths, run(config, paths, make_executor=world.executor)


def table(paths):
    return pd.read_csv(paths.trials).drop(columns=list(TIME_COLUMNS))


def test_it_begins_with_corners_edges_centre_and_the_references(tmp_path):
    world = World(accuracy=noisy(0.003))
    paths, _ = studied(tmp_path, definition(), world)
    rows = table(paths)
    own = rows[rows.budget == "2x"]
    corners = own[own.roles.isin(["depth", "width", "resolution"])]
    assert corners.trial.nunique() == 3
    first = own[own.trial <= 7]
    edges = first[(first[["share_depth", "share_width", "share_resolution"]] == 0.5).sum(axis=1) == 2]
    assert edges.trial.nunique() == 3
    assert any("uniform" in str(roles) for roles in own.roles)


def test_it_ends_when_its_choice_is_good_enough_and_says_so(tmp_path):
    world = World(accuracy=noisy(0.0005))
    _, result = studied(tmp_path, definition(), world)
    budget = result.budgets[0]
    assert budget.ending.startswith("decided after ")
    assert result.complete
    assert len(world.done) < result.manifest.most_trainings


def test_it_ends_when_nothing_could_decide(tmp_path):
    world = World(accuracy=noisy(0.02, effect=0.5))
    _, result = studied(tmp_path, definition(), world)
    budget = result.budgets[0]
    assert budget.ending.startswith(("no affordable number of trainings could decide it", "all 45 trainings are spent"))
    assert "its choice is within 0.2 points of the best with a probability of" in budget.ending
    assert result.complete


def test_it_spends_what_it_may_and_no_more(tmp_path):
    world = World(accuracy=noisy(0.004))
    _, result = studied(tmp_path, definition(trials=8, seeds=1, delta=0.0005), world)
    assert len(world.done) == 1 + 8
    assert result.budgets[0].ending.startswith("all 8 trainings are spent")
    assert result.complete


def test_seeds_are_spent_unevenly_and_paired(tmp_path):
    world = World(accuracy=noisy(0.004))
    paths, _ = studied(tmp_path, definition(delta=0.0005), world)
    own = table(paths).query("budget == '2x'")
    for _, rows in own.groupby("trial"):
        assert sorted(rows.seed) == list(range(len(rows)))
    assert own.groupby("trial").size().nunique() > 1


@pytest.mark.parametrize(
    ("after", "workers"),
    [(4, 1), (9, 2), *(pytest.param(*more, marks=pytest.mark.slow) for more in ((4, 2), (9, 1), (11, 1), (11, 2)))],
)
def test_killed_and_resumed_equals_the_uninterrupted_search(tmp_path, workers, after):
    config = definition(workers=workers, trials=8)
    whole, _ = studied(tmp_path, config, World(accuracy=noisy(0.004)), "whole")
    paths = StudyPaths(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        run(config, paths, make_executor=World(accuracy=noisy(0.004), stop_after=after).executor)
    assert not load_result(paths).complete
    result = resume(paths, make_executor=World(accuracy=noisy(0.004), newest_first=True).executor)
    assert result.complete
    pd.testing.assert_frame_equal(table(paths), table(whole))


def test_a_network_that_diverges_is_never_tried_again(tmp_path):
    tried = []

    def accuracy(spec, seed):
        if spec.resolution_px >= 14:
            tried.append(spec)
            return None
        return noisy(0.003)(spec, seed)

    _, result = studied(tmp_path, definition(workers=1), World(accuracy=accuracy))
    assert tried
    assert len(tried) == len(set(tried))
    assert result.complete


def test_several_budgets_each_end_by_themselves(tmp_path):
    _, result = studied(tmp_path, definition(budgets=["1x", "2x", "0.5x"], trials=9), World(accuracy=noisy(0.002)))
    assert [bool(b.ending) for b in result.budgets] == [False, True, True]
    assert result.complete


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def pruned(tmp_path, rung, pruner="halving", **changes):
    world = World(accuracy=noisy(0.0005), epochs=4, rung=rung)
    config = definition(
        sampler="lattice", trials=14, seeds=2, workers=1, pruner=pruner, proxy={**TINY, "epochs": 4}, **changes
    )
    listener = Notes()
    paths = StudyPaths(tmp_path / pruner)
    result = run(config, paths, make_executor=world.executor, listener=listener)
    return paths, result, listener.notes, world


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_weak_networks_are_given_up_when_the_rung_ranks_like_the_end(tmp_path, pruner):
    paths, result, notes, _ = pruned(tmp_path, lambda accuracy, _: accuracy - 0.1, pruner)
    rows = table(paths)
    stopped = rows[rows.status == "stopped"]
    assert len(stopped)
    assert stopped.roles.isna().all()
    assert any("early stopping is on" in note for note in notes)
    assert result.complete
    assert result.budgets[0].best.status == "complete"
    for _, own in stopped.groupby("trial"):
        assert sorted(own.seed) == [0, 1]
        assert "after epoch" in own.note.iloc[0] and "not trained" in own.note.iloc[1]


def test_nothing_is_given_up_while_the_rung_does_not_rank_like_the_end(tmp_path):
    paths, _, notes, _ = pruned(tmp_path, lambda accuracy, seed: 1.0 - accuracy)
    assert (table(paths).status == "complete").all()
    assert any("early stopping is off" in note for note in notes)


def test_wilcoxon_gives_up_after_some_seeds(tmp_path):
    world = World(accuracy=noisy(0.0002))
    config = definition(sampler="lattice", trials=12, seeds=8, workers=1, pruner="wilcoxon")
    paths = StudyPaths(tmp_path / "w")
    result = run(config, paths, make_executor=world.executor)
    rows = table(paths)
    per_network = rows[rows.status == "complete"].groupby("trial").size()
    assert per_network.max() == 8
    assert per_network.min() < 8
    assert set(per_network[rows[rows.roles.notna()].trial.unique()]) == {8}
    assert result.complete


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pruner": "halving", "sampler": "lattice", "proxy": {**TINY, "epochs": 1}}, "looks at epoch 1 of 1"),
        ({"pruner": "halving", "sampler": "lattice", "rung": 2}, "looks at epoch 2 of 2"),
        ({"pruner": "wilcoxon", "sampler": "lattice"}, "allowed: seeds 5 or more"),
        ({"pruner": "halving"}, "no place with sampler 'surface'"),
        ({"pruner": "halfing"}, "did you mean 'halving'"),
        ({"delta": 0.0}, "delta is 0.0"),
        ({"confidence": 1.0}, "confidence is 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(changes, words):
    with pytest.raises((ConfigError, Exception), match=words):
        definition(**changes)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_table_is_read_once_a_batch_and_the_points_are_those_of_reading_it_always(tmp_path, monkeypatch, workers):
    config = definition(workers=workers, tolerance=0.1, trials=8)
    with monkeypatch.context() as patch:
        reads = counted_reads(patch)
        paths, _ = studied(tmp_path, config, World(accuracy=noisy(0.004)), "once")
    chosen = [t for t in StudyStore(paths).budget("2x").trials() if "proposal" not in t.user_attrs]
    assert 0 < reads["slopes"] <= len(chosen) + 2  # none while the design is queued; one at first, one to end it
    with monkeypatch.context() as patch:
        always = counted_reads(patch, always=True)
        again, _ = studied(tmp_path, config, World(accuracy=noisy(0.004)), "always")
    assert always["slopes"] > reads["slopes"]
    pd.testing.assert_frame_equal(table(paths), table(again))
    assert points(paths) == points(again)


def counted_reads(patch, *, always=False):
    """Counts the readings of the table that are for the sampler; `always` reads it for every question."""
    counts, real = {"slopes": 0}, trainings.cost_slopes
    off = TrainingSource._off

    def slopes(*given):
        counts["slopes"] += 1
        return real(*given)

    def anew(self, trials):
        self._changed = True
        self._read_slope()
        self._sampler._last = None
        return off(self, trials)

    patch.setattr(trainings, "cost_slopes", slopes)
    if always:
        patch.setattr(TrainingSource, "_off", anew)
    return counts


def points(paths):
    return [(t.number, t.params, t.value) for t in StudyStore(paths).budget("2x").trials()]
