"""Resizing and cropping a batch of images, each at its own box, antialiased.

On the CPU torch's own arithmetic on bytes is used, ten times faster than on floats and the same as Pillow's; on an
accelerator a crop of every image at its own box is two batched matrix products. Both give whole numbers from 0 to 255
that differ by one at most.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

AREA = (0.35, 1.0)
"""Part of the image's area that a random crop takes."""
RATIO = (3 / 4, 4 / 3)
"""Width over height of a random crop."""


def resize(images: Tensor, px: int) -> Tensor:
    """Images `[N, C, S, S]` of whole numbers 0 to 255 at another side, `[N, C, px, px]`, of the same type.

    On the CPU they must be bytes.
    """
    if images.shape[-1] == px and images.shape[-2] == px:
        return images
    scaled = images if images.device.type == "cpu" else images.float()
    found = interpolate(scaled, size=(px, px), mode="bilinear", antialias=True)
    return found if images.device.type == "cpu" else found.round_().clamp_(0, 255)


def centre(images: Tensor, part: float) -> Tensor:
    """The centre of `[N, C, S, S]`, of that part of the side (a view).

    Example:
        >>> centre(torch.zeros(1, 1, 256, 256), 0.875).shape
        torch.Size([1, 1, 224, 224])
    """
    side = images.shape[-1]
    kept = max(1, round(side * part))
    start = (side - kept) // 2
    return images[..., start : start + kept, start : start + kept]


def random_boxes(draws: Tensor, side: int) -> Tensor:
    """Boxes of random crops, int64 `[N, 4]`: top, left, height, width in pixels of an image of `side`.

    Args:
        draws: uniform in 0 to 1, `[N, 4]`: area, ratio, place down, place right.

    One draw an image: a box that is longer than the side is cut to it (torchvision draws again, up to ten times).

    Source: Szegedy et al. 2015 (section 6); the area from 0.35 is timm's for short trainings (RSB A3).
    """
    drawn = draws.double()
    area = (AREA[0] + drawn[:, 0] * (AREA[1] - AREA[0])) * side * side
    low, high = (math.log(ratio) for ratio in RATIO)
    ratio = torch.exp(low + drawn[:, 1] * (high - low))
    width = (area * ratio).sqrt().round().clamp(1, side)
    height = (area / ratio).sqrt().round().clamp(1, side)
    top = (drawn[:, 2] * (side - height + 1)).floor().minimum(side - height)
    left = (drawn[:, 3] * (side - width + 1)).floor().minimum(side - width)
    return torch.stack([top, left, height, width], 1).long()


def crop(images: Tensor, boxes: Tensor, px: int) -> Tensor:
    """Every image's own box at the side `px`.

    Args:
        images: `[N, C, S, S]` of whole numbers 0 to 255; on the CPU bytes.
        boxes: int64 `[N, 4]`: top, left, height, width in pixels, within the image.

    Returns:
        `[N, C, px, px]`, bytes on the CPU, floats of whole numbers elsewhere.
    """
    if images.device.type != "cpu":
        return crop_by_products(images, boxes, px).round_().clamp_(0, 255)
    out = torch.empty((*images.shape[:2], px, px), dtype=images.dtype).contiguous(memory_format=torch.channels_last)
    for index, (top, left, height, width) in enumerate(boxes.tolist()):
        part = images[index : index + 1, :, top : top + height, left : left + width]
        out[index : index + 1] = interpolate(part, size=(px, px), mode="bilinear", antialias=True)
    return out


def crop_by_products(images: Tensor, boxes: Tensor, px: int) -> Tensor:
    """`crop` as rows @ image @ columns, without rounding: float32 `[N, C, px, px]`."""
    box = boxes.to(images.device, torch.float32)
    rows = _weights(box[:, 0], box[:, 2], images.shape[-2], px)
    columns = _weights(box[:, 1], box[:, 3], images.shape[-1], px)
    by_channel = images.float().transpose(0, 1)
    return (rows @ by_channel @ columns.transpose(1, 2)).transpose(0, 1)


def _weights(start: Tensor, size: Tensor, side: int, px: int) -> Tensor:
    """Triangle weights `[N, px, side]` of every pixel of a side for each of px new ones, from the box alone."""
    scale = (size / px)[:, None, None]  # old pixels for a new one
    reach = scale.clamp(min=1.0)
    centres = start[:, None, None] + (torch.arange(px, device=start.device)[None, :, None] + 0.5) * scale
    at = torch.arange(side, device=start.device)[None, None, :]
    weights = (1 - (at + 0.5 - centres).abs() / reach).clamp(min=0)
    first = torch.maximum((centres - reach + 0.5).floor(), start[:, None, None])
    last = torch.minimum((centres + reach + 0.5).floor(), (start + size)[:, None, None])
    weights = torch.where((at >= first) & (at < last), weights, 0.0)
    return weights / weights.sum(-1, keepdim=True)
