"""Fashion-MNIST, CIFAR-10 and CIFAR-100: from files that are there already, else through torchvision."""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from scalesearch.data.arrays import parts_of
from scalesearch.data.idx import read_idx
from scalesearch.data.images import ArrayImages
from scalesearch.data.mini import CLASSES
from scalesearch.data.splits import Parts
from scalesearch.environment.cache import cache_folder
from scalesearch.errors import DataError, MissingExtraError
from scalesearch.user_code.importing import one_line

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TEST_STEMS = ("t10k-images-idx3", "t10k-labels-idx1")
ARRAYS = {
    (module, name)
    for module, names in {
        "numpy": ("ndarray", "dtype"),
        "numpy.core.multiarray": ("_reconstruct",),
        "numpy._core.multiarray": ("_reconstruct",),
        "_codecs": ("encode",),
    }.items()
    for name in names
}
"""What a pickled array of NumPy names, of any version of both."""
TORCHVISION_NAMES = {"fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def read_library(name: str, folder: Path | None, root: Path | None, with_test: bool) -> Parts[ArrayImages]:
    """A known dataset by name.

    Args:
        name: a key of TORCHVISION_NAMES.
        folder: the only place to look for files, as the user typed it; nothing is downloaded.
        root: where to look first and to download to; None: the user's cache folder.
        with_test: whether the test images are read.

    Raises:
        DataError: files are missing or damaged, or the download fails.
        MissingExtraError: torchvision is needed and not installed.
    """
    if name == "fashion-mnist":
        return _fashion_mnist(folder, root, with_test)
    place, download = (folder, False) if folder else (root or cache_folder(), True)
    train = _torchvision(name, place, train=True, download=download)
    arrays = {"x": train.data, "y": train.targets}
    if with_test:
        test = _torchvision(name, place, train=False, download=download)
        arrays |= {"x_test": test.data, "y_test": test.targets}
    return _parts(arrays, name, with_test, tuple(train.classes))


def _fashion_mnist(folder: Path | None, root: Path | None, with_test: bool) -> Parts[ArrayImages]:
    place = _idx_folder(folder, root)
    arrays = {"x": _idx(place, "train-images-idx3"), "y": _idx(place, "train-labels-idx1")}
    if with_test and any(_idx_path(place, stem) for stem in TEST_STEMS):
        arrays |= {"x_test": _idx(place, "t10k-images-idx3"), "y_test": _idx(place, "t10k-labels-idx1")}
    return _parts(arrays, "fashion-mnist", with_test, CLASSES)


def _idx_folder(folder: Path | None, root: Path | None) -> Path:
    """The first folder that has the training images; they are downloaded when none has."""
    cache = root or cache_folder()
    for place in [folder] if folder else [cache, DEBIAN]:
        for candidate in (place, place / "FashionMNIST" / "raw"):
            if _idx_path(candidate, "train-images-idx3"):
                return candidate
    if folder:
        raise DataError(f"folder {str(folder)!r} has no train-images-idx3-ubyte or train-images-idx3-ubyte.gz")
    _torchvision("fashion-mnist", cache, train=True, download=True)
    return cache / "FashionMNIST" / "raw"


def _idx_path(folder: Path, stem: str) -> Path | None:
    candidates = (folder / f"{stem}-ubyte", folder / f"{stem}-ubyte.gz")
    return next((path for path in candidates if path.is_file()), None)


def _idx(folder: Path, stem: str) -> np.ndarray[Any, Any]:
    path = _idx_path(folder, stem)
    if path is None:
        raise DataError(f"folder {str(folder)!r} has no {stem}-ubyte or {stem}-ubyte.gz")
    return read_idx(path)


def _torchvision(name: str, place: Path, *, train: bool, download: bool) -> Any:
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtraError("torchvision", "vision", f"reading {name}") from error
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # older torchvision prints to stdout
            warnings.simplefilter("ignore")  # NumPy 2.4 warns of how the pickles inside CIFAR's files were written
            with _plain_arrays(sys.modules.get("torchvision.datasets.cifar")):
                return getattr(datasets, TORCHVISION_NAMES[name])(str(place), train=train, download=download)
    except Exception as error:
        what = "download" if download else "read"
        hint = f"check the network, or put its files into {str(place)!r}" if download else f"looked in {str(place)!r}"
        raise DataError(f"cannot {what} {name}: {one_line(error)}; {hint}") from error


class _Unpickler(pickle.Unpickler):
    """Reads arrays of numbers and plain values, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of a pickle, which runs it.

        Raises:
            UnpicklingError: it is none of those that arrays are made of.
        """
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return super().find_class(module, name)


@contextmanager
def _plain_arrays(module: ModuleType | None) -> Iterator[None]:
    """torchvision's reader of CIFAR takes what its files hold, which are pickles, for arrays alone."""
    if module is None or not hasattr(module, "pickle"):
        yield
        return
    before = module.pickle
    module.pickle = SimpleNamespace(load=lambda file, **how: _Unpickler(file, **how).load())  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.pickle = before  # type: ignore[attr-defined]


def _parts(arrays: dict[str, Any], name: str, with_test: bool, classes: tuple[str, ...]) -> Parts[ArrayImages]:
    parts = parts_of(arrays, name, with_test)
    return Parts(parts.train, parts.val, parts.test, classes)
