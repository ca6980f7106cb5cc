"""`scalesearch export`: where it writes, what it says, and one line for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from exporting import case, family, trained
from synthetic import Plan, manifest_of

from scalesearch.study import StudyPaths, create_folder


@pytest.fixture
def studied(empty_folder, tmp_path, monkeypatch):
    """A function that makes a study, whose trainings are synthetic, in the current folder."""

    def made(**changes: object) -> StudyPaths:
        paths = StudyPaths(tmp_path / "studies" / "synthetic")
        create_folder(paths, manifest_of(Plan(**changes)))
        monkeypatch.setattr("scalesearch.analysis.load.load_result", lambda paths: case(**changes))
        return paths

    return made


def is_one_line(err: str, *said: str) -> None:
    assert err.startswith("scalesearch: error: ")
    assert err.count("\n") == 1
    for part in said:
        assert part in err


def notes(err: str) -> list[str]:
    """What is said beside that uniform scaling is as good, as it is in this study."""
    return [line for line in err.splitlines() if not line.startswith("note: The network at phi 1 is not what is recom")]


def test_the_folder_is_the_librarys_and_the_budgets_own(call, studied):
    paths = studied()
    code, out, err = call("export", "synthetic", "--to", "json", "--phi", "0..2")
    folder = paths.exports / "json_2x"
    assert (code, notes(err)) == (0, [])
    warning, *wrote = out.splitlines()
    assert warning == err.strip().removeprefix("note: ")
    assert wrote == [f"wrote studies/synthetic/exports/json_2x/card.{ending}" for ending in ("json", "md")]
    card = json.loads((folder / "card.json").read_text())
    assert [builder["phi"] for builder in card["builders"]] == [0, 1, 2]
    assert card["export"]["command"] == "scalesearch export synthetic --to json --phi 0..2"


def test_a_checked_export_prints_what_was_built(call, studied):
    studied()
    code, out, err = call("export", "synthetic", "--to", "python", "--phi", "1", "--out", "my export")
    member = family().members[1]
    assert (code, notes(err)) == (0, [])
    for said in (
        member.name,
        f"{member.params:,}",
        f"{member.macs:,}",
        "built by torch",
        "wrote my export/synthetic_2x",
    ):
        assert said in out
    card = json.loads(Path("my export/card.json").read_text())
    assert card["export"]["command"] == "scalesearch export synthetic --to python --phi 1 --out 'my export'"


def test_one_of_several_budgets_is_named(call, studied):
    paths = studied(budgets=("2x", "0.5x"), networks=6)
    code, _, err = call("export", "synthetic", "--to", "json")
    assert (code, notes(err)) == (0, ["note: exporting budget 2x; the study has 0.5x too: --budget"])
    code, _, err = call("export", "synthetic", "--to", "json", "--budget", "0.5x")
    assert (code, notes(err)) == (0, [])
    assert sorted(p.name for p in paths.exports.iterdir()) == ["json_0.5x", "json_2x"]


def test_without_a_check_nothing_is_built(call, studied):
    paths = studied()
    code, out, err = call("export", "synthetic", "--to", "timm", "--no-check")
    assert (code, notes(err), "built by" in out) == (0, [], False)
    card = json.loads((paths.exports / "timm_2x" / "card.json").read_text())
    assert card["check"] is None
    assert card["export"]["command"].endswith("--no-check")


def test_weights_of_a_file_and_of_train(call, studied):
    from test_export_weights import finished

    paths = studied()
    trained(family().members[1], family(), paths.folder / "w.safetensors", seed=4)
    finished(paths.trainings / "phi1" / "seed7", 7)
    for weights, seed in ((paths.folder / "w.safetensors", 4), ("auto", 7)):
        code, out, err = call("export", "synthetic", "--to", "python", "--no-check", "--weights", weights)
        assert (code, notes(err)) == (0, [])
        assert "synthetic_2x_phi1.safetensors" in out
        card = json.loads((paths.exports / "python_2x" / "card.json").read_text())
        assert [one["seed"] for one in card["weights"]] == [seed]


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ("--to", "kera"), ("unknown library 'kera'", "did you mean 'keras'", "Allowed: hub-folder, json")),
        (2, ("--to", "json", "--budget", "8x"), ("unknown budget '8x'", "2x")),
        (2, ("--to", "json", "--phi", "one"), ("'one'", "0..7")),
        (2, ("--to", "json", "--phi", "3..1"), ("goes down",)),
        (1, ("--to", "json", "--phi", "99"), ("phi 99", "10,000x or less")),
        (1, ("--to", "json", "--out", "mine"), ("'mine'", "nothing was touched")),
        (1, ("--to", "json", "--out", "mine/notes"), ("is a file",)),
        (1, ("--to", "python", "--weights", "none.safetensors"), ("none.safetensors", "No such file")),
        (1, ("--to", "python", "--weights", "auto"), ("no finished full training", "scalesearch train synthetic")),
        (1, ("--to", "python", "--weights", "mine/notes"), ("mine/notes is not a whole safetensors file",)),
        (2, ("--to", "hub-folder", "--no-check"), ("needs trained weights of phi 1",)),
        (2, ("--to", "hub-folder", "--phi", "0,1"), ("holds one network",)),
    ],
)
def test_a_mistake_is_one_line(call, studied, tmp_path, code, arguments, said):
    studied()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("not an export")
    found, out, err = call("export", "synthetic", *arguments)
    is_one_line(err, *said)
    assert (found, out) == (code, "")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "studies"]


def test_a_study_without_a_result_is_one_line(call, studied):
    studied(trained=0.0)
    code, out, err = call("export", "synthetic", "--to", "json")
    is_one_line(err, "study 'synthetic' has no best network on budget 2x yet", "resume it first")
    assert (code, out) == (1, "")


def test_help_loads_nothing_heavy(call):
    code = (
        "import sys; from scalesearch.cli import invoke; code = invoke(['export', '--help']); "
        "heavy = {'torch', 'pandas', 'timm', 'keras', 'onnx', 'scipy', 'optuna'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hub-folder" in done.stdout
