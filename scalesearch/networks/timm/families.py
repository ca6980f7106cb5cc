"""The families of timm that can be scaled: those whose constructors take depths and widths, or can be led to.

Every family says what the unscaled network of a captured call is (`describe_...`) and makes the network of another
spec (`make_...`). The numbers of a `NetworkSpec` mean:

- ResNet: blocks, inner channels (a bottleneck's output has four times as many), channels after the stem.
- RegNet: blocks, output channels, those of the stem, and of the last 1 x 1 convolution where there is one.
- ConvNeXt: blocks, channels, and those of the classifier's hidden layer where there is one.
- ViT: blocks, channels of the MLP, and as `stem_width` those of a token, in whole heads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.networks.timm.capture import NotScalableError, TimmCall

if TYPE_CHECKING:
    from torch import nn

RESNET_STEM = 64
"""Channels of timm's plain stem, whatever `stem_width` says."""


def describe_resnet(call: TimmCall) -> tuple[NetworkSpec, RoundingRules]:
    """Blocks and inner channels; the divisor keeps `base_width` of 64 a whole number (16 in a ResNeXt-50 32x4d)."""
    from torch import nn

    arguments = call.arguments
    stem = 2 * arguments["stem_width"] if "deep" in arguments["stem_type"] else RESNET_STEM
    spec = NetworkSpec(tuple(arguments["layers"]), tuple(arguments["channels"]), call.input_size[-1], stem)
    divisor = max(8, 64 // math.gcd(64, arguments["base_width"]))
    halves = arguments["aa_layer"] in (nn.AvgPool2d, "avg")  # rounds a side down where the shortcut rounds it up
    return spec, RoundingRules(width_divisor=divisor, resolution_step_px=32 if halves else 8, stem_divisor=8)


def make_resnet(call: TimmCall, spec: NetworkSpec, changes: dict[str, Any]) -> nn.Module:
    """The network of a spec.

    Only timm's deep stems take a width. A plain one of another width is a network made for a deep stem, in which one
    convolution of 7 x 7 takes its place.
    """
    from torch import nn

    plain = "deep" not in call.arguments["stem_type"]
    changes = changes | {"layers": spec.depths, "channels": spec.widths}
    if plain and spec.stem_width == RESNET_STEM:
        return _made(call, changes)
    network = _made(call, changes | {"stem_width": spec.stem_width // 2} | ({"stem_type": "deep"} if plain else {}))
    if plain:
        network.conv1 = nn.Conv2d(changes["in_chans"], spec.stem_width, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return network


def describe_regnet(call: TimmCall) -> tuple[NetworkSpec, RoundingRules]:
    """Blocks and output channels, which timm computes from five numbers; a block's inner channels are whole groups."""
    from scalesearch.networks.timm.regnet import stages

    cfg = call.arguments["cfg"]
    depths, widths = stages(cfg)
    spec = NetworkSpec(depths, widths, call.input_size[-1], cfg.stem_width, cfg.num_features)
    inner = round(cfg.bottle_ratio)
    return spec, RoundingRules(width_divisor=max(8, cfg.group_size // math.gcd(cfg.group_size, inner)), stem_divisor=8)


def make_regnet(call: TimmCall, spec: NetworkSpec, changes: dict[str, Any]) -> nn.Module:
    """The network of a spec."""
    from scalesearch.networks.timm.regnet import StagedCfg, StagedRegNet

    cfg = StagedCfg.of(call.arguments["cfg"], spec)
    network: nn.Module = StagedRegNet(**call.copied(**changes, cfg=cfg))
    return network


def describe_convnext(call: TimmCall) -> tuple[NetworkSpec, RoundingRules]:
    """Blocks and channels; images in whole pixels of the last stage."""
    arguments = call.arguments
    head = arguments["head_hidden_size"] or 0
    spec = NetworkSpec(tuple(arguments["depths"]), tuple(arguments["dims"]), call.input_size[-1], 0, head)
    return spec, RoundingRules(resolution_step_px=32)


def make_convnext(call: TimmCall, spec: NetworkSpec, changes: dict[str, Any]) -> nn.Module:
    """The network of a spec."""
    head = spec.head_width or None
    return _made(call, changes | {"depths": spec.depths, "dims": spec.widths, "head_hidden_size": head})


def describe_vit(call: TimmCall) -> tuple[NetworkSpec, RoundingRules]:
    """Blocks, tokens in whole heads, MLP, and images in whole patches.

    Raises:
        NotScalableError: patches that are not square, or tokens that something else than one convolution makes.
    """
    from timm.layers.patch_embed import PatchEmbed

    arguments = call.arguments
    tokens, patch = arguments["embed_dim"], arguments["patch_size"]
    if arguments["embed_layer"] is not PatchEmbed or not isinstance(patch, int):
        raise NotScalableError("a network of its own makes the tokens, not one convolution on square patches")
    spec = NetworkSpec(
        (arguments["depth"],), (int(tokens * arguments["mlp_ratio"]),), call.input_size[-1], stem_width=tokens
    )
    head = tokens // arguments["num_heads"]
    return spec, RoundingRules(resolution_step_px=patch, min_resolution_px=patch, stem_divisor=head)


def make_vit(call: TimmCall, spec: NetworkSpec, changes: dict[str, Any]) -> nn.Module:
    """The network of a spec: heads keep their size, and their number follows the tokens."""
    tokens, mlp = spec.stem_width, spec.widths[0]
    heads = tokens * call.arguments["num_heads"] // call.arguments["embed_dim"]
    ratio = (mlp + 0.5) / tokens  # timm rounds tokens * ratio down
    shape = {"embed_dim": tokens, "num_heads": heads, "mlp_ratio": ratio, "depth": spec.depths[0]}
    return _made(call, changes | shape | {"img_size": spec.resolution_px})


def _made(call: TimmCall, changes: dict[str, Any]) -> nn.Module:
    network: nn.Module = call.make(**call.copied(**changes))
    return network
