"""What a stranger is told of a network: fixed channels, the smallest that runs, the line that failed, the rate."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from test_check_base import NET

from scalesearch.errors import BaseError, ConfigError, InfeasibleError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.realize import make_surface
from scalesearch.search.check_base import check_base, costs, training
from scalesearch.search.check_base.task import task_findings
from scalesearch.study.config import ProxyRecipe, StudyConfig, config_from_dict, option, override
from scalesearch.user_code.importing import guarded, import_attribute

NETS = f"""{NET}
def colour(depth, width, resolution, num_classes, in_channels):
    return net(width, 3, num_classes)

def grey(depth, width, resolution=32, num_classes=10, in_channels=1):
    return net(width, 1, num_classes)

def deaf(depth, width, resolution=32, num_classes=10, in_channels=1):
    return net(width, 1, 10)

def build(depth, width, resolution, num_classes, in_channels):
    return net(width, in_channels, num_classes)
"""

FIXED = [
    ("colour", "with in_channels=1, ", "; images of 3 channels run, and data of another number are refused"),
    ("grey", "with in_channels=3, ", "; images of 1 channel run, and data of another number are refused"),
]


@pytest.mark.parametrize(("name", "tried", "end"), FIXED)
def test_channels_that_are_fixed_are_a_warning_and_none_where_the_data_have_them(write, name, tried, end):
    baseline = get_baseline(f"{write(NETS)}:{name}")
    (finding,) = task_findings(baseline, baseline.task)
    assert (finding.level, finding.check) == ("warning", "task")
    assert finding.text.startswith(f"in_channels is ignored somewhere: {tried}base '{baseline.name}' at depth 1")
    assert finding.text.endswith(end)
    (finding,) = task_findings(baseline, baseline.task, channels_given=True)
    assert (finding.level, finding.text) == ("ok", "follows num_classes (10 and 11)")


def test_classes_that_are_ignored_stay_a_problem_whatever_the_channels(write):
    module = write(NETS)
    baseline = get_baseline(f"{module}:deaf")
    said = "num_classes is ignored: with num_classes=11 it gives logits of shape [1, 10], wanted: [1, 11]"
    assert [(f.level, f.text[:18]) for f in task_findings(baseline, baseline.task)] == [
        ("problem", "num_classes is ign"),
        ("warning", "in_channels is ign"),
    ]
    (finding,) = task_findings(baseline, baseline.task, channels_given=True)
    assert (finding.level, finding.text) == ("problem", said)
    baseline = get_baseline(f"{module}:build")
    (finding,) = task_findings(baseline, Task(4, 2))
    assert (finding.level, finding.text) == ("ok", "follows num_classes (4 and 5) and in_channels (2 and 1)")


STAGED = """
import math
from torch import nn

class Plain:
    divisor = 2
    ALLOWED = "True"

    def stages(self):
        return [(1, 6), (2, 12), (2, 24)]

    def build(self, stages, resolution, num_classes, in_channels):
        assert eval(self.ALLOWED), "not so"
        layers, before = [], in_channels
        for blocks, channels in stages:
            for _ in range(blocks):
                layers += [nn.Conv2d(before, self.inner(channels), 3, 1, 1), nn.ReLU()]
                before = self.inner(channels)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))

    def inner(self, channels):
        return channels

class Inner(Plain):
    divisor = 1
    def inner(self, channels):
        return math.floor(channels * 26 / 64)

class Quarter(Plain):
    ALLOWED = "stages[-1][1] >= 6"

class Tenth(Plain):
    divisor = 1
    ALLOWED = "stages[-1][1] >= 2"

class Large(Plain):
    ALLOWED = "resolution == 32 or stages == self.stages()"

class Never(Plain):
    ALLOWED = "stages[-1][1] >= 24"
"""

LEAST = [
    ("Plain", NetworkSpec((1, 1, 1), (2, 2, 2), 2)),
    ("Inner", NetworkSpec((1, 1, 1), (3, 6, 12), 2)),
    ("Quarter", NetworkSpec((1, 1, 1), (2, 4, 6), 2)),
    ("Tenth", NetworkSpec((1, 1, 1), (1, 2, 3), 2)),
    ("Large", NetworkSpec((1, 1, 1), (2, 2, 2), 32)),
]


@pytest.mark.parametrize(("name", "least"), LEAST)
def test_the_smallest_network_of_a_class_is_the_first_that_runs(write, name, least):
    baseline = get_baseline(f"{write(STAGED)}:{name}")
    assert baseline.smallest() == least
    surface = make_surface(baseline, baseline.task, parse_budget("2x"), 0.02)
    own, cost = (baseline.macs(spec, baseline.task) for spec in (baseline.spec, least))
    assert surface.target == 2 * own > own > cost
    with pytest.raises(InfeasibleError, match=rf"under the smallest .*; allowed: {cost:,} "):
        make_surface(baseline, baseline.task, parse_budget(f"{cost / own / 2}x"), 0.02)


def test_a_class_none_of_whose_small_networks_runs_is_told_what_it_is_about(write):
    baseline = get_baseline(f"{write(STAGED)}:Never")
    with pytest.raises(BaseError) as caught:
        make_surface(baseline, baseline.task, parse_budget("2x"), 0.02)
    said = str(caught.value)
    assert "at [(1, 4), (1, 6), (1, 12)], 32 px raised AssertionError: not so; this is about the smallest " in said
    assert "it runs neither at 2 channels a stage nor at 10, 25 or 50 % of the baseline's own" in said
    assert said.endswith("what helps: a larger divisor beside stages (it is 2), of which every multiple runs")


SILENT = """
import heapq
def same_line(n):
    done = 1; assert ((n - 4) % 6 == 0); return done
def over_lines(n):
    assert (
        n
        == 0
    )
def unwritten(n):
    raise NotImplementedError
def called(n):
    return unwritten(n)
class Never:
    def __lt__(self, other):
        if True: raise TypeError
def of_a_library(n):
    return heapq.nsmallest(
        2, [Never(), Never()]
    )
def by_text(n):
    raise ValueError("wrong\\nvalue")
"""

LINES = [
    ("same_line", "AssertionError (FILE, line 4: assert ((n - 4) % 6 == 0))"),
    ("over_lines", "AssertionError (FILE, line 6: assert ( n == 0 ))"),
    ("unwritten", "NotImplementedError (FILE, line 11: raise NotImplementedError)"),
    ("called", "NotImplementedError (FILE, line 11: raise NotImplementedError)"),
    ("of_a_library", "TypeError (FILE, line 16: raise TypeError)"),
    ("by_text", "ValueError: wrong value"),
]


@pytest.mark.parametrize(("name", "said"), LINES)
def test_an_error_without_a_text_is_told_with_the_users_own_line(write, name, said):
    module = write(SILENT)
    function = import_attribute(f"{module}:{name}", "it", BaseError)
    with pytest.raises(BaseError) as caught:
        guarded(lambda: function(5), "it raised", BaseError)
    assert str(caught.value) == f"it raised {said.replace('FILE', f'{module}.py')}"


def test_an_error_without_a_text_out_of_a_library_is_told_with_the_line_that_called_it(write):
    module = write("from asyncio import Queue\ndef take(n):\n    return Queue().get_nowait()\n")
    function = import_attribute(f"{module}:take", "it", BaseError)
    with pytest.raises(BaseError) as caught:
        guarded(lambda: function(5), "it raised", BaseError)
    assert str(caught.value) == f"it raised QueueEmpty ({module}.py, line 3: return Queue().get_nowait())"


DEPTHS = """
from torch import nn
def build(depth, width, resolution, num_classes, in_channels):
    blocks, before, layers = round(10 * depth), in_channels, []
    assert CONDITION
    for _ in range(blocks):
        layers += [nn.Conv2d(before, round(8 * width), 3, 1, 1), nn.ReLU()]
        before = round(8 * width)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
"""


@pytest.mark.parametrize(
    ("condition", "levels"),
    [
        ("blocks <= 10", ["problem", "ok"]),
        ("blocks >= 10", ["ok", "ok"]),
        ("blocks == 10", ["problem", "ok"]),
        ("blocks > 0", ["ok", "ok"]),
    ],
)
def test_one_reason_is_one_line(write, condition, levels):
    module = write(DEPTHS.replace("CONDITION", condition))
    baseline = get_baseline(f"{module}:build")
    found = list(costs.dimension_findings(costs.Sweeps(baseline, baseline.task), "depth"))
    assert [finding.level for finding in found] == levels
    assert len({finding.text for finding in found}) == len(found)
    failed = [finding.text for finding in found if finding.level != "ok"]
    assert all(text.endswith(f"raised AssertionError ({module}.py, line 5: assert {condition})") for text in failed)


def test_a_reason_counts_as_where_it_matters_most(write):
    baseline = get_baseline(f"{write(NETS)}:build")
    sweeps = costs.Sweeps(baseline, baseline.task)
    assert [sweeps.reasons(dimension) for dimension in ("depth", "width", "resolution")] == [{}, {}, {}]
    sweeps.failed = {
        ("width", 0.5): "small", ("width", 0.75): "small", ("depth", 2.0): "deep", ("resolution", 0.5): "odd",
        ("resolution", 1.25): "odd", ("resolution", 1.5): "large", ("resolution", 2.0): "large",
    }  # fmt: skip
    assert sweeps.reasons("width") == {"small": "warning"}
    assert sweeps.reasons("depth") == {"deep": "problem"}
    assert list(sweeps.reasons("resolution").items()) == [("odd", "problem"), ("large", "problem")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"engine": {"device": "cpu"}}, "unknown key 'device' in --engine. Allowed: memory, micro_batches, "),
        ({"engine": {"precison": "tf32"}}, "unknown key 'precison' in --engine; did you mean 'precision'? Allowed: "),
        ({"proxy_epoch": 3}, "unknown key 'epoch' in --recipe; did you mean 'epochs'? Allowed: epochs, batch_size, "),
    ],
)
def test_an_unknown_key_of_an_option_names_the_option(changes, said):
    with pytest.raises(ConfigError) as caught:
        override(StudyConfig(), spelled=option, **changes)
    assert str(caught.value).startswith(said)


def test_an_unknown_key_of_a_file_names_the_file():
    for values in ({"engine": {"device": "cpu"}}, {"proxy": {"device": "cpu"}}, {"devise": "cpu"}):
        with pytest.raises(ConfigError, match=r"^unknown key 'devi[cs]e' in mine\.toml[.;] "):
            config_from_dict(values, "mine.toml")


@pytest.mark.parametrize(("rate", "lower"), [(90.0, "9"), (25.0, "2.5")])
def test_a_loss_that_is_not_finite_says_at_which_rate_and_what_run_does(write, monkeypatch, rate, lower):
    baseline = get_baseline(f"{write(DEPTHS.replace('CONDITION', 'True'))}:build")
    recipe = ProxyRecipe(optimizer="sgd", learning_rate=rate)
    (finding,) = training.training_findings(baseline, baseline.task, recipe, "cpu")
    assert finding.level == "warning"
    assert finding.text.endswith(
        f"on random images, by sgd at a learning rate of {rate:g}, as the definition asks for; what helps: "
        f"run --lr auto, which measures one, or --lr {lower}"
    )
    monkeypatch.setattr(training, "CENTRES", {"sgd": rate})
    (finding,) = training.training_findings(baseline, baseline.task, replace(recipe, learning_rate=0.0), "cpu")
    assert finding.level == "warning"
    assert finding.text.endswith(
        f"by sgd at a learning rate of {rate:g}: a usual one; run measures its own before the search, and takes a "
        "lower one where this is too high"
    )


def test_check_base_asks_for_no_other_channels_than_those_it_is_given(write, monkeypatch):
    monkeypatch.setattr("scalesearch.search.check_base._fit", lambda *_: (None, []))
    module = write(NETS)
    for name, channels in (("colour", 3), ("grey", 1)):
        for given, level in ((None, "warning"), (channels, "ok")):
            found = check_base(f"{module}:{name}", in_channels=given).findings
            assert [finding.level for finding in found if finding.check == "task"] == [level]
    (_, output) = check_base(f"{module}:colour", in_channels=1).findings
    assert (output.level, output.check) == ("problem", "output")


@pytest.mark.parametrize(("text", "rate"), [("", 0.0), ("base = 'BASE'\n[proxy]\nlearning_rate = 0.3\n", 0.3)])
def test_check_base_trains_at_the_rate_that_run_takes(write, call, monkeypatch, tmp_path, text, rate):
    ref, seen = f"{write(NETS)}:build", []
    found = check_base(ref)
    monkeypatch.setattr(
        sys.modules["scalesearch.search.check_base"], "check_base", lambda *a, recipe, **_: seen.append(recipe) or found
    )
    (tmp_path / "mine.toml").write_text(text.replace("BASE", ref))
    call("check-base", ref, *(["--study", "mine.toml"] if text else []), "--json")
    assert [recipe.learning_rate for recipe in seen] == [rate]
