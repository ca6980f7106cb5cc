"""A study whose `study.toml` was edited: refused by name, undone, or accepted and kept apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fake_executor import World

from scalesearch.analysis.load import load_result
from scalesearch.cli import run_study
from scalesearch.environment import waiting
from scalesearch.errors import ScaleSearchError, StudyError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, StudyStore, load_manifest
from scalesearch.study.config import config_from_dict, load_config
from scalesearch.study.made import EditedError, undo_edit
from scalesearch.study.record import TIME_COLUMNS
from scalesearch.training.full import train
from scalesearch.training.full.of_study import study_recipe
from scalesearch.training.full.request import TrainRequest

DEFINITION = {
    "trials": 6, "seeds": 2, "workers": 2, "device": "cpu",
    "proxy": {"epochs": 1, "learning_rate": 0.2, "train_images": 20, "val_images": 20},
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> StudyPaths:
    paths = StudyPaths(tmp_path_factory.mktemp("finished") / "studies" / "s")
    run(config_from_dict(DEFINITION), paths, make_executor=World().executor)
    return paths


@pytest.fixture
def study(finished, tmp_path, monkeypatch) -> StudyPaths:
    """A finished study of its own, in the place where commands look."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished.folder, tmp_path / "studies" / "s")
    return StudyPaths(Path("studies") / "s")


@pytest.fixture
def told(monkeypatch) -> None:
    """Notes are shown as on the command line."""
    monkeypatch.setitem(waiting.STATE, "on", True)


@pytest.fixture
def world(monkeypatch) -> World:
    """What the command line trains with."""
    planted = World()
    monkeypatch.setattr(
        run_study, "resume", lambda *given, **more: resume(*given, **more, make_executor=planted.executor)
    )
    return planted


def edit(paths: StudyPaths, old: str, new: str) -> None:
    text = paths.definition.read_text()
    assert text.count(old) >= 1, old
    paths.definition.write_text(text.replace(old, new, 1))


def snapshot(paths: StudyPaths) -> dict[str, bytes]:
    own = (paths.definition, paths.database, paths.trials, paths.result)
    return {path.name: path.read_bytes() for path in own if path.is_file()}


EDITS = [
    ("epochs = 1", "epochs = 3", "proxy.epochs was 1 and is 3"),
    ("learning_rate = 0.2", "learning_rate = 0.05", "proxy.learning_rate was 0.2 and is 0.05"),
    ("seed = 0", "seed = 1", "seed was 0 and is 1"),
    ("seeds = 2", "seeds = 3", "seeds was 2 and is 3"),
    ("trials = 6", "trials = 12", "trials was 6 and is 12"),
    ('sampler = "lattice"', 'sampler = "tpe"', "sampler was lattice and is tpe"),
    ("tolerance = 0.0", "tolerance = 0.05", "tolerance was 0.0 and is 0.05"),
    ('    "2x",', '    "4x",', "budgets was 2x and is 4x"),
    ("schema = 1", "schema = 2", "schema was 1 and is 2"),
    ('base = "efficientnet_micro"', 'base = "resnet20"', "base was efficientnet_micro and is resnet20"),
    ("train_images = 20", "train_images = 30", "proxy.train_images was 20 and is 30"),
    ('augmentation = "none"', 'augmentation = "flip"', "proxy.augmentation was none and is flip"),
    ("trials = 6", "trials = -1", "trials is -1"),
    ("trials = 6", "trails = 6", "unknown key 'trails'"),
]


@pytest.mark.parametrize(("old", "new", "said"), EDITS, ids=[new for _, new, _ in EDITS])
def test_an_edit_is_refused_by_name_and_nothing_is_trained_or_written(study, world, old, new, said):
    edit(study, old, new)
    before = snapshot(study)
    recipe = study_recipe(load_manifest(study).config.proxy)
    for go_on in (
        lambda: resume(study, make_executor=world.executor),
        lambda: verify(study, VerifyRequest(), make_executor=world.executor),
        lambda: train(study, TrainRequest(recipe), make_executor=world.executor),
    ):
        with pytest.raises(EditedError, match=r"study\.toml of study 's' was edited after its trainings") as caught:
            go_on()
        assert said in str(caught.value) and "\n" not in str(caught.value)
        assert "'scalesearch resume s --undo-changes'" in str(caught.value)
        assert "'scalesearch resume s --accept-changes'" in str(caught.value)
    assert snapshot(study) == before and not world.setups


READING = [("show", *EDITS[0]), ("show", *EDITS[-1]), ("report", *EDITS[0]), ("plot", *EDITS[7])]


@pytest.mark.parametrize(("command", "old", "new", "said"), READING)
def test_reading_shows_what_the_trainings_were_made_by_and_says_so(call, study, told, command, old, new, said):
    whole = load_result(study)
    edit(study, old, new)
    code, _, err = call(command, "s", *(["pareto"] if command == "plot" else []))
    assert code == 0 and said in err and "this shows what they were made by" in err
    assert load_result(study) == whole
    if command == "report":
        assert "epochs = 1\n" in study.report.read_text() and "epochs = 3" not in study.report.read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("workers = 2", "workers = 1"),
        ("time_limit = 0.0", "time_limit = 99.0"),
        ("delta = 0.002", "delta = 0.01"),
        ("confidence = 0.9", "confidence = 0.8"),
    ],
)
def test_what_changes_no_number_may_be_edited(study, world, old, new):
    trials = study.trials.read_bytes()
    edit(study, old, new)
    result = resume(study, make_executor=world.executor)
    assert result.complete and not world.done and study.trials.read_bytes() == trials
    assert new in study.definition.read_text()


def test_the_same_command_again_finds_its_study_though_the_file_was_edited(study):
    config = load_manifest(study).config
    edit(study, "epochs = 1", "epochs = 3")
    with pytest.raises(EditedError, match=r"proxy\.epochs was 1 and is 3"):
        run_study.run_study(config, "s", study.folder.parent, as_json=False)


def test_undoing_an_edit_gives_the_file_back_and_keeps_the_edited_one(call, study, world, told):
    before = study.definition.read_bytes()
    edit(study, "epochs = 1", "epochs = 3")
    code, _, err = call("resume", "s", "--undo-changes")
    assert code == 0 and "written again; the one before is study.before.toml" in err
    assert study.definition.read_bytes() == before
    assert "epochs = 3" in study.definition.with_name("study.before.toml").read_text()
    assert not world.done


def test_both_ways_at_once_are_refused(call, study):
    assert call("resume", "s", "--undo-changes", "--accept-changes")[0] == 2


def table(paths: StudyPaths) -> pd.DataFrame:
    return pd.read_csv(paths.trials).drop(columns=list(TIME_COLUMNS))


def test_an_accepted_recipe_trains_everything_anew_and_sets_the_old_rows_aside(call, study, world, told):
    old = table(study)
    edit(study, "epochs = 1", "epochs = 3")
    code, out, err = call("resume", "s", "--accept-changes")
    assert code == 0 and "accepted: proxy.epochs was 1 and is 3; the 14 trainings before" in err
    assert len(world.done) == 14 and world.setups[0].recipe.epochs == 3
    aside = pd.read_csv(study.earlier)
    assert list(aside.set_aside_by_change.unique()) == [1] and set(aside.purpose) == {"search"}
    pd.testing.assert_series_equal(aside.accuracy, old.accuracy)
    assert "changed: " in out and "the 14 trainings before are kept in earlier.csv" in " ".join(out.split())
    assert "proxy.epochs was 1 and is 3" in study.report.read_text()
    stored = json.loads(study.result.read_text())
    assert stored["trainings"] == 14 and stored["changes"][0]["what"] == ["proxy.epochs was 1 and is 3"]
    assert load_result(study).manifest.config.proxy.epochs == 3
    resume(study, make_executor=world.executor)  # is nothing's edit any more
    assert len(world.done) == 14


ACCEPTED = {
    "more seeds": ([("seeds = 2", "seeds = 3")], 7),
    "another sampler": ([('sampler = "lattice"', 'sampler = "star"')], None),
    "another budget": ([('    "2x",', '    "2x",\n    "3x",')], 12),
    "another seed": ([("seed = 0", "seed = 1")], 14),
}


@pytest.mark.parametrize(
    "kind", [kind if kind == "more seeds" else pytest.param(kind, marks=pytest.mark.slow) for kind in ACCEPTED]
)
def test_an_accepted_study_is_that_of_a_new_one_and_repeats_nothing(study, world, tmp_path, kind):
    edits, trained = ACCEPTED[kind]
    rows = len(pd.read_csv(study.trials))
    known = {(spec, seed) for spec, seed in trained_in(study)}
    for old, new in edits:
        edit(study, old, new)
    fresh, anew = StudyPaths(tmp_path / "fresh"), World()
    run(load_config(study.definition), fresh, make_executor=anew.executor)
    result = resume(study, accept=True, make_executor=world.executor)
    pd.testing.assert_frame_equal(table(study), table(fresh))
    jobs = {(job.spec, job.seed) for job in world.done}
    assert result.complete and jobs == {(job.spec, job.seed) for job in anew.done} - known
    assert len(world.done) == trained or trained is None
    assert len(pd.read_csv(study.earlier)) == rows


def trained_in(paths: StudyPaths) -> set[tuple[object, int]]:
    store = StudyStore(paths)
    found = {(r.network.spec, r.outcome.seed) for r in store.records() if r.outcome}
    store.close()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_longer_search_begins_with_the_trainings_of_the_shorter(tmp_path, sampler):
    paths, fresh = StudyPaths(tmp_path / "s"), StudyPaths(tmp_path / "fresh")
    first, second, anew = World(), World(), World()
    run(config_from_dict({**DEFINITION, "sampler": sampler}), paths, make_executor=first.executor)
    edit(paths, "trials = 6", "trials = 9")
    resume(paths, accept=True, make_executor=second.executor)
    run(load_config(paths.definition), fresh, make_executor=anew.executor)
    pd.testing.assert_frame_equal(table(paths), table(fresh))
    assert len(first.done) + len(second.done) == len(anew.done) == 2 * 10


@pytest.mark.slow
def test_a_change_accepted_in_a_study_that_was_stopped_goes_on_after_another_stop(study, tmp_path):
    paths = StudyPaths(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        run(config_from_dict(DEFINITION), paths, make_executor=World(stop_after=7).executor)
    edit(paths, "seeds = 2", "seeds = 3")
    fresh = StudyPaths(tmp_path / "fresh")
    run(load_config(paths.definition), fresh, make_executor=World().executor)
    with pytest.raises(KeyboardInterrupt):
        resume(paths, accept=True, make_executor=World(stop_after=4).executor)
    last = World()
    resume(paths, make_executor=last.executor)
    pd.testing.assert_frame_equal(table(paths), table(fresh))


REFUSED = [
    ('base = "efficientnet_micro"', 'base = "resnet20"', "which is another study"),
    ("train_images = 20", "train_images = 30", "which is another study"),
    ("trials = 6", "trials = -1", "trials is -1"),
    ('    "2x",', '    "0.0001x",', "budget"),
]


@pytest.mark.parametrize(("old", "new", "said"), REFUSED)
def test_what_a_new_study_would_refuse_is_not_accepted_and_nothing_is_written(study, world, old, new, said):
    edit(study, old, new)
    before = snapshot(study)
    with pytest.raises(ScaleSearchError, match=said) as caught:
        resume(study, accept=True, make_executor=world.executor)
    assert "\n" not in str(caught.value)
    assert snapshot(study) == before and not world.setups


def test_nothing_to_accept_is_said_and_the_study_goes_on(study, world):
    result = resume(study, accept=True, make_executor=world.executor)
    assert result.complete and not result.manifest.changes


def test_a_study_from_before_goes_on_and_is_guarded_from_then_on(study, world):
    from conftest import made_before

    made_before(study)
    with pytest.raises(StudyError, match="nobody can tell what was edited"):
        undo_edit(study)
    assert resume(study, make_executor=world.executor).complete
    edit(study, "epochs = 1", "epochs = 3")
    with pytest.raises(EditedError):
        resume(study, make_executor=world.executor)


def test_a_study_that_was_moved_has_the_name_of_its_folder(study, world, told, call):
    moved = study.folder.rename(study.folder.parent / "other")
    result = resume(StudyPaths(moved), make_executor=world.executor)
    assert result.manifest.study == "other" and not world.done
    assert call("show", "other")[0] == 0


def test_facts_that_were_edited_are_put_back_and_said(study, world, told, capsys):
    before = study.definition.read_bytes()
    edit(study, "baseline_macs = 56", "baseline_macs = 57")
    assert resume(study, make_executor=world.executor).complete
    assert "baseline_macs was edited" in capsys.readouterr().err
    assert study.definition.read_bytes() == before
