"""Weights as files: they come back bit for bit, and whatever was done to the file is noticed."""

from __future__ import annotations

import json
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from full_training import flipped, same
from safetensors.torch import save_file
from torch import nn

from scalesearch.errors import CheckpointError, StorageError
from scalesearch.training.weights import DIGEST, digest, load_weights, save_weights

META = {"format": "pt", "study": "ä study", "recipe": json.dumps({"epochs": 3, "ema": 0.9999})}


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    network(torch.randn(2, 1, 6, 6))
    return {
        **network.state_dict(),
        "half": torch.randn(3, 5).to(torch.bfloat16),
        "mask": torch.tensor([True, False, True]),
        "nothing": torch.empty(0, 3),
        "number": torch.tensor(2.5),
        "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "turned": torch.randn(3, 4).T,
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }


@pytest.fixture
def file(tmp_path) -> Path:
    save_weights(tmp_path / "w.safetensors", state(), META)
    return tmp_path / "w.safetensors"


def test_they_come_back_bit_for_bit(file):
    found, given = load_weights(file), state()
    assert found.metadata == META
    assert found.state.keys() == given.keys()
    for name, value in given.items():
        back = found.state[name]
        assert (back.dtype, back.shape) == (value.dtype, value.shape), name
        assert torch.equal(back.nan_to_num(7), value.nan_to_num(7)), name
    assert found.state["1.num_batches_tracked"] == 1
    assert found.state["1.num_batches_tracked"].shape == ()


def test_any_safetensors_reader_reads_them(file):
    from safetensors import safe_open

    with safe_open(file, framework="pt") as read:
        assert read.metadata()["study"] == "ä study"
        assert torch.equal(read.get_tensor("0.weight"), state()["0.weight"])


def test_the_digest_is_of_the_content(file, tmp_path):
    sha = load_weights(file).sha256
    assert sha == digest(state(), META)
    assert sha == save_weights(tmp_path / "again.safetensors", dict(reversed(state().items())), META)
    others = [
        {**state(), "number": torch.tensor(2.5, dtype=torch.float64)},
        {**state(), "half": state()["half"].reshape(5, 3)},
        {("none" if name == "nothing" else name): value for name, value in state().items()},
        {**state(), "odd": torch.tensor([float("nan"), float("inf"), 0.0])},
    ]
    assert len({sha, *(digest(other, META) for other in others)}) == 5
    assert digest(state(), {**META, "study": "b"}) != sha


def test_shared_memory_is_written_for_each_name(tmp_path):
    tied = torch.randn(3, 3)
    save_weights(tmp_path / "w.safetensors", {"a": tied, "b": tied, "c": tied[1:]}, {})
    found = load_weights(tmp_path / "w.safetensors").state
    assert torch.equal(found["a"], found["b"])
    assert torch.equal(found["c"], tied[1:])


@pytest.mark.parametrize("length", range(0, 256, 8))
def test_a_header_of_any_length_is_read(tmp_path, length):
    """The file begins with the header's length: one in 32 of them begins with the byte that a pickle begins with."""
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.ones(2)}, {"pad": "x" * length})
    assert same(load_weights(path).state, {"a": torch.ones(2)})


def header_of(data: bytes) -> int:
    return 8 + int(struct.unpack("<Q", data[:8])[0])


def test_a_truncated_file_is_refused_wherever_it_ends(file):
    data = file.read_bytes()
    header = header_of(data)
    for length in (0, 1, 7, 8, 9, 20, header // 2, header - 1, header, header + 1, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"not a whole safetensors file|not the one it carries") as caught:
            load_weights(file)
        assert "\n" not in str(caught.value)
    file.write_bytes(data + b"\0")
    with pytest.raises(CheckpointError):
        load_weights(file)


def test_one_altered_bit_is_noticed_wherever_it_is(file):
    data = file.read_bytes()
    header, draw = header_of(data), random.Random(1)
    parts = [(0, 8), (8, data.index(b'"half"')), (8, header), (header, len(data))]
    for start, end in parts:
        for bit in [8 * start, 8 * end - 1, *(draw.randrange(8 * start, 8 * end) for _ in range(40))]:
            file.write_bytes(flipped(data, bit))
            with pytest.raises(CheckpointError) as caught:
                load_weights(file)
            assert "\n" not in str(caught.value)


def rewritten(file: Path, old: str, new: str) -> None:
    """The header with other text, and a length that fits it."""
    data = file.read_bytes()
    header = header_of(data)
    text = data[8:header].decode()
    assert text.count(old) == 1
    changed = text.replace(old, new).encode()
    file.write_bytes(struct.pack("<Q", len(changed)) + changed + data[header:])


@pytest.mark.parametrize(
    ("old", "new"),
    [('"ä study"', '"b study"'), ('"study"', '"Study"'), ('\\"epochs\\": 3', '\\"epochs\\": 9'), ('"number"', '"n"')],
)
def test_other_metadata_are_noticed(file, old, new):
    rewritten(file, old, new)
    with pytest.raises(CheckpointError, match="was altered since it was written"):
        load_weights(file)


def test_a_file_of_another_tool_is_refused(tmp_path):
    for metadata in (None, {"format": "pt"}):
        save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors", metadata)
        with pytest.raises(CheckpointError, match="has no SHA-256 in its metadata; allowed: a file that scalesearch"):
            load_weights(tmp_path / "w.safetensors")
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors", {DIGEST: "0" * 64})
    with pytest.raises(CheckpointError, match="was altered"):
        load_weights(tmp_path / "w.safetensors")


class Burglar:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("form", ["torch", "old torch", *(f"pickle {n}" for n in range(6))])
def test_what_could_run_code_is_refused_and_does_not(tmp_path, form):
    path, mark = tmp_path / "w.safetensors", tmp_path / "burgled"
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps({"a": Burglar(mark)}, protocol=int(form[-1])))
    else:
        torch.save({"a": Burglar(mark)}, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(CheckpointError) as caught:
        load_weights(path)
    if form not in ("pickle 0", "pickle 1"):  # those two begin like any text
        assert "is a pickle, which can run code" in str(caught.value)
    assert not mark.exists()


def test_a_plain_state_dict_of_torch_is_refused_too(tmp_path):
    torch.save(state(), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"is a pickle, .*allowed: safetensors that scalesearch wrote"):
        load_weights(tmp_path / "w.safetensors")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors cannot be read: No such file"):
        load_weights(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        load_weights(tmp_path)


def test_a_full_disk_keeps_the_old_file(small_disk):
    path = small_disk / "w.safetensors"
    sha = save_weights(path, state(), META)
    with pytest.raises(StorageError, match=r"what was saved before is kept"):
        save_weights(path, {"large": torch.zeros(10**6)}, META)
    assert load_weights(path).sha256 == sha
    assert [found.name for found in small_disk.iterdir()] == [path.name]


def test_the_room_loads_no_torch_by_itself():
    code = "import sys, scalesearch.training.weights; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
