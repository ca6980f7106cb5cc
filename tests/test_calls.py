"""The line that makes a network: it evaluates to the network, to the weight, for every way a user's code is called."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from exporting import case

import scalesearch
from scalesearch.analysis.calls import network_line
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.manifest import manifest_from_dict, manifest_to_dict

NETS = """
from torch import nn

class Net:
    divisor = 4
    stem = 8
    resolution = 28

    def stages(self):
        return [(1, 8), (2, 16)]

    def build(self, stages, resolution, num_classes, in_channels, stem):
        layers, before = [nn.Conv2d(in_channels, stem, 3, 2, 1)], stem
        for blocks, channels in stages:
            for _ in range(blocks):
                layers.append(nn.Conv2d(before, channels, 3, padding=1))
                before = channels
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))

made = Net()

def named(depth, width, resolution, num_classes, in_channels):
    stages = [(max(1, round(depth)), max(1, round(8 * width))), (max(1, round(2 * depth)), max(1, round(16 * width)))]
    return Net().build(stages, resolution, num_classes, in_channels, 8)

def positions(d, w, px, classes, channels):
    return named(d, w, px, classes, channels)

def scrambled(*, num_classes, in_channels, resolution=28, width, depth):
    return named(depth, width, resolution, num_classes, in_channels)
"""

MULTIPLIED = NetworkSpec((1530,), (1247,), 36, unit="thousandth")
STAGED = NetworkSpec((2, 3), (12, 20), 36, 12)


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A package of networks in the current folder."""
    (tmp_path / "called_nets").mkdir()
    (tmp_path / "called_nets" / "__init__.py").write_text("")
    (tmp_path / "called_nets" / "small.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "called_nets.small"
    for name in [name for name in sys.modules if name.partition(".")[0] == "called_nets"]:
        del sys.modules[name]


def manifest_for(base: str, form: str, classes: int = 7, channels: int = 2):
    manifest = case().manifest
    data = replace(manifest.data, classes=classes, channels=channels)
    return replace(manifest, config=replace(manifest.config, base=base), data=data, baseline_call=form)


def evaluated(line):
    """The network, with nothing but what the line says it needs."""
    names: dict = {}
    exec(line.needs, names)
    return eval(line.call, names)


def weights_of(network) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("attribute", "spec", "call"),
    [
        ("named", MULTIPLIED, "named(depth=1.53, width=1.247, resolution=36, num_classes=7, in_channels=2)"),
        ("positions", MULTIPLIED, "positions(1.53, 1.247, 36, 7, 2)"),
        ("scrambled", MULTIPLIED, "scrambled(depth=1.53, width=1.247, resolution=36, num_classes=7, in_channels=2)"),
        (
            "Net",
            STAGED,
            "Net().build(stages=[(2, 12), (3, 20)], resolution=36, num_classes=7, in_channels=2, stem=12)",
        ),
        (
            "made",
            STAGED,
            "made.build(stages=[(2, 12), (3, 20)], resolution=36, num_classes=7, in_channels=2, stem=12)",
        ),
    ],
)
def test_the_line_of_a_user_s_code_makes_the_network_that_was_counted(nets, attribute, spec, call):
    baseline = get_baseline(f"{nets}:{attribute}", 28)
    line = network_line(manifest_for(baseline.name, baseline.call_form()), spec)
    assert (line.needs, line.call) == (f"import {nets}", f"{nets}.{call}")
    network = evaluated(line)
    assert weights_of(network) == baseline.amount("params", spec, Task(7, 2))
    assert network[-1].out_features == 7
    assert network[0].in_channels == 2


def test_a_study_that_did_not_record_the_form_calls_by_names(nets):
    assert network_line(manifest_for(f"{nets}:named", ""), MULTIPLIED).call.startswith(f"{nets}.named(depth=1.53, ")
    assert network_line(manifest_for(f"{nets}:Net", ""), STAGED).call.startswith(f"{nets}.Net().build(stages=")
    old = manifest_to_dict(case().manifest)
    del old["made"]["baseline_call"]
    assert manifest_from_dict(old, "study.toml").baseline_call == ""


@pytest.mark.parametrize("name", ["efficientnet_micro", "resnet_small", "densenet_small", "vit_tiny_patch16_224"])
def test_the_line_of_every_other_baseline_makes_the_network_through_scalesearch(name):
    baseline = get_baseline(name)
    line = network_line(manifest_for(name, "", classes=5, channels=3), baseline.spec)
    assert line.needs == "import scalesearch"
    assert line.call.startswith(f'scalesearch.build_network("{name}", depths=')
    assert weights_of(evaluated(line)) == baseline.amount("params", baseline.spec, Task(5, 3))


def test_the_line_of_a_model_of_timm_s():
    pytest.importorskip("timm")
    baseline = get_baseline("timm:test_resnet")
    spec = replace(baseline.spec, depths=tuple(depth + 1 for depth in baseline.spec.depths))
    line = network_line(manifest_for("timm:test_resnet", "", classes=5, channels=3), spec)
    assert weights_of(evaluated(line)) == baseline.amount("params", spec, Task(5, 3))


def test_build_network_refuses_what_is_not_of_the_family():
    with pytest.raises(scalesearch.ScaleSearchError, match="has 4 stages, not 1"):
        scalesearch.build_network(
            "efficientnet_micro", depths=(1,), widths=(8,), resolution=16, num_classes=10, in_channels=1
        )
    with pytest.raises(scalesearch.ScaleSearchError, match="unknown baseline 'efficientnet_mico'"):
        scalesearch.build_network(
            "efficientnet_mico", depths=(1,), widths=(8,), resolution=16, num_classes=10, in_channels=1
        )
