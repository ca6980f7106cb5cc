"""An argument that changes nothing is told by `run` and `--dry-run` before any training, as `check-base` tells it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scalesearch.errors import InfeasibleError
from scalesearch.networks.base import Task
from scalesearch.networks.native import native_baseline
from scalesearch.networks.registry import get_baseline
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.realize import make_surface
from scalesearch.search import checks
from scalesearch.search.check_base.costs import Sweeps, dimension_findings, ignored_words
from scalesearch.search.checks import check_plan
from scalesearch.search.preflight import cautions
from scalesearch.search.prepare import prepare
from scalesearch.search.spaces import BudgetSpace
from scalesearch.study.config import StudyConfig, config_from_dict

SOURCE = """
from torch import nn


def net(blocks, channels, num_classes, in_channels):
    layers, before = [], in_channels
    for block in range(max(1, round(blocks))):
        layers += [nn.Conv2d(before, max(1, round(channels)), 3, 1 + (block == 0), 1), nn.ReLU()]
        before = max(1, round(channels))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))


def no_depth(depth, width, resolution=28, num_classes=10, in_channels=1):
    return net(3, 16 * width, num_classes, in_channels)


def no_resolution(depth, width, resolution=28, num_classes=10, in_channels=1):
    return nn.Sequential(nn.AdaptiveAvgPool2d(16), net(8 * depth, 16 * width, num_classes, in_channels))


def no_depth_in_steps(depth, width, resolution=28, num_classes=10, in_channels=1):
    return net(3, 16 * round(width), num_classes, in_channels)


def no_resolution_in_steps(depth, width, resolution=28, num_classes=10, in_channels=1):
    return nn.Sequential(nn.AdaptiveAvgPool2d(8), net(2 * round(depth), 8 * round(width), num_classes, in_channels))


def neither_in_steps(depth, width, resolution=28, num_classes=10, in_channels=1):
    return nn.Sequential(nn.AdaptiveAvgPool2d(8), net(2, 8 * round(width), num_classes, in_channels))


def coarse_in_all(depth, width, resolution=28, num_classes=10, in_channels=1):
    layers = net(2 * round(depth), 8 * round(width), num_classes, in_channels)
    return nn.Sequential(nn.AdaptiveAvgPool2d(max(1, 16 * round(resolution / 28))), layers)


def all_used(depth, width, resolution=28, num_classes=10, in_channels=1):
    return net(8 * depth, 16 * width, num_classes, in_channels)


def runs_at_one_depth(depth, width, resolution=28, num_classes=10, in_channels=1):
    if depth != 1:
        raise ValueError("one depth")
    return net(3, 16 * width, num_classes, in_channels)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "ignoring_nets.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return "ignoring_nets"


@pytest.mark.parametrize(
    ("name", "ignored"), [("no_depth", "depth"), pytest.param("no_resolution", "resolution", marks=pytest.mark.slow)]
)
def test_run_says_it_before_training_in_the_words_of_check_base(module, name, ignored):
    given = {"base": f"{module}:{name}", "budgets": ["2x"], "proxy": {"train_images": 64, "val_images": 64}}
    told = cautions(prepare(config_from_dict(given)))
    found = [text for text in told if "is ignored" in text]
    assert len(found) == 1
    assert found[0].startswith(f"{ignored} is ignored: ")
    assert found[0].endswith(f": nothing can be spent on it (look closer with: scalesearch check-base {module}:{name})")
    sweeps = Sweeps(native_baseline(f"{module}:{name}").baseline, Task(10, 1))
    (finding,) = [f for f in dimension_findings(sweeps, ignored) if f.level == "problem"]
    assert found[0].partition(": nothing")[0] == finding.text


@pytest.mark.parametrize("name", ["all_used", "runs_at_one_depth"])
def test_what_answers_and_what_runs_at_one_value_only_is_not_called_ignored(module, name):
    sweeps = Sweeps(native_baseline(f"{module}:{name}").baseline, Task(10, 1))
    assert not any(sweeps.ignored(dimension) for dimension in ("depth", "width", "resolution"))


def prepared_of(reference, budget):
    given = {"base": reference, "budgets": [budget], "proxy": {"train_images": 64, "val_images": 64}}
    return prepare(config_from_dict(given))


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("no_depth", ("depth",)),
        ("no_resolution", ("resolution",)),
        ("neither_in_steps", ("depth", "resolution")),
        ("all_used", ()),
    ],
)
def test_too_few_networks_are_laid_to_the_argument_that_is_ignored(module, name, ignored, monkeypatch):
    monkeypatch.setattr(checks, "_what_helps", lambda *_: "another --budget")
    baseline, task = native_baseline(f"{module}:{name}").baseline, Task(10, 1)
    surface = make_surface(baseline, task, parse_budget("2x"), 0.1)
    prepared = SimpleNamespace(baseline=baseline, task=task, config=StudyConfig())
    with pytest.raises(InfeasibleError, match="only 0 networks") as refused:
        checks._check_enough(prepared, BudgetSpace("2x", surface, {}, within=((0.1, 0),)))
    told_of(str(refused.value), f"{module}:{name}", ignored)


def told_of(words, reference, ignored):
    for dimension in ("depth", "width", "resolution"):
        assert (f"{dimension} is ignored: " in words) is (dimension in ignored)
    assert ("come in too coarse steps" in words) is (not ignored)
    assert ("allowed: a function that uses every argument, " in words) is bool(ignored)
    assert f"scalesearch check-base {reference}" in words and "\n" not in words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("no_depth_in_steps", ("depth",)),
        ("no_resolution_in_steps", ("resolution",)),
        ("neither_in_steps", ("depth", "resolution")),
        ("coarse_in_all", ()),
    ],
)
def test_a_study_that_is_refused_names_the_argument_that_is_ignored(module, name, ignored):
    """Too few networks are the fault of coarse steps only where every argument changes the network."""
    with pytest.raises(InfeasibleError, match=r"only \d networks? of .* can be built within 10 % of 2x") as refused:
        check_plan(prepared_of(f"{module}:{name}", "2x"))
    told_of(str(refused.value), f"{module}:{name}", ignored)


@pytest.mark.parametrize(("name", "ignored"), [("no_depth", "depth"), ("all_used", "")])
def test_planned_networks_that_are_all_off_the_budget_name_it_too(module, name, ignored):
    baseline, task = native_baseline(f"{module}:{name}").baseline, Task(10, 1)
    surface = make_surface(baseline, task, parse_budget("2x"), 0.02)
    prepared = SimpleNamespace(baseline=baseline, task=task, config=StudyConfig())
    found = [SimpleNamespace(residual=residual) for residual in (0.03, -0.05, 0.2)]
    words = str(checks._all_off(prepared, BudgetSpace("2x", surface, {}), found))
    assert "none of the 3 planned networks at 2x is within 2 %" in words and "misses by 3.0 %" in words
    assert (f"{ignored} is ignored: " in words) if ignored else ("comes in steps too coarse for it" in words)


def test_a_network_of_the_registry_ignores_nothing():
    assert ignored_words(get_baseline("efficientnet_micro"), Task(10, 1)) == ""
