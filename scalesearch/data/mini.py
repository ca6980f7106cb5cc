"""The embedded dataset: 16,000 images of Fashion-MNIST, made by benchmarks/make_fashion_mnist_mini.py."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from importlib.resources import files

from scalesearch.data.images import ArrayImages
from scalesearch.data.npz import parts_of_npz
from scalesearch.data.splits import Parts
from scalesearch.errors import DataError

FILE = "fashion_mnist_mini.npz"
SHA256 = "439a4e8f41336a3ac85d12064bf6ab819f85c2d53396b1ee03c0ec95717cac94"
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip


def read_mini(with_test: bool) -> Parts[ArrayImages]:
    """8,000 training, 5,000 validation and 3,000 test images, 28 x 28, grey, ten classes of equal size.

    Raises:
        DataError: the file that came with the package is missing or damaged.
    """
    resource = files("scalesearch.data").joinpath("embedded", FILE)
    try:
        raw = resource.read_bytes()
    except OSError as error:
        raise DataError(f"the embedded data {str(resource)!r} cannot be read; install scalesearch again") from error
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise DataError(f"the embedded data {str(resource)!r} is damaged (SHA-256 differs); install scalesearch again")
    return replace(parts_of_npz(io.BytesIO(raw), repr(FILE), with_test), classes=CLASSES)
