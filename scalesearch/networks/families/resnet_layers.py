"""The closed form of a ResNet's cost: `layers` says it in full, `macs` says the sum in microseconds.

Every kernel is padded so that a stride divides the image's side and rounds up, the max-pooling too.
"""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.networks.base import LayerCost, Task
from scalesearch.networks.closed_form import batch_norm, conv, linear, pool
from scalesearch.networks.families.resnet_config import ResidualShape, ResNetConfig, residual_stages
from scalesearch.networks.spec import NetworkSpec


def resnet_layers(config: ResNetConfig, spec: NetworkSpec, task: Task) -> Iterator[LayerCost]:
    """Every layer of the network for one image; max-pooling costs nothing in fvcore's count."""
    px = _strided(spec.resolution_px, config.stem_stride)
    yield from _conv_bn("stem", config.stem_kernel, (task.in_channels, spec.stem_width), px, 1)
    px = _strided(px, config.stem_stride)
    for index, (first, rest) in enumerate(residual_stages(config, spec)):
        yield from _block_layers(config, str(index), first, px, 1)
        px = _strided(px, first.stride)
        if spec.depths[index] > 1:
            yield from _block_layers(config, str(index), rest, px, spec.depths[index] - 1)
    features = spec.widths[-1] * config.expansion
    yield pool("head", features, px)
    yield linear("head", features, task.num_classes)


def _block_layers(
    config: ResNetConfig, stage: str, block: ResidualShape, px_in: int, count: int
) -> Iterator[LayerCost]:
    c_in, planes, c_out, px = block.c_in, block.planes, block.c_out, _strided(px_in, block.stride)
    if config.block == "bottleneck":
        yield from _conv_bn(stage, 1, (c_in, planes), px_in, count)
        yield from _conv_bn(stage, 3, (planes, planes), px, count)
        yield from _conv_bn(stage, 1, (planes, c_out), px, count)
    else:
        yield from _conv_bn(stage, 3, (c_in, planes), px, count)
        yield from _conv_bn(stage, 3, (planes, planes), px, count)
    if block.projects:
        yield from _conv_bn(stage, 1, (c_in, c_out), px, count)


def _conv_bn(stage: str, kernel: int, channels: tuple[int, int], px: int, count: int) -> Iterator[LayerCost]:
    yield conv(stage, kernel, channels, px, count=count)
    yield batch_norm(stage, channels[1], px, count)


def resnet_macs(config: ResNetConfig, spec: NetworkSpec, task: Task) -> int:
    """The sum of `macs * count` over `resnet_layers`, on plain integers."""
    stride, taps, bottleneck = config.stem_stride, config.stem_kernel**2, config.block == "bottleneck"
    px = -(-spec.resolution_px // stride)
    c_in, expansion = spec.stem_width, config.expansion
    total = taps * task.in_channels * c_in * px * px
    px = -(-px // stride)
    for stride, depth, planes in zip(config.strides, spec.depths, spec.widths, strict=True):
        c_out, area = planes * expansion, px * px
        px = -(-px // stride)
        square, out_area = 9 * planes * planes, px * px
        if bottleneck:
            total += planes * (c_in * area + c_out * out_area) + square * out_area
            total += (depth - 1) * (2 * planes * c_out + square) * out_area
        else:
            total += (9 * c_in * planes + square) * out_area + (depth - 1) * 2 * square * out_area
        if stride != 1 or c_in != c_out:
            total += c_in * c_out * out_area
        c_in = c_out
    return total + c_in * task.num_classes


def _strided(px: int, stride: int) -> int:
    return -(-px // stride)
