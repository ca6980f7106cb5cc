"""Cost of one layer in closed form: the same numbers as fvcore in eval mode, without running anything."""

from __future__ import annotations

from scalesearch.networks.base import LayerCost


def conv(
    stage: str, kernel: int, channels: tuple[int, int], px: int, *, groups: int = 1, bias: bool = False, count: int = 1
) -> LayerCost:
    """A square convolution, `channels` = (in, out), on an output of `px` by `px`.

    macs = kernel^2 * in / groups * out * px^2; the bias costs weights but no multiply-adds.

    Example:
        >>> conv("stem", 3, (3, 32), 112).macs, conv("stem", 3, (3, 32), 112).params
        (10838016, 864)
    """
    c_in, c_out = channels
    weights = kernel * kernel * (c_in // groups) * c_out
    return LayerCost(stage, "conv", weights * px * px, 0, weights + c_out * bias, c_out * px * px, count)


def batch_norm(stage: str, channels: int, px: int, count: int = 1) -> LayerCost:
    """Batch-norm with scale and shift: fvcore adds 2 for each element in eval mode (5 in training)."""
    return LayerCost(stage, "batch_norm", 0, 2 * channels * px * px, 2 * channels, 0, count)


def pool(stage: str, channels: int, px: int, count: int = 1) -> LayerCost:
    """Global average pooling from `px` by `px`: fvcore adds 1 for each input element."""
    return LayerCost(stage, "pool", 0, channels * px * px, 0, 0, count)


def linear(stage: str, c_in: int, c_out: int, count: int = 1, *, rows: int = 1) -> LayerCost:
    """A fully connected layer with bias, at each of `rows` positions (pixels or tokens)."""
    return LayerCost(stage, "linear", rows * c_in * c_out, 0, c_in * c_out + c_out, rows * c_out, count)


def layer_norm(stage: str, channels: int, rows: int, count: int = 1) -> LayerCost:
    """Layer-norm with scale and shift at each of `rows` positions: fvcore adds 5 for each element."""
    return LayerCost(stage, "layer_norm", 0, 5 * channels * rows, 2 * channels, 0, count)


def attention(stage: str, tokens: int, heads: int, head_dim: int, count: int = 1) -> LayerCost:
    """The two matmuls of self-attention, Q K^T and the product with V; softmax and scaling are not counted.

    Example:
        >>> attention("0", 197, 3, 64).macs, attention("0", 197, 3, 64).activations
        (14902656, 154251)
    """
    macs = 2 * heads * head_dim * tokens * tokens
    return LayerCost(stage, "matmul", macs, 0, 0, heads * tokens * (tokens + head_dim), count)


def weight(stage: str, params: int, count: int = 1) -> LayerCost:
    """Parameters that are only added or multiplied in, such as a layer scale or a class token."""
    return LayerCost(stage, "weight", 0, 0, params, 0, count)
