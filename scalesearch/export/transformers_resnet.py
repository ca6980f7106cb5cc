"""ResNet and RegNet in transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.export.text import Imports
from scalesearch.export.transformers_text import Value, renamed
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.spec import NetworkSpec

_SMALL_STEM = '''
class SmallStemResNetForImageClassification(ResNetForImageClassification):
    """transformers' ResNet with a stem for small images: 3 x 3, stride 1, no pooling. Every weight keeps its name."""

    def __init__(self, config):
        super().__init__(config)
        stem = self.resnet.embedder
        stem.embedder.convolution = nn.Conv2d(config.num_channels, config.embedding_size, 3, padding=1, bias=False)
        stem.pooler = nn.Identity()
        self.post_init()
'''


def _refuse_drops(config: ResNetConfig | RegNetConfig, library_class: str) -> None:
    """Neither class of transformers drops anything in training."""
    rates = {"head": ("dropout", config.dropout), "0": ("stochastic depth", config.stochastic_depth)}
    for stage, (what, rate) in rates.items():
        refuse((rate > 0, stage, f"has {what} {rate:g}, and transformers' {library_class} has none"))


def _stages(config: Any, base: str) -> dict[str, Sequence[str]]:
    inside = {str(index): [f"{base}.encoder.stages.{index}"] for index in range(len(config.depths))}
    return {"stem": [f"{base}.embedder"], **inside, "head": [f"{base}.pooler", "classifier"]}


class HubResNet:
    """See `HubFamily`."""

    module = "ResNet"
    mark = "conv1.weight"
    config = "ResNetConfig"

    def model(self, baseline: ConfiguredBaseline) -> str:
        """See `HubFamily`."""
        small = baseline.config.small_stem
        return "SmallStemResNetForImageClassification" if small else "ResNetForImageClassification"

    def source(self, baseline: ConfiguredBaseline) -> tuple[Imports, list[str]]:
        """See `HubFamily`."""
        config: ResNetConfig = baseline.config
        _refuse_drops(config, "ResNet")
        for stage, stride in enumerate(config.strides):
            why = f"has stride {stride}, and transformers' ResNet has 2 in all but stage 0"
            refuse((stage > 0 and stride != 2, str(stage), why))
        imports: Imports = {"transformers": ("ResNetForImageClassification",)}
        return ({"torch": ("nn",), **imports}, [_SMALL_STEM]) if config.small_stem else (imports, [])

    def values(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> dict[str, Any]:
        """See `HubFamily`."""
        config: ResNetConfig = baseline.config
        return {
            "embedding_size": spec.stem_width,
            "hidden_sizes": [width * config.expansion for width in spec.widths],
            "depths": list(spec.depths),
            "layer_type": config.block,
            "hidden_act": "relu",
            "downsample_in_first_stage": config.strides[0] == 2,
        }

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `HubFamily`.

        Example:
            >>> HubResNet().names({"layer2.0.bn1.bias": 1, "fc.bias": 2})
            {'resnet.encoder.stages.1.layers.0.layer.0.normalization.bias': 1, 'classifier.1.bias': 2}
        """
        return {_resnet_name(name): value for name, value in state.items()}

    def stages(self, config: Any) -> dict[str, Sequence[str]]:
        """See `HubFamily`."""
        return _stages(config, "resnet")


def _resnet_name(name: str) -> str:
    match = re.fullmatch(r"layer(\d+)\.(\d+)\.(.+)", name)
    if match is None:
        return renamed(name, _RESNET_ENDS)
    block = f"resnet.encoder.stages.{int(match[1]) - 1}.layers.{match[2]}"
    return f"{block}.{renamed(match[3], _RESNET_PARTS)}"


_RESNET_ENDS = {
    "conv1": "resnet.embedder.embedder.convolution", "bn1": "resnet.embedder.embedder.normalization",
    "fc": "classifier.1",
}  # fmt: skip
_SHORTCUT = {"0": "shortcut.convolution", "1": "shortcut.normalization"}
_RESNET_PARTS = {f"downsample.{number}": part for number, part in _SHORTCUT.items()}
_RESNET_PARTS |= {f"conv{i + 1}": f"layer.{i}.convolution" for i in range(3)}
_RESNET_PARTS |= {f"bn{i + 1}": f"layer.{i}.normalization" for i in range(3)}


class HubRegNet:
    """See `HubFamily`."""

    module = "RegNet"
    mark = "trunk_output.block1.block1-0.f.a.0.weight"
    config = "RegNetConfig"

    def model(self, baseline: ConfiguredBaseline) -> str:
        """See `HubFamily`."""
        return "RegNetForImageClassification"

    def source(self, baseline: ConfiguredBaseline) -> tuple[Imports, list[str]]:
        """See `HubFamily`."""
        config: RegNetConfig = baseline.config
        _refuse_drops(config, "RegNet")
        why = f"squeezes channels to {config.se_ratio:g} of them, and transformers' RegNet to a quarter"
        refuse((config.se_ratio not in (0.0, 0.25), "0", why))
        return {"transformers": ("RegNetForImageClassification",)}, []

    def values(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> dict[str, Any]:
        """See `HubFamily`."""
        config: RegNetConfig = baseline.config
        return {
            "embedding_size": spec.stem_width,
            "hidden_sizes": list(spec.widths),
            "depths": list(spec.depths),
            "groups_width": config.group_width,
            "layer_type": "y" if config.se_ratio else "x",
            "hidden_act": "relu",
            "downsample_in_first_stage": True,
        }

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `HubFamily`.

        Example:
            >>> HubRegNet().names({"trunk_output.block1.block1-0.f.b.0.weight": 1, "stem.1.bias": 2})
            {'regnet.encoder.stages.0.layers.0.layer.1.convolution.weight': 1, \
'regnet.embedder.embedder.normalization.bias': 2}
        """
        squeezes = any(".f.se." in name for name in state)
        return {_regnet_name(name, _regnet_parts(squeezes)): value for name, value in state.items()}

    def stages(self, config: Any) -> dict[str, Sequence[str]]:
        """See `HubFamily`."""
        return _stages(config, "regnet")


def _regnet_name(name: str, parts: Mapping[str, str]) -> str:
    match = re.fullmatch(r"trunk_output\.block(\d+)\.block\d+-(\d+)\.(.+)", name)
    if match is None:
        return renamed(name, _REGNET_ENDS)
    return f"regnet.encoder.stages.{int(match[1]) - 1}.layers.{match[2]}.{renamed(match[3], parts)}"


def _regnet_parts(squeezes: bool) -> dict[str, str]:
    """A block's parts; squeeze-and-excitation stands before the last convolution, and is counted."""
    last = 3 if squeezes else 2
    convs = {"f.a": 0, "f.b": 1, "f.c": last}
    parts = {f"{ours}.0": f"layer.{number}.convolution" for ours, number in convs.items()}
    parts |= {f"{ours}.1": f"layer.{number}.normalization" for ours, number in convs.items()}
    parts |= {f"proj.{number}": part for number, part in _SHORTCUT.items()}
    return parts | {"f.se.fc1": "layer.2.attention.0", "f.se.fc2": "layer.2.attention.2"}


_REGNET_ENDS = {
    "stem.0": "regnet.embedder.embedder.convolution", "stem.1": "regnet.embedder.embedder.normalization",
    "fc": "classifier.1",
}  # fmt: skip
