"""`scalesearch atlas run`: studies of several families, budget by budget, that go on after a stop."""

import contextlib
import importlib
import json

import pytest
from atlas_rows import row

from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.database import StudyStore

SMALL = """base = ["resnet_micro"]
data = ["fashion-mnist-mini"]
budgets = ["0.5x", "2x"]
trials = 4
seeds = 2
tolerance = 0.02
[proxy]
epochs = 1
train_images = 400
val_images = 300
learning_rate = 0.1
optimizer = "sgd"
[verify]
seeds = 2
"""
NAME = "few-resnet-micro-fashion-mnist-mini"


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_an_atlas_goes_on_where_it_stopped_and_becomes_rows(call, tmp_path):
    (tmp_path / "few.toml").write_text(SMALL)
    run = ("atlas", "run", "--definition", "few.toml", "--workers", "2")
    code, out, _ = call(*run, "--only", "0.5x", "--json")
    assert (code, json.loads(out)["cells"]) == (0, [{"study": NAME, "budget": "0.5x"}])
    first = trained(tmp_path)
    assert {budget for budget, *_ in first} == {"1x", "0.5x"}
    code, out, _ = call(*run)
    assert (code, out.splitlines()[-1]) == (0, "2 of 2 cells searched and verified")
    both = trained(tmp_path)
    assert both[: len(first)] == first and {budget for budget, *_ in both} == {"1x", "0.5x", "2x"}
    code, _, err = call(*run)
    assert code == 0 and "training" not in err and trained(tmp_path) == both  # nothing is left to do
    assert call("atlas", "run", "--definition", "few.toml", "--dry-run", "--json")[1].count('"verified"') == 2
    assert call("atlas", "collect", "--definition", "few.toml", "--out", "rows.json")[0] == 0
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 2


def trained(folder):
    with contextlib.closing(StudyStore(StudyPaths(folder / "studies" / NAME))) as store:
        records = [r for r in store.records() if r.outcome]
    return [(r.network.budget, r.network.number, r.outcome.seed, r.outcome.finished_at) for r in records]


@pytest.mark.usefixtures("empty_folder")
def test_no_cell_is_no_row(call):
    code, _, err = call("atlas", "collect")
    assert code == 1 and "no cell of atlas is searched in 'studies'; begin with: scalesearch atlas run" in err


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_a_study_that_starts_from_the_atlas_keeps_its_rows(call, tmp_path, monkeypatch):
    module = importlib.import_module("scalesearch.search.prepare")
    monkeypatch.setattr(module, "shipped_rows", lambda: (row(),))
    small = ("--base", "resnet_micro", "--budget", "2x", "--trials", "4", "--lr", "0.1", "--epochs", "1")
    given = (*small, "--train-images", "300", "--val-images", "300", "--prior", "atlas", "--name", "mine")
    code, _, err = call("run", *given)
    assert code == 0
    assert "2x starts from the atlas (resnet_micro on cifar10 at 2x)" in " ".join(err.split())
    (kept,) = load_manifest(StudyPaths(tmp_path / "studies" / "mine")).priors
    assert kept.rows == ("resnet_micro on cifar10 at 2x",)
    monkeypatch.setattr(module, "shipped_rows", lambda: ())  # a later atlas changes nothing of it
    code, out, _ = call("show", "mine", "--json")
    assert (code, "as in the atlas (resnet_micro on cifar10 at 2x)" in out) == (0, True)
    code, _, err = call("run", *given[:-4], "--prior", "none", "--name", "mine")
    assert code == 1 and "--prior is atlas there, none here" in err


@pytest.mark.usefixtures("empty_folder")
@pytest.mark.parametrize("only", [("--only", "resnet_micro,0.5x"), ("--only", "resnet_micro", "--only", "0.5x")])
def test_what_is_chosen_may_be_given_in_one_option_or_several(call, tmp_path, only):
    """Of several options the last was taken, and hours were spent on what nobody had asked for."""
    (tmp_path / "few.toml").write_text(SMALL.replace('["resnet_micro"]', '["vit_micro", "resnet_micro"]'))
    code, out, _ = call("atlas", "run", "--definition", "few.toml", "--dry-run", "--json", *only)
    assert code == 0
    assert [(cell["study"], cell["budget"]) for cell in json.loads(out)["cells"]] == [(NAME, "0.5x")]
