"""Exported files: they need scalesearch no more, build the very network found, and say how sure it is."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from types import ModuleType

import pytest
import torch
from synthetic import study

from scalesearch.analysis.result import StudyResult
from scalesearch.cost import count_module
from scalesearch.errors import StorageError, StudyError, UnknownNameError, UsageError
from scalesearch.export import EXPORTS, export_result, network_card, python_module
from scalesearch.networks.base import Task
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.record import spec_from_dict, spec_to_dict
from scalesearch.spec import NetworkSpec

CHECK = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("scalesearch", "fvcore", "timm", "optuna", "pydantic"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import torch, synthetic_2x as module
network = module.build().eval()
network.load_state_dict(torch.load(sys.argv[1] + "/weights.pt", weights_only=True), strict=True)
with torch.no_grad():
    logits = network(torch.load(sys.argv[1] + "/images.pt", weights_only=True))
torch.save(logits, sys.argv[1] + "/logits.pt")
print(json.dumps({"card": module.CARD, "px": module.RESOLUTION_PX, "doc": module.__doc__}))
"""


@cache
def case(**changes: object) -> StudyResult:
    return study(**changes)


def card_for(base: str, spec: NetworkSpec) -> dict[str, object]:
    return {**network_card(case(), case().budgets[0]), "base": base, "network": spec_to_dict(spec)}


def loaded(source: str) -> ModuleType:
    module = ModuleType("exported")
    sys.modules["exported"] = module
    exec(compile(source, "exported.py", "exec"), module.__dict__)
    return module


def test_the_json_form_carries_the_network_and_the_claim(tmp_path):
    (path,) = export_result(case(), "json", tmp_path)
    assert path == tmp_path / "synthetic_2x.json"
    card, best = json.loads(path.read_text()), case().budgets[0].best
    assert best is not None
    assert spec_from_dict(card["network"]) == best.network.spec
    assert card["ranges"]["alpha"] == list(best.network.alpha_range)
    assert card["macs"] == best.network.macs
    assert card["accuracy"]["mean"] == best.mean
    assert card["accuracy"]["ci95"] == list(best.ci95 or ())
    assert card["accuracy"]["seeds"] == [0, 1]
    assert [c["against"] for c in card["verdict"]][-1] == "baseline"
    assert card["tolerance"] == 0.02
    assert card["command"] == case().manifest.command
    assert card["data"]["fingerprint"] == case().manifest.data.fingerprint


def test_the_python_form_runs_alone_and_gives_the_same_logits(tmp_path):
    export_result(case(), "python", tmp_path)
    card = network_card(case(), case().budgets[0])
    spec, baseline = spec_from_dict(card["network"]), get_baseline(card["base"])
    torch.manual_seed(0)
    network = baseline.build(spec, Task(10, 1)).eval()
    images = torch.randn(3, 1, spec.resolution_px, spec.resolution_px)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    torch.save(images, tmp_path / "images.pt")
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHECK, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["card"] == card
    assert said["px"] == spec.resolution_px
    assert card["command"] in said["doc"]
    with torch.no_grad():
        expected = network(images)
    assert torch.equal(torch.load(tmp_path / "logits.pt", weights_only=True), expected)


def test_the_file_itself_can_be_run(tmp_path):
    (path,) = export_result(case(), "python", tmp_path)
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    best = case().budgets[0].best
    assert best is not None
    px = best.network.spec.resolution_px
    assert done.stdout == f"{best.network.params:,} parameters\n(1, 1, {px}, {px}) -> (1, 10)\n"


def test_the_exported_network_costs_what_the_card_says():
    card = network_card(case(), case().budgets[0])
    module = loaded(python_module(card))
    cost = count_module(module.build(), module.RESOLUTION_PX, 1)
    assert (cost.macs, cost.params, cost.activations) == (card["macs"], card["params"], card["activations"])
    assert card["macs"] <= (1 + card["tolerance"]) * card["target_macs"]


@pytest.mark.parametrize("base", ["efficientnet_b0", "efficientnet_b2"])
def test_published_baselines_are_written_out_with_their_own_rates(base):
    baseline = get_baseline(base)
    module = loaded(python_module(card_for(base, baseline.spec)))
    with torch.device("meta"):
        ours, theirs = baseline.build(baseline.spec, Task(7, 3)), module.build(7, 3)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert repr(ours) == repr(theirs)
    assert "DropPath(rate=0.1" in repr(theirs)


SMALL = {get_baseline(name).MODULE: name for name in BASELINES if "efficientnet" not in name}


@pytest.mark.parametrize("base", [*SMALL.values(), "mobilenet_v1", "resnet18", "resnet50", "densenet121"])
def test_every_family_is_written_out_and_gives_the_same_logits(base):
    baseline = get_baseline(base)
    spec = replace(baseline.smallest(), depths=tuple(min(2, d) for d in baseline.spec.depths))
    module = loaded(python_module(card_for(base, spec)))
    ours, theirs = (randomised(network) for network in (baseline.build(spec, Task(5, 3)), module.build(5, 3)))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(2, 3, spec.resolution_px, spec.resolution_px)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))
    assert repr(ours) == repr(theirs)


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """In eval mode, with batch statistics that make every layer count."""
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            torch.nn.init.normal_(buffer)
    return network.eval()


def test_rates_and_task_can_be_changed_and_are_checked():
    module = loaded(python_module(network_card(case(), case().budgets[0])))
    network = module.build(num_classes=5, in_channels=3, dropout=0.4, stochastic_depth=0.3)
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    assert network.dropout.p == 0.4
    with pytest.raises(module.UsageError, match=r"dropout is 1\.5"):
        module.build(dropout=1.5)


def test_the_module_imports_torch_and_the_standard_library_and_holds_nothing_unused():
    source = python_module(network_card(case(), case().budgets[0]))
    tree = ast.parse(source)
    roots = {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    roots |= {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    assert roots - set(sys.stdlib_module_names) == {"torch"}
    for name in ("scale_depths", "round_width", "with_channels", "choice_error"):
        assert name not in source
    assert source == python_module(network_card(study(), study().budgets[0]))


def test_hostile_text_stays_text(tmp_path):
    text = 'folder:\\new"""\nimport os  # {px} ${x}'
    result = study(data=text)
    result = replace(result, manifest=replace(result.manifest, command=text, study="2.0+x-y"))
    written = export_result(result, "python", tmp_path) + export_result(result, "json", tmp_path)
    assert [path.name for path in written] == ["study_2_0_x_y_2x.py", "study_2_0_x_y_2x.json"]
    assert written[0].stem.isidentifier()
    module = loaded(written[0].read_text(encoding="utf-8"))
    assert module.CARD["command"] == text
    assert json.loads(written[1].read_text(encoding="utf-8"))["data"]["spec"] == text
    assert "folder:\\new" in (module.__doc__ or "")
    assert "os" not in module.__dict__


def test_each_budget_is_a_file_and_one_can_be_chosen(tmp_path):
    result = case(budgets=("2x", "0.5x"), networks=6)
    names = [path.name for path in export_result(result, "json", tmp_path)]
    assert names == ["synthetic_2x.json", "synthetic_0_5x.json"]
    assert [p.name for p in export_result(result, "json", tmp_path / "new", "0.5x")] == ["synthetic_0_5x.json"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["synthetic_0_5x.json"]


@pytest.mark.parametrize("to", EXPORTS)
def test_nothing_is_written_without_a_best_network(to, tmp_path):
    with pytest.raises(StudyError, match="no best network on budgets 2x"):
        export_result(case(trained=0.0), to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_names_are_refused_with_the_choices(tmp_path):
    with pytest.raises(UnknownNameError, match="Allowed: json, python"):
        export_result(case(), "onnx", tmp_path)
    with pytest.raises(UnknownNameError, match="Allowed: 2x"):
        export_result(case(), "json", tmp_path, "3x")


def test_a_network_of_the_users_own_is_refused_in_python_and_written_in_json(tmp_path):
    result = case(base="my.module:network")
    with pytest.raises(UsageError, match="allowed: --to json"):
        export_result(result, "python", tmp_path)
    assert export_result(result, "json", tmp_path)[0].is_file()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        export_result(case(), "json", tmp_path / "file" / "out")
