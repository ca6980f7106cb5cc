"""`--to onnx`: graphs that onnxruntime runs at any batch size, with the logits of the study's network."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from exporting import case, family, images_of, of_a_users_function, trained

from scalesearch.export import export_study
from scalesearch.export.check.ask import check_export
from scalesearch.export.check.reference import own_network
from scalesearch.export.library import CheckError
from scalesearch.export.onnx import OnnxLibrary, graph_macs
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def run(path, images: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images.numpy()})[0]


@pytest.mark.slow
def test_a_graph_with_trained_weights_gives_their_logits_at_any_batch_size(tmp_path):
    found = family()
    member = found.members[1]
    network = trained(member, found, tmp_path / "w.safetensors")
    exported = export_study(case(), "onnx", tmp_path / "e", phis=(1,), weights=(tmp_path / "w.safetensors",))
    path = tmp_path / "e" / "synthetic_2x_phi1.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    for batch in (1, 2, 3, 8):
        images = images_of(member, found, batch)
        with torch.no_grad():
            wanted = network(images).numpy()
        assert wanted.std() > 1e-3
        assert np.abs(run(path, images) - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max())
    card = json.loads((tmp_path / "e" / "card.json").read_text())
    (built,) = card["check"]["builders"]
    assert (built["macs"], built["params"]) == (member.macs, None)
    assert "opset 18" in built["note"]
    assert [(one["name"], one["seed"]) for one in card["weights"]] == [(member.name, 0)]
    assert [entry.version for entry in onnx.load(str(path)).opset_import if entry.domain == ""] == [18]
    assert exported.files == ("card.json", "card.md", "synthetic_2x_phi1.onnx")


def test_random_weights_are_those_of_seed_0_and_the_card_says_so(tmp_path):
    found = family()
    member = found.members[1]
    export_study(case(), "onnx", tmp_path / "e", phis=(1,), check=False)
    images = images_of(member, found)
    with torch.no_grad():
        wanted = own_network(found, member)(images).numpy()
    assert np.abs(run(tmp_path / "e" / f"{member.name}.onnx", images) - wanted).max() < 1e-4
    assert json.loads((tmp_path / "e" / "card.json").read_text())["weights"] is None
    assert "None are trained" in (tmp_path / "e" / "card.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1",
        "mobilenet_v2_small",
        "resnet_small",
        "densenet_small",
        "regnet_y_400mf",
        "convnext_tiny",
        "vit_tiny_patch16_224",
    ],
)
def test_every_family_becomes_a_graph_of_the_same_cost(tmp_path, name):
    baseline, task = get_baseline(name), Task(10, 3)
    found = replace(family(), baseline=baseline, task=task)
    member = replace(
        found.members[1],
        spec=baseline.spec,
        macs=baseline.macs(baseline.spec, task),
        params=baseline.amount("params", baseline.spec, task),
    )
    found = replace(found, members=(member,))
    OnnxLibrary().write(tmp_path, found, {})
    check = check_export(OnnxLibrary(), found, tmp_path, {})
    assert check.builders[0].macs == member.macs


def test_a_transposed_convolution_is_counted_by_its_input():
    from onnx import TensorProto, helper

    # 3 x 3 weights from 4 to 6 channels in 2 groups, on 5 x 5 pixels: 25 pixels x 4 channels x 3 outputs x 9.
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 4, 5, 5])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 6, 11, 11])
    weight = helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 3, 3), np.zeros(108))
    node = helper.make_node("ConvTranspose", ["images", "w"], ["logits"], strides=[2, 2], group=2)
    graph = helper.make_graph([node], "g", [images], [logits], [weight])
    assert graph_macs(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])) == 25 * 4 * 3 * 9


def test_what_the_exporter_raises_is_one_line_with_what_works(tmp_path, monkeypatch):
    def fails(program, path):
        raise RuntimeError("Failed to decompose the graph.\nNext steps:\n- Create an issue")

    monkeypatch.setattr("scalesearch.export.onnx._write", fails)
    with pytest.raises(
        CheckError, match=r"onnx cannot have .*Failed to decompose.* allowed: --to torch-export"
    ) as said:
        export_study(case(), "onnx", tmp_path / "e", phis=(0,))
    assert "\n" not in str(said.value)
    assert not (tmp_path / "e").exists()


def test_a_recurrent_layer_leaves_the_count_open():
    from onnx import TensorProto, helper

    sizes = {"x": [4, "n", 8], "w": [1, 64, 8], "r": [1, 64, 16], "y": [4, 1, "n", 16]}
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()]
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=16)
    assert graph_macs(helper.make_model(helper.make_graph([node], "g", given[:3], given[3:]))) is None


@pytest.mark.slow
def test_a_network_of_the_users_own_becomes_a_graph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        exported = export_study(of_a_users_function(tmp_path), "onnx", tmp_path / "e", phis=(1,))
    finally:
        sys.modules.pop("my_own_net", None)
    assert exported.check is not None
    assert exported.check.builders[0].macs == exported.card["macs"]
