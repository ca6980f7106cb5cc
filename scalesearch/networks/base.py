"""What every family of networks offers to the rest of the program.

A `Baseline` is plain frozen data that can be sent to another process; torch is loaded when it builds, not before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.spec import NetworkSpec, RoundingRules, scale_depths

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Task:
    """What a network is asked to do.

    Attributes:
        num_classes: outputs of the classifier.
        in_channels: channels of the input image.
    """

    num_classes: int
    in_channels: int

    def __post_init__(self) -> None:
        if min(self.num_classes, self.in_channels) < 1:
            raise UsageError(
                f"{self.num_classes} classes and {self.in_channels} channels of the image; allowed: at least 1 class "
                "and 1 input channel"
            )


IMAGENET = Task(num_classes=1000, in_channels=3)


@dataclass(frozen=True, slots=True)
class Published:
    """Figures as a paper prints them: the text keeps the precision, which a number would lose ("1.0B").

    Attributes:
        params_text: weights, such as "5.3M"; empty where the paper does not say.
        macs_text: multiply-adds (the paper's "FLOPs") at the native resolution, such as "0.39B".
        top1_percent: single-crop ImageNet accuracy, 0 to 100; None where the paper does not say.
        source: where the figures are printed.
        note: what a reader must know to compare them, such as another unit or another resolution.
    """

    params_text: str
    macs_text: str
    top1_percent: float | None
    source: str
    note: str = ""

    @property
    def params(self) -> int | None:
        """Weights as a number; None where the paper does not say."""
        return _number(self.params_text)

    @property
    def macs(self) -> int | None:
        """Multiply-adds as a number; None where the paper does not say."""
        return _number(self.macs_text)


def _number(text: str) -> int | None:
    """A printed count as a number: "0.39B" is 390 million."""
    return round(float(text[:-1]) * {"M": 1e6, "B": 1e9}[text[-1]]) if text else None


@dataclass(frozen=True, slots=True)
class LayerCost:
    """Cost of one layer for one image; `count` such layers are identical.

    Attributes:
        stage: `stem`, `0`, `1` ..., `head`.
        op: `conv`, `linear`, `matmul`, `batch_norm`, `layer_norm`, `pool`, or `weight` for a parameter that no operator
            above uses (a class token, a layer scale).
        macs: multiply-adds; 0 for normalisation and pooling.
        other: what fvcore's own total adds beyond multiply-adds: 2 per element of batch-norm, 1 per pooled input.
        params: weights.
        activations: output elements of conv, linear and matmul, as fvcore counts them.
        count: how many such layers the stage has.
    """

    stage: str
    op: str
    macs: int
    other: int
    params: int
    activations: int
    count: int = 1


QUANTITIES = ("macs", "params", "activations")
"""What a baseline can say about any of its networks without running it."""


@dataclass(frozen=True)
class Baseline(ABC):
    """An unscaled network and the family it spans: every `NetworkSpec` of as many stages can be built.

    Attributes:
        name: as the command line writes it.
        spec: the unscaled network at its native resolution.
        rules: how scaled values become whole numbers.
        task: used where no other is asked for.
        published: the paper's figures, None where there are none.
    """

    name: str
    spec: NetworkSpec
    rules: RoundingRules
    task: Task
    published: Published | None

    @abstractmethod
    def build(
        self, spec: NetworkSpec, task: Task, *, dropout: float | None = None, stochastic_depth: float | None = None
    ) -> nn.Module:
        """The network: [N, in_channels, resolution_px, resolution_px] to logits [N, num_classes].

        Args:
            spec: the whole-number network.
            task: classes and input channels.
            dropout: rate before the classifier; None takes the family's own. A family without one ignores it.
            stochastic_depth: rate the deepest blocks approach; None takes the family's own. As above.

        Raises:
            UsageError: a spec of another number of stages.
            InfeasibleError: a resolution under `rules.min_resolution_px`.
        """

    @abstractmethod
    def amount(self, quantity: str, spec: NetworkSpec, task: Task) -> int:
        """One of `QUANTITIES` for one image, without running the network. Raises as `build` does."""

    def macs(self, spec: NetworkSpec, task: Task) -> int:
        """Multiply-adds for one image. Raises as `build` does."""
        return self.amount("macs", spec, task)

    def depths(self, alpha: float) -> tuple[int, ...]:
        """Blocks of each stage at depth multiplier `alpha`; monotone in alpha, stage by stage."""
        return scale_depths(self.spec.depths, alpha, self.rules.depth_rule)

    def identity(self) -> str:
        """What tells this baseline from another of its name: empty for networks of this package, whose version does."""
        return ""

    def identities(self) -> tuple[str, ...]:
        """`identity`, and what earlier versions of this package called the same."""
        return (self.identity(),)

    def imported(self) -> Mapping[str, str]:
        """The user's files that this baseline's code imports, each with a hash; empty for every other baseline."""
        return {}

    def call_form(self) -> str:
        """How a user's code is called, one of the forms of `networks.user.line`; empty for every other baseline."""
        return ""

    def smallest(self) -> NetworkSpec:
        """The least network the family makes: one block a stage, one divisor wide, the smallest resolution."""
        least = replace(self.spec, depths=(1,) * len(self.spec.depths), resolution_px=self.rules.min_resolution_px)
        return least.with_channels(self.rules.divisors(least))

    def check(self, spec: NetworkSpec) -> None:
        """Refuse a spec that is not of this family.

        Raises:
            UsageError: another number of stages, or a stem or head where the family has none (or the reverse).
            InfeasibleError: a resolution under `rules.min_resolution_px`.
        """
        mine = self.spec
        if len(spec.depths) != len(mine.depths):
            raise UsageError(f"{self.name} has {len(mine.depths)} stages, not {len(spec.depths)} as in {spec}")
        if bool(spec.stem_width) != bool(mine.stem_width) or bool(spec.head_width) != bool(mine.head_width):
            raise UsageError(f"{spec} has another stem or head than {self.name}: {mine}")
        if spec.resolution_px < self.rules.min_resolution_px:
            least = self.rules.min_resolution_px
            raise InfeasibleError(
                f"resolution {spec.resolution_px} px is too small for {self.name}; allowed: {least} px or more"
            )


@dataclass(frozen=True)
class ClosedFormBaseline(Baseline):
    """A family whose cost is arithmetic: nothing is built to know it, and fvcore must give the same numbers.

    The modules of such a family have a method `stage_paths() -> dict[str, list[str]]`, the submodules that make up each
    stage, so that the two counts are compared stage by stage; EfficientNet's need none (see `cost.count_module`).
    """

    @abstractmethod
    def layers(self, spec: NetworkSpec, task: Task) -> Iterable[LayerCost]:
        """The closed form: every layer that costs something, for one image. Raises as `build` does."""

    def amount(self, quantity: str, spec: NetworkSpec, task: Task) -> int:
        """The sum over `layers`, or what a family has that is faster; see `Baseline.amount`."""
        return self.macs(spec, task) if quantity == "macs" else self.total(quantity, spec, task)

    def macs(self, spec: NetworkSpec, task: Task) -> int:
        """As `amount`; most families have a formula, which takes microseconds."""
        return self.total("macs", spec, task)

    def total(self, quantity: str, spec: NetworkSpec, task: Task) -> int:
        """The sum over `layers` of one of `QUANTITIES`. Raises as `build` does."""
        return sum(getattr(layer, quantity) * layer.count for layer in self.layers(spec, task))
