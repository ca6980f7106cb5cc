"""`--base timm:NAME`: a model of timm as a baseline, rebuilt by timm's own classes with other depths and widths.

timm is loaded when a baseline is made, and weights are never: a tag such as `.a1_in1k` only sets the resolution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import IMAGENET, Task
from scalesearch.networks.counted import CountedBaseline
from scalesearch.networks.families.efficientnet_config import check_rate
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.networks.timm.capture import NotScalableError, TimmCall, capture, current_name
from scalesearch.networks.timm.families import (
    describe_convnext,
    describe_regnet,
    describe_resnet,
    describe_vit,
    make_convnext,
    make_regnet,
    make_resnet,
    make_vit,
)
from scalesearch.networks.timm.mobile import describe_mobile, make_mobile

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm:"


@dataclass(frozen=True)
class TimmFamily:
    """One class of timm's that can be scaled.

    Attributes:
        path: its module and name.
        example: a model of it.
        describe: the unscaled network of a call, and its rounding rules.
        make: the network of a spec, given changed arguments (classes, input channels, rates).
    """

    path: str
    example: str
    describe: Callable[[TimmCall], tuple[NetworkSpec, RoundingRules]]
    make: Callable[[TimmCall, NetworkSpec, dict[str, Any]], nn.Module]


FAMILIES = {
    "EfficientNet": TimmFamily(
        "timm.models.efficientnet.EfficientNet", "efficientnet_b0", describe_mobile, make_mobile
    ),
    "MobileNetV3": TimmFamily(
        "timm.models.mobilenetv3.MobileNetV3", "mobilenetv3_large_100", describe_mobile, make_mobile
    ),
    "ResNet": TimmFamily("timm.models.resnet.ResNet", "resnet50", describe_resnet, make_resnet),
    "RegNet": TimmFamily("timm.models.regnet.RegNet", "regnety_016", describe_regnet, make_regnet),
    "ConvNeXt": TimmFamily("timm.models.convnext.ConvNeXt", "convnext_tiny", describe_convnext, make_convnext),
    "ViT": TimmFamily(
        "timm.models.vision_transformer.VisionTransformer", "vit_tiny_patch16_224", describe_vit, make_vit
    ),
}
"""Every family, by the name that messages give it."""


@dataclass(frozen=True)
class TimmBaseline(CountedBaseline):
    """A model of timm and the family that it spans.

    Attributes:
        family: a key of `FAMILIES`.
        model: what timm calls the unscaled model, with its tag.
    """

    family: str
    model: str

    def identity(self) -> str:
        """timm's version: another one may build other networks of one name."""
        import timm

        return f"timm {timm.__version__}"

    def build(
        self, spec: NetworkSpec, task: Task, *, dropout: float | None = None, stochastic_depth: float | None = None
    ) -> nn.Module:
        """timm's network of a spec, initialised by timm from torch's global generator; see `Baseline.build`.

        The classifier has its dropout and the blocks their stochastic depth as timm's own network has them.
        """
        self.check(spec)
        changes: dict[str, Any] = {"num_classes": task.num_classes, "in_chans": task.in_channels}
        given = {"dropout": ("drop_rate", dropout), "stochastic_depth": ("drop_path_rate", stochastic_depth)}
        for name, (argument, rate) in given.items():
            if rate is not None:
                check_rate(name, rate)
                changes[argument] = rate
        return FAMILIES[self.family].make(capture(self.model), spec, changes)


def timm_baseline(name: str) -> TimmBaseline:
    """The baseline of timm's model `name`, with or without a tag.

    Raises:
        MissingExtraError: timm is not installed.
        UnknownNameError: no such model; the message names the nearest.
        UsageError: an empty name, or a model that cannot be scaled; the message names the families that can.
        InfeasibleError: the smallest network of the family does not run.
    """
    model = current_name(name)
    try:
        call = capture(model)
        family = _family(call)
        spec, rules = FAMILIES[family].describe(call)
        rules = _fitting(FAMILIES[family], call, spec, rules)
    except NotScalableError as error:
        able = ", ".join(f"{key} ({PREFIX}{item.example})" for key, item in FAMILIES.items())
        raise UsageError(f"timm's {name} cannot be scaled: {error}; allowed: models of the families {able}") from None
    return _running(TimmBaseline(PREFIX + name, spec, rules, IMAGENET, None, family, model))


def _family(call: TimmCall) -> str:
    """The key of `FAMILIES` for a call."""
    path = f"{call.make.__module__}.{call.make.__qualname__}"
    found = next((key for key, family in FAMILIES.items() if family.path == path), None)
    if found is None:
        raise NotScalableError(f"its class {call.make.__qualname__} is none that can be given other depths and widths")
    if call.pruned:
        raise NotScalableError("channels were cut out of its layers one by one")
    if call.input_size[1] != call.input_size[2]:
        raise NotScalableError("its image is {1} x {2}, not square".format(*call.input_size))
    return found


def _fitting(family: TimmFamily, call: TimmCall, spec: NetworkSpec, rules: RoundingRules) -> RoundingRules:
    """`rules` with the finest steps of channels that groups inside the network allow, found by trial."""
    stem = rules.stem_divisor or rules.width_divisor
    repeated = replace(spec, depths=tuple(max(2, blocks) for blocks in spec.depths))
    factors = itertools.product((1, 2, 4, 8) if spec.stem_width else (1,), (1, 2, 4, 8))
    for by_stem, by_width in sorted(factors, key=math.prod):
        tried = replace(rules, stem_divisor=stem * by_stem, width_divisor=rules.width_divisor * by_width)
        steps = tried.divisors(spec)
        if any(channels % step for channels, step in zip(spec.channels, steps, strict=True)):
            continue
        larger = [channels + step for channels, step in zip(spec.channels, steps, strict=True)]
        if all(_builds(family, call, repeated.with_channels(channels)) for channels in (larger, steps)):
            return tried
    raise NotScalableError(f"its channels {spec.channels} are in groups of several sizes")


def _builds(family: TimmFamily, call: TimmCall, spec: NetworkSpec) -> bool:
    import torch

    try:
        with torch.device("meta"):
            family.make(call, spec, {"num_classes": IMAGENET.num_classes, "in_chans": IMAGENET.in_channels})
    except Exception:  # what timm raises differs from layer to layer
        return False
    return True


def _running(baseline: TimmBaseline) -> TimmBaseline:
    """The baseline with the least resolution at which its smallest network runs (one pixel a group is too few)."""
    rules = baseline.rules
    try:
        baseline.macs(baseline.smallest(), baseline.task)
    except InfeasibleError:
        if 2 * rules.min_resolution_px > baseline.spec.resolution_px:
            raise
        return _running(replace(baseline, rules=replace(rules, min_resolution_px=2 * rules.min_resolution_px)))
    return baseline
