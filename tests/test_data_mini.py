"""The embedded dataset: what is in it, and that it is what the maker script says."""

import hashlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from scalesearch.data import load_dataset, mini
from scalesearch.data.idx import read_idx
from scalesearch.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
EMBEDDED = ROOT / "scalesearch/data/embedded"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def data():
    return load_dataset("fashion-mnist-mini", with_test=True)


def digests(images):
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images.at(28)]


def test_sizes_and_classes(data):
    assert (len(data.train), len(data.val), len(data.test)) == (8000, 5000, 3000)
    assert data.train.at(28).shape == (8000, 1, 28, 28)
    assert data.train.at(28).dtype == np.uint8
    assert (data.channels, data.native_px, data.notes) == (1, 28, ())
    assert data.classes[0] == "T-shirt/top" and data.classes[9] == "Ankle boot"


@pytest.mark.parametrize(("split", "each"), [("train", 800), ("val", 500), ("test", 300)])
def test_classes_have_equal_shares(data, split, each):
    labels = getattr(data, split).labels
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [each] * 10


def test_no_image_is_in_two_splits(data):
    train, val, test = (set(digests(split)) for split in (data.train, data.val, data.test))
    assert (len(train), len(val), len(test)) == (8000, 5000, 3000)
    assert not train & val and not train & test and not val & test


def test_test_split_is_not_loaded_unless_asked_for():
    assert load_dataset("fashion-mnist-mini").test is None


def test_small_enough_and_licensed():
    files = list(EMBEDDED.iterdir())
    assert sum(path.stat().st_size for path in files) < 8_000_000
    licence = (EMBEDDED / "LICENSE.fashion-mnist").read_text(encoding="utf-8")
    assert "Copyright © 2017 Zalando SE, https://tech.zalando.com" in licence
    assert "16,000 of the 70,000" in licence


def test_damage_is_noticed(monkeypatch):
    monkeypatch.setattr(mini, "SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"fashion_mnist_mini\.npz.*damaged"):
        load_dataset("fashion-mnist-mini")


def test_missing_file_is_noticed(monkeypatch):
    monkeypatch.setattr(mini, "FILE", "gone.npz")
    with pytest.raises(DataError, match=r"gone\.npz.*install scalesearch again"):
        load_dataset("fashion-mnist-mini")


def test_import_and_loading_leave_torch_alone():
    code = (
        "import sys; from scalesearch.data import load_dataset; load_dataset('fashion-mnist-mini');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_maker_script_gives_the_same_bytes(tmp_path, data):
    target = tmp_path / "made again.npz"
    script = ROOT / "benchmarks/make_fashion_mnist_mini.py"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(script), str(DEBIAN), str(target)], check=True, env=env, capture_output=True)
    with np.load(target) as again:
        assert np.array_equal(again["x"], data.train.at(28)[:, 0])
        assert np.array_equal(again["y_test"], data.test.labels)
    if zlib.ZLIB_RUNTIME_VERSION == "1.2.13":  # the maker's; another zlib may pack the same arrays differently
        assert hashlib.sha256(target.read_bytes()).hexdigest() == mini.SHA256


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_every_test_image_comes_from_the_original_test_set(data):
    original = read_idx(DEBIAN / "t10k-images-idx3-ubyte.gz")
    known = {hashlib.sha256(image.tobytes()).hexdigest() for image in original}
    assert set(digests(data.test)) <= known
