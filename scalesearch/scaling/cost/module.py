"""Any network counted by fvcore, which runs it on one image."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.products import RECURRENT
from scalesearch.scaling.cost.amounts import QUANTITIES, Cost, StageCost, total_of
from scalesearch.scaling.cost.handles import activation_handles, flop_handles, load_fvcore, quiet

if TYPE_CHECKING:
    from torch import Tensor, nn

_PRODUCTS = "conv linear matmul mm bmm addmm baddbmm mv addmv dot einsum tensordot scaled_dot_product_attention"
MULTIPLY_ADD_OPERATORS = frozenset((*_PRODUCTS.split(), *RECURRENT))


@runtime_checkable
class HasStages(Protocol):
    """A module that says which of its submodules make up each stage."""

    def stage_paths(self) -> dict[str, list[str]]:
        """Stage name -> paths of the submodules in it, in the order they run."""


def count_module(module: nn.Module, resolution_px: int, in_channels: int) -> Cost:
    """Count any network on one image, in eval mode and without gradients; its modes are put back afterwards.

    The network is executed, where its weights lie (about 1 s for EfficientNet-B0 on a CPU). Stages are what the
    network's own `stage_paths()` says; without one, its child modules, or where there is a list called `blocks` that
    list's items, with `stem` before and `head` after them. What runs outside all of them is the stage `other`.

    Args:
        module: takes [1, in_channels, resolution_px, resolution_px].
        resolution_px: side of the square input.
        in_channels: channels of the input.

    Raises:
        UsageError: weights on the meta device, which cannot be executed.
        InfeasibleError: the network fails on such an input.
    """
    with _undisturbed(module):
        image, own = _image(module, resolution_px, in_channels), _named(module)
        try:
            trace = _Trace.of(module, image)
        except Exception as error:
            raise _failure(module, image, own, error) from error
        if late := _named(module) - own:
            raise _made_in_forward(late)
    operators = tuple((op, int(n)) for op, n in trace.counts[""].most_common())
    total = total_of(trace.stages(module), resolution_px)
    return replace(total, operators=operators, uncounted_ops=trace.uncounted)


def _named(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_parameters()}


def _made_in_forward(names: Iterable[str]) -> InfeasibleError:
    return InfeasibleError(
        f"the network makes weights in its first forward ({', '.join(sorted(names))}), when an optimizer already has "
        "all that it will train; allowed: layers made in __init__, torch.nn.LazyLinear or LazyConv2d where a size is "
        "not known there"
    )


def _failure(module: nn.Module, image: Tensor, own: set[str], error: Exception) -> InfeasibleError:
    """Whose fault it is: the network's, or that of the trace under which fvcore runs it."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    shape = " x ".join(map(str, image.shape[1:]))
    try:
        module(image)
    except Exception:
        return InfeasibleError(f"the network does not run on an image of {shape}: {reason}")
    if late := _named(module) - own:
        return _made_in_forward(late)
    return InfeasibleError(
        f"fvcore cannot follow the network, which runs on an image of {shape}: {reason}; allowed: a forward that "
        "torch.jit.trace can record, without an autograd.Function that uses weights which are not its arguments"
    )


@contextmanager
def _without_checkpointing() -> Iterator[None]:
    """torch's older checkpointing hides what it runs in an autograd.Function; without gradients it saves nothing."""
    from torch.utils.checkpoint import CheckpointFunction

    CheckpointFunction.apply = staticmethod(lambda run, _, *given: run(*given))
    try:
        yield
    finally:
        del CheckpointFunction.apply


def _image(module: nn.Module, resolution_px: int, in_channels: int) -> Tensor:
    import torch

    weights = [p for p in module.parameters() if p.is_floating_point()]
    like = weights[0] if weights else torch.empty(0)
    if like.is_meta:
        raise UsageError("the network is on the meta device; allowed: cpu or an accelerator, because counting runs it")
    return torch.zeros(1, in_channels, resolution_px, resolution_px, dtype=like.dtype, device=like.device)


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    import torch

    modes = {part: part.training for part in module.modules()}
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    # The fast path is one fused operator, in which nothing can be counted.
    torch.backends.mha.set_fastpath_enabled(False)
    module.eval()
    try:
        # What a user's network prints must not spoil a document on stdout.
        with torch.no_grad(), redirect_stdout(sys.stderr), _without_checkpointing():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
        for part, training in modes.items():
            part.training = training


@dataclass(frozen=True)
class _Trace:
    """fvcore's findings: for every module path, counts by operator."""

    counts: dict[str, Counter[str]]
    activations: dict[str, Counter[str]]
    uncounted: tuple[tuple[str, int], ...]

    @staticmethod
    def of(module: nn.Module, image: Tensor) -> _Trace:
        """Run `module` twice under fvcore: once for its totals, once for its activations."""
        fvcore = load_fvcore()
        ignored: Counter[str] = Counter()
        flops = quiet(fvcore.FlopCountAnalysis(module, image)).set_op_handle(**flop_handles(ignored))
        outputs = quiet(fvcore.ActivationCountAnalysis(module, image)).set_op_handle(**activation_handles())
        counts = flops.by_module_and_operator()
        missed = Counter(flops.unsupported_ops()) + ignored
        ranked = sorted(missed.items(), key=lambda item: (-item[1], item[0]))
        return _Trace(counts, outputs.by_module_and_operator(), tuple(ranked))

    def stages(self, module: nn.Module) -> Iterator[StageCost]:
        """Every stage that costs something, in the order of the network's children."""
        seen: set[Tensor] = set()
        used: list[str] = []
        for name, paths in _stage_paths(module).items():
            parts = [parameter for path in paths for parameter in module.get_submodule(path).parameters()]
            params = sum(p.numel() for p in dict.fromkeys(parts) if p not in seen)
            seen.update(parts)
            used += paths
            yield from _unless_free(StageCost(name, *self._sums(paths), params, self._outputs(paths)))
        rest = sum(p.numel() for p in module.parameters() if p not in seen)
        whole, inside = self._sums([""]), self._sums(used)
        own = StageCost(
            "other", whole[0] - inside[0], whole[1] - inside[1], rest, self._outputs([""]) - self._outputs(used)
        )
        yield from _unless_free(own)

    def _sums(self, paths: Iterable[str]) -> tuple[int, int]:
        total: Counter[str] = Counter()
        for path in paths:
            total.update(self.counts.get(path, {}))
        return int(sum(n for op, n in total.items() if op in MULTIPLY_ADD_OPERATORS)), int(total.total())

    def _outputs(self, paths: Iterable[str]) -> int:
        return int(sum(sum(self.activations.get(path, {}).values()) for path in paths))


def _unless_free(stage: StageCost) -> Iterator[StageCost]:
    if any(getattr(stage, quantity) for quantity in QUANTITIES):
        yield stage


def _stage_paths(module: nn.Module) -> dict[str, list[str]]:
    """Stage name -> paths of the modules in it."""
    from torch import nn

    if isinstance(module, HasStages):
        return module.stage_paths()
    children = dict(module.named_children())
    blocks = children.get("blocks")
    if not isinstance(blocks, nn.Sequential | nn.ModuleList):
        return {name: [name] for name in children}
    names = list(children)
    at = names.index("blocks")
    inside = {name: [f"blocks.{name}"] for name, _ in blocks.named_children()}
    return {"stem": names[:at], **inside, "head": names[at + 1 :]}
