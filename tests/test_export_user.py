"""A user's own function in `python`, `timm` and `torch-export`: called, not copied, and checked like every other."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exported_checks import check_style, family, own_weights, wanted, write
from exporting import alone, of_a_users_function, trained

from scalesearch.analysis.result import StudyResult
from scalesearch.errors import StudyError
from scalesearch.export import Family, export_family, export_study, get_library
from scalesearch.export.library import CheckError, Library
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.user_code.known import remember

timm = pytest.importorskip("timm")

TASK = Task(7, 3)
MULTIPLIED = NetworkSpec((1500,), (1250,), 36, unit="thousandth")
STAGED = NetworkSpec((2, 3), (12, 20), 32, 12)

NETS = '''
import torch
from torch import nn

class Conv(nn.Sequential):
    def __init__(self, before, after, stride=1):
        super().__init__(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())

def resnet_like(depth, width, resolution=32, num_classes=6, in_channels=3, dropout=0.0):
    channels = [max(8, int(c * width + 4) // 8 * 8) for c in (16, 24)]
    layers, before = [Conv(in_channels, channels[0], 2)], channels[0]
    for stage, after in enumerate(channels):
        for block in range(max(1, round(2 * depth))):
            layers.append(Conv(before, after, 2 if stage and not block else 1))
            before = after
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(before, num_classes)]
    return nn.Sequential(*layers, *head)

class Tokens(nn.Module):
    """Learned positions, a class token, and the number of images asked of the batch itself."""
    def __init__(self, depth, dim, px, num_classes, in_channels):
        super().__init__()
        self.patch = nn.Conv2d(in_channels, dim, 4, 4)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos = nn.Parameter(torch.randn(1, (px // 4) ** 2 + 1, dim) * 0.02)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"n": nn.LayerNorm(dim), "qkv": nn.Linear(dim, 3 * dim), "out": nn.Linear(dim, dim)})
            for _ in range(depth))
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        for block in self.blocks:
            q, k, v = block["qkv"](block["n"](x)).chunk(3, -1)
            x = x + block["out"](nn.functional.scaled_dot_product_attention(q, k, v))
        return self.head(x[:, 0])

def small_vit(d, w, px, classes, channels):
    return Tokens(max(1, round(2 * d)), max(16, round(2 * w) * 16), px, classes, channels)

class Unregistered(nn.Module):
    """Its random projection is neither weight nor buffer: only the seed tells it."""
    def __init__(self, channels, num_classes, in_channels):
        super().__init__()
        self.conv, self.head = nn.Conv2d(in_channels, channels, 3), nn.Linear(channels, num_classes)
        self.fixed = torch.randn(channels, channels)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)) @ self.fixed.to(x))

def unregistered(depth, width, resolution, num_classes, in_channels):
    return Unregistered(max(1, round(8 * width)), num_classes, in_channels)

class Net:
    divisor = 4
    stem = 8

    def stages(self):
        return [(1, 8), (2, 16)]

    def build(self, stages, resolution, num_classes, in_channels, stem):
        layers, before = [Conv(in_channels, stem, 2)], stem
        for blocks, channels in stages:
            for _ in range(blocks):
                layers.append(Conv(before, channels))
                before = channels
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))

made = Net()
'''


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A folder with the user's networks, which is the current one; modules that tests import are forgotten."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name in ("strange_nets", "my_own_net") or name.startswith(("made", "synthetic_2x")):
            del sys.modules[name]


def family_of(attribute: str, spec: NetworkSpec, task: Task = TASK) -> Family:
    baseline = get_baseline(f"strange_nets:{attribute}", 32)
    return family(baseline, [baseline.spec, spec], task)


def library_for(name: str, made: Family) -> Library:
    return get_library(name, made.baseline)


FUNCTIONS = ("resnet_like", "small_vit", "unregistered")
FORMS = [*((name, MULTIPLIED) for name in FUNCTIONS), ("Net", STAGED), ("made", STAGED)]


@pytest.mark.parametrize(("attribute", "spec"), FORMS)
@pytest.mark.parametrize("to", ["python", "timm"])
def test_what_is_built_is_what_scalesearch_builds(nets, to, attribute, spec):
    made = family_of(attribute, spec)
    library, folder = library_for(to, made), nets / "out"
    folder.mkdir()
    module = write(library, made, folder)
    check_style((folder / module).read_text())
    for member in made.members:
        from scalesearch.export.check.reference import own_network

        own, px = own_network(made, member), member.spec.resolution_px
        images = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(1))
        probe = library.probe(folder, module, member.name, own, images)
        assert probe.stages == wanted(made, member)
        assert (probe.params, probe.macs, probe.gap) == (member.params, member.macs, 0.0)


def test_a_written_module_needs_neither_scalesearch_nor_its_own_folder(nets, tmp_path):
    made = family_of("resnet_like", MULTIPLIED)
    for to in ("python", "timm"):
        (tmp_path / to).mkdir()
        write(library_for(to, made), made, tmp_path / to)
    elsewhere, code = tmp_path / "elsewhere", tmp_path / "code"
    elsewhere.mkdir()
    code.mkdir()
    (tmp_path / "strange_nets.py").rename(code / "strange_nets.py")
    found = alone(RELOCATED, tmp_path, code, made.name, made.main.name, cwd=elsewhere)
    advice = (
        f"{made.name}.py calls strange_nets.resnet_like: put the folder that holds strange_nets.py on sys.path, or in "
        "PYTHONPATH"
    )
    assert found["without"] == [advice, advice]
    assert found["python"] == found["timm"] == [made.main.params, [2, 7]]
    assert found["other_task"] == [5, 1]
    assert found["ours"] is False
    assert str(tmp_path) not in "".join(
        p.read_text() for to in ("python", "timm") for p in (tmp_path / to).glob("*.py")
    )


RELOCATED = """
import importlib, json, sys
root, code, module, builder = sys.argv[1:]
import torch, timm

def weights(network):
    px = 36
    return [sum(p.numel() for p in network.parameters()), list(network.eval()(torch.zeros(2, 3, px, px)).shape)]

found = {"without": []}
for to in ("python", "timm"):
    sys.path.insert(0, f"{root}/{to}")
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        found["without"].append(str(error))
    sys.path.remove(f"{root}/{to}")
sys.path.append(code)
for to in ("python", "timm"):
    sys.path.insert(0, f"{root}/{to}")
    made = importlib.import_module(module)
    found[to] = weights(timm.create_model(builder) if to == "timm" else getattr(made, builder)())
    if to == "python":
        other = made.build(num_classes=5, in_channels=1)
        found["other_task"] = [other[-1].out_features, other[0][0].in_channels]
    sys.path.remove(f"{root}/{to}")
    del sys.modules[module]
found["ours"] = "scalesearch" in sys.modules
print(json.dumps(found))
"""


def test_timm_s_own_arguments_reach_the_function(nets):
    made = family_of("resnet_like", MULTIPLIED)
    library = library_for("timm", made)
    from scalesearch.export.check.torch_probe import import_file

    import_file(nets, write(library, made, nets))
    name = made.main.name
    network = timm.create_model(name, num_classes=100, in_chans=1, drop_rate=0.3, drop_path_rate=0.0)
    assert (network[-1].out_features, network[0][0].in_channels, network[-2].p) == (100, 1, 0.3)
    assert network.num_classes == 100
    config = timm.create_model(name).pretrained_cfg
    assert (config["num_classes"], config["input_size"]) == (7, (3, 36, 36))
    assert (config["first_conv"], config["classifier"]) == ("0.0", f"{len(network) - 1}")
    with pytest.raises(TypeError, match="drop_path_rate"):
        timm.create_model(name, drop_path_rate=0.1)


def test_timm_loads_trained_weights_for_other_classes_and_channels(nets):
    made = family_of("resnet_like", MULTIPLIED)
    library, member = library_for("timm", made), made.main
    from safetensors.torch import save_file

    from scalesearch.export.check.torch_probe import import_file

    import_file(nets, write(library, made, nets))
    state = library.own_names(member, own_weights(made, member).state_dict())
    save_file(state, nets / "w.safetensors")
    overlay = {"file": str(nets / "w.safetensors")}
    same = timm.create_model(member.name, pretrained=True, pretrained_cfg_overlay=overlay)
    assert all(torch.equal(same.state_dict()[name], value) for name, value in state.items())
    other = timm.create_model(member.name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=3, in_chans=1)
    assert other[-1].out_features == 3
    assert torch.equal(other.state_dict()["1.0.weight"], state["1.0.weight"])
    assert torch.allclose(other.state_dict()["0.0.weight"], state["0.0.weight"].sum(1, keepdim=True), atol=1e-5)


def test_names_of_weights_that_look_like_another_family_s_stay_the_user_s(nets):
    made = family_of("Net", STAGED)
    state = {"trunk_output.block1.block1-0.f.a.0.weight": torch.zeros(1), "stem.0.weight": torch.zeros(1)}
    for to in ("python", "timm"):
        assert list(library_for(to, made).own_names(made.main, state)) == list(state)


@pytest.mark.parametrize("to", ["python", "timm"])
def test_code_that_changed_after_the_export_is_told_when_it_builds_another_network(nets, to):
    made = family_of("resnet_like", MULTIPLIED)
    library = library_for(to, made)
    module = write(library, made, nets)
    (nets / "strange_nets.py").write_text(NETS.replace("(16, 24)", "(16, 32)"))
    del sys.modules["strange_nets"]
    from scalesearch.export.check.torch_probe import import_file

    exported = import_file(nets, module)
    make = (lambda **given: timm.create_model(made.main.name, **given)) if to == "timm" else exported.build
    with pytest.raises(RuntimeError, match=rf"where the network found has {made.main.params:,}: its code has changed"):
        make()
    assert make(num_classes=3)[-1].out_features == 3  # the count is not known, and nobody is stopped


# The whole of an export, with its check in a fresh process.


@pytest.fixture
def own_result(nets) -> StudyResult:
    return of_a_users_function(nets)


def test_an_export_to_python_is_checked_and_its_card_says_the_line(own_result, nets):
    exported = export_study(own_result, "python", nets / "e")
    card, best = json.loads((nets / "e" / "card.json").read_text()), own_result.budgets[0].best
    assert best is not None
    assert exported.check is not None
    assert [(one.params, one.macs, one.gap) for one in exported.check.builders] == [
        (best.network.params, best.network.macs, 0.0)
    ] * 2
    line = "my_own_net.build(depth=1.0, width=1.0, resolution=28, num_classes=10, in_channels=1)"
    assert (card["needs"], card["builders"][1]["call"]) == ("import my_own_net", line)
    code = card["user_code"]
    assert (code["module"], code["attribute"], code["changed"]) == ("my_own_net", "build", None)
    assert len(code["code"]) == 16
    text = (nets / "e" / "card.md").read_text()
    assert "import my_own_net\n\nmy_own_net_2x" not in text
    assert f"= {line}\n" in text
    assert str(nets) not in text + json.dumps(card)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["timm", "torch-export"])
def test_an_export_to_the_others_is_checked_too(own_result, nets, to):
    exported = export_study(own_result, to, nets / "e")
    assert exported.check is not None
    assert max(one.gap for one in exported.check.builders) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("attribute", "spec"), FORMS)
def test_a_program_runs_without_the_user_s_code_at_any_batch(nets, attribute, spec):
    made = family_of(attribute, spec)
    made = replace(made, members=made.members[1:])
    library = library_for("torch-export", made)
    library.write(nets, made, {})
    from scalesearch.export.check.reference import own_network

    own = own_network(made, made.main)
    px = made.main.spec.resolution_px
    probe = library.probe(nets, "", made.main.name, own, torch.randn(2, 3, px, px))
    assert (probe.params, probe.macs) == (made.main.params, made.main.macs)
    assert probe.gap < 1e-5
    assert probe.note == "batch 1 and 3"
    (nets / "strange_nets.py").unlink()
    code = "import json, sys, torch; n = torch.export.load(sys.argv[1]).module(); x = torch.zeros(5, 3, 1, 1)\n"
    code += f"print(json.dumps(list(n(x.expand(5, 3, {px}, {px}).contiguous()).shape)))"
    assert alone(code, nets / f"{made.main.name}.pt2", cwd=nets) == [5, 7]


def test_code_that_changed_since_the_study_is_refused_or_told(own_result, nets):
    path = nets / "my_own_net.py"
    old = path.read_text()
    manifest = replace(own_result.manifest, baseline_identity=get_baseline("my_own_net:build", 28).identity())
    own_result = replace(own_result, manifest=manifest)
    assert export_study(own_result, "json", nets / "same").card["user_code"]["changed"] is False

    path.write_text("UNUSED = 1\n" + old)
    exported = export_study(own_result, "json", nets / "other")
    assert exported.card["user_code"]["changed"] is True
    assert any("code of my_own_net has changed since the study was made" in note for note in exported.notes)

    best = own_result.budgets[0].best
    assert best is not None
    odd = replace(best, network=replace(best.network, params=best.network.params + 1))
    edited = replace(own_result, budgets=(replace(own_result.budgets[0], best=odd),))
    with pytest.raises(
        StudyError, match=r"my_own_net:build at depth 1, width 1, 28 px has 1,338 weights today, and had 1,339"
    ):
        export_study(edited, "json", nets / "refused")
    assert not (nets / "refused").exists()


def test_weights_that_train_left_go_into_the_export(own_result, nets):
    found = export_family(own_result, phis=(1,))
    network = trained(found.main, found, nets / "w.safetensors", seed=3)
    exported = export_study(own_result, "python", nets / "e", phis=(1,), weights=(nets / "w.safetensors",), check=False)
    from safetensors.torch import load_file

    from scalesearch.export.check.torch_probe import import_file

    made = import_file(nets / "e", f"{found.name}.py").build()
    made.load_state_dict(load_file(nets / "e" / f"{found.main.name}.safetensors"))
    images = torch.randn(2, 1, 28, 28)
    assert torch.equal(made.eval()(images), network(images))
    assert [one["seed"] for one in exported.card["weights"]] == [3]


def test_a_study_named_like_the_user_s_module_exports_under_another_name(own_result, nets):
    (nets / "synthetic_2x.py").write_text((nets / "my_own_net.py").read_text())
    remember(["synthetic_2x:build"])
    config = replace(own_result.manifest.config, base="synthetic_2x:build")
    found = export_family(replace(own_result, manifest=replace(own_result.manifest, config=config)))
    assert found.name == "synthetic_2x_found"


def test_a_network_that_torch_cannot_follow_names_what_does_work(nets):
    (nets / "strange_nets.py").write_text(
        NETS + "\n\nclass Reads(nn.Sequential):\n    def forward(self, x):\n"
        "        return super().forward(x) if x.sum().item() >= -1e9 else x\n\n"
        "def reads(depth, width, resolution, num_classes, in_channels):\n"
        "    return Reads(resnet_like(depth, width, resolution, num_classes, in_channels))\n"
    )
    made = family_of("reads", MULTIPLIED)
    made = replace(made, members=made.members[:1])
    with pytest.raises(CheckError, match=r"torch-export cannot have .* allowed: --to python or json") as raised:
        library_for("torch-export", made).write(nets, made, {})
    assert "\n" not in str(raised.value)
    assert list(Path(nets).glob("*.pt2")) == []


def test_the_command_says_that_uniform_is_as_good(own_result, nets, call, monkeypatch):
    from test_export_command import is_one_line  # noqa: F401  (its fixture makes the study's folder)

    from scalesearch.study import StudyPaths, create_folder

    create_folder(StudyPaths(nets / "studies" / "synthetic"), own_result.manifest)
    monkeypatch.setattr("scalesearch.analysis.load.load_result", lambda paths: own_result)
    code, out, err = call("export", "synthetic", "--to", "json")
    warning = "The network at phi 1 is not what is recommended. It is not shown to beat uniform scaling"
    assert code == 0
    assert out.startswith(warning)
    assert err.startswith(f"note: {warning}")
    card = json.loads((nets / "studies" / "synthetic" / "exports" / "json_2x" / "card.json").read_text())
    assert (card["answer"]["kind"], card["answer"]["name"]) == ("uniform", "uniform") and card["answer"]["reasons"]
    assert warning in (nets / "studies" / "synthetic" / "exports" / "json_2x" / "card.md").read_text()


def test_a_module_of_the_environment_that_is_missing_is_not_blamed_on_the_path(nets):
    made = family_of("resnet_like", MULTIPLIED)
    module = write(library_for("python", made), made, nets)
    (nets / "strange_nets.py").write_text("import no_such_library\n")
    done = subprocess.run(
        [sys.executable, "-c", f"import {module.removesuffix('.py')}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=nets,
    )
    assert done.stderr.strip().splitlines()[-1] == "ModuleNotFoundError: No module named 'no_such_library'"
