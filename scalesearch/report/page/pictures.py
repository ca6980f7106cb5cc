"""Examples of the images, where they are public and here: of the data that comes with the package.

Images of a user's folder are left out: a page is made to be given away, and nobody was asked.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from scalesearch.data.images import Pixels
from scalesearch.data.mini import CLASSES, read_mini
from scalesearch.errors import DataError

EMBEDDED, SIDE_PX = "fashion-mnist-mini", 28


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a class, as a `data:` address of a PNG."""

    name: str
    address: str


def example_pictures(spec: str) -> tuple[Picture, ...]:
    """The first training image of each class; none of data that did not come with the package."""
    if spec != EMBEDDED:
        return ()
    try:
        train = read_mini(with_test=False).train
    except DataError:
        return ()
    first: dict[int, int] = {}
    for index, label in enumerate(train.labels):
        first.setdefault(int(label), index)
    shown = train.subset(np.array([first[label] for label in sorted(first)], dtype=np.int64)).at(SIDE_PX)
    return tuple(Picture(CLASSES[label], _address(one)) for label, one in zip(sorted(first), shown, strict=True))


def _address(pixels: Pixels) -> str:
    """A grey image, uint8 [1, side, side], as PNG in base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[0]).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
