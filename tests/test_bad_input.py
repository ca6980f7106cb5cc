"""What nobody should type: one line on stderr, the exit code that it has, nothing on stdout, nothing written."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from fake_executor import World

from scalesearch.cli import app, invoke
from scalesearch.errors import ConfigError, UsageError
from scalesearch.scaling.coefficients import MOST_TRIPLES, NOMINAL, _grid_triples, paper_grid
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, run
from scalesearch.study import StudyPaths
from scalesearch.study.config import config_from_dict, load_config, read_toml

SMALL = {"trials": 6, "seeds": 1, "workers": 2, "device": "cpu", "proxy": {"train_images": 20, "val_images": 20}}
LONG = "x" * 300
FILES = {
    "bool.toml": "trials = true",
    "text.toml": 'trials = "12"',
    "part.toml": "seeds = 2.0",
    "yes.toml": "skip_bad = 1",
    "rate.toml": '[proxy]\nlearning_rate = "0.1"',
    "batch.toml": "[proxy]\nbatch_size = 1000000000000",
    "images.toml": f"[proxy]\ntrain_images = {10**15}",
    "deep.toml": f"x = {'[' * 5000}{']' * 5000}",
    "digits.toml": f"trials = {'9' * 5001}",
    "list.toml": "trials = [12]",
    "table.toml": "[trials]\na = 1",
    "date.toml": "seed = 1979-05-27",
    "nan.toml": "tolerance = nan",
    "inf.toml": "time_limit = inf",
    "words.toml": "budgets = 'two'",
    "none.toml": "budgets = []",
    "proxy.toml": 'proxy = "fast"',
    "twice.toml": "seed = 1\nseed = 2",
    "bases.toml": 'base = ["resnet20", "resnet20"]',
    "binary.toml": "\0\1\2",
}
RECIPE = {"epochs.toml": "epochs = -1", "key.toml": "epoks = 3"}

CASES: list[tuple[int, str, str]] = [
    # definitions
    (2, "run bool.toml", "trials is True in bool.toml; allowed: a valid integer"),
    (2, "run text.toml", "trials is '12' in text.toml; allowed: a valid integer"),
    (2, "run part.toml", "seeds is 2.0 in part.toml; allowed: a valid integer"),
    (2, "run yes.toml", "skip_bad is 1 in yes.toml; allowed: a valid boolean"),
    (2, "run rate.toml", "proxy.learning_rate is '0.1'"),
    (2, "run batch.toml", "proxy.batch_size is 1000000000000 in batch.toml; allowed: less than or equal to 1000000"),
    (2, "run images.toml", "proxy.train_images is 1000000000000000"),
    (2, "run deep.toml", "deep.toml is not a study definition: its lists are too deep"),
    (2, "run digits.toml", "digits.toml is not a TOML file: Exceeds the limit"),
    (2, "run list.toml", "trials is [12]"),
    (2, "run table.toml", "trials is {'a': 1}"),
    (2, "run date.toml", "seed is datetime.date"),
    (2, "run nan.toml", "tolerance is nan"),
    (2, "run inf.toml", "time_limit is inf"),
    (2, "run words.toml", "budgets is 'two'"),
    (2, "run none.toml", "budgets is empty"),
    (2, "run proxy.toml", "proxy is 'fast'"),
    (2, "run twice.toml", "twice.toml is not a TOML file"),
    (2, "run bases.toml", "a list with each one once"),
    (2, "run binary.toml", "binary.toml is not a TOML file"),
    (1, "run folder.toml", "'folder.toml' cannot be read: Is a directory"),
    # run
    (2, "run --batch-size 1000000000000", "--batch-size is 1000000000000"),
    (2, "run --batch-size 1", "--batch-size is 1"),
    (2, "run --trials 1000000", "--trials is 1000000"),
    (2, "run --seeds 1000000000", "--seeds is 1000000000"),
    (2, "run --seed 2147483648", "--seed is 2147483648"),
    (2, "run --sampler grid --grid-step 1e-6", "2e+17 triples at 2x; allowed there: 0.006"),
    (2, "run --grid-step 0", "--grid-step is 0.0"),
    (2, "run --confidence 1", "--confidence is 1.0"),
    (2, "run --delta -1", "--delta is '-1'"),
    (2, "run --lr fast", "--lr is 'fast'"),
    (2, "run --optimizer adam", "'adam'"),
    (2, "run --cost watts", "'watts'"),
    (2, "run --max-params 5Q", "'5Q'"),
    (2, "run --augmentation fog", "'fog'"),
    (2, "run --pruner hyperband --epochs 1", "--pruner 'hyperband' looks at epoch 1 of 1"),
    (2, "run --recipe epochs.toml", "epochs is -1"),
    (2, "run --recipe key.toml", "unknown key"),
    (2, "run --recipe=", "--recipe is ''"),
    (1, "run --data npz:pipe", "/pipe' is no file; allowed: an .npz file"),
    (1, "run --data npz:folder.toml", "/folder.toml' is no file"),
    (2, "run --data imagenet", "'imagenet'"),
    (1, f"run --data folder:{LONG}", "File name too long"),
    (2, "run --max-pixels -1", "--max-pixels is -1"),
    (2, "run --workers 5000", "--workers is 5000"),
    (2, "run --resolution 100000", "--resolution is 100000"),
    # the place of studies
    (2, "list --studies-dir=", "--studies-dir is ''"),
    (2, "show s --studies-dir=", "--studies-dir is ''"),
    (1, f"list --studies-dir {LONG}", "File name too long"),
    (1, "list --studies-dir bool.toml", "'bool.toml' is a file; allowed: a folder of studies"),
    (1, "show t --studies-dir bool.toml", "'bool.toml' is a file"),
    (1, f"show s --studies-dir {LONG}", "File name too long"),
    (1, f"run --studies-dir {LONG} --dry-run", "File name too long"),
    # resume, verify, train
    (2, "resume", "Missing argument"),
    (2, "resume t", "unknown study 't'"),
    (2, "resume ../s", "'../s' is no folder; allowed: a study's name, or the path of its folder"),
    (2, "resume s --workers -1", "--workers is -1; allowed: 1 to 1024"),
    (2, "resume s --workers 0", "--workers is 0"),
    (2, "resume s --time-limit never", "'never'"),
    (1, "resume s --budget 4x", "--budget is 2x, not 4x"),
    (2, "resume s --budget x", "'x'"),
    (2, "resume s --accept-changes --undo-changes", "opposites"),
    (2, "verify s --seeds 1000000000", "--seeds is 1000000000; allowed: 1 to 10000"),
    (2, "verify s --seeds 0", "--seeds is 0"),
    (2, "verify s --top 1000000000", "--top is 1000000000"),
    (2, "verify s --workers -1", "--workers is -1"),
    (2, "verify s --budget 7x", "7x"),
    (2, "verify s --phi 1", "--phi"),
    (2, "verify s --longer nan", "--longer is nan"),
    (2, "verify s --first-seed -1", "--first-seed is -1"),
    (2, "train s --seeds 1000000000", "--seeds is 1000000000; allowed: 1 to 10000"),
    (2, "train s --workers -1", "--workers is -1"),
    (2, "train s --loaders 100000", "--loaders is 100000"),
    (2, "train s --against none", "'none'"),
    (2, "train s --recipe imagenet", "'imagenet'"),
    (2, "train s --ablate magic", "magic"),
    (2, "train s --epochs 0", "0"),
    (2, "train s --phi x", "'x'"),
    # show, report, plot, export, law, compare, delete
    (2, "show S", "unknown study 'S'. Allowed: s"),
    (2, f"show {LONG}", "1 to 64 letters"),
    (2, "report nothing", "unknown study 'nothing'"),
    (2, "report s --out=", "--out is ''"),
    (2, "report s --out page.html", "--out is 'page.html'; allowed: a folder"),
    (2, "report s --watch --out sub/Page.HTM", "such as --out sub/Page"),
    (2, "plot s bars", "'bars'"),
    (2, "plot s pareto --out x.gif", "'.gif'; allowed: .png, .svg, .pdf"),
    (2, "plot s pareto --budget 9x", "9x"),
    (1, f"plot s pareto --out {LONG}.png", "File name too long"),
    (1, "plot s law", "takes 3 or more"),
    (2, "export s --to flax", "'flax'"),
    (1, "export s --to json --phi 1e308", "phi 1e+308 has 10^3.0e+307x the cost"),
    (1, "export s --to json --phi 9999", "phi 9999 has 10^3010x the cost"),
    (2, "export s --to json --budget 9x", "9x"),
    (2, "law nothing", "unknown study 'nothing'"),
    (2, "compare nothing", "unknown study 'nothing'"),
    (2, "copy nothing --to elsewhere", "unknown study 'nothing'"),
    (2, "list --storage mysql://me@host/db", "is of 'mysql'"),
    (2, "delete s", "give --yes"),
    (2, "delete nothing --yes", "unknown study 'nothing'"),
    (2, "dashboard s --port x", "Invalid value for '--port'"),
    (2, "dashboard s --port 70000", "70000"),
    # exploring
    (1, "count efficientnet_b0 --classes 1000000000000", "more memory than the machine has"),
    (2, "count efficientnet_b0 --depth -1", "--depth is -1"),
    (2, "count efficientnet_b0 --classes many", "--classes"),
    (2, "count efficientnet_b0 --classes 0", "0 classes and 3 channels of the image; allowed: at least"),
    (2, "count efficientnet_b0 --resolution -5", "--resolution is -5; allowed: 1 or more"),
    (2, "space efficientnet_b0 --points 10000000", "--points is 10000000; allowed: 20000 or fewer"),
    (2, "space efficientnet_b0 --tolerance 2", "--tolerance is 2"),
    (2, "space efficientnet_b0 --budget -1x", "'-1x'"),
    (2, "scale efficientnet_b0 --phi x", "'x'"),
    (2, "scale nothing_b0", "'nothing_b0'"),
    (2, "exponents resnet20 --batch-size 0 --latency", "--batch-size"),
    (2, "table nothing_b0", "'nothing_b0'"),
    (2, "check-base nothing_b0", "'nothing_b0'"),
    (2, "new-base", "Missing argument"),
    (2, "new-base bool", "'bool' is no name of a module; allowed: letters, digits and _, then .py"),
    (1, "new-base none/net.py", "there is no folder 'none'"),
    (1, "bench --device nothing", "device 'nothing' is not there"),
    (2, "cache nothing", "No such command"),
    (2, "sweep", "No such command"),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with one finished study, and files that are no definitions."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        run(config_from_dict(SMALL), StudyPaths(folder / "studies" / "s"), make_executor=World().executor)
    for name, text in {**FILES, **RECIPE}.items():
        (folder / name).write_text(text)
    (folder / "folder.toml").mkdir()
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture
def here(place, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.delenv("SCALESEARCH_STUDIES", raising=False)
    return place


def files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.lstat() for path in folder.rglob("*") if path.name != ".lock"}
    return {str(path): (status.st_size, status.st_mtime_ns) for path, status in found.items() if path.is_file()}


@pytest.mark.parametrize(("code", "typed", "said"), CASES, ids=[typed[:50] for _, typed, _ in CASES])
def test_bad_input_is_one_line_with_its_exit_code(call, here, code, typed, said):
    before = files(here)
    found, out, err = call(*typed.split())
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert (found, out, len(lines)) == (code, "", 1), err
    assert lines[0].startswith("scalesearch: error: ") and said in lines[0]
    assert "unexpected" not in lines[0] and "Traceback" not in err
    assert files(here) == before


def test_every_command_is_in_the_table():
    typed = {case[1].split()[0] for case in CASES}
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert len(CASES) >= 80 and names <= typed


def test_a_definition_from_a_pipe_is_read(tmp_path):
    """As `scalesearch run <(make-definition)` gives it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("trials = 7\n",))
    writer.start()
    assert load_config(pipe).trials == 7
    writer.join()


def test_a_definition_that_has_no_end_is_refused(tmp_path):
    endless = tmp_path / "zero.toml"
    endless.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="more than 10,000,000 bytes"):
        read_toml(endless)


@pytest.mark.parametrize("ratio", [2, pytest.param(16, marks=pytest.mark.slow)])
def test_the_least_step_that_is_named_is_taken_and_counted_right(ratio):
    with pytest.raises(UsageError, match="triples") as caught:
        paper_grid(ratio, 1e-5)
    least = float(str(caught.value).split("allowed there: ")[1].split()[0])
    assert sum(1 for _ in _grid_triples(ratio, least, NOMINAL)) <= 1.05 * MOST_TRIPLES


def test_whole_numbers_are_taken_where_a_fraction_may_stand():
    assert config_from_dict({"tolerance": 1, "time_limit": 60, "proxy": {"ema": 0}}).time_limit == 60


def test_memory_and_files_that_the_system_refuses_are_told_as_such(monkeypatch, capsys):
    for error, said in (
        (MemoryError(), "this needs more memory than the machine has; ask for less"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 12000000000 bytes."),
            "12.0 GB",
        ),
        (OSError(36, "File name too long", LONG), "cannot use 'xxx"),
    ):
        monkeypatch.setattr("scalesearch.cli._run", lambda arguments, error=error: (_ for _ in ()).throw(error))
        assert invoke(["list"]) == 1
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1 and len(err) < 300
