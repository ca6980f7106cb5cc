"""Each family of networks in pycls' terms: the keys of its config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, stage_blocks
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.spec import NetworkSpec

Sections = dict[str, dict[str, Any]]
"""Section of the config -> key -> value."""


def effnet(config: EfficientNetConfig, spec: NetworkSpec) -> Sections:
    """pycls drops every branch at one rate, here the mean of those that grow with depth."""
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


def resnet(config: ResNetConfig, spec: NetworkSpec) -> Sections:
    """pycls' own `resnet` has fixed channels, its `anynet` has not."""
    _refuse_drops(config)
    stem = "res_stem_cifar" if config.small_stem else "res_stem_in"
    if config.block == "basic":
        return _anynet(spec, stem, "res_basic_block", list(config.strides))
    bottleneck = {"BOT_MULS": [1 / config.expansion] * len(spec.widths), "GROUP_WS": list(spec.widths)}
    found = _anynet(spec, stem, "res_bottleneck_block", list(config.strides), **bottleneck)
    found["ANYNET"]["WIDTHS"] = [width * config.expansion for width in spec.widths]
    return found


def regnet(config: RegNetConfig, spec: NetworkSpec) -> Sections:
    """pycls' own `regnet` makes widths from four parameters, its `anynet` takes them as they are."""
    _refuse_drops(config)
    stages = len(spec.depths)
    bottleneck = {"BOT_MULS": [1.0] * stages, "GROUP_WS": [config.group_width] * stages}
    squeeze = {"SE_ON": True, "SE_R": config.se_ratio} if config.se_ratio else {"SE_ON": False}
    for stage, width in enumerate((spec.stem_width, *spec.widths[:-1])):
        rounds = config.se_ratio > 0 and round(width * config.se_ratio) < 1
        refuse((rounds, str(stage), f"squeezes its {width} channels to 1, which pycls rounds to 0"))
    return _anynet(spec, "simple_stem_in", "res_bottleneck_block", [2] * stages, **bottleneck, **squeeze)


FAMILIES: dict[str, Callable[[Any, NetworkSpec], Sections]] = {
    "EfficientNetConfig": effnet,
    "ResNetConfig": resnet,
    "RegNetConfig": regnet,
}
"""Config of a family -> the sections of a member that describe the network, `MODEL` among them."""
