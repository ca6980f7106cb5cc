"""`scalesearch check-base` and `new-base`: what is right and wrong with a network, in plain words."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess

import pytest
from conftest import COMMAND

from scalesearch.errors import UnknownNameError, UsageError
from scalesearch.networks.registry import get_baseline
from scalesearch.search.check_base import check_base
from scalesearch.search.check_base.task import task_findings

NUMBERS = itertools.count()

PLAIN = """
import torch
from torch import nn

def build(depth, width, resolution=12, num_classes=10, in_channels=1):
    channels, before, layers = max(1, round(24 * width)), in_channels, []
    for block in range(max(1, round(6 * depth))):
        layers += [nn.Conv2d(before, channels, 3, 2 if block == 1 else 1, 1), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
"""

WRAPPED = """
class Wrapped(nn.Module):
    def __init__(self, *given):
        super().__init__()
        self.net = build(*given)
    def forward(self, x):
        EXTRA
def wrapped(depth, width, resolution=12, num_classes=10, in_channels=1):
    return Wrapped(depth, width, resolution, num_classes, in_channels)
"""


def changed(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new)


def wrapped(forward: str) -> str:
    return PLAIN + WRAPPED.replace("EXTRA", forward)


@pytest.fixture
def write(write, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    return write


@pytest.fixture
def quick(monkeypatch):
    """Without the budget, which takes the longest."""
    monkeypatch.setattr("scalesearch.search.check_base._fit", lambda *_: (None, []))


def test_ten_lines_pass(write, call):
    ref = f"{write(changed('24 * width', '64 * width'))}:build"
    code, out, err = call("check-base", ref, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["base"], found["ok"]) == (ref, True)
    assert [(f["level"], f["check"]) for f in found["findings"]] == [
        ("ok", name)
        for name in (
            "import", "output", "task", "depth", "depth", "width", "resolution", "budget", "count", "operators",
            "batch", "finite", "gradients", "seed", "training",
        )
    ]  # fmt: skip
    own = next(p for p in found["points"] if (p["depth"], p["width"], p["resolution"]) == (1, 1, 12))
    macs = 9 * 64 * 12**2 + 5 * 64 * 9 * 64 * 6**2 + 640
    assert own == {"depth": 1, "width": 1, "resolution": 12, "macs": macs, "params": 185930, "output": [1, 10]}
    assert len(found["points"]) == 16
    budget = found["budget"]
    assert (budget["budget"], budget["within_2_percent"]) == ("2x", 1.0)
    assert budget["networks"] == budget["points"] == budget["within"][0][1] >= 10
    assert 0 < budget["largest_miss"] < 0.02 < budget["largest_miss_before"]


def test_a_report_for_people_ends_with_the_next_command(write, call, quick):
    ref = f"{write(PLAIN)}:build"
    code, out, err = call("check-base", ref)
    assert (code, err) == (0, "")
    assert "fvcore counts 964,464 multiply-adds, and so do the shapes" in out
    assert "7 distinct depths between 1 and 2" in out
    assert "relu 6 times" in out
    assert f"scalesearch run --budget 2x --base {ref}" in out


def test_another_task_and_resolution(write, quick):
    found = check_base(f"{write(PLAIN)}:build", resolution_px=16, num_classes=4, in_channels=3)
    assert found.ok
    assert {point.output for point in found.points} == {(1, 4)}
    assert {point.resolution for point in found.points} == {8, 12, 16, 20, 24, 32}


WRONG = [
    (
        changed("6 * depth", "6"),
        "build",
        "depth",
        "depth is ignored: 964,464 multiply-adds at every value from 0.5 to 2",
    ),
    (changed("24 * width", "24"), "build", "width", "width is ignored: "),
    (
        wrapped("return self.net(nn.functional.interpolate(x, (8, 8)))"),
        "wrapped",
        "resolution",
        "resolution is ignored: ",
    ),
    (changed("24 * width", "24 / width"), "build", "width", "the cost falls from "),
    (
        changed("channels, before", "assert depth <= 1.5\n    channels, before"),
        "build",
        "depth",
        "at depth 2, width 1, 12 px raised AssertionError",
    ),
    (wrapped("return self.net(x) * float('nan')"), "wrapped", "finite", "at initialisation is not finite in eval mode"),
    (wrapped("return self.net(x).detach()"), "wrapped", "gradients", "no gradient reaches any parameter"),
    (
        changed("return nn", "layers[0].unused = nn.Parameter(torch.ones(3))\n    return nn"),
        "build",
        "gradients",
        "no gradient reaches 0.unused in 16 steps: they cost, and learn nothing",
    ),
    (
        wrapped("return self.net(x) if not self.training else (self.net(x), 0)"),
        "wrapped",
        "batch",
        "in training mode it gives a tuple of 2: return x[0]; wanted: one tensor of logits in both modes",
    ),
    (
        wrapped("assert len(x) == 1, 'one at a time'\n        return self.net(x)"),
        "wrapped",
        "batch",
        "it does not run on a batch of 2 images: AssertionError: one at a time",
    ),
    (wrapped("return self.net(x).sum(0, keepdim=True)"), "wrapped", "batch", "a batch of 2 gives shape [1, 10]"),
    (
        wrapped("return nn.functional.dropout(self.net(x), 0.5)"),
        "wrapped",
        "seed",
        "wanted: dropout with self.training",
    ),
    (
        changed("return nn", "torch.seed()\n    return nn").replace("nn.Linear", "torch.seed() and nn.Linear"),
        "build",
        "seed",
        "two networks built with one torch seed differ in",
    ),
]


@pytest.mark.parametrize(("source", "name", "check", "said"), WRONG, ids=[case[3][:40] for case in WRONG])
def test_what_is_wrong_is_one_problem(write, quick, source, name, check, said):
    found = check_base(f"{write(source)}:{name}")
    problems = [finding for finding in found.findings if finding.level == "problem"]
    assert [problem.check for problem in problems] == [check] * len(problems)
    assert said in problems[0].text
    assert not found.ok


STRANGE = [
    (
        wrapped("x = self.net[:2](x)\n        y = x.view(len(x), -1)\n        return self.net[2:](y.view(x.shape))"),
        "wrapped",
        "layout",
        "wanted: torch.flatten(x, 1) or x.reshape(...) in place of x.view(...)",
    ),
    (changed("6 * depth", "depth"), "build", "depth", "only 2 distinct depths between 1 and 2; with more of them"),
    (wrapped("return self.net(x).softmax(1)"), "wrapped", "logits", "sum to 1, as after a softmax; wanted: logits"),
    (
        changed("channels, before", "torch.manual_seed(3)\n    channels, before"),
        "build",
        "seed",
        "two torch seeds are equal too",
    ),
    (
        changed("return nn", "layers[0].weight.requires_grad_(False)\n    return nn"),
        "build",
        "gradients",
        "these are frozen and stay as they are: 0.weight",
    ),
    (wrapped("print('seen')\n        return self.net(x)"), "wrapped", "output", "it prints while it runs ('seen')"),
    (
        wrapped("return self.net(torch.fft.fft2(x).real)"),
        "wrapped",
        "operators",
        "not counted, and perhaps costly: fft_fft2 1 time; what",
    ),
    (
        wrapped("y = self.net(x)\n        return y - y.mean(0) if len(x) > 1 else y"),
        "wrapped",
        "batch",
        "depends on the others of its batch",
    ),
]


@pytest.mark.parametrize(("source", "name", "check", "said"), STRANGE, ids=[case[3][:30] for case in STRANGE])
def test_what_is_strange_is_one_warning(write, quick, capsys, source, name, check, said):
    found = check_base(f"{write(source)}:{name}")
    (warning,) = [finding for finding in found.findings if finding.level != "ok"]
    assert (warning.level, warning.check) == ("warning", check)
    assert said in warning.text
    assert capsys.readouterr().out == ""


SKIPPED = """
def tiled(depth, width, resolution=20, num_classes=10, in_channels=1):
    if resolution % 4:
        raise RuntimeError(f"{resolution} is no multiple of 4")
    if resolution in (24, 28):
        raise ValueError("no window fits")
    return build(depth, width, resolution, num_classes, in_channels)

def fixed(depth, width, resolution=20, num_classes=10, in_channels=1):
    if resolution != 20:
        raise ValueError("20 px alone")
    return build(depth, width, resolution, num_classes, in_channels)

def patched(depth, width, resolution=20, num_classes=10, in_channels=1):
    if resolution % 4:
        raise RuntimeError(f"{resolution} is no multiple of 4")
    return build(depth, width, resolution, num_classes, in_channels)
"""


@pytest.mark.parametrize(
    "name, budget, said",
    [
        (
            "tiled",
            "2x",
            "the next size over 20 px is 36 px, which alone costs 3.2x: at 2x nothing is spent on resolution. It "
            "does not run at 22, 26, 30, 34 px (RuntimeError: 22 is no multiple of 4); 24, 28 px (ValueError: no "
            "window fits)",
        ),
        ("tiled", "4x", ""),
        ("fixed", "2x", ""),
        ("tiled", "0.5x", ""),
        ("patched", "2x", ""),
        (
            "patched",
            "1.2x",
            "the next size over 20 px is 24 px, which alone costs 1.4x: at 1.2x nothing is spent on resolution. It "
            "does not run at 22 px (RuntimeError: 22 is no multiple of 4)",
        ),
    ],
)
def test_sizes_that_are_stepped_over_are_named_where_none_is_left(write, quick, name, budget, said):
    """A size that raises used to be stepped over without a word, and nothing was spent on resolution."""
    found = check_base(f"{write(PLAIN + SKIPPED)}:{name}", budget=budget)
    told = [f.text for f in found.findings if (f.level, f.check) == ("warning", "resolution") and "next size" in f.text]
    assert told == ([said] if said else [])
    assert len({f.text for f in found.findings}) == len(found.findings)  # nothing is told twice


def test_problems_leave_with_1_after_all_findings(write, call, quick):
    ref = f"{write(changed('6 * depth', '6'))}:build"
    code, out, err = call("check-base", ref)
    assert (code, err) == (1, f"scalesearch: error: check-base found 1 problem in '{ref}'\n")
    assert "depth is ignored" in out
    assert "fvcore counts" in out
    assert "scalesearch run" not in out
    code, out, err = call("check-base", ref, "--json")
    assert json.loads(out)["ok"] is False


def test_coarse_channels_are_told_with_numbers(write):
    """Channels in coarse steps and three depths: what can be built near 2x is counted, no problem while it is five."""
    source = changed("max(1, round(24 * width))", "16 * max(1, round(1.5 * width))")
    found = check_base(f"{write(source)}:build")
    assert found.budget is not None
    counts = dict(found.budget.within)
    assert sorted(counts) == [0.02, 0.03, 0.05, 0.08, 0.1]
    (finding,) = [finding for finding in found.findings if finding.check == "budget"]
    assert f"{counts[0.1]} within 10 %" in finding.text
    assert finding.level == ("ok" if found.budget.networks >= 10 else "warning" if counts[0.1] >= 5 else "problem")


def test_a_network_that_cannot_be_imported_is_one_finding(write, call):
    code, out, err = call("check-base", f"{write(PLAIN)}:biuld", "--json")
    found = json.loads(out)
    assert code == 1
    assert err.count("\n") == 1
    (finding,) = found["findings"]
    assert (finding["level"], finding["check"]) == ("problem", "import")
    assert "did you mean 'build'?" in finding["text"]
    assert (found["points"], found["budget"]) == ([], None)


def test_wrong_usage_is_no_finding(write):
    with pytest.raises(UsageError, match="names no function"):
        check_base("nothing:")
    with pytest.raises(UnknownNameError, match="did you mean 'efficientnet_micro'"):
        check_base("eficientnet_micro")
    with pytest.raises(UsageError, match="resolution is 0 px"):
        check_base("efficientnet_micro", resolution_px=0)
    with pytest.raises(UsageError, match="at least 1 class"):
        check_base("efficientnet_micro", num_classes=0)


def test_built_in_baselines_pass():
    found = check_base("efficientnet_micro")
    assert [finding.text for finding in found.findings if finding.level != "ok"] == []
    assert "its cost comes from a closed form" in found.findings[0].text
    assert found.budget is not None
    assert found.budget.largest_miss < 0.02


def test_a_class_with_stages_passes(write, quick):
    source = """
from torch import nn
class Mine:
    resolution, divisor = 12, 2
    def stages(self): return [(2, 16), (3, 32)]
    def build(self, stages, resolution, num_classes=10, in_channels=1):
        layers, before = [], in_channels
        for blocks, channels in stages:
            for block in range(blocks):
                layers += [nn.Conv2d(before, channels, 3, 2 if block == 0 else 1, 1), nn.ReLU()]
                before = channels
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
"""
    found = check_base(f"{write(source)}:Mine")
    assert [finding.text for finding in found.findings if finding.level != "ok"] == []
    assert found.findings[0].text == "imports, and has 2 stages of [2, 3] blocks and [16, 32] channels at 12 px"


def test_a_new_base_passes_without_a_warning(write, call, tmp_path, monkeypatch):
    code, out, err = call("new-base", "my_first.py")
    assert (code, err) == (0, "")
    assert out == (
        "wrote my_first.py\nnext:\n  scalesearch check-base my_first:build\n"
        "  scalesearch run --budget 2x --base my_first:build\n"
    )
    found = check_base("my_first:build")
    assert [finding.text for finding in found.findings if finding.level != "ok"] == []
    source = (tmp_path / "my_first.py").read_text()
    hints = source.partition("# class Stages")[2]
    lines = [line.removeprefix("# ").removeprefix("#") for line in f"# class Stages{hints}".splitlines()]
    (tmp_path / "my_second.py").write_text(source + "\n".join(lines))
    monkeypatch.setattr("scalesearch.search.check_base._fit", lambda *_: (None, []))
    found = check_base("my_second:Stages")
    assert [finding.text for finding in found.findings if finding.level != "ok"] == []


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("taken.py", 1, "'taken.py' exists already; allowed: a new file"),
        ("net.txt", 2, "'net.txt' is no name of a module; allowed: letters, digits and _, then .py"),
        ("my-net.py", 2, "'my-net.py' is no name of a module"),
        ("", 2, "is no name of a module"),
        ("nowhere/net.py", 1, "there is no folder 'nowhere'"),
        ("torch.py", 1, "'torch.py' would hide the module 'torch' of the environment; allowed: another name"),
        ("random.py", 1, "would hide the module 'random'"),
        ("class.py", 2, "is no name of a module"),
    ],
)
def test_a_wrong_path_is_one_line(write, call, tmp_path, path, code, said):
    (tmp_path / "taken.py").write_text("mine")
    found, out, err = call("new-base", path)
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1
    assert [item.name for item in tmp_path.iterdir()] == ["taken.py"]
    assert (tmp_path / "taken.py").read_text() == "mine"


def test_a_new_base_in_a_folder_is_named_from_here(write, call, tmp_path):
    (tmp_path / "models").mkdir()
    assert "check-base models.my_net:build\n" in call("new-base", "models/my_net.py")[1]
    (tmp_path / "2nd").mkdir()
    out = call("new-base", "2nd/my_net.py")[1]
    assert f"next (in {tmp_path / '2nd'}):\n  scalesearch check-base my_net:build\n" in out


@pytest.mark.slow
def test_a_new_base_is_searched(write, call, tmp_path):
    """In a process of its own, with two workers, each of which imports the file."""
    assert call("new-base", "my_net.py")[0] == 0
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    arguments = "run --budget 2x --base my_net:build --workers 2 --train-images 200 --val-images 100 --epochs 1"
    done = subprocess.run(
        [*COMMAND, *arguments.split(), "--trials", "5", "--seeds", "1", "--device", "cpu", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["complete"] is True
    networks = found["budgets"][0]["networks"]
    assert len(networks) == 5
    assert [(network["status"], network["seeds"]) for network in networks] == [("complete", 1)] * 5
    assert {network["network"]["unit"] for network in networks} == {"thousandth"}


NET = """
from torch import nn

def net(width, channels, classes):
    c = round(20 * width)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(channels, c, 3, 2, 1), nn.ReLU(), pool, nn.Linear(c, classes))
"""

TASKS = f"""{NET}
def no_channels(depth, width, resolution, num_classes, in_channels):
    return net(width, 3, num_classes)

def no_classes(depth, width, resolution, num_classes, in_channels):
    return net(width, in_channels, 10)

def both(depth, width, resolution, num_classes, in_channels):
    return net(width, in_channels, num_classes)
"""


@pytest.mark.parametrize(
    ("name", "ignored"),
    [("no_channels", ["in_channels is ignored somewhere: with in_channels=1"]),
     ("no_classes", ["num_classes is ignored: with num_classes=11 it gives logits of shape [1, 10], wanted: [1, 11]"]),
     ("both", [])],
)  # fmt: skip
def test_an_argument_of_the_task_that_is_ignored_is_named(tmp_path, monkeypatch, name, ignored):
    monkeypatch.chdir(tmp_path)
    module = f"task_nets_{next(NUMBERS)}"  # a module's name is known to Python until the process ends
    (tmp_path / f"{module}.py").write_text(TASKS)
    baseline = get_baseline(f"{module}:{name}")
    found = list(task_findings(baseline, baseline.task))
    assert [f.level for f in found] == [{"no_channels": "warning", "no_classes": "problem", "both": "ok"}[name]]
    assert [part for part in ignored if part not in found[0].text] == []
