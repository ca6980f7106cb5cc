"""Every hostile function goes through counting, a training in this process and export, as any other network."""

from __future__ import annotations

import pytest
import torch
from exported_checks import family
from strangers import HOSTILE

from scalesearch.errors import ScaleSearchError
from scalesearch.export import get_library
from scalesearch.export.check.reference import own_network
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.call import load
from scalesearch.scaling.candidates import near
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.cost import count
from scalesearch.scaling.questions.surface import explore_space
from scalesearch.scaling.realize import make_surface
from scalesearch.search.check_base.training import training_findings
from scalesearch.study.config import ProxyRecipe

TASK = Task(7, 3)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_function_is_counted_trained_and_exported_as_it_is_called(name, tmp_path):
    baseline = get_baseline(HOSTILE[name], 32)
    spec = NetworkSpec((1000,), (1500,), baseline.spec.resolution_px, unit="thousandth")
    own = load(HOSTILE[name])(1, 1.5, 32, TASK.num_classes, TASK.in_channels)
    weights = sum(p.numel() for p in own.parameters())
    assert count(baseline, spec, TASK).params == weights
    (finding,) = training_findings(baseline, TASK, ProxyRecipe(), "cpu")
    assert finding.level == "ok"
    made = family(baseline, [spec], TASK)
    library = get_library("python", baseline)
    library.write(tmp_path, made, {})
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    probe = library.probe(tmp_path, made.name, made.main.name, own_network(made, made.main), images)
    assert probe.params == weights
    assert probe.gap < 1e-5


@pytest.mark.parametrize(
    ("name", "width"), [("fails_below_a_size", 200), ("whole_heads", 1100), ("whole_groups", 1100)]
)
def test_where_it_does_not_run_it_is_refused_in_one_line(name, width):
    baseline = get_baseline(HOSTILE[name], 32)
    with pytest.raises(ScaleSearchError, match=rf"{name}.* width {width / 1000:g}") as refused:
        baseline.amount("params", NetworkSpec((1000,), (width,), 32, unit="thousandth"), TASK)
    assert "\n" not in str(refused.value)


def test_space_shows_the_networks_that_there_are_as_a_study_enumerates_them():
    baseline = get_baseline(HOSTILE["rounds_up"], 32)
    found = explore_space(baseline, TASK, parse_budget("2x"))
    there = near(make_surface(baseline, TASK, parse_budget("2x"), 0.02), 0.0).surface
    assert {n.spec for n in found.networks} == {m.spec for m in there.members}
    assert found.tolerance == there.tolerance
