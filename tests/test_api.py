"""The library's front door: what a study found, as Python objects, and one line for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from fake_executor import World
from synthetic import Plan, manifest_of

import scalesearch
from scalesearch import FoundNetwork, Study, load_study
from scalesearch.errors import BudgetError, ScaleSearchError, UnknownNameError, UsageError
from scalesearch.scaling.cost import count_module
from scalesearch.search import run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, create_folder
from scalesearch.study.config import config_from_dict
from scalesearch.study.record import COLUMNS
from scalesearch.study.record.evidence import STAGE_COLUMNS

QUICK = {"workers": 1, "device": "cpu", "proxy": {"train_images": 20, "val_images": 20}}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a study of two budgets, verified at 2x, and one that was stopped before its first network."""
    root = tmp_path_factory.mktemp("studies")
    config = config_from_dict({**QUICK, "budgets": ["2x", "4x"], "trials": 6, "seeds": 2})
    run(config, StudyPaths(root / "done"), make_executor=World().executor)
    verify(StudyPaths(root / "done"), VerifyRequest(budget="2x", seeds=3), make_executor=World().executor)
    with pytest.raises(KeyboardInterrupt):
        run(config, StudyPaths(root / "begun"), make_executor=World(stop_after=0).executor)
    return root


@pytest.fixture
def done(root) -> Study:
    return load_study("done", root)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_package_loads_nothing_before_it_is_used():
    heavy = "[m for m in ('torch', 'numpy', 'pandas', 'optuna', 'pydantic') if m in sys.modules]"
    assert python(f"import sys, scalesearch; print({heavy}, 'load_study' in dir(scalesearch))") == "[] True"


def test_a_study_is_read_without_torch(root):
    read = f"scalesearch.load_study('done', {str(root)!r}).best().spec"
    assert python(f"import sys, scalesearch; {read}; print('torch' in sys.modules)") == "False"


def test_every_public_name_is_there_and_no_other():
    assert [name for name in scalesearch.__all__ if not hasattr(scalesearch, name)] == []
    assert issubclass(scalesearch.ScaleSearchError, Exception)
    with pytest.raises(AttributeError, match="has no attribute 'load_studies'"):
        _ = scalesearch.load_studies


def test_studies_are_listed_by_name(root, tmp_path):
    assert scalesearch.list_studies(root) == ("begun", "done")
    assert scalesearch.list_studies(tmp_path / "none") == ()


@pytest.mark.parametrize("form", [str, lambda path: path])
def test_a_study_is_found_by_its_path_too(root, form, monkeypatch):
    assert load_study(form(root / "done")).best().spec == load_study("done", str(root)).best().spec
    monkeypatch.chdir(root)
    assert load_study("./done").name == "done"


def test_the_best_network_is_the_one_that_the_result_names(done):
    for text, budget in zip(("2x", "4x"), done.result.budgets, strict=True):
        found, record = done.best(text), budget.best.network
        assert (found.spec, found.coefficients, found.macs, found.params) == (
            record.spec, record.coefficients, record.macs, record.params,
        )  # fmt: skip
        assert (found.budget, found.rank, found.resolution_px) == (text, 1, record.spec.resolution_px)
        assert found.macs == pytest.approx(float(text[0]) * done.baseline.macs, rel=0.02)
    assert done.coefficients == done.best().coefficients == done.best("2.0x").coefficients
    assert done.budgets == ("2x", "4x")


def test_accuracy_carries_its_interval_and_seeds(done):
    accuracy = done.best("2x").accuracy
    rows = done.to_dataframe().query("budget == '2x'").groupby("trial")["accuracy"].mean()
    assert accuracy.mean == pytest.approx(rows.max())
    assert accuracy.ci95[0] < accuracy.mean < accuracy.ci95[1]
    assert accuracy.seeds == (0, 1)
    assert accuracy.sd > 0


def test_networks_are_ranked_and_only_the_first_has_verdicts(done):
    found = done.networks("4x")
    assert [network.rank for network in found] == list(range(1, len(found) + 1))
    expected = [network.summary.shrunk for network in found]
    assert expected == sorted(expected, reverse=True)
    assert {role for network in found for role in network.roles} >= {"depth", "width", "resolution", "uniform"}
    first, second = found[:2]
    assert first.advice == done.answer("4x").todo != "" and done.advice == done.answer().todo
    assert {verdict.against for verdict in first.verdicts} >= {"uniform", "baseline"}
    assert (second.advice, second.verdicts, second.verification) == ("", (), None)


def test_what_verify_found_is_there(done):
    assert done.best("2x").verification == done.verification("2x")
    assert len(done.verification("2x").seeds) == 3
    assert done.verification("4x") is None


def test_a_network_is_built_as_it_was_counted(done):
    found = done.best("2x")
    module = found.build()
    assert sum(p.numel() for p in module.parameters()) == found.params
    assert count_module(module, found.resolution_px, 1).macs == found.macs
    assert module(torch.zeros(2, 1, found.resolution_px, found.resolution_px)).shape == (2, 10)


def test_another_task_and_other_rates_are_built(done):
    module = done.best("4x").build(num_classes=7, in_channels=3, dropout=0.25, stochastic_depth=0.5)
    px = done.best("4x").resolution_px
    assert module(torch.zeros(2, 3, px, px)).shape == (2, 7)
    assert 0.25 in {layer.p for layer in module.modules() if isinstance(layer, torch.nn.Dropout)}
    with pytest.raises(UsageError, match="at least 1 class"):
        done.best().build(num_classes=0)


def test_new_weights_follow_torch_s_seed(done):
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in done.best().build().parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_family_of_the_coefficients_begins_with_what_was_found(done):
    family = done.best("2x").scale("0..2")
    zero, one, two = (member.network for member in family.members)
    assert (zero.spec, one.spec) == (done.baseline.spec, done.best("2x").spec)
    assert two.macs == pytest.approx(4 * done.baseline.macs, rel=0.02)
    module = done.build(two.spec)
    assert sum(p.numel() for p in module.parameters()) == two.params


def test_the_family_of_another_network_is_its_own(done):
    second = done.networks("2x")[1]
    assert second.scale([1, 2]).members[0].network.spec == second.spec
    assert second.scale([0.5]).coefficients == second.coefficients


def test_the_rows_are_those_of_the_files(done):
    files = done.paths.trials, done.paths.evidence
    frames = done.to_dataframe(), done.evidence()
    assert list(frames[0].columns) == [column.name for column in COLUMNS]
    for path, frame in zip(files, frames, strict=True):
        pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(path.parent / _written(path.parent, frame)))


def _written(folder, frame: pd.DataFrame) -> str:
    frame.to_csv(folder / "again.csv", index=False)
    return "again.csv"


def test_a_study_without_rows_has_empty_tables_with_the_same_columns(tmp_path):
    create_folder(StudyPaths(tmp_path / "new"), manifest_of(Plan(name="new")))
    new = load_study("new", tmp_path)
    assert (len(new.to_dataframe()), list(new.to_dataframe().columns)) == (0, [column.name for column in COLUMNS])
    assert (len(new.evidence()), list(new.evidence().columns[: len(STAGE_COLUMNS)])) == (0, list(STAGE_COLUMNS))


def test_a_figure_is_drawn_and_a_wrong_kind_is_refused(done, tmp_path):
    done.plot("pareto", "2x").savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000
    with pytest.raises(UnknownNameError, match="did you mean 'simplex'"):
        done.plot("simplx")


def test_an_export_is_the_command_s(done, tmp_path):
    exported = done.export("json", tmp_path / "x", budget="4x", phis=[1], check=False)
    card = json.loads((tmp_path / "x" / "card.json").read_text())
    assert [builder["macs"] for builder in card["builders"]] == [done.best("4x").macs]
    assert exported.folder == tmp_path / "x"
    assert done.export("json", check=False).folder == done.paths.exports / "json_2x"


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("dome", UnknownNameError, "unknown study 'dome'; did you mean 'done'?"),
        ("a b", UsageError, "study name 'a b' cannot be used"),
        ("./none", UnknownNameError, "'./none' is no folder; allowed: a study's name, or the path of its folder"),
        (Path("none"), UnknownNameError, "'none' is no folder"),
    ],
)
def test_a_study_that_is_not_there_is_one_line(root, name, error, said):
    with pytest.raises(error, match=r"^[^\n]+$") as caught:
        load_study(name, root)
    assert said in str(caught.value)


def test_a_budget_that_the_study_lacks_names_those_it_has(done):
    with pytest.raises(UnknownNameError, match=r"unknown budget '8x'.*Allowed: 2x, 4x"):
        done.best("8x")
    with pytest.raises(BudgetError, match="budget 'big' is not understood"):
        done.networks("big")


def test_a_study_that_has_trained_nothing_says_so(root):
    begun = load_study("begun", root)
    for asked in (begun.best, lambda: begun.coefficients, lambda: begun.baseline):
        with pytest.raises(ScaleSearchError, match=r"study 'begun' has .* yet; resume it first"):
            asked()
    assert begun.networks() == ()


def test_what_is_printed_of_a_handle_says_what_it_is(done, root):
    assert repr(done) == "Study('done': efficientnet_micro at 2x, 4x on fashion-mnist-mini, complete)"
    assert "unfinished" in repr(load_study("begun", root))
    found = done.best("2x")
    assert isinstance(found, FoundNetwork)
    assert repr(found).startswith(f"FoundNetwork('done' at 2x: alpha {found.coefficients.alpha:.3f}")
