"""The closed form of a DenseNet's cost: `layers` says it in full, `densenet_amounts` sums it as arithmetic series.

No two layers of a dense block are alike, because each sees the outputs of all before it: their inputs are an arithmetic
series from the block's own to one growth less than all there will be.
"""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.networks.base import LayerCost, Task
from scalesearch.networks.closed_form import batch_norm, conv, linear, pool
from scalesearch.networks.families.densenet_config import DenseNetConfig, DenseShape, dense_blocks, stem_px
from scalesearch.networks.spec import NetworkSpec


def densenet_layers(config: DenseNetConfig, spec: NetworkSpec, task: Task) -> Iterator[LayerCost]:
    """Every layer of the network for one image; max-pooling and the transitions' pooling cost nothing in fvcore."""
    px = stem_px(config, spec.resolution_px)
    yield conv("stem", config.stem_kernel, (task.in_channels, spec.stem_width), px)
    yield batch_norm("stem", spec.stem_width, px)
    features = 0
    for index, block in enumerate(dense_blocks(config, spec)):
        yield from _block_layers(config, str(index), block)
        features, px = block.c_all, block.px
    yield batch_norm("head", features, px)
    yield pool("head", features, px)
    yield linear("head", features, task.num_classes)


def _block_layers(config: DenseNetConfig, stage: str, block: DenseShape) -> Iterator[LayerCost]:
    growth, px, inner = block.growth, block.px, config.bottleneck * block.growth
    for c_in in range(block.c_in, block.c_all, growth):
        yield batch_norm(stage, c_in, px)
        yield conv(stage, 1, (c_in, inner), px)
    yield batch_norm(stage, inner, px, block.layers)
    yield conv(stage, 3, (inner, growth), px, count=block.layers)
    if block.c_out:
        yield batch_norm(stage, block.c_all, px)
        yield conv(stage, 1, (block.c_all, block.c_out), px)


def densenet_amounts(config: DenseNetConfig, spec: NetworkSpec, task: Task) -> tuple[int, int, int]:
    """(multiply-adds, weights, activations): the sums over `densenet_layers`, without a loop over the layers."""
    px, stem = stem_px(config, spec.resolution_px), spec.stem_width
    weights = config.stem_kernel**2 * task.in_channels * stem
    macs, params, activations = weights * px * px, weights + 2 * stem, stem * px * px
    features = 0
    for block in dense_blocks(config, spec):
        n, growth, features, area = block.layers, block.growth, block.c_all, block.px * block.px
        inner, inputs = config.bottleneck * growth, n * (block.c_in + features - growth) // 2
        weights = inner * (inputs + 9 * growth * n) + features * block.c_out
        macs += weights * area
        params += weights + 2 * (inputs + n * inner + features)  # the last block's final batch-norm is the head's
        activations += (n * (inner + growth) + block.c_out) * area
    classifier = features * task.num_classes
    return macs + classifier, params + classifier + task.num_classes, activations + task.num_classes
