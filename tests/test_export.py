"""Exported cards and modules: they need scalesearch no more, build the very networks, and say how sure it is."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exporting import alone, case, family, images_of, loaded, of_a_users_function, trained
from synthetic import study

from scalesearch.analysis.found import studied_question
from scalesearch.errors import InfeasibleError, ScaleSearchError, StudyError, UnknownNameError
from scalesearch.export import LIBRARIES, export_family, export_study, get_library
from scalesearch.export.family import member_name
from scalesearch.export.library import Family, Member
from scalesearch.export.python.module import python_module
from scalesearch.networks.base import Task
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.cost import count_module
from scalesearch.scaling.questions.family import parse_phis, scale_family
from scalesearch.study.plain import from_plain

RUN_ALONE = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("scalesearch", "fvcore", "timm", "optuna", "pydantic"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import torch, synthetic_2x as module
network = module.synthetic_2x_phi1().eval()
network.load_state_dict(torch.load(sys.argv[2] + "/weights.pt", weights_only=True), strict=True)
with torch.no_grad():
    logits = network(torch.load(sys.argv[2] + "/images.pt", weights_only=True))
torch.save(logits, sys.argv[2] + "/logits.pt")
print(json.dumps({"card": module.CARD, "px": module.RESOLUTIONS_PX, "doc": module.__doc__}))
"""


def family_for(base: str) -> Family:
    """The unscaled network of a baseline as if a study had found it."""
    baseline = get_baseline(base)
    found = family()
    member = replace(found.members[1], spec=baseline.spec)
    return replace(found, baseline=baseline, members=(member,))


def test_the_card_carries_the_networks_and_the_claim(tmp_path):
    exported = export_study(case(), "json", tmp_path / "e", command="scalesearch export synthetic --to json")
    assert exported.files == ("card.json", "card.md")
    card, best = json.loads((tmp_path / "e" / "card.json").read_text()), case().budgets[0].best
    assert best is not None
    assert (card["scalesearch_export"], card["library"], card["module"]) == (1, "json", None)
    assert from_plain(NetworkSpec, card["network"]) == best.network.spec
    assert card["ranges"]["alpha"] == list(best.network.alpha_range)
    assert card["macs"] == best.network.macs
    assert card["accuracy"]["mean"] == best.mean
    assert card["accuracy"]["ci95"] == list(best.ci95 or ())
    assert card["accuracy"]["seeds"] == [0, 1]
    assert [c["against"] for c in card["verdict"]][-1] == "baseline"
    assert card["tolerance"] == 0.02
    assert (card["command"], card["export"]["command"]) == (
        case().manifest.command, "scalesearch export synthetic --to json"
    )  # fmt: skip
    assert card["data"]["fingerprint"] == case().manifest.data.fingerprint
    zero, one = card["builders"]
    assert (zero["phi"], zero["mark"], zero["macs"]) == (0, "baseline", case().manifest.baseline_macs)
    assert (one["phi"], one["mark"], one["params"]) == (1, "found", best.network.params)
    assert from_plain(NetworkSpec, one["network"]) == best.network.spec


def test_every_stage_of_every_member_is_written_out():
    for builder in family().card["builders"]:
        stages = {stage["stage"]: stage for stage in builder["stages"]}
        assert list(stages) == ["stem", "0", "1", "2", "3", "head"]
        assert sum(stage["macs"] for stage in stages.values()) == builder["macs"]
        assert sum(stage["params"] for stage in stages.values()) == builder["params"]
        assert [stages[i]["channels"] for i in "0123"] == builder["network"]["widths"]
        assert [stages[i]["repeats"] for i in "0123"] == builder["network"]["depths"]
        assert [(stages[i]["expand"], stages[i]["kernel"], stages[i]["stride"]) for i in "0123"] == [
            (1, 3, 1), (4, 3, 2), (4, 5, 2), (4, 3, 1)
        ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_the_stages_of_every_family_sum_to_the_whole(name):
    from scalesearch.export.stages import stages

    baseline = get_baseline(name)
    found = stages(baseline, baseline.spec, baseline.task)
    for quantity in ("macs", "params"):
        total = sum(stage.get(quantity, 0) for stage in found)
        assert total == baseline.amount(quantity, baseline.spec, baseline.task)
    repeats = [stage["repeats"] for stage in found if "repeats" in stage]
    assert tuple(repeats) == baseline.spec.depths


def test_the_card_for_people_says_it_too(tmp_path):
    export_study(case(), "json", tmp_path / "e", phis=(0, 1, 2))
    text, card = (tmp_path / "e" / "card.md").read_text(), family().card
    for said in ("extrapolated", card["command"], card["data"]["fingerprint"][:16], "Not verified", "2.14.1"):
        assert said in text
    for builder in export_family(case(), phis=(0, 1, 2)).card["builders"]:
        assert f"| {builder['macs']:,} | {builder['params']:,} |" in text
    assert all(line.startswith("|") is line.endswith("|") for line in text.splitlines())


def test_phi_1_is_the_network_found_and_others_are_those_of_scale():
    found = export_family(case(), phis=parse_phis("2,-1,0.5,0,1"))
    assert [m.phi for m in found.members] == [-1, 0, 0.5, 1, 2]
    assert [m.mark for m in found.members] == ["extrapolated", "baseline", "interpolated", "found", "extrapolated"]
    scaled = scale_family(studied_question(case()), (-1, 0, 0.5, 1, 2))
    best = case().budgets[0].best
    assert best is not None
    for member, known in zip(found.members, scaled.members, strict=True):
        wanted = best.network if member.phi == 1 else known.network
        assert (member.spec, member.macs, member.params) == (wanted.spec, wanted.macs, wanted.params)


def test_what_verify_found_at_a_phi_is_the_members_mark():
    from scalesearch.analysis.fidelity.ranks import RankAgreement
    from scalesearch.analysis.verified.transfer import Transfer, TransferAt

    (budget,) = case().budgets
    agreement = RankAgreement(**{**dict.fromkeys(RankAgreement.__dataclass_fields__), "regret": 0.0})
    at = TransferAt(2.0, "4x", 3, 3, 2, 1, 1, "1", agreement, "leads", (), failure="", apart=0.0)
    proved = replace(budget, proof=replace(budget.proof, transfer=Transfer("2x", 1, (at,))))
    found = export_family(replace(case(), budgets=(proved,)), phis=(2, 3))
    assert [(m.mark, m.extrapolated) for m in found.members] == [("verified: leads", False), ("extrapolated", True)]
    assert "At phi 2 (4x) the coefficients found at phi 1 still lead" in found.heading


def test_names_of_members_are_identifiers_and_tell_phi_apart():
    phis = (0.0, 1.0, 0.5, -1.0, -0.5, 1e-7, 0.1234567890123, 0.1234567890124, 10.0, 1e22)
    names = [member_name("a_2x", phi) for phi in phis]
    assert all(name.isidentifier() for name in names)
    assert len(set(names)) == len(phis)
    assert names[:4] == ["a_2x_phi0", "a_2x_phi1", "a_2x_phi0_5", "a_2x_phim1"]


def test_the_python_form_runs_alone_and_gives_the_same_logits(tmp_path):
    export_study(case(), "python", tmp_path / "e", check=False)
    found = family()
    member = found.members[1]
    network = trained(member, found, tmp_path / "w.safetensors")
    images = images_of(member, found, 3)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    torch.save(images, tmp_path / "images.pt")
    said = alone(RUN_ALONE, tmp_path / "e", tmp_path, cwd=tmp_path)
    assert said["card"] == found.card
    assert said["px"] == {m.name: m.spec.resolution_px for m in found.members}
    assert found.card["command"] in said["doc"]
    with torch.no_grad():
        expected = network(images)
    assert expected.std() > 1e-3
    assert torch.equal(torch.load(tmp_path / "logits.pt", weights_only=True), expected)


def test_the_file_itself_can_be_run(tmp_path):
    export_study(case(), "python", tmp_path / "e", check=False)
    command = [sys.executable, "-I", str(tmp_path / "e" / "synthetic_2x.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for line, member in zip(lines, family().members, strict=True):
        px = member.spec.resolution_px
        assert line == f"{member.name}: {member.params:,} parameters, (1, 1, {px}, {px}) -> (1, 10)"


def test_every_builder_costs_what_the_card_says():
    found = export_family(case(), phis=(0, 0.5, 1, 2))
    module = loaded(python_module(found))
    for member in found.members:
        cost = count_module(getattr(module, member.name)(), module.RESOLUTIONS_PX[member.name], 1)
        assert (cost.macs, cost.params) == (member.macs, member.params)
    assert module.build is module.synthetic_2x_phi1
    assert found.members[3].spec.resolution_px >= module.RESOLUTION_PX == found.members[2].spec.resolution_px


def test_build_is_the_largest_member_where_the_found_one_is_left_out():
    module = loaded(python_module(export_family(case(), phis=(0, 0.5))))
    assert module.build is module.synthetic_2x_phi0_5


SMALL = {get_baseline(name).MODULE: name for name in BASELINES if "efficientnet" not in name}


@pytest.mark.parametrize("base", ["efficientnet_b0", "efficientnet_b2", *SMALL.values()])
def test_every_family_is_written_out_with_its_own_rates(base):
    found = family_for(base)
    module = loaded(python_module(found))
    baseline = found.baseline
    with torch.device("meta"):
        ours, theirs = baseline.build(baseline.spec, Task(7, 3)), module.build(7, 3)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert repr(ours) == repr(theirs)
    if "efficientnet" in base:
        assert "DropPath(rate=0.1" in repr(theirs)


def test_rates_and_task_can_be_changed_and_are_checked():
    module = loaded(python_module(family()))
    network = module.build(num_classes=5, in_channels=3, dropout=0.4, stochastic_depth=0.3)
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    assert network.dropout.p == 0.4
    with pytest.raises(module.UsageError, match=r"dropout is 1\.5"):
        module.build(dropout=1.5)


def test_the_module_imports_torch_and_the_standard_library_and_holds_nothing_unused():
    source = python_module(family())
    tree = ast.parse(source)
    roots = {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    roots |= {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    assert roots - set(sys.stdlib_module_names) == {"torch"}
    for name in ("scale_depths", "round_width", "with_channels", "choice_error"):
        assert name not in source
    assert source == python_module(export_family(study()))


@pytest.mark.parametrize("to", ["json", "python", "timm", "torchvision"])
def test_hostile_text_stays_text(to, tmp_path):
    text = 'folder:\\new"""\nimport os  # {px} ${x} | <b>'
    result = study(data=text)
    result = replace(result, manifest=replace(result.manifest, command=text, study="2.0+x-y"))
    exported = export_study(result, to, tmp_path / "e", check=False)
    assert exported.card["name"] == "study_2_0_x_y_2x"
    card = json.loads((tmp_path / "e" / "card.json").read_text(encoding="utf-8"))
    assert (card["command"], card["data"]["spec"]) == (text, text)
    lines = (tmp_path / "e" / "card.md").read_text(encoding="utf-8").splitlines()
    assert not any("<b>" in line for line in lines if not line.startswith("    "))  # indented: a block of code
    if to != "json":
        tree = ast.parse((tmp_path / "e" / exported.card["module"]).read_text(encoding="utf-8"))
        assert "folder:/new" in (ast.get_docstring(tree) or "")
        assert not any(isinstance(n, ast.Import) and n.names[0].name == "os" for n in ast.walk(tree))


def test_one_budget_is_exported_the_first_unless_another_is_asked_for(tmp_path):
    result = case(budgets=("2x", "0.5x"), networks=6)
    assert export_study(result, "json", tmp_path / "a").card["budget"] == "2x"
    other = export_study(result, "json", tmp_path / "b", budget="0.5x").card
    assert (other["budget"], other["name"]) == ("0.5x", "synthetic_0_5x")
    assert other["network"] != export_study(result, "json", tmp_path / "a").card["network"]


@pytest.mark.parametrize("to", sorted(LIBRARIES))
def test_nothing_is_written_without_a_best_network(to, tmp_path):
    with pytest.raises(StudyError, match="no best network on budget 2x"):
        export_study(case(trained=0.0), to, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_wrong_names_are_refused_with_the_choices(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown library 'torchvison'; did you mean 'torchvision'"):
        export_study(case(), "torchvison", tmp_path / "e")
    with pytest.raises(UnknownNameError, match="Allowed: 2x"):
        export_study(case(), "json", tmp_path / "e", budget="3x")
    with pytest.raises(InfeasibleError, match="phi 40"):
        export_study(case(), "json", tmp_path / "e", phis=(40,))
    assert list(tmp_path.iterdir()) == []


def test_a_measured_budget_has_no_other_phi(tmp_path):
    result = case()
    config = replace(result.manifest.config, cost="latency")
    result = replace(result, manifest=replace(result.manifest, config=config))
    assert [m.phi for m in export_family(result).members] == [0, 1]
    with pytest.raises(StudyError, match=r"in latency, which is measured, not scaled: phi 2 .*allowed: --phi 0,1"):
        export_family(result, phis=(1, 2))


@pytest.fixture
def own_result(tmp_path, monkeypatch):
    """A study whose baseline is a function of the user's."""
    monkeypatch.chdir(tmp_path)
    yield of_a_users_function(tmp_path)
    sys.modules.pop("my_own_net", None)


def test_a_network_of_the_users_own_is_refused_by_other_libraries_and_written_in_json(own_result, tmp_path):
    for to, timm in (("torchvision", "timm, "), ("keras", "timm, "), ("transformers", "timm, "), ("pycls", "")):
        with pytest.raises(
            ScaleSearchError, match=f"allowed: --to python, {timm}onnx, torch-export or json, which have every"
        ):
            export_study(own_result, to, tmp_path / to, check=False)
        assert not (tmp_path / to).exists()
    card = export_study(own_result, "json", tmp_path / "json").card
    assert card["network"]["unit"] == "thousandth"
    assert card["builders"][1]["stages"] == [{"stage": "whole", "depth": 1.0, "width": 1.0}]


def test_a_baseline_that_has_changed_is_refused(tmp_path):
    result = replace(case(), manifest=replace(case().manifest, baseline_macs=1))
    with pytest.raises(StudyError, match="569,856 multiply-adds, 1 when study 'synthetic'"):
        export_study(result, "json", tmp_path / "e")


def test_members_and_libraries_are_what_the_package_says():
    assert isinstance(family().members[0], Member)
    for name in LIBRARIES:
        library = get_library(name)
        assert library.name == name
        assert library.extra or library.needs in ("", "torch")


def test_an_export_is_the_same_byte_for_byte_when_made_again(tmp_path: Path):
    for place in ("a", "b"):
        export_study(case(), "python", tmp_path / place, check=False, command="again")
    for name in ("card.json", "card.md", "synthetic_2x.py"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
