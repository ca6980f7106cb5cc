"""Make scalesearch/data/embedded/fashion_mnist_mini.npz from the original Fashion-MNIST files.

8,000 training and 5,000 validation images come from the original 60,000 training images (disjoint), 3,000 test
images from the original 10,000; every class has the same share. The same input gives the same bytes: fixed seed,
fixed file dates. (The bytes of the compressed members also depend on zlib; the arrays do not.)

Run from the repository root:
    python benchmarks/make_fashion_mnist_mini.py [FOLDER_OF_IDX_FILES] [OUTPUT]
"""

from __future__ import annotations

import hashlib
import io
import itertools
import sys
import zipfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scalesearch.data.idx import read_idx

SEED = 20170825  # the day Fashion-MNIST was published
TRAIN_PER_CLASS, VAL_PER_CLASS, TEST_PER_CLASS = 800, 500, 300
SOURCE = Path("/usr/share/datasets/fashion-mnist")
TARGET = Path(__file__).resolve().parents[1] / "scalesearch/data/embedded/fashion_mnist_mini.npz"


def draw(labels: np.ndarray, *counts: int) -> list[np.ndarray]:
    """Disjoint sorted index sets with counts[i] images of every class; RandomState's stream is frozen by NumPy."""
    state = np.random.RandomState(SEED)
    orders = [state.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    bounds = np.cumsum((0, *counts))
    return [np.sort(np.concatenate([o[a:b] for o in orders])) for a, b in itertools.pairwise(bounds)]


def original(source: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    return read_idx(source / f"{prefix}-images-idx3-ubyte.gz"), read_idx(source / f"{prefix}-labels-idx1-ubyte.gz")


def content(source: Path) -> dict[str, np.ndarray]:
    x, y = original(source, "train")
    train, val = draw(y, TRAIN_PER_CLASS, VAL_PER_CLASS)
    x_test, y_test = original(source, "t10k")
    (test,) = draw(y_test, TEST_PER_CLASS)
    return {
        "x": x[train], "y": y[train], "x_val": x[val], "y_val": y[val], "x_test": x_test[test], "y_test": y_test[test]
    }  # fmt: skip


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays.items():
            member = zipfile.ZipInfo(f"{key}.npy")  # dated 1980-01-01 whatever the clock says
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, buffer.getvalue(), compresslevel=9)


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else TARGET
    write(target, content(source))
    raw = target.read_bytes()
    print(f"{target}: {len(raw)} bytes, sha256 {hashlib.sha256(raw).hexdigest()}")


if __name__ == "__main__":
    main()
