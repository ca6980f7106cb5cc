"""Networks of strangers in every target: written and equal to the study's, or refused with targets that work."""

from __future__ import annotations

import pytest
import torch
from exported_checks import family
from strangers import NETWORKS

from scalesearch.export import LIBRARIES, Family, get_library
from scalesearch.export.check.reference import own_network
from scalesearch.export.library import InexpressibleError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec

timm = pytest.importorskip("timm")

OF_ANY_NETWORK = ("python", "timm", "json", "onnx", "torch-export", "hub-folder")


def scaled(name: str) -> Family:
    """One network of a stranger's function, half as deep and half as wide again."""
    baseline = get_baseline(NETWORKS[name], 32)
    spec = NetworkSpec((1500,), (1500,), baseline.spec.resolution_px, unit="thousandth")
    return family(baseline, [spec], Task(7, 3))


def check(name: str, to: str, folder) -> None:
    made = scaled(name)
    member, library = made.main, get_library(to, made.baseline)
    library.write(folder, made, {})
    own, px = own_network(made, member), member.spec.resolution_px
    images = torch.randn(2, 3, px, px, generator=torch.Generator().manual_seed(1))
    probe = library.probe(folder, made.name, member.name, own, images)
    assert probe.params in (None, member.params)
    assert probe.macs == member.macs or (to == "onnx" and name == "lstm_rows" and probe.macs is None)
    assert probe.gap is not None
    assert probe.gap < 1e-5


@pytest.mark.parametrize("name", ["u_shaped", "grouped", "weight_shared", "mlp_mixer"])
def test_a_strangers_network_is_itself_in_python_and_timm(name, tmp_path):
    for to in ("python", "timm"):
        check(name, to, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("to", ["python", "timm", "torch-export"])
def test_every_strangers_network_is_itself(name, to, tmp_path):
    check(name, to, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_strangers_network_is_a_graph(name, tmp_path):
    """Attention in windows too, whose fused form torch's exporter cannot view as its code does."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    check(name, "onnx", tmp_path)


@pytest.mark.parametrize("to", sorted(set(LIBRARIES) - set(OF_ANY_NETWORK)))
def test_a_refusal_names_targets_that_take_the_network(to):
    made = scaled("grouped")
    with pytest.raises(InexpressibleError, match="cannot build") as refused:
        get_library(to, made.baseline).check(made)
    named = str(refused.value).rpartition("allowed: --to ")[2].partition(", which")[0]
    targets = [name for name in LIBRARIES if name in named]
    assert targets == ["timm", "python", "json", "onnx", "torch-export"]
    for target in targets:
        get_library(target, made.baseline).check(made)
