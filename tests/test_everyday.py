"""Everyday commands: what is typed wrongly, what is no longer wanted, what is there already."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import COMMAND
from fake_executor import World

from scalesearch import search
from scalesearch.analysis.load import load_result
from scalesearch.cli import app, run_study
from scalesearch.cli.run import ELSEWHERE
from scalesearch.errors import ConfigError
from scalesearch.search import ahead, prepare, run
from scalesearch.study import StudyPaths, list_studies, load_manifest, locked
from scalesearch.study.again import RunningError
from scalesearch.study.config import StudyConfig, config_from_dict, config_to_dict, option, override

QUICK = {"workers": 1, "device": "cpu", "trials": 6, "seeds": 1, "proxy": {"train_images": 20, "val_images": 20}}
NUMBERS = (int, float)


def run_parameters():
    command = typer.main.get_command(app).commands["run"]
    return [one for one in command.params if one.name not in {*ELSEWHERE, "help"}]


def made(root: Path, *names: str) -> None:
    for name in names:
        run(config_from_dict(QUICK), StudyPaths(root / name), make_executor=World().executor)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    made(root, "done")
    return root / "done"


@pytest.fixture
def studies(empty_folder, finished, tmp_path):
    """Copies of one finished study in `studies/` of the current folder."""
    import shutil

    for name in ("one", "two", "three"):
        shutil.copytree(finished, tmp_path / "studies" / name)
    return tmp_path / "studies"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ------------------------------------------------------------------ flags are spelled as flags


@pytest.mark.parametrize("parameter", run_parameters(), ids=lambda parameter: parameter.opts[0])
def test_every_option_of_run_is_called_by_its_flag(call, empty_folder, tmp_path, parameter):
    """A value that no option takes: the message has the value or the flag, and never a key of the file."""
    flag = max(parameter.opts, key=len)
    if parameter.is_flag:
        pytest.skip("a switch takes no value")
    for value in ("-7", "?!"):
        code, out, err = call("run", flag, value)
        assert (code, out, err.count("\n")) in {(1, "", 1), (2, "", 1)}
        assert flag in err or repr(value) in err
        numeric = err.partition(";")[0]
        keys = [key for key in (*config_to_dict(StudyConfig()), *config_to_dict(StudyConfig())["proxy"]) if "_" in key]
        assert [key for key in (*keys, "proxy.", "in the arguments") if key in numeric] == []
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("arguments", "flags", "keys"),
    [
        (("--pruner", "halving", "--epochs", "1"), ("--pruner 'halving'", "--rung", "--epochs"), ()),
        (("--pruner", "wilcoxon"), ("--pruner 'wilcoxon'", "--seeds 5"), ()),
        (("--pruner", "halving", "--sampler", "surface"), ("--pruner", "--sampler 'surface'"), ()),
        (("--exponents", "measured", "--cost", "memory"), ("--exponents measured", "--cost memory"), ()),
        (("--max-params", "10"), ("--max-params is '10'", "so small", "1000 or more"), ("above zero",)),
        (("--max-params", "0"), ("--max-params is '0'", "above zero"), ()),
        (("--max-latency", "5M"), ("--max-latency is '5M'", "5ms"), ()),
    ],
)
def test_options_that_do_not_go_together_are_called_by_their_flags(call, empty_folder, arguments, flags, keys):
    code, _, err = call("run", *arguments)
    assert code == 2
    assert [flag for flag in flags if flag not in err] == []
    assert [key for key in keys if key in err] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trials = 0", "trials is 0 in "),
        ("grid_step = 0.9", "grid_step is 0.9 in "),
        ("[proxy]\nepochs = 0", "proxy.epochs is 0 in "),
        ("pruner = 'wilcoxon'", "pruner 'wilcoxon' can tell nothing before the fourth of 2 seeds; allowed: seeds 5"),
    ],
)
def test_a_file_is_told_of_its_keys(call, empty_folder, tmp_path, text, said):
    (tmp_path / "mine.toml").write_text(text)
    code, _, err = call("run", "mine.toml")
    assert code == 2
    assert said in err
    assert "--" not in err.partition("allowed")[0]


def test_python_is_told_of_its_keywords():
    with pytest.raises(ConfigError, match=r"^trials is 0 in the arguments"):
        override(StudyConfig(), trials=0)
    with pytest.raises(ConfigError, match=r"^pruner 'wilcoxon' .* seeds 5"):
        override(StudyConfig(), pruner="wilcoxon")


def test_the_options_of_run_are_those_that_messages_name():
    """`config.option` knows no command line; here it is held against the one there is."""
    fields = [name for name in config_to_dict(StudyConfig()) if name != "proxy"]
    recipe = [f"proxy.{name}" for name in config_to_dict(StudyConfig())["proxy"]]
    spelled = {option(field) for field in (*fields, *recipe)}
    given = {max(one.opts, key=len) for one in run_parameters() if one.opts[0].startswith("-")}
    assert given - spelled == set()


# ------------------------------------------------------------------ modules without their function

FUNCTIONS = """
raise SystemExit("this file must not be imported")
def helper(x): ...
def _build(depth, width): ...
def build(depth, width, resolution, num_classes, in_channels): ...
class Staged:
    def stages(self): ...
    def build(self, stages): ...
def load(): ...
def options(folder="x"): ...
"""


@pytest.mark.parametrize(
    ("option", "typed", "said"),
    [
        ("--base", "mynet", "did you mean 'mynet:build', or 'mynet:Staged'?"),
        ("--base", "mynet.py", "did you mean 'mynet:build', or 'mynet:Staged'?"),
        ("--base", "./mynet.py", "did you mean 'mynet:build', or 'mynet:Staged'?"),
        ("--base", "./mynet.py:build", "did you mean 'mynet:build'?"),
        ("--base", "mynet.py:build", "did you mean 'mynet:build'?"),
        ("--base", "models/net.py", "did you mean 'models.net:build', or 'models.net:Staged'?"),
        ("--base", "models.net", "did you mean 'models.net:build', or 'models.net:Staged'?"),
        ("--base", "models", "did you mean 'models:in_package'?"),
        ("--base", "empty", "'empty.py' is there, and defines no function"),
        ("--base", "broken", "'broken.py' is there, and is not Python that can be read (SyntaxError"),
        ("--base", "nothing", "unknown baseline 'nothing'"),
        ("--base", "", "unknown baseline ''"),
        ("--data", "mynet", "did you mean 'mynet:load', or 'mynet:options'?"),
        ("--data", "mynet.py", "did you mean 'mynet:load', or 'mynet:options'?"),
        ("--data", "broken", "'broken.py' is there"),
        ("--data", "models", "did you mean 'models:in_package'?"),
        ("--data", "images", "did you mean 'folder:images'?"),
        ("--data", "nothing", "unknown data 'nothing'"),
    ],
)
def test_a_module_without_its_function_gets_it(call, empty_folder, tmp_path, option, typed, said):
    (tmp_path / "mynet.py").write_text(FUNCTIONS)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.py").write_text(FUNCTIONS)
    (tmp_path / "models" / "__init__.py").write_text("def in_package(a): ...")
    (tmp_path / "empty.py").write_text("build = None")
    (tmp_path / "broken.py").write_text("def build(:")
    (tmp_path / "images").mkdir()
    before = names(tmp_path)
    code, out, err = call("run", option, typed)
    assert (out, err.count("\n")) == ("", 1)
    assert code in {1, 2}
    assert said in err
    assert names(tmp_path) - {"__pycache__"} == before


# ------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize("error", [KeyboardInterrupt, typer.Abort])
def test_an_interruption_anywhere_is_one_line(call, empty_folder, monkeypatch, error):
    from scalesearch.report import listing

    def interrupted(*_):
        raise error

    monkeypatch.setattr(listing, "study_rows", interrupted)
    assert call("list") == (130, "", "scalesearch: interrupted\n")


# ------------------------------------------------------------------ delete


def test_delete_removes_the_studies_named_and_no_other(call, studies):
    code, out, err = call("delete", "one", "three", "one", "--yes")
    assert (code, err) == (0, "")
    assert out == f"deleted {Path('studies/one')}\ndeleted {Path('studies/three')}\n"
    assert names(studies) == {"two"}
    assert call("show", "two")[0] == 0


def test_delete_tells_a_program_what_it_removed(call, studies):
    inside = [path for path in (studies / "one").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in inside)
    code, out, err = call("delete", "one", "two", "--yes", "--json")
    assert (code, err) == (0, "")
    (first, second) = json.loads(out)["deleted"]
    assert first == {"folder": str(Path("studies/one")), "files": len(inside), "bytes": size}
    assert second["folder"] == str(Path("studies/two"))
    assert names(studies) == {"three"}


@pytest.mark.parametrize(("answer", "left"), [("y\n", {"two", "three"}), ("n\n", {"one", "two", "three"})])
def test_delete_asks_on_a_terminal(call, studies, monkeypatch, answer, left):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    code, _, err = call("delete", "one")
    assert code == (0 if answer == "y\n" else 1)
    assert "studies/one: " in err
    assert "Delete this study?" in err
    assert ("nothing was deleted" in err) is (answer == "n\n")
    assert names(studies) == left


def test_delete_without_a_terminal_wants_yes(studies):
    done = subprocess.run(
        [*COMMAND, "delete", "one"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert names(studies) == {"one", "two", "three"}


def test_delete_of_a_study_in_use_deletes_none(call, studies):
    with locked(StudyPaths(studies / "two")):
        code, out, err = call("delete", "one", "two", "--yes")
    assert (code, out) == (1, "")
    assert "'two' is being run by another process" in err
    assert names(studies) == {"one", "two", "three"}
    assert call("delete", "two", "--yes")[0] == 0


def test_delete_follows_no_link(call, studies, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (studies / "one" / "exports").mkdir(exist_ok=True)
    (studies / "one" / "exports" / "link").symlink_to(outside)
    (studies / "linked").symlink_to(studies / "two")
    assert call("delete", "one", "--yes")[0] == 0
    assert (outside / "precious").read_text() == "kept"
    code, _, err = call("delete", "linked", "--yes")
    assert code == 1
    assert "'linked' is a link" in err
    assert names(studies) == {"linked", "two", "three"}
    assert (studies / "two" / "study.db").is_file()


@pytest.mark.parametrize("name", ["four", "plain", "..", ".", "one/../two", "/tmp", "file"])
def test_delete_takes_nothing_that_is_no_study(call, studies, name):
    (studies / "plain").mkdir()
    (studies / "plain" / "notes.txt").write_text("mine")
    (studies / "file").write_text("mine")
    before = names(studies)
    code, out, err = call("delete", "one", name, "--yes")
    assert code == 2
    assert (out, err.count("\n")) == ("", 1)
    assert names(studies) == before


def test_a_damaged_study_can_be_deleted(call, studies):
    (studies / "one" / "study.toml").write_text("= [")
    assert call("delete", "one", "--yes")[0] == 0
    assert names(studies) == {"two", "three"}


# ------------------------------------------------------------------ plot


def test_plot_has_a_file_of_its_own(call, studies):
    (studies / "one" / "figures" / "pareto.png").unlink(missing_ok=True)
    assert call("plot", "one", "pareto") == (0, f"wrote {Path('studies/one/figures/pareto.png')}\n", "")
    assert (studies / "one" / "figures" / "pareto.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = call("plot", "one", "simplex", "--budget", "2x")
    assert (code, out) == (0, f"wrote {Path('studies/one/figures/simplex_2x.png')}\n")


# ------------------------------------------------------------------ the same command again

RUN = ("run", "--trials", "6", "--seeds", "1", "--train-images", "20", "--val-images", "20", "--device", "cpu")
NAME = "efficientnet_micro-fashion-mnist-mini-2x"


@pytest.fixture
def world(monkeypatch):
    """`run` and `resume` train and draw nothing; what they would have trained is counted."""
    found = World()
    monkeypatch.setattr("scalesearch.cli.run_study.run", partial(search.run, make_executor=found.executor))
    monkeypatch.setattr("scalesearch.cli.run_study.resume", partial(search.resume, make_executor=found.executor))
    monkeypatch.setattr("scalesearch.cli.run_study.plan_ahead", partial(ahead.plan_ahead, make_executor=found.executor))
    monkeypatch.setattr("scalesearch.report.write._kinds", lambda result: ())  # figures take longer than all the rest
    before = signal.getsignal(signal.SIGTERM)
    yield found
    signal.signal(signal.SIGTERM, before)


def stopped(call, world, *more: str) -> None:
    """Run until the third training, then be interrupted."""
    world.stop_after = len(world.done) + 3
    with pytest.raises(SystemExit):
        call(*RUN, *more)
    world.stop_after = None


def test_the_same_command_shows_a_finished_study_and_trains_nothing(call, empty_folder, world, tmp_path):
    first = call(*RUN)
    trained, table = len(world.done), (tmp_path / "studies" / NAME / "trials.csv").read_bytes()
    again = call(*RUN)
    assert (first[0], again[0], len(world.done)) == (0, 0, trained)
    assert again[1] == first[1]
    assert f"study {NAME} was made by the same definition and is finished, nothing is repeated; --new" in again[2]
    assert names(tmp_path / "studies") == {NAME}
    assert (tmp_path / "studies" / NAME / "trials.csv").read_bytes() == table
    assert call(*RUN, "--json")[1].startswith("{")


@pytest.mark.parametrize("more", [(), ("--name", "mine")], ids=["default name", "own name"])
def test_the_same_command_goes_on_with_a_stopped_study(call, empty_folder, world, tmp_path, more):
    stopped(call, world, *more)
    code, _, err = call(*RUN, *more, "--workers", "1", "--time-limit", "1h")
    assert code == 0
    assert "has 3 trainings, going on with it; --new starts another" in err
    assert len({(job.number, job.seed, job.spec) for job in world.done}) == len(world.done) == 7
    assert names(tmp_path / "studies") == {more[-1] if more else NAME}


@pytest.mark.slow
def test_new_starts_another_and_the_latest_is_gone_on_with(call, empty_folder, world, tmp_path):
    assert call(*RUN)[0] == 0
    stopped(call, world, "--new")
    assert names(tmp_path / "studies") == {NAME, f"{NAME}-2"}
    _, _, err = call(*RUN)
    assert f"study {NAME}-2 was made by the same definition and has 3 trainings" in err
    assert call(*RUN, "--new", "--name", "mine")[0] == 0
    assert call(*RUN, "--new", "--name", "mine")[0] == 0
    assert names(tmp_path / "studies") == {NAME, f"{NAME}-2", "mine", "mine-2"}


@pytest.mark.slow
def test_another_definition_gets_a_name_of_its_own(call, empty_folder, world, tmp_path):
    assert call(*RUN)[0] == 0
    assert call(*RUN, "--seeds", "2")[0] == 0
    assert names(tmp_path / "studies") == {NAME, f"{NAME}-2"}
    code, _, err = call(*RUN, "--seeds", "2")
    assert code == 0
    assert f"study {NAME}-2 was made by the same definition" in err


def test_a_name_that_another_definition_has_is_refused_with_what_differs(call, empty_folder, world, tmp_path):
    assert call(*RUN, "--name", "mine")[0] == 0
    code, out, err = call(*RUN, "--name", "mine", "--seeds", "2", "--epochs", "5", "--budget", "3x")
    assert (code, out, err.count("\n")) == (1, "", 1)
    for part in (
        "'mine' exists and was made otherwise", "--seeds is 1 there, 2 here", "--epochs is 2 there, 5 here",
        "--budget is 2x there, 3x here", "scalesearch resume mine", "scalesearch delete mine", "another --name",
    ):  # fmt: skip
        assert part in err
    assert names(tmp_path / "studies") == {"mine"}
    (tmp_path / "studies" / "folder").mkdir()
    code, _, err = call(*RUN, "--name", "folder")
    assert code == 1
    assert "exists and is no study; give another --name" in err


def test_a_study_that_is_running_is_not_started_twice(call, empty_folder, world, tmp_path):
    stopped(call, world)
    paths = StudyPaths(tmp_path / "studies" / NAME)
    os.utime(paths.definition, (0, 0))  # begun long before this process
    with locked(paths):
        code, out, err = call(*RUN)
    assert (code, out) == (1, "")
    assert "is being run by another process" in err
    assert "--new" in err


@pytest.mark.parametrize("name", ["mine", pytest.param(None, marks=pytest.mark.slow)])
def test_a_study_that_began_together_with_this_one_stands_in_no_way_of_a_nameless_one(tmp_path, world, name):
    """As eight processes on a fresh folder: whichever finds the place taken goes to the next."""
    config = config_from_dict(QUICK)
    run_study.run_study(config, name, tmp_path, as_json=True)
    first = StudyPaths(tmp_path / (name or NAME))
    with locked(first):
        if name:
            with pytest.raises(RunningError, match="is being run by another process"):
                run_study.run_study(config, name, tmp_path, as_json=True)
        else:
            run_study.run_study(config, None, tmp_path, as_json=True)
    assert len(list_studies(tmp_path)) == (1 if name else 2)


def test_a_folder_that_is_taken_while_a_study_is_prepared_gives_way_to_the_next(tmp_path, world, monkeypatch):
    def prepared(config, *given, **more):
        for number in ("", "-2"):
            (tmp_path / f"{NAME}{number}").mkdir(exist_ok=True)
        return prepare(config, *given, **more)

    monkeypatch.setattr("scalesearch.search.prepare", prepared)
    run_study.run_study(config_from_dict(QUICK), None, tmp_path, as_json=True)
    paths = StudyPaths(tmp_path / f"{NAME}-3")
    assert load_result(paths).complete and load_manifest(paths).study == paths.name


@pytest.mark.slow
def test_changed_data_is_another_study(call, empty_folder, world, tmp_path):
    def write(seed: int) -> None:
        draw = np.random.default_rng(seed)
        np.savez(tmp_path / "x.npz", x=draw.integers(0, 255, (100, 12, 12), np.uint8), y=np.arange(100) % 4)

    data = ("--data", "npz:x.npz")
    for more in ((), ("--name", "mine")):
        write(0)
        assert call(*RUN, *data, *more)[0] == 0
        write(0)
        assert "nothing is repeated" in call(*RUN, *data, *more)[2]
    write(1)
    code, _, err = call(*RUN, *data)
    assert code == 0
    assert "has changed since study 'efficientnet_micro-x.npz-2x' began" in err
    assert "a new study is started" in err
    code, out, err = call(*RUN, *data, "--name", "mine")
    assert (code, out) == (1, "")
    assert "has changed since study 'mine' began" in err
    assert "--new" in err
    assert names(tmp_path / "studies") == {"efficientnet_micro-x.npz-2x", "efficientnet_micro-x.npz-2x-2", "mine"}


@pytest.mark.slow
def test_changed_data_of_a_stopped_study_is_told_before_anything_else(call, empty_folder, world, tmp_path):
    def write(seed: int) -> None:
        draw = np.random.default_rng(seed)
        np.savez(tmp_path / "x.npz", x=draw.integers(0, 255, (100, 12, 12), np.uint8), y=np.arange(100) % 4)

    write(0)
    stopped(call, world, "--data", "npz:x.npz", "--name", "mine")
    write(1)
    code, out, err = call(*RUN, "--data", "npz:x.npz", "--name", "mine")
    assert (code, out) == (1, "")
    assert "going on" not in err
    assert "has changed since study 'mine' began" in err


@pytest.mark.slow
def test_a_changed_baseline_is_another_study(call, empty_folder, world, tmp_path):
    source = """
from torch import nn
def build(depth, width, resolution=12, num_classes=10, in_channels=1):
    channels, before, layers = max(1, round(64 * width)), in_channels, []
    for block in range(max(1, round(6 * depth))):
        layers += [nn.Conv2d(before, channels, 3, 1, 1), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
"""
    (tmp_path / "again_net.py").write_text(source)
    base = ("--base", "again_net:build", "--tolerance", "0.5", "--lr", "0.1")
    try:
        assert call(*RUN, *base)[0] == 0
        (tmp_path / "again_net.py").write_text(source + "# a comment changes nothing\n")
        assert "nothing is repeated" in call(*RUN, *base)[2]
        (tmp_path / "again_net.py").write_text(source + "x = 1\n")
        code, _, err = call(*RUN, *base)
    finally:
        sys.modules.pop("again_net", None)
    assert code == 0
    assert "baseline 'again_net:build' has changed since study" in err
    assert len(names(tmp_path / "studies")) == 2


# ------------------------------------------------------------------ --dry-run


def test_a_dry_run_shows_the_plan_and_writes_nothing(call, empty_folder, world, tmp_path):
    code, out, err = call(*RUN, "--budget", "2x,4x", "--dry-run")
    assert (code, err) == (0, "")
    assert (names(tmp_path), world.done) == (set(), [])
    flat = " ".join(out.split())
    assert "Budget 2x: 6 to train, 0 not" in flat
    assert "Budget 4x: " in flat
    assert "13 trainings (1 seed each, baseline included)" in flat
    assert "measured" in flat
    assert "nothing was trained or written" in flat
    assert "depth" in out


def test_a_dry_run_is_what_run_then_does(call, empty_folder, world, tmp_path):
    found = json.loads(call(*RUN, "--dry-run", "--json")[1], parse_constant=pytest.fail)
    assert names(tmp_path) == set()
    assert call(*RUN)[0] == 0
    result = json.loads((tmp_path / "studies" / NAME / "result.json").read_text())
    planned = {json.dumps(one["spec"], sort_keys=True) for one in found["networks"] if not one["why_not"]}
    trained = {json.dumps(dataclasses.asdict(job.spec), sort_keys=True) for job in world.done}
    assert planned < trained  # which has the baseline too
    assert len(trained) == len(planned) + 1
    assert found["preflight"]["trainings"] == len(world.done) == result["trainings"]
    roles = {role for one in found["networks"] for role in one["roles"]}
    assert roles == {"depth", "width", "resolution", "uniform", "efficientnet"}
    for one in found["networks"]:
        assert abs(one["cost"] / one["target"] - 1) <= 0.02


def test_a_dry_run_shows_what_would_not_be_trained_and_why(call, empty_folder, world, tmp_path):
    limited = json.loads(call(*RUN, "--max-params", "120k", "--dry-run", "--json")[1])
    assert {one["why_not"] for one in limited["networks"]} == {"", "over --max-params"}
    assert "over --max-params, not trained" in " ".join(call(*RUN, "--max-params", "120k", "--dry-run")[1].split())


def test_a_dry_run_refuses_what_run_refuses(call, empty_folder, world, tmp_path):
    for wrong in (("--trials", "0"), ("--data", "npz:none.npz"), ("--budget", "0.0001x"), ("--name", "a/b")):
        code, out, err = call(*RUN, *wrong, "--dry-run")
        assert code in {1, 2}
        assert (out, err.count("\n")) == ("", 1)
    assert names(tmp_path) == set()


def test_a_dry_run_of_a_study_that_is_there_says_so(call, empty_folder, world, tmp_path):
    assert call(*RUN)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "studies").rglob("*")}
    code, _, err = call(*RUN, "--dry-run")
    assert code == 0
    assert f"study {NAME} was made by this definition" in err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "studies").rglob("*")} == before


def test_a_dry_run_of_several_baselines_is_one_document(call, empty_folder, world, tmp_path):
    (tmp_path / "both.toml").write_text(
        "base = ['mobilenet_v1_micro', 'resnet_micro']\ntrials = 6\nseeds = 1\ndevice = 'cpu'\n"
        "[proxy]\ntrain_images = 20\nval_images = 20\n"
    )
    found = json.loads(call("run", "both.toml", "--dry-run", "--json")[1])
    assert [plan["preflight"]["study"] for plan in found] == ["both-mobilenet_v1_micro", "both-resnet_micro"]
    code, _, err = call("run", "both.toml", "--new")
    assert code == 2
    assert "--new" in err
    assert names(tmp_path) == {"both.toml"}


# ------------------------------------------------------------------ check-base ends with a command that works

NET = """
from torch import nn
def build(depth, width, resolution=12, num_classes=10, in_channels=1):
    channels, before, layers = max(1, round(32 * width)), in_channels, []
    for block in range(max(1, round(6 * depth))):
        layers += [nn.Conv2d(before, channels, 3, 1, 1), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
"""
LOAD = """
import numpy as np
def load():
    return np.random.default_rng(0).random((80, 12, 12)), np.arange(80) % 4
"""


def test_check_base_ends_with_a_command_that_works_as_typed(call, empty_folder, world, tmp_path):
    (tmp_path / "ended_net.py").write_text(NET)
    (tmp_path / "ended_data.py").write_text(LOAD)
    given = ("--budget", "4x", "--tolerance", "0.05", "--data", "ended_data:load")
    try:
        code, out, _ = call("check-base", "ended_net:build", *given)
        *_, last = out.splitlines()
        typed = shlex.split(last.partition(": ")[2])
        assert code == 0
        assert typed == ["scalesearch", "run", *given[:2], "--base", "ended_net:build", *given[2:]]
        assert "4x" in out
        assert call(*typed[1:], "--dry-run")[0] == 0
    finally:
        for name in ("ended_net", "ended_data"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tolerance", "0"), "--tolerance is 0"),
        (("--tolerance", "nan"), "--tolerance is nan"),
        (("--budget", "0x"), "'0x'"),
        (("--resolution", "0"), "--resolution is 0 px"),
        (("--data", "cifar11"), "'cifar11'"),
    ],
)
def test_check_base_refuses_wrong_options_in_one_line(call, empty_folder, arguments, said):
    code, out, err = call("check-base", "resnet_micro", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_the_points_of_a_lattice_have_an_upper_bound(call, empty_folder):
    code, _, err = call("space", "efficientnet_micro", "--points", "10000000")
    assert code == 2
    assert "--points is 10000000; allowed: 20000 or fewer" in err
