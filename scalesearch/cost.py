"""What a network costs for one image: in closed form, and as fvcore counts it while the network runs.

Two totals are kept apart. `macs` is the multiply-adds of convolution, linear and matmul operators (the EfficientNet
paper's "FLOPs"); `fvcore_total` is fvcore's own total, which adds normalisation, pooling and upsampling. Operators
that neither includes are listed, never silently zero. torch and fvcore are loaded by the functions that run a network.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from scalesearch.errors import InfeasibleError, ScaleSearchError, UsageError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, LayerCost, Task
from scalesearch.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

QUANTITIES = ("macs", "fvcore_total", "params", "activations")
MULTIPLY_ADD_OPERATORS = frozenset(
    {"conv", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "scaled_dot_product_attention"}
)
ELEMENTWISE_OPS_IGNORED_BY_FVCORE = ("aten::relu", "aten::relu_", "aten::clamp", "aten::clamp_", "aten::max")


@runtime_checkable
class HasStages(Protocol):
    """A module that says which of its submodules make up each stage."""

    def stage_paths(self) -> dict[str, list[str]]:
        """Stage name -> paths of the submodules in it, in the order they run."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """Cost of one stage for one image; the fields are those of `Cost`."""

    name: str
    macs: int
    fvcore_total: int
    params: int
    activations: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a network for one image of `resolution_px` squared, in eval mode.

    Attributes:
        macs: multiply-adds of convolution, linear, matmul and attention operators.
        fvcore_total: `macs` plus what fvcore adds (batch-norm 2 per element, adaptive pooling 1, ...).
        params: weights.
        activations: output elements of convolution, linear and matmul operators.
        resolution_px: side of the input.
        stages: the same numbers stage by stage; they sum to the totals.
        operators: (operator, its part of `fvcore_total`); empty in a closed form.
        uncounted_ops: (operator, times) of every operator met and not counted; empty in a closed form.
    """

    macs: int
    fvcore_total: int
    params: int
    activations: int
    resolution_px: int
    stages: tuple[StageCost, ...]
    operators: tuple[tuple[str, int], ...] = ()
    uncounted_ops: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for JSON."""
        pairs = {"operators": dict(self.operators), "uncounted_ops": dict(self.uncounted_ops)}
        return asdict(self) | pairs | {"stages": [asdict(stage) for stage in self.stages]}


def closed_form(baseline: ClosedFormBaseline, spec: NetworkSpec, task: Task) -> Cost:
    """The cost by arithmetic alone: nothing is built.

    Raises:
        UsageError, InfeasibleError: a spec that the family cannot make.

    Example:
        >>> from scalesearch.networks.registry import get_baseline
        >>> b0 = get_baseline("efficientnet_b0")
        >>> cost = closed_form(b0, b0.spec, b0.task)
        >>> cost.macs, cost.fvcore_total, cost.params
        (385814752, 401659392, 5288548)
    """
    stages: dict[str, list[LayerCost]] = {}
    for layer in baseline.layers(spec, task):
        stages.setdefault(layer.stage, []).append(layer)
    return _total([_sum_layers(name, layers) for name, layers in stages.items()], spec.resolution_px)


def _sum_layers(stage: str, layers: Iterable[LayerCost]) -> StageCost:
    macs = other = params = activations = 0
    for layer in layers:
        macs += layer.macs * layer.count
        other += layer.other * layer.count
        params += layer.params * layer.count
        activations += layer.activations * layer.count
    return StageCost(stage, macs, macs + other, params, activations)


def _total(stages: Iterable[StageCost], resolution_px: int) -> Cost:
    stages = tuple(stages)
    macs, fvcore_total, params, activations = (sum(getattr(stage, name) for stage in stages) for name in QUANTITIES)
    return Cost(macs, fvcore_total, params, activations, resolution_px, stages)


def count(baseline: Baseline, spec: NetworkSpec, task: Task) -> Cost:
    """Build the network, count it with fvcore, and check the closed form against it where the family has one.

    torch's global generator is left as it was.

    Raises:
        UsageError, InfeasibleError: a spec that the family cannot make.
        ScaleSearchError: the closed form disagrees; the message names the stage and both numbers.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        module = baseline.build(spec, task)
    counted = count_module(module, spec.resolution_px, task.in_channels)
    if isinstance(baseline, ClosedFormBaseline):
        _check_agreement(baseline.name, closed_form(baseline, spec, task), counted)
    return counted


def _check_agreement(name: str, closed: Cost, counted: Cost) -> None:
    left, right = ({stage.name: stage for stage in cost.stages} for cost in (closed, counted))
    for stage in {**left, **right}:
        nothing = StageCost(stage, 0, 0, 0, 0)
        mine, theirs = left.get(stage, nothing), right.get(stage, nothing)
        if mine != theirs:
            raise ScaleSearchError(f"{name}, stage {stage}: the closed form is {mine}, but fvcore counts {theirs}")


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
        image = _image(module, resolution_px, in_channels)
        try:
            trace = _Trace.of(module, image)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            shape = f"{in_channels} x {resolution_px} x {resolution_px}"
            raise InfeasibleError(f"the network does not run on an image of {shape}: {reason}") from error
    operators = tuple((op, int(n)) for op, n in trace.counts[""].most_common())
    total = _total(trace.stages(module), resolution_px)
    return replace(total, operators=operators, uncounted_ops=trace.uncounted)


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
        with torch.no_grad(), redirect_stdout(sys.stderr):
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
        fvcore = _fvcore()
        ignored: Counter[str] = Counter()
        flops = _quiet(fvcore.FlopCountAnalysis(module, image)).set_op_handle(**_flop_handles(ignored))
        outputs = _quiet(fvcore.ActivationCountAnalysis(module, image)).set_op_handle(**_activation_handles())
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


def _fvcore() -> Any:
    with warnings.catch_warnings():
        # fvcore runs torch.jit.script when it is imported, which newer torch calls deprecated.
        warnings.simplefilter("ignore")
        import fvcore.nn
    return fvcore.nn


def _quiet(analysis: Any) -> Any:
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")


Handle = Callable[[list[Any], list[Any]], int | Counter[str]]


def _flop_handles(ignored: Counter[str]) -> dict[str, Handle]:
    """Multiply-adds of operators that fvcore does not know, and a tally of those that it drops without a word."""
    handles: dict[str, Handle] = {
        "aten::_convolution_mode": _named_padding_conv,
        "aten::scaled_dot_product_attention": lambda inputs, _: _attention(inputs)[0],
        "aten::baddbmm": lambda inputs, _: math.prod(_shape(inputs[1])) * _shape(inputs[2])[-1],
    }
    return handles | {op: _tally(op, ignored) for op in ELEMENTWISE_OPS_IGNORED_BY_FVCORE}


def _activation_handles() -> dict[str, Handle]:
    return {
        "aten::_convolution_mode": lambda _, outputs: math.prod(_shape(outputs[0])),
        "aten::scaled_dot_product_attention": lambda inputs, _: _attention(inputs)[1],
        "aten::baddbmm": lambda _, outputs: math.prod(_shape(outputs[0])),
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


def _shape(value: Any) -> list[int]:
    sizes: list[int] = value.type().sizes()
    return sizes
