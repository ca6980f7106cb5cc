"""The command line as a user meets it: one line for every mistake, one JSON document, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from conftest import COMMAND, ROOT, read_only
from fake_executor import World
from PIL import Image

from scalesearch.analysis.load import load_result
from scalesearch.cli import app
from scalesearch.report.figures import figures_of
from scalesearch.search import run
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.config import Engine, config_from_dict

QUICK = {"workers": 1, "device": "cpu", "proxy": {"train_images": 20, "val_images": 20}}
QUICK_ARGUMENTS = ("--trials", "6", "--seeds", "1", "--train-images", "20", "--val-images", "20", "--device", "cpu")
COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands)
HEAVY = ("torch", "pandas", "matplotlib", "optuna", "scipy", "pydantic", "numpy")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The current folder; a run sets its own handler of SIGTERM, which must not outlive the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCALESEARCH_STUDIES", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A folder with a finished study, `done`, and an interrupted one, `half`."""
    root = tmp_path_factory.mktemp("studies")
    run(config_from_dict({**QUICK, "trials": 6, "seeds": 2}), StudyPaths(root / "done"), make_executor=World().executor)
    with pytest.raises(KeyboardInterrupt):
        world = World(stop_after=3)
        config = config_from_dict({**QUICK, "trials": 6, "seeds": 1})
        run(config, StudyPaths(root / "half"), make_executor=world.executor)
    return root


@pytest.fixture
def untrained(monkeypatch):
    """`run` and `resume` train nothing."""
    from scalesearch import search

    monkeypatch.setattr("scalesearch.cli.run_study.run", partial(search.run, make_executor=World().executor))
    monkeypatch.setattr("scalesearch.cli.run_study.resume", partial(search.resume, make_executor=World().executor))


def is_one_line(err: str, *parts: str) -> None:
    assert err.startswith("scalesearch: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert [part for part in parts if part not in err] == []


def image(path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 12, 3), value, np.uint8)).save(path)


@pytest.fixture
def mistakes(here):
    """Data and definitions that are wrong in one way each."""
    (here / "empty").mkdir()
    for index in range(10):
        image(here / "one" / "a" / f"{index}.png", index)
        for name in "ab":
            image(here / "corrupt" / name / f"{index}.png", 20 * index)
    (here / "corrupt" / "a" / "7.png").write_bytes(b"nothing")
    good, labels = np.zeros((10, 8, 8)), np.arange(10) % 2
    np.savez(here / "shape.npz", x=np.zeros((10, 5, 5, 7), np.uint8), y=labels)
    np.savez(here / "nan.npz", x=np.where(np.arange(8) == 3, np.nan, good), y=labels)
    np.savez(here / "minus.npz", x=good, y=labels - 1)
    np.savez(here / "seven.npz", x=good, y=labels, x_val=good, y_val=labels + 6)
    np.savez(here / "gap.npz", x=good, y=labels * 2)
    (here / "key.toml").write_text("trails = 3\n")
    (here / "recipe.toml").write_text("[proxy]\nepoch = 3\n")
    (here / "engine.toml").write_text("[engine]\nmemory = '5m'\n")
    (here / "value.toml").write_text("trials = 'many'\n")
    (here / "broken.toml").write_text("= [")
    (here / "file").write_text("")
    return {path.name for path in here.iterdir()}


BUDGET = "a multiple of the baseline such as 2x"
BAD = [
    (2, ("--budget", "0x"), ("'0x'", BUDGET)),
    (2, ("--budget", "-2x"), ("'-2x'", BUDGET)),
    (2, ("--budget", "2y"), ("'2y'", BUDGET)),
    (2, ("--budget", "nan"), ("'nan'", BUDGET)),
    (2, ("--budget", "inf"), ("'inf'", BUDGET)),
    (2, ("--budget", ""), ("''", BUDGET)),
    (2, ("--budget", "1x,zwei"), ("'zwei'", BUDGET)),
    (1, ("--budget", "0.001x"), ("0.001x", "allowed: ", "or more")),
    (1, ("--budget", "1000000x"), ("1000000x", "allowed: ", "or less")),
    (2, ("--budget", "0.5x", "--sampler", "grid"), ("0.5x", "use lattice")),
    (2, ("--base", "eficientnet_b0"), ("'eficientnet_b0'", "did you mean 'efficientnet_b0'", "efficientnet_micro")),
    (2, ("--data", "cifar11"), ("'cifar11'", "did you mean 'cifar10'", "folder:PATH")),
    (2, ("--sampler", "latice"), ("'latice'", "did you mean 'lattice'", "tpe")),
    (2, ("--rounding", "up"), ("'up'", "proportional")),
    (1, ("--data", "folder:nowhere"), ("nowhere'", "No such file", "allowed: one folder per class")),
    (1, ("--data", "folder:empty"), ("empty'", "no class folders", "allowed: one folder per class")),
    (1, ("--data", "folder:one"), ("one'", "one class only ('a')", "two or more")),
    (1, ("--data", "folder:corrupt"), ("7.png", "cannot be decoded", "--skip-bad")),
    (2, ("--data", "folder:"), ("'folder:'", "no path")),
    (1, ("--data", "npz:missing.npz"), ("missing.npz'", "No such file")),
    (1, ("--data", "npz:file"), ("file'", "not an npz file")),
    (1, ("--data", "npz:shape.npz"), ("[10, 5, 5, 7]", "allowed: [N, H, W]")),
    (1, ("--data", "npz:nan.npz"), ("nan.npz'", "NaN")),
    (1, ("--data", "npz:minus.npz"), ("-1 to 0", "allowed: 0, 1, 2")),
    (1, ("--data", "npz:seven.npz"), ("class 7", "y ends at 1")),
    (1, ("--data", "npz:gap.npz"), ("no image of 1",)),
    (2, ("--data", "no_such_module:f"), ("'no_such_module:f'", "no module")),
    (2, ("--trials", "0"), ("trials is 0", "greater than or equal to 1")),
    (2, ("--trials", "many"), ("--trials",)),
    (2, ("--seeds", "0"), ("seeds is 0", "greater than or equal to 1")),
    (2, ("--seed", "-1"), ("seed is -1", "greater than or equal to 0")),
    (2, ("--epochs", "0"), ("epochs is 0", "greater than or equal to 1")),
    (2, ("--workers", "-1"), ("workers is -1", "greater than or equal to 0")),
    (2, ("--tolerance", "0"), ("tolerance is 0", "greater than 0")),
    (2, ("--resolution", "0"), ("--resolution is 0", "1 or more")),
    (2, ("--workers", "0"), ("--workers is 0", "1 or more")),
    (2, ("--tolerance", "nan"), ("tolerance is nan", "finite")),
    (2, ("--grid-step", "0.9"), ("--grid-step is 0.9", "0.5")),
    (2, ("--time-limit", "soon"), ("'soon'", "15m")),
    (1, ("--device", "gpu"), ("'gpu'", "allowed on this machine: auto, cpu")),
    (1, ("--val-images", "5"), ("5 validation images", "10 or more")),
    (2, ("--name", "a/b"), ("'a/b'", "1 to 64 letters")),
    (2, ("--name", ".."), ("'..'", "1 to 64 letters")),
    (2, ("--name", ""), ("''", "1 to 64 letters")),
    (2, ("--name", "x" * 65), ("1 to 64 letters",)),
    (1, ("--studies-dir", "file"), ("file'", "is a file; allowed: a folder of studies")),
    (2, ("key.toml",), ("'trails'", "key.toml", "did you mean 'trials'")),
    (2, ("recipe.toml",), ("'epoch'", "recipe.toml", "did you mean 'epochs'")),
    (2, ("value.toml",), ("trials is 'many'", "value.toml")),
    (2, ("broken.toml",), ("broken.toml is not a TOML file",)),
    (1, ("missing.toml",), ("'missing.toml'", "No such file")),
    (2, ("defalt",), ("'defalt'", "did you mean 'default'")),
    (2, ("--bugdet", "2x"), ("--bugdet", "--budget")),
    (2, ("--engine", "memory"), ("--engine is 'memory'", "KEY=VALUE", "micro_batches")),
    (2, ("--engine", "memry=8GB"), ("'memry'", "did you mean 'memory'")),
    (2, ("--engine", "memory=lots"), ("--engine memory is 'lots'", "2GB")),
    (2, ("--engine", "micro_batches=-1"), ("--engine micro_batches is '-1'", "greater than or equal to 0")),
    (2, ("--engine", "precision=fp16"), ("--engine precision is 'fp16'", "'bfloat16'")),
    (2, ("--engine", "benchmark=perhaps"), ("--engine benchmark is 'perhaps'", "boolean")),
    (2, ("engine.toml",), ("engine.memory is '5m'", "2GB")),
]


@pytest.mark.parametrize(("code", "arguments", "said"), BAD, ids=[" ".join(case[1])[:40] for case in BAD])
def test_a_mistake_is_one_line_and_leaves_nothing(call, mistakes, here, code, arguments, said):
    found, out, err = call("run", *arguments)
    is_one_line(err, *said)
    assert (found, out) == (code, "")
    assert {path.name for path in here.iterdir()} - {"__pycache__"} == mistakes


def test_cuda_without_cuda_is_one_line(call, here):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    code, _, err = call("run", "--device", "cuda")
    is_one_line(err, "'cuda'", "allowed on this machine: auto, cpu")
    assert code == 1
    assert list(here.iterdir()) == []


def test_a_read_only_folder_for_studies_is_one_line(call, small_disk):
    read_only(small_disk)
    code, out, err = call("run", *QUICK_ARGUMENTS, "--studies-dir", small_disk / "mine")
    is_one_line(err, "Read-only file system")
    assert (code, out) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rum",), ("'rum'", "run")),
        (("--bad",), ("--bad", "--help")),
        (("show",), ("STUDY",)),
        (
            ("plot", "done", "spider", "--out", "x.png"),
            ("'spider'", "budget, compare, curves, fidelity, law, pareto, rates, simplex"),
        ),
        (("plot", "done", "pareto", "--out", "x.gif"), ("'x.gif'", ".png, .svg, .pdf")),
        (("plot", "done", "pareto", "--out", "x.png", "--budget", "8x"), ("'8x'", "2x")),
        (("export", "done", "--to", "tim"), ("'tim'", "did you mean 'timm'", "json, keras")),
        (("export", "done", "--to", "json", "--phi", "x"), ("'x'", "0..7")),
        (("export", "done", "--to", "json", "--budget", "8x"), ("'8x'", "2x")),
        (("show", "dome"), ("'dome'", "did you mean 'done'")),
        (("resume", "dome"), ("'dome'", "did you mean 'done'")),
        (("report", "../done"), ("'../done' is no folder", "or the path of its folder, which holds study.toml")),
        (("show", "a b"), ("'a b'", "1 to 64 letters")),
    ],
)
def test_a_wrong_command_is_one_line(call, studies, here, arguments, said):
    folder = ("--studies-dir", studies) if arguments[0] in {"show", "plot", "export", "resume", "report"} else ()
    code, out, err = call(*arguments, *folder)
    is_one_line(err, *said)
    assert (code, out) == (2, "")
    assert list(here.iterdir()) == []


def test_a_taken_name_is_one_line(call, studies):
    before = sorted(p.name for p in studies.iterdir())
    code, out, err = call("run", *QUICK_ARGUMENTS, "--name", "done", "--studies-dir", studies)
    is_one_line(err, "'done' exists and was made otherwise", "--seeds is 2 there, 1 here", "scalesearch resume done")
    assert (code, out) == (1, "")
    assert sorted(p.name for p in studies.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--budget", "4x"), "--budget is 2x, not 4x"),
        (("--base", "efficientnet_b0"), "--base is efficientnet_micro, not efficientnet_b0"),
        (("--data", "cifar10"), "--data is fashion-mnist-mini, not cifar10"),
    ],
)
def test_resuming_as_something_else_is_one_line(call, studies, arguments, said):
    code, out, err = call("resume", "done", *arguments, "--studies-dir", studies)
    is_one_line(err, said)
    assert (code, out) == (1, "")


def test_a_run_writes_its_files_and_names_them(call, here, untrained):
    code, out, err = call("run", *QUICK_ARGUMENTS)
    folder = here / "studies" / "efficientnet_micro-fashion-mnist-mini-2x"
    assert code == 0
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {".lock"} == {
        "study.toml", "study.db", "study.backup.db", "trials.csv", "result.json", "report.html", "summary.json",
        *(f"figures/{kind}.png" for kind in figures_of(load_result(StudyPaths(folder)))),
    }  # fmt: skip
    assert "Budget 2x" in out
    assert "wrote studies/efficientnet_micro-fashion-mnist-mini-2x/report.html" in out
    assert "[7/7] network 6" in err


@pytest.mark.slow
def test_switches_of_the_engine_are_kept_with_what_the_device_has(call, here, untrained):
    call("run", *QUICK_ARGUMENTS, "--name", "given", "--engine", "memory=8GB", "--engine", "micro-batches=2")
    call("run", *QUICK_ARGUMENTS, "--name", "open")
    given, left_open = (load_manifest(StudyPaths(here / "studies" / name)) for name in ("given", "open"))
    assert given.config.engine == Engine(8e9, 2)
    assert given.engine == Engine(8e9, 2, layout="channels_last", precision="float32")
    assert left_open.config.engine == Engine()
    assert left_open.engine.memory > 0
    code, _, err = call("run", *QUICK_ARGUMENTS, "--name", "given")
    assert code == 1
    assert "--engine memory is 8000000000.0 there, 0.0 here" in err


def test_json_is_one_document_on_stdout_and_the_result_file(call, here, untrained):
    for command in (("run", *QUICK_ARGUMENTS, "--name", "x"), ("resume", "x")):
        code, out, err = call(*command, "--json")
        assert code == 0
        assert json.loads(out, parse_constant=pytest.fail) == json.loads((here / "studies/x/result.json").read_text())
        assert "trainings" in err


def test_an_interruption_prints_how_to_go_on(call, monkeypatch, here):
    from scalesearch import search

    monkeypatch.setattr(
        "scalesearch.cli.run_study.run", partial(search.run, make_executor=World(stop_after=2).executor)
    )
    with pytest.raises(SystemExit) as caught:
        call("run", *QUICK_ARGUMENTS, "--name", "x", "--studies-dir", "my studies")
    assert caught.value.code == 130
    assert (here / "my studies" / "x" / "trials.csv").read_text().count("\n") >= 3


def test_corrupt_images_are_counted_and_left_out_when_asked(call, mistakes, untrained):
    code, out, err = call(
        "run", "--data", "folder:corrupt", "--skip-bad", "--trials", "6", "--seeds", "1", "--name", "x", "--json"
    )
    assert code == 0
    assert "note: 1 corrupt image skipped" in err
    assert "7.png" in json.loads(out)["data"]["notes"][-1]


def test_list_shows_every_study_with_its_state(call, studies):
    code, out, _ = call("list", "--studies-dir", studies)
    assert code == 0
    assert "done" in out
    assert "half" in out
    rows = {row["name"]: row for row in json.loads(call("list", "--studies-dir", studies, "--json")[1])}
    assert (rows["done"]["state"], rows["half"]["state"]) == ("complete", "stopped")
    assert list(rows["half"]) == ["name", "base", "data", "budgets", "trained", "planned", "best", "state"]
    assert (rows["half"]["trained"], rows["half"]["planned"]) == (3, 7)
    assert rows["done"]["best"] > 0.5


def test_list_of_nothing_says_how_to_start(call):
    assert call("list") == (0, "no studies in 'studies' yet; start one with: scalesearch run --budget 2x\n", "")
    assert json.loads(call("list", "--json")[1]) == []


def test_a_damaged_study_does_not_hide_the_others(call, studies, tmp_path):
    for name in ("bad", "worse"):
        (tmp_path / "studies" / name).mkdir(parents=True)
        (tmp_path / "studies" / name / "study.toml").write_text("= [" if name == "bad" else "made = 1")
    (tmp_path / "studies" / "done").symlink_to(studies / "done")
    code, out, _ = call("list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["done"]["state"] == "complete"
    assert "not a TOML file" in rows["bad"]["state"]
    is_one_line(call("show", "worse")[2], "worse")


@pytest.mark.parametrize("study", ["done", "half"])
def test_show_prints_a_study_finished_or_not(call, studies, study):
    code, out, err = call("show", study, "--studies-dir", studies)
    assert (code, err) == (0, "")
    assert "Budget 2x" in out
    _, out, _ = call("show", study, "--studies-dir", studies, "--json")
    assert json.loads(out, parse_constant=pytest.fail)["complete"] is (study == "done")


def test_the_studies_folder_can_come_from_the_environment(call, studies, monkeypatch):
    monkeypatch.setenv("SCALESEARCH_STUDIES", str(studies))
    assert call("show", "done")[0] == 0


@pytest.mark.parametrize(
    ("kind", "suffix", "start"),
    [
        ("pareto", "png", b"\x89PNG"),
        ("simplex", "svg", b"<?xml"),
        ("simplex", "pdf", b"%PDF"),
        ("pareto", "SVG", b"<?xml"),
    ],
)
def test_plot_writes_the_form_that_the_suffix_says(call, studies, here, kind, suffix, start):
    path = here / "new" / f"figure.{suffix}"
    code, out, err = call("plot", "done", kind, "--out", path, "--studies-dir", studies)
    assert (code, out, err) == (0, f"wrote {path}\n", "")
    assert path.read_bytes().startswith(start)


def test_report_makes_the_page_and_figures_again(call, studies):
    (studies / "done" / "report.html").unlink(missing_ok=True)
    code, out, _ = call("report", "done", "--studies-dir", studies)
    assert code == 0
    drawn = [
        studies / "done" / "figures" / f"{kind}.png" for kind in figures_of(load_result(StudyPaths(studies / "done")))
    ]
    assert out.splitlines() == [f"wrote {path}" for path in (*drawn, studies / "done" / "report.html")]
    assert "<svg" in (studies / "done" / "report.html").read_text()


def test_count_gives_the_published_network_exactly(call):
    code, out, err = call("count", "efficientnet_b0", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["macs"], found["fvcore_total"], found["params"]) == (385814752, 401659392, 5288548)
    assert sum(stage["macs"] for stage in found["stages"]) == 385814752
    assert found["uncounted_ops"]


def test_count_takes_every_option(call):
    base = ("count", "efficientnet_micro", "--json")
    direct = json.loads(call(*base, "--depth", 2, "--width", 1.5, "--resolution", 12)[1])
    assert (direct["resolution_px"], sum(direct["depths"])) == (12, 18)
    compound = json.loads(call(*base, "--alpha", 1.2, "--beta", 1.1, "--gamma", 1.2, "--phi", 2)[1])
    assert (sum(compound["depths"]), compound["resolution_px"]) == (round(9 * 1.44), 14)
    official = json.loads(call(*base, "--depth", 1.2, "--rounding", "official")[1])
    assert official["depths"] == [2, 3, 4, 4]
    task = json.loads(call(*base, "--classes", 100, "--in-channels", 3)[1])
    assert (task["num_classes"], task["in_channels"]) == (100, 3)
    code, out, _ = call("count", "efficientnet_micro")
    assert code == 0
    assert "efficientnet_micro at 10 px" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("efficientnet_b9",), "'efficientnet_b9'"),
        (("efficientnet_b0", "--depth", "0"), "--depth is 0; allowed: a number above 0"),
        (("efficientnet_b0", "--width", "nan"), "--width is nan"),
        (("efficientnet_b0", "--depth", "1e9"), "allowed: 100 or less"),
        (("efficientnet_b0", "--alpha", "1.1", "--phi", "5000"), "allowed"),
        (("efficientnet_b0", "--resolution", "0"), "0"),
        (("efficientnet_b0", "--resolution", "8"), "allowed: 32 px or more"),
        (("efficientnet_b0", "--rounding", "up"), "'up'"),
        (("efficientnet_b0", "--classes", "0"), "at least 1 class"),
        (("efficientnet_b0", "--in-channels", "0"), "at least 1 class and 1 input channel"),
        (("efficientnet_b0", "--depth", "2", "--alpha", "1.1"), "exclude each other"),
        (("efficientnet_b0", "--phi", "2"), "--alpha"),
    ],
)
def test_count_of_something_impossible_is_one_line(call, arguments, said):
    code, out, err = call("count", *arguments)
    is_one_line(err, said)
    assert (code, out) == (1 if "8" in arguments else 2, "")


def test_no_command_at_all_is_the_help(call):
    assert call() == call("--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(call, command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    assert command in out
    assert "--help" in out


def test_a_fault_of_the_program_is_one_line_without_debug(call, monkeypatch, studies):
    def broken(*_):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("scalesearch.analysis.load.load_result", broken)
    code, _, err = call("show", "done", "--studies-dir", studies)
    is_one_line(err, "unexpected ZeroDivisionError: two lines", "--debug")
    assert code == 1
    with pytest.raises(ZeroDivisionError):
        call("--debug", "show", "done", "--studies-dir", studies)


LOADED = """
import sys
from scalesearch.cli import invoke
banned = sys.argv[1].split(",")
for line in sys.argv[2:]:
    code = invoke(line.split("|"))
    loaded = [name for name in banned if name in sys.modules]
    if code or loaded:
        sys.exit(f"{line}: code {code}, loaded {loaded}")
"""


def loads_none_of(banned, *lines: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, ",".join(banned), *lines], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_help_loads_nothing_heavy():
    loads_none_of(HEAVY, "--help", "--version")
    ours = [name for name in HEAVY if name != "pydantic"]  # which typer itself loads for a command's options
    loads_none_of(ours, *(f"{command}|--help" for command in COMMANDS))


def test_reading_results_never_loads_torch(studies, tmp_path):
    folder = f"--studies-dir|{studies}"
    loads_none_of(
        ("torch", "torchvision", "timm", "fvcore"),
        f"list|{folder}",
        f"show|done|{folder}",
        f"plot|done|pareto|--out|{tmp_path / 'x.png'}|{folder}",
        f"report|done|{folder}",
    )


def started(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, **options)


def test_the_launcher_and_the_module_are_one_program():
    for arguments in (("--version",), ("run", "--help"), ("rum",)):
        one, two = started(sys.executable, "cli.py", *arguments), started(*COMMAND, *arguments)
        assert (one.returncode, one.stderr) == (two.returncode, two.stderr)
        assert one.stdout == two.stdout
        assert one.stdout or one.stderr


def test_a_reader_that_leaves_early_is_no_error(studies):
    """`scalesearch show done | head -1`, with a reader that is gone before the first line."""
    read, write = os.pipe()
    os.close(read)
    for arguments in (("show", "done"), ("show", "done", "--json"), ("list",)):
        done = subprocess.run(
            [*COMMAND, *arguments, "--studies-dir", str(studies)],
            cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
        )  # fmt: skip
        said = [line for line in done.stderr.splitlines() if "computing" not in line]  # a sign of life, after 2 s
        assert said == []
        assert done.returncode == 0
    os.close(write)


def test_pipes_get_no_colours(studies):
    assert "\x1b" not in started(*COMMAND, "show", "done", "--studies-dir", str(studies)).stdout
