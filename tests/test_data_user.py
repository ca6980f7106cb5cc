"""Data from a user's own function."""

import sys

import numpy as np
import pytest

from scalesearch.data import load_dataset
from scalesearch.errors import DataError, UnknownNameError

SOURCE = """
import numpy as np
import sys

X = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
Y = np.arange(40) % 2
constant = 3

def pair(): return X, Y
def mapping(): return {"x": X, "y": Y, "x_val": X[:10], "y_val": Y[:10]}
def lists(): return [X.tolist(), Y.tolist()]
def tensors():
    import torch
    return torch.from_numpy(X), torch.from_numpy(Y)
def talks():
    print("loading ...")
    return X, Y
def fails(): raise ValueError("two\\nlines")
def leaves(): sys.exit(3)
def needs(argument): return X, Y
def nothing(): return None
def three(): return X, Y, 3
def only_x(): return {"x": X}
def ragged(): return [[1, 2], [3]], [0, 1]
def words(): return X, ["a", "b"] * 20
def neighbour():
    import my_neighbour
    return my_neighbour.x, Y
class Lazy:
    def __call__(self): return X, Y
lazy = Lazy()
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a module that no other test has imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_data.py").write_text(SOURCE)
    (tmp_path / "my_neighbour.py").write_text("from my_data import X as x")
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    (tmp_path / "my_package" / "inner.py").write_text(SOURCE)
    (tmp_path / "my_broken.py").write_text("import no_such_library")
    (tmp_path / "my_exit.py").write_text("raise SystemExit('bye')")
    (tmp_path / "my_syntax.py").write_text("def :")
    (tmp_path / "cifar_10.py").write_text(SOURCE)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_") or name == "cifar_10"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["pair", "mapping", "lists", "tensors", "talks", "lazy", "neighbour"])
def test_functions_that_work(here, name):
    data = load_dataset(f"my_data:{name}")
    assert (data.channels, data.native_px, data.classes) == (1, 8, ("0", "1"))
    assert len(data.train) == (40 if name == "mapping" else 28)


def test_a_module_in_a_package(here):
    assert len(load_dataset("my_package.inner:pair", with_test=True).test) == 6


def test_a_module_whose_name_is_near_to_a_dataset(here):
    assert len(load_dataset("cifar_10:pair").train) == 28


def test_stdout_stays_clean_and_the_path_as_it_was(here, capsys):
    before = list(sys.path)
    load_dataset("my_data:talks")
    out, err = capsys.readouterr()
    assert out == "" and err == "loading ...\n"
    assert sys.path == before


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my_dat:pair", "no module 'my_dat'"),
        ("my_package.iner:pair", r"no module 'my_package\.iner'"),
        ("my_data.deeper:pair", r"no module 'my_data\.deeper'"),
        ("my_broken:pair", "importing 'my_broken' raised ModuleNotFoundError: No module named 'no_such_library'"),
        ("my_exit:pair", "importing 'my_exit' raised SystemExit: bye"),
        ("my_syntax:pair", "importing 'my_syntax' raised SyntaxError"),
        ("my_data:pare", "module 'my_data' has no 'pare'"),
        ("my_data:constant", "'constant' is of type int and cannot be called"),
        ("my_data:fails", "'my_data:fails' raised ValueError: two lines"),
        ("my_data:leaves", "'my_data:leaves' raised SystemExit: 3"),
        ("my_data:needs", "raised TypeError.*argument"),
        ("my_data:nothing", r"returned NoneType; allowed: a tuple \(x, y\) or a dict"),
        ("my_data:three", "returned tuple of length 3"),
        ("my_data:only_x", "has no 'y'; it has: x"),
        ("my_data:ragged", "x is no array: ValueError"),
        ("my_data:words", "y has the type <U1; allowed: whole numbers, 0 for the first class"),
    ],
)
def test_functions_that_do_not(here, spec, message):
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(spec)
    assert spec in str(caught.value) and "\n" not in str(caught.value)


def test_control_c_is_not_swallowed(here):
    (here / "my_slow.py").write_text("import os, signal\ndef data(): os.kill(os.getpid(), signal.SIGINT)")
    with pytest.raises(KeyboardInterrupt):
        load_dataset("my_slow:data")


@pytest.mark.parametrize(
    ("spec", "guess"),
    [
        ("fashion-mnist-mimi", "did you mean 'fashion-mnist-mini'"),
        ("cifar-10", "did you mean 'cifar10'"),
        ("floder:/tmp", "did you mean 'folder:/tmp'"),
        ("folde:x", "did you mean 'folder:x'"),
        ("imagenet", "Allowed: cifar10, cifar100, fashion-mnist"),
        ("", "unknown data ''"),
        ("a\0b", "unknown data"),
        ("x" * 5000, "unknown data"),
        ("no such:thing", "unknown data 'no such:thing'"),
        (".", "did you mean 'folder:.'"),
        ("./my_data.py", r"names no function: did you mean 'my_data:pair'"),
    ],
)
def test_unknown_names(here, spec, guess):
    with pytest.raises(UnknownNameError, match=guess) as caught:
        load_dataset(spec)
    assert "folder:PATH" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["folder:", "npz:", "fashion-mnist:", "folder:a\0b"])
def test_paths_that_are_none(spec):
    with pytest.raises(Exception, match="has no path after the colon") as caught:
        load_dataset(spec)
    assert repr(spec) in str(caught.value)


def test_an_unknown_home_is_a_missing_folder():
    with pytest.raises(DataError, match="~nobody-here/x"):
        load_dataset("folder:~nobody-here/x")


def test_labels_are_independent_of_the_users_array(here):
    data = load_dataset("my_data:mapping")
    sys.modules["my_data"].Y[:] = 1
    assert np.bincount(data.train.labels).tolist() == [20, 20]
