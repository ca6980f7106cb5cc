"""What fvcore does not count by itself: handles for its two analyses. Loads fvcore when it is asked for."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

from scalesearch.networks.products import RECURRENT, einsum_products, recurrent_products

ELEMENTWISE_OPS_IGNORED_BY_FVCORE = ("aten::relu", "aten::relu_", "aten::clamp", "aten::clamp_", "aten::max")


def load_fvcore() -> Any:
    """`fvcore.nn`, imported quietly."""
    with warnings.catch_warnings():
        # fvcore runs torch.jit.script when it is imported, which newer torch calls deprecated.
        warnings.simplefilter("ignore")
        import fvcore.nn
    return fvcore.nn


def quiet(analysis: Any) -> Any:
    """An analysis of fvcore's that warns of nothing: what it leaves out is told by `scalesearch.scaling.cost`."""
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")


Handle = Callable[[list[Any], list[Any]], int | Counter[str]]


def flop_handles(ignored: Counter[str]) -> dict[str, Handle]:
    """Multiply-adds of operators that fvcore does not know, and a tally of those that it drops without a word."""
    handles: dict[str, Handle] = {
        "aten::_convolution_mode": _named_padding_conv,
        "aten::scaled_dot_product_attention": lambda inputs, _: _attention(inputs)[0],
        "aten::baddbmm": lambda inputs, _: math.prod(_shape(inputs[1])) * _shape(inputs[2])[-1],
        "aten::einsum": _einsum,
        "aten::matmul": lambda inputs, outputs: _output(inputs, outputs) * _shape(inputs[0])[-1],  # fvcore: no vectors
        "aten::mv": lambda inputs, _: math.prod(_shape(inputs[0])),
        "aten::addmv": lambda inputs, _: math.prod(_shape(inputs[1])),
        "aten::dot": lambda inputs, _: math.prod(_shape(inputs[0])),
        "aten::tensordot": _tensordot,
        **{f"aten::{op}": lambda inputs, _: _recurrent(inputs)[0] for op in RECURRENT},
    }
    return handles | {op: _tally(op, ignored) for op in ELEMENTWISE_OPS_IGNORED_BY_FVCORE}


def activation_handles() -> dict[str, Handle]:
    """Output elements of operators that fvcore does not know."""
    return {
        "aten::_convolution_mode": _output,
        "aten::scaled_dot_product_attention": lambda inputs, _: _attention(inputs)[1],
        "aten::baddbmm": _output,
        "aten::einsum": _einsum_outputs,
        **{f"aten::{op}": _output for op in ("mv", "addmv", "dot", "tensordot")},
        **{f"aten::{op}": lambda inputs, _: _recurrent(inputs)[1] for op in RECURRENT},
    }


def _named_padding_conv(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """A convolution with padding="same" or "valid", which fvcore does not know: weights times output pixels."""
    pixels = math.prod(_shape(outputs[0])[2:])
    return Counter({"conv": math.prod(_shape(inputs[1])) * pixels})


def _tally(op: str, ignored: Counter[str]) -> Handle:
    def handle(_inputs: list[Any], _outputs: list[Any]) -> int:
        ignored[op] += 1
        return 0

    return handle


def _attention(inputs: list[Any]) -> tuple[int, int]:
    """(multiply-adds, output elements) of softmax(Q K^T) V as two matmuls: Q [..., L, E], K [..., S, E], V [..., S, F].

    macs = L * S * (E + F), outputs = L * S + L * F, for each batch and head.
    """
    query, key, value = (_shape(item) for item in inputs[:3])
    rows, keys = math.prod(query[:-1]), key[-2]
    return rows * keys * (query[-1] + value[-1]), rows * (keys + value[-1])


def _output(_inputs: list[Any], outputs: list[Any]) -> int:
    return math.prod(_shape(outputs[0]))


def _tensordot(inputs: list[Any], outputs: list[Any]) -> int:
    """Every output element sums over the contracted dimensions of the first operand."""
    shape, dimensions = _shape(inputs[0]), inputs[2].node().inputs()
    return _output(inputs, outputs) * math.prod(int(shape[value.toIValue()]) for value in dimensions)


def _recurrent(inputs: list[Any]) -> tuple[int, int]:
    """(multiply-adds, output elements); the sequences come first, packed or not, and the weights in a list."""
    listed = [
        item for value in inputs if value.node().kind() == "prim::ListConstruct" for item in value.node().inputs()
    ]
    matrices = [shape for shape in map(_shape, listed) if len(shape) == 2]
    return recurrent_products(matrices, math.prod(_shape(inputs[0])[:-1]))


def _einsum(inputs: list[Any], outputs: list[Any]) -> int | Counter[str]:
    """Exactly; fvcore's own handle rounds after some digits, and is asked where there is an ellipsis."""
    if exact := _exact_einsum(inputs):
        return exact[0]
    from fvcore.nn.jit_handles import einsum_flop_jit

    counted: int | Counter[str] = einsum_flop_jit(inputs, outputs)
    return counted


def _einsum_outputs(inputs: list[Any], outputs: list[Any]) -> int:
    exact = _exact_einsum(inputs)
    return exact[1] if exact else math.prod(_shape(outputs[0]))


def _exact_einsum(inputs: list[Any]) -> tuple[int, int] | None:
    equation = inputs[0].toIValue()
    if "." in equation:
        return None
    return einsum_products(equation, [_shape(item) for item in inputs[1].node().inputs()])


def _shape(value: Any) -> list[int]:
    sizes: list[int] = value.type().sizes()
    return sizes
