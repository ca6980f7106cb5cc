"""Studies of a user's function: networks that there are, exactly as the function gives them, whatever proposes them."""

from __future__ import annotations

import itertools
import re

import pytest
from fake_executor import World

from scalesearch.analysis.result import StudyResult
from scalesearch.errors import InfeasibleError
from scalesearch.networks.user.call import load
from scalesearch.report.tables import front_table
from scalesearch.scaling.candidates import NARROWER
from scalesearch.scaling.coefficients import distance, is_met, references
from scalesearch.scaling.cost import count_module
from scalesearch.search import resume, run
from scalesearch.search.preflight import cautions, preflight
from scalesearch.search.prepare import prepare
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.config import config_from_dict
from scalesearch.study.manifest import BudgetFacts
from scalesearch.user_code.importing import current_folder_importable

NUMBERS = itertools.count()
QUICK = {"seeds": 2, "workers": 1, "proxy": {"train_images": 20, "val_images": 20}}

FOURS = """
from torch import nn

def build(depth, width, resolution=24, num_classes=10, in_channels=1):
    layers, before = [], in_channels
    for many, wide in ((2, 12), (3, 20)):
        wide = max(4, int(wide * width / 4 + 0.5) * 4)
        for block in range(max(1, round(many * depth))):
            layers += [nn.Conv2d(before, wide, 3, 2 if block == 0 else 1, 1), nn.ReLU()]
            before = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
"""
EIGHTS = FOURS.replace("((2, 12), (3, 20))", "((1, 16), (2, 24), (2, 40))").replace(
    "max(4, int(wide * width / 4 + 0.5) * 4)", "max(8, int(wide * width / 8 + 0.5) * 8)"
)
TALL = (
    FOURS.replace("((2, 12), (3, 20))", "((1, 16), (1, 32))")
    .replace("max(4, int(wide * width / 4 + 0.5) * 4)", "max(16, round(wide * width / 16) * 16)")
    .replace("resolution=24", "resolution=32")
    .replace("    layers, before", "    assert resolution % 16 == 0\n    layers, before")
)
LUMP = """
from torch import nn

def build(depth, width, resolution=24, num_classes=10, in_channels=1):
    wide = 32 * max(1, round(width))
    body = [nn.Conv2d(in_channels if i == 0 else wide, wide, 8, 8) for i in range(1)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, num_classes))
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(source: str = FOURS, world: World | None = None, **changes: object) -> tuple[StudyPaths, StudyResult]:
        name = f"mine_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source)
        config = config_from_dict({**QUICK, "base": f"{name}:build", **changes})
        paths = StudyPaths(tmp_path / "studies" / name)
        return paths, run(config, paths, make_executor=(world or World()).executor)

    return made


SLOW = [pytest.param(sampler, marks=pytest.mark.slow) for sampler in ("surface", "tpe", "star", "grid", "qmc")]


@pytest.mark.parametrize("sampler", ["lattice", *SLOW])
def test_what_is_trained_is_what_the_function_gives(study, sampler):
    world = World()
    _, result = study(world=world, sampler=sampler, trials=11)
    networks = [s.network for s in result.budgets[0].networks]
    assert len(networks) >= 8
    assert {job.spec for job in world.done} == {n.spec for n in networks} | {result.baseline.network.spec}
    with current_folder_importable():
        build = load(result.manifest.config.base)
        for network in networks:
            spec = network.spec
            module = build(depth=spec.depths[0] / 1000, width=spec.widths[0] / 1000, resolution=spec.resolution_px)
            counted = count_module(module, spec.resolution_px, 1)
            assert (counted.macs, counted.params) == (network.macs, network.params)
            assert network.within_tolerance
            assert abs(network.residual) <= result.budgets[0].facts.tolerance
    assert result.complete


def test_references_that_no_network_is_are_told_with_what_stands_for_them(study):
    _, result = study(EIGHTS.replace("resolution=24", "resolution=32"), trials=11)
    budget = result.budgets[0]
    standing = {name for s in budget.networks for name in s.network.stands_for}
    assert standing
    for name, summary in budget.references:
        met = is_met(references()[name], summary.network.shares)
        assert (name in standing) is not met
        assert (f"near {name}" in summary.network.names) is not met
        gap = distance(summary.network.shares, references()[name])
        others = [s.network for s in budget.networks]
        assert gap <= min(distance(n.shares, references()[name]) for n in others) + 1e-9
    assert any("stands for it" in caution for caution in budget.cautions)
    on_resume = preflight(prepare(result.manifest.config, result.manifest), result.manifest, None)
    assert any("are enlarged to 32 px" in note for note in on_resume.size_notes)


@pytest.mark.parametrize("sampler", ["lattice", *(pytest.param(s, marks=pytest.mark.slow) for s in ("tpe", "surface"))])
def test_interrupted_and_resumed_equals_the_uninterrupted_study(study, tmp_path, sampler):
    whole_world = World()
    paths, whole = study(world=whole_world, sampler=sampler, trials=9)
    again = StudyPaths(tmp_path / "studies" / "again")
    world = World(stop_after=5)
    with pytest.raises(KeyboardInterrupt):
        run(load_manifest(paths).config, again, make_executor=world.executor)
    world.stop_after = None
    result = resume(again, make_executor=world.executor)
    assert [(s.network.spec, s.accuracies) for s in result.budgets[0].networks] == [
        (s.network.spec, s.accuracies) for s in whole.budgets[0].networks
    ]
    assert len(world.done) == len(whole_world.done)


def test_a_handful_of_networks_is_no_study(study, tmp_path):
    with pytest.raises(InfeasibleError) as caught:
        study(LUMP)
    words = str(caught.value)
    assert "can be built within 10 % of 2x, and a study needs 5" in words
    assert "--resolution" in words and "stages()" in words and "check-base" in words
    assert not (tmp_path / "studies").exists()


@pytest.mark.slow
def test_a_refusal_names_a_budget_that_works_as_typed(study):
    with pytest.raises(InfeasibleError) as caught:
        study(TALL)
    budget, networks = re.search(r"--budget (\S+) \((\d+) networks within", str(caught.value)).groups()
    _, result = study(TALL, budgets=(budget,), trials=11, seeds=1)
    assert result.budgets[0].facts.networks_on_surface == int(networks) >= 10
    assert len(result.budgets[0].networks) >= 8


@pytest.mark.slow
def test_networks_from_further_out_are_found_again_on_resume(study, tmp_path):
    coarse = EIGHTS.replace("((1, 16), (2, 24), (2, 40))", "((1, 16), (2, 24))")
    paths, whole = study(coarse, trials=9)
    facts = load_manifest(paths).budgets[0]
    assert facts.beyond > NARROWER == BudgetFacts("2x", 1.0, 1, 0.0, 1, 1).beyond
    told = cautions(prepare(whole.manifest.config, whole.manifest))
    assert any("smaller than it in one of the three" in text for text in told)
    again, world = StudyPaths(tmp_path / "studies" / "again"), World(stop_after=5)
    with pytest.raises(KeyboardInterrupt):
        run(load_manifest(paths).config, again, make_executor=world.executor)
    world.stop_after = None
    result = resume(again, make_executor=world.executor)
    assert [s.network.spec for s in result.budgets[0].networks] == [s.network.spec for s in whole.budgets[0].networks]


def test_a_tolerance_that_is_given_is_kept(study):
    paths, result = study(tolerance=0.05, trials=9)
    facts = result.budgets[0].facts
    assert facts.tolerance == 0.05
    assert facts.networks_on_surface == dict(facts.within)[0.05]
    assert load_manifest(paths).budgets[0] == facts


def test_members_are_spread_and_the_references_come_first(study):
    _, result = study(trials=9)
    numbered = sorted((s.network for s in result.budgets[0].networks), key=lambda n: n.number)
    roles = [bool(network.roles) for network in numbered]
    assert roles == sorted(roles, reverse=True)
    assert len({network.spec for network in numbered}) == len(numbered)
    heads = [column.header for column in front_table(result.pareto).columns]
    assert heads[-2:] == ["depth", "width"]  # what is passed; these are no blocks
