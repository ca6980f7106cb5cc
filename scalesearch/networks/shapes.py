"""Count a network without running it: shapes alone pass through it, on torch's meta device.

For networks whose cost nobody wrote down. About as fast as building them, at any resolution; fvcore, which runs the
network, stays the judge of what is trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from scalesearch.errors import InfeasibleError, ScaleSearchError
from scalesearch.networks.outputs import no_tensor
from scalesearch.networks.products import recurrent_products

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Amounts:
    """Cost of one image: multiply-adds, weights, output elements of convolution, linear and matmul operators.

    Attributes:
        output: shape of what the network gives for one image; None where that is not a tensor.
        gives: what it gives that is not a tensor, and how to give one, in words; empty where it gives a tensor.
        left_out: (operator, times) of what is in neither, such as `aten::_fft_r2c`; views are among them.
    """

    macs: int
    params: int
    activations: int
    output: tuple[int, ...] | None = None
    left_out: tuple[tuple[str, int], ...] = ()
    gives: str = ""


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up multiply-adds and outputs of every operator that torch has a formula for."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = self.activations = 0
        self.left_out: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = _known(func, args)
        if found is None:
            found = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.macs += formula(*args, **(kwargs or {}), out_val=found) // 2
            self.activations += found.numel()
        elif func._overloadpacket in _ATTENTION:
            self._attention(*args[:3])
        elif func._overloadpacket is torch.ops.aten.mkldnn_rnn_layer:  # an LSTM's layer as the CPU runs it
            macs, outputs = recurrent_products([w.shape for w in args[1:3]], args[0].shape[:-1].numel())
            self._add(macs, outputs)
        elif func._overloadpacket in _VECTORS:  # torch has formulas of matrices only
            self._add(args[_VECTORS[func._overloadpacket]].numel(), found.numel())
        else:
            self.left_out[func._overloadpacket._qualified_op_name] += 1
        return found

    def _add(self, macs: int, outputs: int) -> None:
        self.macs += macs
        self.activations += outputs

    def _attention(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """softmax(Q K^T) V as two matmuls, as `scalesearch.scaling.cost` counts it under fvcore."""
        rows, keys = query.shape[:-1].numel(), key.shape[-2]
        self._add(rows * keys * (query.shape[-1] + value.shape[-1]), rows * (keys + value.shape[-1]))


def _known(func: Any, args: Any) -> Any:
    """The result of an operator whose shape needs no asking: torch derives it in Python, which takes half the time."""
    shortcut = _SHORTCUTS.get(func)
    if shortcut is None or not (isinstance(args[0], Tensor) and args[0].is_meta and args[0].is_floating_point()):
        return None
    return shortcut(args)


def _like_first(args: Any) -> Tensor:
    return torch.empty_like(args[0])


def _first(args: Any) -> Tensor:
    first: Tensor = args[0]
    return first


def _of_equals(args: Any) -> Tensor | None:
    """A sum or product without broadcasting."""
    one, other = args[:2]
    same = isinstance(other, Tensor) and other.is_meta and (one.shape, one.dtype) == (other.shape, other.dtype)
    return torch.empty_like(one) if same else None


def _normalised(args: Any) -> tuple[Tensor, Tensor, Tensor] | None:
    """Batch norm in eval mode, whose statistics nobody reads."""
    training = args[5]
    return None if training else (torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0))


_ELEMENTWISE = ("relu", "silu", "gelu", "sigmoid", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu", "elu", "tanh")
_SHORTCUTS: dict[Any, Callable[[Any], Any]] = {
    torch.ops.aten.native_batch_norm.default: _normalised,
    torch.ops.aten.add.Tensor: _of_equals,
    torch.ops.aten.mul.Tensor: _of_equals,
    **{getattr(torch.ops.aten, name).default: _like_first for name in _ELEMENTWISE},
    **{getattr(torch.ops.aten, f"{name}_").default: _first for name in _ELEMENTWISE},
}

_VECTORS = {torch.ops.aten.mv: 0, torch.ops.aten.addmv: 1, torch.ops.aten.dot: 0}
"""Products with a vector: which argument has as many elements as there are multiply-adds."""

_ATTENTION = {
    packet
    for name in (
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_fused_attention_overrideable",
    )
    if (packet := getattr(torch.ops.aten, name, None)) is not None
}


def count_shapes(build: Callable[[], nn.Module], resolution_px: int, in_channels: int) -> Amounts:
    """Build a network and count one image: on the meta device, or on the CPU where it needs values of its own.

    torch's global generator is left as it was.

    Args:
        build: makes the network from torch's own factories, which on the meta device take no memory.
        resolution_px: side of the square input.
        in_channels: channels of the input.

    Raises:
        ScaleSearchError: `build` raised one.
        InfeasibleError: the network does not run on such an image.
    """
    shape = f"an image of {in_channels} x {resolution_px} x {resolution_px}"
    return on_meta_or_cpu(lambda device: _count(build, resolution_px, in_channels, device), shape)


def on_meta_or_cpu(attempt: Callable[[str], T], images: str) -> T:
    """What `attempt` gives on the meta device, or on the CPU where the network needs values of its own.

    Args:
        attempt: builds the network on the device that it is given, and runs it there.
        images: what it runs on, for the message.

    Raises:
        ScaleSearchError: `attempt` raised one.
        InfeasibleError: it fails on the CPU too.
    """
    try:
        return attempt("meta")
    except ScaleSearchError:
        raise
    except Exception:  # reads values, or mixes in tensors of the CPU: the real run tells
        pass
    try:
        return attempt("cpu")
    except ScaleSearchError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InfeasibleError(f"the network does not run on {images}: {reason}") from error


def _count(build: Callable[[], nn.Module], resolution_px: int, in_channels: int, device: str) -> Amounts:
    with torch.random.fork_rng(devices=[]), torch.device(device):
        module = build().to(device).eval()
        image = torch.zeros(1, in_channels, resolution_px, resolution_px)
    return run_counted(module, image)


def run_counted(module: nn.Module, image: Tensor) -> Amounts:
    """Run a network on one image, in the mode it is in, and count what it does.

    Args:
        module: on the device of the image.
        image: [1, in_channels, px, px].
    """
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator, in which nothing can be counted
    try:
        with torch.no_grad(), _Tally() as tally:
            output = module(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
    params = sum(p.numel() for p in module.parameters())
    shape = tuple(output.shape) if isinstance(output, Tensor) else None
    gives = "" if isinstance(output, Tensor) else no_tensor(output)
    return Amounts(tally.macs, params, tally.activations, shape, tuple(sorted(tally.left_out.items())), gives)
