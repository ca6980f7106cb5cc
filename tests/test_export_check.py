"""`--check`: what a library builds is compared with the study's network before anything is put in place."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exporting import case, family

from scalesearch.errors import MissingExtraError
from scalesearch.export import export_study, get_library
from scalesearch.export.check.ask import Request, check_export
from scalesearch.export.check.child import check_gap, check_member, compare, expected
from scalesearch.export.check.reference import own_network, randomise
from scalesearch.export.library import WHOLE, CheckError, LibraryProbe, StageCount
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline


def written(folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    """A python export, with one text in its module replaced by another."""
    library, found = get_library("python"), family()
    (text,) = library.files(found).values()
    assert change[0] in text
    folder.mkdir()
    (folder / f"{found.name}.py").write_text(text.replace(*change, 1) if change[0] else text)
    return folder


def test_a_checked_export_says_what_was_built(tmp_path):
    exported = export_study(case(), "python", tmp_path / "e")
    card = json.loads((tmp_path / "e" / "card.json").read_text())
    assert exported.check is not None
    assert card["check"] == exported.check.to_dict()
    assert (card["check"]["library"], card["check"]["version"]) == ("torch", torch.__version__.partition("+")[0])
    for builder, built in zip(card["builders"], card["check"]["builders"], strict=True):
        assert (built["name"], built["params"], built["macs"]) == (builder["name"], builder["params"], builder["macs"])
        assert built["gap"] <= 1e-5 * max(1.0, built["largest"])
        assert built["largest"] > 1e-2
    assert "__pycache__" not in [p.name for p in (tmp_path / "e").iterdir()]
    assert "Built by torch" in (tmp_path / "e" / "card.md").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("        widths=(10, 14", "        widths=(10, 16"),
            r"synthetic_2x_phi0 with 5,\d{3} parameters in stage 1, where .* 4,429",
        ),
        (("stem_stride=1", "stem_stride=2"), r"multiply-adds in stage stem, where the study's network has 9,000"),
        (("bn_eps=0.001", "bn_eps=0.1"), r"synthetic_2x_phi0 gives other logits in python .*differ by 0\.\d+; allowed"),
        (
            ("import torch\n", "import torch\nimport scalesearch.networks.spec\n"),
            "cannot build synthetic_2x_phi0: Module",
        ),
        (("RESOLUTIONS_PX = {", "sys.exit(3)\nRESOLUTIONS_PX = {"), "cannot build .*NameError"),
    ],
)
def test_another_network_is_refused_with_stage_and_both_numbers(tmp_path, change, said):
    found = family()
    request = Request("python", written(tmp_path / "e", change), found, {})
    with pytest.raises(CheckError, match=said) as caught:
        check_member(request, found.members[0])
    assert "\n" not in str(caught.value)


def test_a_module_that_ends_the_process_is_one_line(tmp_path):
    end = "import os, sys; sys.stderr.write('so long\\n'); os._exit(3)\n"
    folder = written(tmp_path / "e", ("RESOLUTIONS_PX = {", f"{end}RESOLUTIONS_PX = {{"))
    with pytest.raises(CheckError, match="the check of python ended with exit code 3: so long"):
        check_export(get_library("python"), family(), folder, {})


def test_nothing_is_put_in_place_when_the_check_fails(tmp_path, monkeypatch):
    from scalesearch.export.python import library as to_python

    export_study(case(), "python", tmp_path / "e", check=False)
    before = (tmp_path / "e" / "card.json").read_bytes()
    make = to_python.python_module
    monkeypatch.setattr(to_python, "python_module", lambda found: make(found).replace("stem_stride=1", "stem_stride=2"))
    for out in (tmp_path / "e", tmp_path / "new"):
        with pytest.raises(CheckError, match="multiply-adds in stage stem"):
            export_study(case(), "python", out, phis=(1,))
    assert (tmp_path / "e" / "card.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["e"]


def test_what_lies_in_the_current_folder_does_not_disturb_a_check(tmp_path, monkeypatch):
    for name in ("torch.py", "timm.py", "json.py", "synthetic_2x.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.chdir(tmp_path)
    assert export_study(case(), "python", tmp_path / "e", phis=(1,)).check is not None


def test_counts_are_compared_stage_by_stage_or_as_a_whole():
    found = family()
    member = found.members[1]
    own = expected(found, member, None)
    compare("x", member, own, LibraryProbe(own, None))
    compare("x", member, own, LibraryProbe({WHOLE: StageCount(None, member.macs)}, None))
    moved = {**own, "0": StageCount(1, own["0"].macs), "1": StageCount(own["0"].params + own["1"].params - 1, 0)}
    with pytest.raises(CheckError, match="with 1 parameters in stage 0"):
        compare("x", member, own, LibraryProbe(moved, None))
    with pytest.raises(CheckError, match=rf"with 7 multiply-adds in all, .* has {member.macs:,}"):
        compare("x", member, own, LibraryProbe({WHOLE: StageCount(None, 7)}, None))
    with pytest.raises(CheckError, match="with 5 parameters in stage extra, where the study's network has 0"):
        compare("x", member, own, LibraryProbe({**own, "extra": StageCount(5, None)}, None))
    missing = {name: count for name, count in own.items() if name != "head"}
    with pytest.raises(CheckError, match="with 0 parameters in stage head"):
        compare("x", member, own, LibraryProbe(missing, None))


@pytest.mark.parametrize(
    ("largest", "gap", "fits"),
    [
        (0.5, 9e-6, True),
        (0.5, 2e-5, False),
        (50.0, 4e-4, True),
        (50.0, 6e-4, False),
        (1e-6, 1e-12, True),
        (1e-6, 1e-9, False),
        (1.0, math.nan, False),
        (1.0, math.inf, False),
    ],
)
def test_the_limit_of_logits_grows_with_them_and_vanishes_with_them(largest, gap, fits):
    member, probe = family().members[1], LibraryProbe({}, gap)
    if fits:
        check_gap(get_library("python"), member, probe, largest)
    else:
        with pytest.raises(CheckError, match="synthetic_2x_phi1 gives other logits in python with the same weights"):
            check_gap(get_library("python"), member, probe, largest)


def test_macs_that_cannot_be_counted_are_not_compared():
    found = family()
    own = expected(found, found.members[1], None)
    uncounted = {name: StageCount(count.params, None) for name, count in own.items()}
    compare("x", found.members[1], own, LibraryProbe(uncounted, None))
    assert LibraryProbe(uncounted, None).macs is None
    assert LibraryProbe(uncounted, None).params == found.members[1].params


@pytest.mark.parametrize("name", ["efficientnet_micro", "mobilenet_v2_small", "resnet_small", "densenet_small"])
def test_random_weights_leave_no_layer_idle(name):
    """A weight whose change no logit shows would hide an error."""
    baseline = get_baseline(name)
    found = replace(family(), baseline=baseline, task=Task(5, 3))
    member = replace(found.members[1], spec=baseline.spec)
    network = randomise(own_network(found, member))
    images = torch.randn(2, 3, baseline.spec.resolution_px, baseline.spec.resolution_px)
    network(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())
    for key, value in network.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            assert value.std() > 0.01


def test_a_library_that_is_missing_is_one_line_and_can_be_left_out(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "timm" else find(name, *a))
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    said = r"--no-check writes without checking\) needs timm; install it with: pip install 'scalesearch\[vision\]'"
    with pytest.raises(MissingExtraError, match=said):
        export_study(case(), "timm", tmp_path / "e")
    assert list(tmp_path.iterdir()) == []
    exported = export_study(case(), "timm", tmp_path / "e", check=False)
    assert exported.check is None
    assert "timm" not in sys.modules
    assert "Not checked" in (tmp_path / "e" / "card.md").read_text()
