"""`--to python` of timm's own models: timm's class called with everything written out, equal to the study's network."""

from __future__ import annotations

import pytest
import torch
from exported_checks import check_all, check_style, family, write
from exporting import alone

from scalesearch.export.library import get_library
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.realize import round_spec

timm = pytest.importorskip("timm")

SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("mobilenetv3_small_050", "resnet26d", "convnext_atto", "regnetz_005", "regnety_002", "test_resnet")
]


@pytest.mark.parametrize("name", ["test_efficientnet", "resnet18", "test_vit", *SLOW])
def test_a_scaled_model_of_timm_s_is_the_same_network_without_the_registry(name, tmp_path):
    baseline = get_baseline(f"timm:{name}")
    library = get_library("python", baseline)
    assert (library.name, library.needs, library.extra) == ("python", "timm", "vision")
    specs = [round_spec(baseline.spec, Coefficients(*c), baseline.rules) for c in ((1, 1, 0.5), (1.3, 0.8, 0.5))]
    made = family(baseline, specs, Task(7, 2))
    check_all(library, made, tmp_path)
    check_style((tmp_path / library.module(made)).read_text())
    assert not timm.is_model(made.main.name)


def test_the_module_runs_where_scalesearch_is_not(tmp_path):
    baseline = get_baseline("timm:test_efficientnet")
    made = family(baseline, [round_spec(baseline.spec, Coefficients(1.3, 1.2, 0.5), baseline.rules)], Task(7, 2))
    library = get_library("python", baseline)
    write(library, made, tmp_path)
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import importlib, torch\n"
        "made = importlib.import_module(sys.argv[2]); network = made.build(num_classes=5, in_chans=1, drop_rate=0.2)\n"
        "px = made.RESOLUTION_PX; found = [sum(p.numel() for p in made.build().parameters()), network.drop_rate]\n"
        "found += network.eval()(torch.zeros(2, 1, px, px)).shape\n"
        "print(json.dumps([*found, 'scalesearch' in sys.modules]))"
    )
    assert alone(code, tmp_path, made.name, cwd=tmp_path) == [made.main.params, 0.2, 2, 5, False]


def test_new_weights_are_drawn_as_scalesearch_draws_them(tmp_path):
    from scalesearch.export.check.torch_probe import import_file

    baseline = get_baseline("timm:test_vit")
    made = family(baseline, [baseline.spec], Task(7, 2))
    library = get_library("python", baseline)
    build = import_file(tmp_path, write(library, made, tmp_path)).build
    torch.manual_seed(3)
    found = build().state_dict()
    torch.manual_seed(3)
    wanted = baseline.build(baseline.spec, Task(7, 2)).state_dict()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
