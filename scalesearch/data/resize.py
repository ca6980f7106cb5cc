"""Change the side of square images: antialiased bilinear, on the CPU, the same bits every time."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

from scalesearch.data.images import Pixels, Values
from scalesearch.errors import UsageError

CHUNK_FLOATS = 8_000_000  # 32 MB of float32 at a time, whatever the number of images


def resized(images: Values, px: int, white: float = 255.0) -> Pixels:
    """Images [N, C, S, S] at another side, as a fresh uint8 array [N, C, px, px].

    Args:
        images: [N, C, S, S], of bytes or of any other values.
        px: the new side in pixels; larger than S is allowed.
        white: the value that becomes 255. Values become bytes after resizing, so that few of them do not stay few.

    Raises:
        UsageError: px is under 1.
    """
    if px < 1:
        raise UsageError(f"resolution {px} px: at least 1 px is needed")
    if px == images.shape[-1] and images.dtype == np.uint8 and white == 255:
        return images.astype(np.uint8)
    out = np.empty((*images.shape[:2], px, px), np.uint8)
    per_image = images.shape[1] * max(px, images.shape[-1]) ** 2
    step = max(1, CHUNK_FLOATS // per_image)
    for start in range(0, len(images), step):
        out[start : start + step] = _chunk(images[start : start + step], px, 255 / white)
    return out


@torch.inference_mode()
def _chunk(images: Values, px: int, stretch: float) -> Pixels:
    pixels = torch.from_numpy(images.astype(np.float32))
    same = px == images.shape[-1]
    out = pixels if same else interpolate(pixels, size=(px, px), mode="bilinear", antialias=True)
    if stretch != 1:
        out = out * stretch
    result: Pixels = out.round_().clamp_(0, 255).to(torch.uint8).numpy()
    return result
