"""An argument that changes nothing is told by `run` and `--dry-run` before any training, as `check-base` tells it."""

from __future__ import annotations

import pytest

from scalesearch.networks.base import Task
from scalesearch.networks.native import native_baseline
from scalesearch.search.check_base.costs import Sweeps, dimension_findings
from scalesearch.search.preflight import cautions
from scalesearch.search.prepare import prepare
from scalesearch.study.config import config_from_dict

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
