"""Each family of networks in pycls' terms: the keys of its config, and its names of weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from scalesearch.export.library import refuse
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, stage_blocks
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.spec import NetworkSpec

Value = TypeVar("Value")
Sections = dict[str, dict[str, Any]]
"""Section of the config -> key -> value."""


class PyclsFamily(Protocol):
    """How one family of networks is configured.

    Attributes:
        module: class of scalesearch's own network.
        mark: a weight that this family alone has.
    """

    module: str
    mark: str

    def sections(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> Sections:
        """The sections that describe the network, `MODEL` among them.

        Raises:
            RefusedError: a network that cannot be expressed.
        """

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """A state dict of scalesearch's network under pycls' names."""


class EffNet:
    """See `PyclsFamily`."""

    module = "EfficientNet"
    mark = "conv_stem.weight"

    def sections(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> Sections:
        """See `PyclsFamily`; pycls drops every branch at one rate, here the mean of those that grow with depth."""
        config: EfficientNetConfig = baseline.config
        refuse(
            (config.stem_stride != 2, "stem", f"has stride {config.stem_stride}, and pycls' effnet has 2"),
            (config.plain, "0", "is of MobileNetV1's plain blocks, which pycls does not have"),
            (not config.se_ratio, "0", "has no squeeze-and-excitation, which pycls' effnet always has"),
            (config.activation != "silu", "stem", f"is activated by {config.activation}, and pycls' effnet by silu"),
            (not spec.head_width, "head", "has no convolution, which pycls' effnet always has"),
        )
        inputs = (spec.stem_width, *spec.widths)
        for stage, width in enumerate(inputs[:-1]):
            least = int(width * config.se_ratio)
            refuse((least < 1, str(stage), f"squeezes its {width} channels to 1, which pycls rounds to 0"))
        return {
            "MODEL": {"TYPE": "effnet"},
            "EN": {
                "STEM_W": spec.stem_width,
                "DEPTHS": list(spec.depths),
                "WIDTHS": list(spec.widths),
                "EXP_RATIOS": [stage.expand for stage in config.stages],
                "KERNELS": [stage.kernel for stage in config.stages],
                "STRIDES": [stage.stride for stage in config.stages],
                "HEAD_W": spec.head_width,
                "SE_R": config.se_ratio,
                "DC_RATIO": round(mean_drop_rate(config, spec), 4),
                "DROPOUT_RATIO": config.dropout,
            },
            "BN": {"EPS": config.bn_eps, "MOM": config.bn_momentum},
        }

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `PyclsFamily`.

        Example:
            >>> EffNet().names({"blocks.0.0.conv_pw.weight": 1, "bn2.bias": 2})
            {'s1.b1.lin_proj.weight': 1, 'head.conv_bn.bias': 2}
        """
        return {_effnet_name(name, state): value for name, value in state.items()}


def mean_drop_rate(config: EfficientNetConfig, spec: NetworkSpec) -> float:
    """Mean rate of stochastic depth over the blocks that have a branch to drop.

    Example:
        >>> from scalesearch.networks.families.efficientnet import B0
        >>> round(mean_drop_rate(B0, B0.spec(224)), 4)
        0.1069
    """
    rates, index, total = [], 0, sum(spec.depths)
    for (first, rest), depth in zip(stage_blocks(config, spec), spec.depths, strict=True):
        for block in [first, *[rest] * (depth - 1)]:
            rates += [config.stochastic_depth * index / total] if block.has_skip else []
            index += 1
    return sum(rates) / len(rates) if rates else 0.0


def _effnet_name(name: str, state: Mapping[str, Any]) -> str:
    match = re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)", name)
    if match is None:
        module, _, leaf = name.rpartition(".")
        return f"{_EFFNET_ENDS[module]}.{leaf}"
    stage, block, part, leaf = match.groups()
    parts = _EXPANDING if f"blocks.{stage}.{block}.conv_pwl.weight" in state else _SEPARABLE
    return f"s{int(stage) + 1}.b{int(block) + 1}.{parts[part]}.{leaf}"


_EFFNET_ENDS = {
    "conv_stem": "stem.conv", "bn1": "stem.bn",
    "conv_head": "head.conv", "bn2": "head.conv_bn", "classifier": "head.fc",
}  # fmt: skip
_SE = {"se.conv_reduce": "se.f_ex.0", "se.conv_expand": "se.f_ex.2"}
_EXPANDING = _SE | {
    "conv_pw": "exp", "bn1": "exp_bn", "conv_dw": "dwise", "bn2": "dwise_bn",
    "conv_pwl": "lin_proj", "bn3": "lin_proj_bn",
}  # fmt: skip
_SEPARABLE = _SE | {"conv_dw": "dwise", "bn1": "dwise_bn", "conv_pw": "lin_proj", "bn2": "lin_proj_bn"}


def _anynet(spec: NetworkSpec, stem: str, block: str, strides: list[int], **bottleneck: Any) -> Sections:
    given = {
        "STEM_TYPE": stem,
        "STEM_W": spec.stem_width,
        "BLOCK_TYPE": block,
        "DEPTHS": list(spec.depths),
        "WIDTHS": list(spec.widths),
        "STRIDES": strides,
        **bottleneck,
    }
    return {"MODEL": {"TYPE": "anynet"}, "ANYNET": given, "BN": {"EPS": 1e-5, "MOM": 0.1}}


def _refuse_drops(config: ResNetConfig | RegNetConfig) -> None:
    refuse(
        (config.dropout > 0, "head", f"has dropout {config.dropout:g}, and pycls' anynet has none"),
        (config.stochastic_depth > 0, "0", "drops branches in training, which pycls' anynet never does"),
    )


class AnyResNet:
    """See `PyclsFamily`; pycls' own `resnet` has fixed channels, its `anynet` has not."""

    module = "ResNet"
    mark = "conv1.weight"

    def sections(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> Sections:
        """See `PyclsFamily`."""
        config: ResNetConfig = baseline.config
        _refuse_drops(config)
        stem = "res_stem_cifar" if config.small_stem else "res_stem_in"
        if config.block == "basic":
            return _anynet(spec, stem, "res_basic_block", list(config.strides))
        bottleneck = {"BOT_MULS": [1 / config.expansion] * len(spec.widths), "GROUP_WS": list(spec.widths)}
        found = _anynet(spec, stem, "res_bottleneck_block", list(config.strides), **bottleneck)
        found["ANYNET"]["WIDTHS"] = [width * config.expansion for width in spec.widths]
        return found

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `PyclsFamily`.

        Example:
            >>> AnyResNet().names({"layer2.0.bn1.bias": 1, "layer1.0.downsample.1.bias": 2})
            {'s2.b1.f.a_bn.bias': 1, 's1.b1.bn.bias': 2}
        """
        ends = {"conv1": "stem.conv", "bn1": "stem.bn", "fc": "head.fc"}
        parts = {"downsample.0": "proj", "downsample.1": "bn"}
        parts |= {f"conv{i}": f"f.{letter}" for i, letter in enumerate("abc", 1)}
        parts |= {f"bn{i}": f"f.{letter}_bn" for i, letter in enumerate("abc", 1)}
        return _renamed(state, re.compile(r"layer(\d+)\.(\d+)\.(.+)"), parts, ends)


class AnyRegNet:
    """See `PyclsFamily`; pycls' own `regnet` makes widths from four parameters, its `anynet` takes them as they are."""

    module = "RegNet"
    mark = "trunk_output.block1.block1-0.f.a.0.weight"

    def sections(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> Sections:
        """See `PyclsFamily`."""
        config: RegNetConfig = baseline.config
        _refuse_drops(config)
        stages = len(spec.depths)
        bottleneck = {"BOT_MULS": [1.0] * stages, "GROUP_WS": [config.group_width] * stages}
        squeeze = {"SE_ON": True, "SE_R": config.se_ratio} if config.se_ratio else {"SE_ON": False}
        for stage, width in enumerate((spec.stem_width, *spec.widths[:-1])):
            rounds = config.se_ratio > 0 and round(width * config.se_ratio) < 1
            refuse((rounds, str(stage), f"squeezes its {width} channels to 1, which pycls rounds to 0"))
        return _anynet(spec, "simple_stem_in", "res_bottleneck_block", [2] * stages, **bottleneck, **squeeze)

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `PyclsFamily`.

        Example:
            >>> AnyRegNet().names({"trunk_output.block1.block1-0.f.se.fc2.bias": 1, "stem.1.weight": 2})
            {'s1.b1.f.se.f_ex.2.bias': 1, 'stem.bn.weight': 2}
        """
        ends = {"stem.0": "stem.conv", "stem.1": "stem.bn", "fc": "head.fc"}
        parts = {"proj.0": "proj", "proj.1": "bn", "f.se.fc1": "f.se.f_ex.0", "f.se.fc2": "f.se.f_ex.2"}
        parts |= {f"f.{letter}.0": f"f.{letter}" for letter in "abc"}
        parts |= {f"f.{letter}.1": f"f.{letter}_bn" for letter in "abc"}
        return _renamed(state, re.compile(r"trunk_output\.block(\d+)\.block\d+-(\d+)\.(.+)"), parts, ends)


def _renamed(
    state: Mapping[str, Value], block: re.Pattern[str], parts: Mapping[str, str], ends: Mapping[str, str]
) -> dict[str, Value]:
    named = {}
    for name, value in state.items():
        path, _, leaf = name.rpartition(".")
        match = block.fullmatch(path)
        where = f"s{match[1]}.b{int(match[2]) + 1}.{parts[match[3]]}" if match else ends[path]
        named[f"{where}.{leaf}"] = value
    return named
