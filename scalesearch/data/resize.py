"""Change the side of square images: antialiased bilinear, on the CPU, the same bits every time."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

from scalesearch.data.images import Pixels
from scalesearch.errors import UsageError

CHUNK_FLOATS = 8_000_000  # 32 MB of float32 at a time, whatever the number of images


def resized(images: Pixels, px: int) -> Pixels:
    """Images [N, C, S, S] at another side, as a fresh uint8 array [N, C, px, px].

    Args:
        images: uint8 [N, C, S, S].
        px: the new side in pixels; larger than S is allowed.

    Raises:
        UsageError: px is under 1.
    """
    if px < 1:
        raise UsageError(f"resolution {px} px: at least 1 px is needed")
    if px == images.shape[-1]:
        return images.copy()
    out = np.empty((*images.shape[:2], px, px), np.uint8)
    per_image = images.shape[1] * max(px, images.shape[-1]) ** 2
    step = max(1, CHUNK_FLOATS // per_image)
    for start in range(0, len(images), step):
        out[start : start + step] = _chunk(images[start : start + step], px)
    return out


@torch.inference_mode()
def _chunk(images: Pixels, px: int) -> Pixels:
    pixels = torch.from_numpy(images.astype(np.float32))
    out = interpolate(pixels, size=(px, px), mode="bilinear", antialias=True)
    result: Pixels = out.round_().clamp_(0, 255).to(torch.uint8).numpy()
    return result
