"""`--to hub-folder`: one trained network that timm loads from the path, and that huggingface_hub can read."""

from __future__ import annotations

import json

import pytest
import torch
from exporting import alone, case, family, images_of, trained

from scalesearch.errors import CheckpointError, UsageError
from scalesearch.export import export_study
from scalesearch.training.weights import load_weights

timm = pytest.importorskip("timm")

LOAD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import timm, torch
import synthetic_2x
network = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
with torch.no_grad():
    torch.save(network(torch.load(sys.argv[2] + "/images.pt", weights_only=True)), sys.argv[2] + "/logits.pt")
tuned = timm.create_model("local-dir:" + sys.argv[1], pretrained=True, num_classes=3, in_chans=3)
data = timm.data.resolve_model_data_config(network)
print(json.dumps({"data": {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()},
                  "tuned": list(tuned(torch.zeros(2, 3, 10, 10)).shape)}))
"""


@pytest.mark.slow
def test_timm_loads_the_folder_in_a_fresh_process(tmp_path):
    found = family()
    member = found.members[1]
    network = trained(member, found, tmp_path / "w.safetensors")
    export_study(case(), "hub-folder", tmp_path / "e", weights=(tmp_path / "w.safetensors",))
    images = images_of(member, found)
    torch.save(images, tmp_path / "images.pt")
    said = alone(LOAD, tmp_path / "e", tmp_path, cwd=tmp_path)
    with torch.no_grad():
        wanted = network(images)
    assert wanted.std() > 1e-3
    torch.testing.assert_close(torch.load(tmp_path / "logits.pt", weights_only=True), wanted, rtol=1e-5, atol=1e-5)
    px = member.spec.resolution_px
    assert said["data"]["input_size"] == [1, px, px]
    assert (said["data"]["mean"], said["data"]["std"]) == ([0.28], [0.35])
    assert said["tuned"] == [2, 3]


def test_the_layout_is_that_of_the_hub(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    found = family()
    trained(found.members[1], found, tmp_path / "w.safetensors")
    exported = export_study(case(), "hub-folder", tmp_path / "e", check=False, weights=(tmp_path / "w.safetensors",))
    assert set(exported.files) == {
        "README.md", "card.json", "card.md", "config.json", "model.safetensors", "synthetic_2x.py"
    }  # fmt: skip
    card = hub.ModelCard.load(tmp_path / "e" / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("timm", "image-classification")
    assert card.text.strip() == (tmp_path / "e" / "card.md").read_text().strip()
    config = json.loads((tmp_path / "e" / "config.json").read_text())
    assert (config["architecture"], config["num_classes"]) == ("synthetic_2x_phi1", 10)
    assert load_weights(tmp_path / "e" / "model.safetensors").metadata["seed"] == "0"


def test_it_holds_one_network_and_needs_its_trained_weights(tmp_path):
    found = family()
    trained(found.members[0], found, tmp_path / "zero.safetensors")
    with pytest.raises(
        UsageError, match="needs trained weights of phi 1; allowed: --weights auto after 'scalesearch tr"
    ):
        export_study(case(), "hub-folder", tmp_path / "e")
    with pytest.raises(UsageError, match="holds one network, not those of phi 0, 1; allowed: one --phi"):
        export_study(case(), "hub-folder", tmp_path / "e", phis=(0, 1), weights=(tmp_path / "zero.safetensors",))
    with pytest.raises(CheckpointError, match="another network"):
        export_study(case(), "hub-folder", tmp_path / "e", weights=(tmp_path / "zero.safetensors",))
    assert not (tmp_path / "e").exists()
    exported = export_study(
        case(), "hub-folder", tmp_path / "e", phis=(0,), weights=(tmp_path / "zero.safetensors",), check=False
    )
    assert exported.card["builders"][0]["phi"] == 0
