"""Fashion-MNIST from idx files and CIFAR through torchvision, without a network."""

import gzip
import hashlib
import os
import pickle
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scalesearch.data import library, load_dataset
from scalesearch.data.idx import read_idx
from scalesearch.errors import DataError, MissingExtraError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def idx(array):
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_set(folder, n=100, packed=True):
    """A small Fashion-MNIST look-alike."""
    folder.mkdir(parents=True)
    for prefix, count in (("train", n), ("t10k", 20)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name = f"{prefix}-{kind}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
    return folder


@pytest.fixture(autouse=True)
def no_place_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALESEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def offline(monkeypatch):
    """torchvision whose every dataset behaves as without a network."""
    datasets = pytest.importorskip("torchvision.datasets")

    def refuse(root, train, download):
        raise OSError("<urlopen error [Errno -3]\nTemporary failure in name resolution>")

    for name in ("FashionMNIST", "CIFAR10", "CIFAR100"):
        monkeypatch.setattr(datasets, name, refuse)
    monkeypatch.setattr(library, "DEBIAN", Path("/no/such/place"))


@pytest.mark.parametrize("packed", [True, False])
def test_files_in_a_named_folder(tmp_path, packed):
    folder = write_set(tmp_path / "my [files]", packed=packed)
    data = load_dataset(f"fashion-mnist:{folder}", with_test=True)
    assert (len(data.train), len(data.val), len(data.test)) == (80, 20, 20)
    assert data.classes[9] == "Ankle boot"
    assert np.bincount(data.val.labels).tolist() == [2] * 10
    assert data.notes == ("no validation split: 20 % of train was set aside (stratified, seed 0)",)


def test_root_goes_before_the_system(tmp_path):
    write_set(tmp_path / "FashionMNIST" / "raw")
    assert len(load_dataset("fashion-mnist", root=tmp_path).train) == 80


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_debians_files():
    data = load_dataset("fashion-mnist", with_test=True, train_images=1000)
    assert (len(data.train), len(data.val), len(data.test)) == (1000, 12000, 10000)


def test_an_empty_named_folder_downloads_nothing(tmp_path, offline):
    with pytest.raises(DataError, match=r"nowhere' has no train-images-idx3-ubyte"):
        load_dataset(f"fashion-mnist:{tmp_path / 'nowhere'}")


def test_a_missing_part_is_named(tmp_path):
    folder = write_set(tmp_path / "part")
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="part' has no train-labels-idx1-ubyte"):
        load_dataset(f"fashion-mnist:{folder}")


def test_without_test_images_there_is_no_test_split(tmp_path):
    folder = write_set(tmp_path / "part")
    for path in folder.glob("t10k*"):
        path.unlink()
    data = load_dataset(f"fashion-mnist:{folder}", with_test=True)
    assert data.test is None and data.notes[-1] == "there is no test split"


@pytest.mark.parametrize("kind", ["images-idx3", "labels-idx1"])
def test_half_a_test_split_is_an_error(tmp_path, kind):
    folder = write_set(tmp_path / "part")
    (folder / f"t10k-{kind}-ubyte.gz").unlink()
    with pytest.raises(DataError, match=f"part' has no t10k-{kind}-ubyte"):
        load_dataset(f"fashion-mnist:{folder}", check_test=True)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_without_a_network(name, offline, tmp_path):
    with pytest.raises(DataError, match=f"cannot download {name}: .*Temporary failure.*check the network") as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value) and str(tmp_path / "cache") in str(caught.value)


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_without_torchvision(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setattr(library, "DEBIAN", Path("/no/such/place"))
    with pytest.raises(MissingExtraError, match=rf"reading {name} needs torchvision.*scalesearch\[vision\]"):
        load_dataset(name)


def test_cifar_arrives_as_torchvision_has_it(monkeypatch, capsys):
    datasets = pytest.importorskip("torchvision.datasets")
    pixels = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8)

    def cifar(root, train, download):
        sys.stdout.write("Files already downloaded and verified\n")  # as older versions do
        n = 100 if train else 10
        return SimpleNamespace(data=pixels[:n], targets=[i % 10 for i in range(n)], classes=list("abcdefghij"))

    monkeypatch.setattr(datasets, "CIFAR10", cifar)
    data = load_dataset("cifar10", with_test=True)
    assert (len(data.train), len(data.val), len(data.test)) == (80, 20, 10)
    assert data.classes == tuple("abcdefghij") and (data.channels, data.native_px) == (3, 32)
    assert np.array_equal(data.test.at(32), pixels[:10].transpose(0, 3, 1, 2))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("packed", [False, True])
def test_idx_round_trip(tmp_path, packed):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    assert np.array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\x00\x00\x08", "not an idx file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x00", "not an idx file of unsigned bytes"),
        (b"\x00\x00\x08\x03\x00\x00", "not an idx file"),
        (idx(np.zeros(9, np.uint8))[:-2], "holds 7 bytes, its header says 9"),
        (idx(np.zeros(9, np.uint8)) + b"x", "holds 10 bytes"),
        (b"\x00\x00\x08\x04" + b"\xff" * 16, "holds 0 bytes"),
        (gzip.compress(idx(np.zeros(999, np.uint8)), mtime=0)[:-9], "cannot read"),
        (b"\x1f\x8b not gzip", "cannot read"),
    ],
)
def test_bad_idx_files(tmp_path, content, message):
    path = tmp_path / "bad one.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert "bad one.gz" in str(caught.value)


def test_missing_idx_file():
    with pytest.raises(DataError, match="cannot read '/no/such'"):
        read_idx(Path("/no/such"))


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """CIFAR-10 of 100 images, as its authors pickle it; torchvision takes its digests for the right ones."""
    cifar = pytest.importorskip("torchvision.datasets.cifar")
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name, content):
        data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def written(bad=None):
        pixels = np.random.default_rng(0).integers(0, 256, (20, 3072), np.uint8)
        batch = {"data": pixels, "labels": [i % 10 for i in range(20)]}
        names = [f"data_batch_{k}" for k in range(1, 6)]
        listed = [write(name, batch if bad is None or name != "data_batch_3" else bad) for name in names]
        meta = write("batches.meta", {"label_names": list("abcdefghij")})
        monkeypatch.setattr(cifar.CIFAR10, "train_list", listed)
        monkeypatch.setattr(cifar.CIFAR10, "test_list", listed[:1])
        monkeypatch.setattr(cifar.CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
        return pixels

    return written


def test_the_files_of_cifar_are_read_as_arrays(small_cifar, tmp_path):
    pixels = small_cifar()
    data = load_dataset(f"cifar10:{tmp_path}", with_test=True)
    assert (len(data.train), len(data.val), len(data.test)) == (80, 20, 20)
    assert np.array_equal(data.test.at(32), pixels.reshape(20, 3, 32, 32))


class Runs:
    def __init__(self, function, *given):
        self.function, self.given = function, given

    def __reduce__(self):
        return self.function, self.given


@pytest.mark.parametrize("named", [(os.mkdir, "ran"), (eval, "__import__('os').mkdir('ran')"), (getattr, "x", "upper")])
def test_a_file_of_cifar_that_names_more_than_arrays_is_refused(small_cifar, tmp_path, monkeypatch, named):
    import torchvision.datasets.cifar

    monkeypatch.chdir(tmp_path)
    small_cifar(bad={"data": Runs(*named), "labels": [0] * 20})
    with pytest.raises(DataError, match=r"which no array needs") as refused:
        load_dataset(f"cifar10:{tmp_path}")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()
    assert torchvision.datasets.cifar.pickle is pickle
