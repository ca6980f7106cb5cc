"""A network of the user's own, as a function and as a class, and every way to be wrong with one."""

from __future__ import annotations

import ast
import pickle
import random
import re
import sys
from dataclasses import replace

import pytest
import torch
from conftest import ROOT

from scalesearch.errors import (
    BaseError,
    InfeasibleError,
    ScaleSearchError,
    UnknownBaseError,
    UnknownNameError,
    UsageError,
)
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.scaling.coefficients import parse_budget, simplex_lattice
from scalesearch.scaling.cost import count
from scalesearch.scaling.realize import make_surface, realize
from scalesearch.user_code.importing import written

PLAIN = """
from torch import nn

def build(depth, width, resolution, num_classes, in_channels):
    layers, before = [], in_channels
    for stage in range(2):
        channels = max(1, round(16 * 2**stage * width))
        for block in range(max(1, round(2 * depth))):
            layers += [nn.Conv2d(before, channels, 3, 2 if block == 0 else 1, 1), nn.ReLU()]
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
"""

STAGES = """
from torch import nn

class Mine:
    resolution, divisor, stem = 16, 4, 8

    def stages(self):
        return [(1, 16), (2, 32)]

    def build(self, stages, resolution, num_classes, in_channels=1, stem=8):
        layers, before = [nn.Conv2d(in_channels, stem, 3, 1, 1)], stem
        for blocks, channels in stages:
            for block in range(blocks):
                layers += [nn.Conv2d(before, channels, 3, 2 if block == 0 else 1, 1), nn.ReLU()]
                before = channels
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))

mine = Mine()
"""


def thousandths(depth: int, width: int, px: int) -> NetworkSpec:
    return NetworkSpec((depth,), (width,), px, unit="thousandth")


def test_ten_lines_become_a_baseline(write):
    baseline = get_baseline(f"{write(PLAIN)}:build")
    assert baseline.spec == thousandths(1000, 1000, 32)
    assert baseline.task == Task(10, 3)
    assert baseline.rules == RoundingRules(1, 2, 2, "round")
    convs = 3 * 9 * 16 * 16**2 + 16 * 9 * 16 * 16**2 + 16 * 9 * 32 * 8**2 + 32 * 9 * 32 * 8**2
    assert baseline.macs(baseline.spec, baseline.task) == convs + 32 * 10
    for spec in (baseline.spec, thousandths(1500, 1300, 40), thousandths(2000, 700, 20)):
        counted = count(baseline, spec, Task(7, 1))
        assert counted.macs == baseline.macs(spec, Task(7, 1))
        assert counted.params == baseline.amount("params", spec, Task(7, 1))
        assert counted.activations == baseline.amount("activations", spec, Task(7, 1))


def test_a_baseline_is_plain_data_that_builds_in_another_process(write):
    baseline = get_baseline(f"{write(PLAIN)}:build")
    again = pickle.loads(pickle.dumps(baseline))
    assert again == baseline
    assert again.build(thousandths(1000, 500, 16), Task(4, 1))(torch.zeros(2, 1, 16, 16)).shape == (2, 4)


def test_defaults_of_the_signature_say_the_unscaled_network(write):
    source = PLAIN.replace("resolution, num_classes, in_channels)", "resolution=20, num_classes=7, in_channels=1)")
    baseline = get_baseline(f"{write(source)}:build", 28)
    assert (baseline.spec.resolution_px, baseline.task) == (20, Task(7, 1))
    assert get_baseline(f"{write(PLAIN)}:build", 28).spec.resolution_px == 28
    assert get_baseline(f"{write(PLAIN)}:build", 224).rules.resolution_step_px == 8


def test_five_arguments_of_any_name_come_in_order(write):
    source = PLAIN + "\ndef short(d, w, r=24, n=5, c=1): return build(d, w, r, n, c)"
    baseline = get_baseline(f"{write(source)}:short")
    assert (baseline.spec.resolution_px, baseline.task) == (24, Task(5, 1))
    source += "\nclass Net(nn.Module):\n    def __init__(self, depth, width, resolution, num_classes, in_channels):\n"
    source += (
        "        super().__init__()\n        self.all = build(depth, width, resolution, num_classes, in_channels)\n"
    )
    source += "    def forward(self, x): return self.all(x)"
    name = write(source)
    one, other = get_baseline(f"{name}:Net"), get_baseline(f"{name}:build")
    assert one.macs(one.spec, one.task) == other.macs(other.spec, other.task)


def test_depths_that_give_one_network_are_one(write):
    """round(2 * depth) is 2 up to 1.25, 3 up to 1.74, then 4; Python rounds halves to even."""
    name = write(PLAIN)
    baseline = get_baseline(f"{name}:build")
    alphas = [2 ** (k / 30) for k in range(-60, 61)]
    found = [baseline.depths(alpha) for alpha in alphas]
    assert found == sorted(found)
    assert set(found) == {(740,), (1000,), (1260,), (1750,), (2260,), (2750,), (3260,), (3750,)}
    assert baseline.depths(1.0) == baseline.depths(1.249) == baseline.depths(0.8) == (1000,)
    assert baseline.depths(0.7) == (740,)  # one block up to 0.74
    other = replace(baseline, task=Task(3, 1))
    random.Random(0).shuffle(alphas)
    assert {alpha: other.depths(alpha) for alpha in alphas} == {alpha: baseline.depths(alpha) for alpha in alphas}


def test_depth_that_uses_the_same_weights_again_is_seen(write):
    source = """
from torch import nn
class Again(nn.Module):
    def __init__(self, times, channels, num_classes, in_channels):
        super().__init__()
        self.times, self.stem, self.head = times, nn.Conv2d(in_channels, channels, 1), nn.Linear(channels, num_classes)
        self.body = nn.Conv2d(channels, channels, 3, 1, 1)
    def forward(self, x):
        x = self.stem(x)
        for _ in range(self.times):
            x = self.body(x).relu()
        return self.head(x.mean((2, 3)))
def build(depth, width, resolution, num_classes, in_channels):
    return Again(round(3 * depth), round(8 * width), num_classes, in_channels)
"""
    baseline = get_baseline(f"{write(source)}:build")
    assert {baseline.depths(1 + k / 10) for k in range(11)} == {(1000,), (1170,), (1510,), (1840,)}


def test_the_smallest_network_keeps_a_channel(write):
    """int(8 * 0.1) channels are none, so that the first multiplier that works is a quarter."""
    name = write(PLAIN.replace("max(1, round(16 * 2**stage * width))", "int(8 * width)"))
    baseline = get_baseline(f"{name}:build")
    assert baseline.smallest() == thousandths(250, 250, 2)
    assert baseline.build(thousandths(1000, 250, 32), baseline.task)[0].out_channels == 2
    for width in (1, 100):
        with pytest.raises(BaseError, match=r"the weights '0\.weight' are empty"):
            baseline.macs(thousandths(1000, width, 32), baseline.task)


def test_patches_find_their_own_steps(write):
    source = """
from torch import nn
def build(depth, width, resolution, num_classes, in_channels):
    side = resolution / 4
    if side != int(side): raise ValueError("no whole patches")
    channels = round(16 * width)
    return nn.Sequential(nn.Conv2d(in_channels, channels, 4, 4), *[nn.Conv2d(channels, channels, 1) for _ in
        range(round(3 * depth))], nn.Flatten(), nn.Linear(channels * int(side)**2, num_classes))
"""
    baseline = get_baseline(f"{write(source)}:build")
    assert (baseline.rules.resolution_step_px, baseline.rules.min_resolution_px) == (4, 4)
    baseline = get_baseline(f"{write(source + 'build.resolution_step, build.min_resolution = 8, 16')}:build")
    assert (baseline.rules.resolution_step_px, baseline.rules.min_resolution_px) == (8, 16)
    with pytest.raises(InfeasibleError, match="8 px is too small"):
        baseline.build(thousandths(1000, 1000, 8), baseline.task)


def test_rates_reach_a_function_that_asks_for_them(write):
    source = PLAIN + "\nGIVEN = []\ndef rates(depth, width, resolution, num_classes, in_channels, dropout=0.5):\n"
    source += "    GIVEN.append(dropout)\n    return build(depth, width, resolution, num_classes, in_channels)"
    name = write(source)
    for function in ("rates", "build"):
        baseline = get_baseline(f"{name}:{function}")
        given = sys.modules[name].GIVEN
        given.clear()
        baseline.build(baseline.spec, baseline.task, dropout=0.25, stochastic_depth=0.1)
        baseline.build(baseline.spec, baseline.task)
        assert given == ([0.25, 0.5] if function == "rates" else [])


@pytest.mark.parametrize("attribute", ["Mine", "mine"])
def test_a_class_tells_its_stages(write, attribute):
    baseline = get_baseline(f"{write(STAGES)}:{attribute}")
    assert baseline.spec == NetworkSpec((1, 2), (16, 32), 16, stem_width=8)
    assert baseline.rules == RoundingRules(4, 2, 2)
    assert baseline.task == Task(10, 1)
    assert baseline.depths(2.0) == (2, 4)
    spec = NetworkSpec((2, 3), (12, 40), 20, stem_width=12)
    counted = count(baseline, spec, baseline.task)
    assert (counted.macs, counted.params) == tuple(baseline.amount(q, spec, baseline.task) for q in ("macs", "params"))
    assert baseline.build(spec, baseline.task)[0].out_channels == 12


@pytest.mark.parametrize(("source", "attribute"), [(PLAIN, "build"), (STAGES.replace("16, 4, 8", "16, 2, 8"), "mine")])
def test_budgets_are_met_all_over_the_surface(write, source, attribute):
    baseline = get_baseline(f"{write(source)}:{attribute}")
    surface = make_surface(baseline, baseline.task, parse_budget("2x"), 0.05)
    found = [realize(surface, surface.coefficients(shares)) for shares in simplex_lattice(3)]
    assert all(candidate.within_tolerance for candidate in found)
    assert len({candidate.spec for candidate in found}) >= 6


def test_values_that_the_meta_device_has_not_are_read_on_the_cpu(write):
    source = PLAIN.replace("layers, before = [], in_channels", "import torch\n    torch.linspace(0, 1, 3).tolist()\n"
                           "    layers, before = [], in_channels")  # fmt: skip
    one, other = (get_baseline(f"{write(text)}:build") for text in (source, PLAIN))
    assert one.macs(one.spec, one.task) == other.macs(other.spec, other.task)


def test_what_it_prints_goes_to_stderr_and_the_path_stays(write, capsys):
    before = list(sys.path)
    baseline = get_baseline(f"{write('print(1)' + PLAIN.replace('layers, before', 'print(2); layers, before'))}:build")
    baseline.build(baseline.spec, baseline.task)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("1\n2\n")
    assert sys.path == before


SIGNATURE = "def build(depth, width, resolution, num_classes, in_channels) -> torch.nn.Module"
FIVE = "(depth, width, resolution, num_classes, in_channels)"
WRONG = [
    ("built = build(1, 1, 32, 10, 3)", "built", "is a network that is built already"),
    ("", "biuld", "has no 'biuld'; did you mean 'build'? It has: build"),
    ("constant = 3", "constant", "is of type int and cannot be called"),
    ("import no_such_library", "build", "raised ModuleNotFoundError: No module named 'no_such_library'"),
    ("import sys; sys.exit('bye')", "build", "raised SystemExit: bye"),
    ("def :", "build", "raised SyntaxError"),
    ("def three(depth, width, resolution): pass", "three", f"(depth, width, resolution); allowed: {SIGNATURE}"),
    ("def swapped(width, depth, r, n, c): pass", "swapped", f"(width, depth, r, n, c); allowed: {SIGNATURE}"),
    (f"def six{FIVE[:-1]}, kind): pass", "six", "the parameter 'kind', which is not given; allowed: a default"),
    (f"def none{FIVE}: pass", "none", "at depth 1, width 1, 32 px returned NoneType; allowed: a torch.nn.Module"),
    (f"def kind{FIVE}: return nn.Linear", "kind", "returned type"),
    (f"def fails{FIVE}: raise ValueError('two\\nlines')", "fails", "32 px raised ValueError: two lines"),
    (f"def leaves{FIVE}: raise SystemExit(3)", "leaves", "raised SystemExit: 3"),
    (f"def shape{FIVE}: return build{FIVE}[:-2]", "shape", "a tensor of shape [1, 32, 1, 1] for one image; allowed"),
    (f"def classes{FIVE}: return build(1, 1, 1, 11, 3)", "classes", "[1, 11] for one image; allowed: logits of shape"),
    (f"def grey{FIVE}: return build(1, 1, 1, 10, 1)", "grey", "does not run on an image of 3 x 32 x 32: RuntimeError"),
    (
        f"def deep{FIVE}: return nn.Sequential(nn.AvgPool2d(64), nn.Flatten(), nn.Linear(3, 10))",
        "deep",
        "does not run on an image of 3 x 32 x 32",
    ),
    (
        f"def two{FIVE}:\n    class Two(nn.Module):\n        def forward(self, x): return x, x\n    return Two()",
        "two",
        "32 px gives a tuple of 2; allowed: logits of shape [N, num_classes], here [1, 10]",
    ),
    (
        f"class Named(type(build(1, 1, 1, 10, 3))):\n"
        f"    def forward(self, x): return {{'features': x, 'logits': super().forward(x)}}\n"
        f"def named{FIVE}: return Named(*build{FIVE})",
        "named",
        "gives a dict with keys features, logits: return x['logits']; allowed: logits of shape",
    ),
    (
        "class Cfg:\n    def __init__(self, dim=1): pass\ndef config(**kw): return Cfg(**kw)",
        "config",
        "got an unexpected keyword argument 'depth'; wrap it: def build(depth, width, resolution, num_classes, "
        "in_channels) -> torch.nn.Module, which makes its own config of them; a file to start from: "
        "scalesearch new-base my_net.py",
    ),
    ("build.resolution_step = 0", "build", "resolution_step is 0; allowed: a whole number of 1 or more"),
    ("build.min_resolution = 64", "build", "min_resolution is 64, over the native 32; allowed: 32 or less"),
]


@pytest.mark.parametrize(("source", "attribute", "said"), WRONG, ids=[case[1] for case in WRONG])
def test_a_wrong_function_is_one_line(write, source, attribute, said):
    ref = f"{write(PLAIN + source)}:{attribute}"
    with pytest.raises((BaseError, InfeasibleError)) as caught:
        get_baseline(ref)
    text = str(caught.value)
    assert said in text
    assert ref.partition(":")[0] in text
    assert "\n" not in text
    assert caught.value.exit_code == (2 if attribute == "biuld" else 1)  # a name that does not exist


WRONG_STAGES = [
    ("Mine.stages = lambda self: []", "stages() gave []; allowed: pairs (blocks, channels)"),
    ("Mine.stages = lambda self: [16, 32]", "stages() gave [16, 32]; allowed"),
    ("Mine.stages = lambda self: [(0, 16)]", "stages() gave [(0, 16)]; allowed"),
    ("Mine.stages = lambda self: 1 / 0", "stages() raised ZeroDivisionError"),
    ("Mine.divisor = 5", "8 channels are no multiple of 5; allowed: channels that are, or another divisor"),
    ("Mine.stem = 'wide'", "stem is 'wide'; allowed: a whole number of 1 or more"),
    ("del Mine.build", "has stages() but no method build; allowed: def build(self, stages,"),
    ("Mine.build = lambda self, stages: 0", "its build has the parameters (stages); allowed: def build(self, stages,"),
    ("Mine.__init__ = lambda self, x: None", "Mine() raised TypeError"),
    ("Mine.build = lambda *a, **k: 0", "at [(1, 16), (2, 32)], stem 8, 16 px returned int"),
]


@pytest.mark.parametrize(("source", "said"), WRONG_STAGES, ids=[case[0] for case in WRONG_STAGES])
def test_a_wrong_class_is_one_line(write, source, said):
    ref = f"{write(STAGES.replace('mine = Mine()', source))}:Mine"
    with pytest.raises(BaseError) as caught:
        get_baseline(ref)
    assert said in str(caught.value)
    assert f"base {ref!r}" in str(caught.value)


def test_width_that_costs_nothing_meets_no_budget(write):
    baseline = get_baseline(f"{write(PLAIN.replace(' * width', ''))}:build")
    with pytest.raises(BaseError, match=r"costs the same at width 0\.1, 1 and 2; allowed: a network whose"):
        make_surface(baseline, baseline.task, parse_budget("2x"), 0.02)


@pytest.mark.parametrize(
    ("ref", "error", "said"),
    [
        ("./own_net.py:build", UsageError, "did you mean 'own_net:build'? Allowed: package.module:function"),
        ("models/net.py:build", UsageError, "did you mean 'models.net:build'?"),
        ("own_net:", UsageError, "names no function in a module; Allowed: package.module:function"),
        (":build", UsageError, "':build' names no function"),
        ("own_net:a:b", UsageError, "names no function"),
        ("tim:resnet18", UnknownNameError, "did you mean 'timm:resnet18'"),
        ("own_nett:build", UnknownBaseError, "there is no module 'own_nett' in "),
        ("own_nett:build", UnknownBaseError, "did you mean 'own_net:build'?"),
        ("own_net.py:build", UsageError, "did you mean 'own_net:build'?"),
        ("types:build", UnknownBaseError, "module 'types' has no 'build'"),
    ],
)
def test_a_wrong_reference_is_one_line(tmp_path, monkeypatch, ref, error, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net.py").write_text(PLAIN)
    with pytest.raises(ScaleSearchError) as caught:
        get_baseline(ref)
    assert type(caught.value) is error
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_code_of_the_manual_works(write):
    text = (ROOT / "docs/how-to/your_network.md").read_text(encoding="utf-8")
    function, stages = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    one, other = get_baseline(f"{write(function)}:build"), get_baseline(f"{write(stages)}:Stages")
    assert one.macs(one.spec, one.task) == other.macs(other.spec, other.task) == 5_475_264
    assert len({one.depths(1 + k / 30) for k in range(31)}) == 3


def test_control_c_is_not_swallowed(write):
    with pytest.raises(KeyboardInterrupt):
        get_baseline(
            f"{write(f'import os, signal{chr(10)}def build{FIVE}: os.kill(os.getpid(), signal.SIGINT)')}:build"
        )


def test_patches_that_cut_what_is_left_over_find_their_own_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "patches.py").write_text(
        "from torch import nn\n"
        "def build(depth, width, resolution=32, num_classes=10, in_channels=3):\n"
        "    c = round(20 * width)\n"
        "    blocks = [nn.Conv2d(c, c, 1) for _ in range(round(4 * depth))]\n"
        "    ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, num_classes)\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, c, 4, 4), *blocks, *ends)\n"
    )
    assert get_baseline("patches:build").rules.resolution_step_px == 4


EVERY_KIND = """
import os, sys as system
from . import x
class A(B, metaclass=M):
    "says"
    a: int = 1
    async def f(self, /, b, *c, d=None, **e) -> None:
        async with open(b) as f: yield {**e, 1: [g async for g in c if g]}
@decorated
def f(*, x=...): return lambda y: f"{y!r:>{x}} {x}", b"\\0", 1.5e300, 2j, u"u", ()
try: pass
except* ValueError: raise
match f:
    case {"a": [1, *_], **rest} | A(x=None): del f[1:, ::2]
    case None: global h
while not (a := -1 < 2 <= 3): break
"""


def test_the_hash_of_code_is_the_same_under_every_python():
    """What Python itself writes is one of three forms; the first, of 3.11, is the one that is kept."""
    tree = ast.parse(EVERY_KIND)
    forms = [written(tree), written(tree, with_types=True), written(tree, with_empty=False)]
    assert ast.dump(tree) == forms[{11: 0, 12: 1}.get(sys.version_info[1], 2)]
    assert forms[1].replace(", type_params=[]", "") == forms[0] and forms[1].count("type_params=[]") == 3
    assert "[]" not in forms[2] and len(set(forms)) == 3


def test_studies_know_their_code_by_the_hash_of_another_python(write):
    base = get_baseline(f"{write(PLAIN)}:build", 28)
    known = base.identities()
    assert len(known) == len(set(known)) == 3 and known[0] == base.identity()
    assert get_baseline("efficientnet_micro", 28).identities() == ("",)
