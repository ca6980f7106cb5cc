"""The closed form of an EfficientNet's cost: `layers` says it in full, `macs` says the sum in microseconds.

The odd kernels are padded by half, so a stride divides a resolution and rounds up.
"""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.networks.base import LayerCost, Task
from scalesearch.networks.closed_form import batch_norm, conv, linear, pool
from scalesearch.networks.families.efficientnet_config import STEM_KERNEL, BlockShape, EfficientNetConfig, stage_blocks
from scalesearch.networks.spec import NetworkSpec


def efficientnet_layers(config: EfficientNetConfig, spec: NetworkSpec, task: Task) -> Iterator[LayerCost]:
    """Every layer of the network for one image."""
    px = _strided(spec.resolution_px, config.stem_stride)
    yield conv("stem", STEM_KERNEL, (task.in_channels, spec.stem_width), px)
    yield batch_norm("stem", spec.stem_width, px)
    for index, (first, rest) in enumerate(stage_blocks(config, spec)):
        yield from _block_layers(str(index), first, px, 1)
        px = _strided(px, first.stride)
        if spec.depths[index] > 1:
            yield from _block_layers(str(index), rest, px, spec.depths[index] - 1)
    features = spec.widths[-1]
    if spec.head_width:
        yield conv("head", 1, (features, spec.head_width), px)
        yield batch_norm("head", spec.head_width, px)
        features = spec.head_width
    yield pool("head", features, px)
    yield linear("head", features, task.num_classes)


def _block_layers(stage: str, block: BlockShape, px_in: int, count: int) -> Iterator[LayerCost]:
    c_in, c_mid, c_out, px = block.c_in, block.c_mid, block.c_out, _strided(px_in, block.stride)
    if block.expands:
        yield conv(stage, 1, (c_in, c_mid), px_in, count=count)
        yield batch_norm(stage, c_mid, px_in, count)
    yield conv(stage, block.kernel, (c_mid, c_mid), px, groups=c_mid, count=count)
    yield batch_norm(stage, c_mid, px, count)
    if block.squeeze:
        yield pool(stage, c_mid, px, count)
        yield conv(stage, 1, (c_mid, block.squeeze), 1, bias=True, count=count)
        yield conv(stage, 1, (block.squeeze, c_mid), 1, bias=True, count=count)
    yield conv(stage, 1, (c_mid, c_out), px, count=count)
    yield batch_norm(stage, c_out, px, count)


def efficientnet_macs(config: EfficientNetConfig, spec: NetworkSpec, task: Task) -> int:
    """The sum of `macs * count` over `efficientnet_layers`, on plain integers."""
    px = _strided(spec.resolution_px, config.stem_stride)
    c_in, squeeze_in = spec.stem_width, config.squeeze(spec.stem_width)
    total = STEM_KERNEL * STEM_KERNEL * task.in_channels * c_in * px * px
    for stage, depth, c_out in zip(config.stages, spec.depths, spec.widths, strict=True):
        expand, taps, area = stage.expand, stage.kernel * stage.kernel, px * px
        px = -(-px // stage.stride)
        squeeze, out_area, widening = config.squeeze(c_out), px * px, expand > 1
        # Inside a block: widen on the input's pixels; depthwise and projection on the output's; squeeze once.
        total += c_in * expand * (c_in * area * widening + (taps + c_out) * out_area + 2 * squeeze_in)
        total += (depth - 1) * c_out * expand * ((c_out * widening + taps + c_out) * out_area + 2 * squeeze)
        c_in, squeeze_in = c_out, squeeze
    return total + spec.head_width * c_in * px * px + (spec.head_width or c_in) * task.num_classes


def _strided(px: int, stride: int) -> int:
    return -(-px // stride)
