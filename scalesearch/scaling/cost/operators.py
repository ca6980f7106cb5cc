"""Operators that nobody counts: those of a few operations an element, and those that may hold many."""

from __future__ import annotations

from typing import Any

CUSTOM = "prim::PythonOp."
"""How a trace names a `torch.autograd.Function`, into which fvcore does not look."""

_CHEAP = """
adaptive_max_pool1d adaptive_max_pool2d alpha_dropout amax amin arange argmax argmin argsort avg_pool1d avg_pool2d
bernoulli broadcast_to cat channel_shuffle clone col2im conj contiguous cosine_similarity cummax cumprod cumsum detach
diag diagonal dropout embedding empty empty_like expand expand_as eye feature_dropout fill_ flip full full_like gather
glu grid_sampler hamming_window hann_window hardswish im2col imag index_add index_copy index_select instance_norm
l1_norm linspace log_sigmoid log_softmax logcumsumexp logsumexp masked_fill masked_scatter masked_select max
max_pool1d max_pool2d mean meshgrid min movedim narrow new_empty new_full new_ones new_zeros norm normal_ one_hot ones
ones_like pad pixel_shuffle pixel_unshuffle prelu rand rand_like randint randn randn_like randperm real
reflection_pad2d repeat repeat_interleave replication_pad2d rms_norm roll rot90 rrelu scatter scatter_add softmax
softmin sort std std_mean sum swapaxes take_along_dim tile topk tril triu unflatten unfold uniform_ unsafe_chunk
unsafe_split var var_mean view_as_complex view_as_real weight_norm_interface where zero_ zeros zeros_like _weight_norm
_weight_norm_interface
"""
CHEAP = frozenset(_CHEAP.split())
"""Operators of a few operations an element that torch's tags do not tell; no network's multiply-adds lie in them."""

NORMALISING = ("native_", "_native_", "upsample_", "_upsample_", "_adaptive_", "adaptive_avg_pool", "_softmax")
"""How the names of normalisation, resizing and pooling begin where shapes tell them."""


def short_name(operator: str) -> str:
    """A trace's operator as messages name it.

    Example:
        >>> short_name("aten::fft_fft2"), short_name("prim::PythonOp.Swish"), short_name("torchvision::deform_conv2d")
        ('fft_fft2', 'autograd.Function Swish', 'torchvision::deform_conv2d')
    """
    if operator.startswith(CUSTOM):
        return f"autograd.Function {operator.removeprefix(CUSTOM)}"
    return operator.removeprefix("aten::")


def is_cheap(operator: str) -> bool:
    """Whether an operator of torch's own takes a few operations an element: torch tags it so, or it is in `CHEAP`.

    Example:
        >>> [is_cheap(f"aten::{name}") for name in ("relu_", "mean", "unflatten", "fft_fft2")]
        [True, True, True, False]
        >>> is_cheap("torchvision::deform_conv2d")
        False
    """
    space, _, name = operator.partition("::")
    return space == "aten" and (
        any(one in CHEAP or _tagged(one) for one in (name, name.removesuffix("_"))) or name.startswith(NORMALISING)
    )


def _tagged(name: str) -> bool:
    """Whether torch says that an operator goes element by element, sums up, or is a view."""
    import torch

    packet = getattr(torch.ops.aten, name, None)
    simple = {getattr(torch.Tag, tag, None) for tag in ("pointwise", "reduction")} - {None}
    overloads = [getattr(packet, one) for one in packet.overloads()] if packet is not None else []
    return any(simple & {*one.tags} or _is_view(one) for one in overloads)


def _is_view(overload: Any) -> bool:
    aliases = [result.alias_info for result in overload._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)
