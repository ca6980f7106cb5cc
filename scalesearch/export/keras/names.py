"""Names of layers in Keras."""

from __future__ import annotations

from collections.abc import Iterable

from scalesearch.export.names import Names, family_of, renamed

_RESNET_PARTS = {f"{kind}{number}": f"{number}_{kind}" for number in (1, 2, 3) for kind in ("conv", "bn")}
_REGNET_PARTS = {
    f"f.{letter}.{index}": f"{number}_{kind}"
    for number, letter in enumerate("abc", 1)
    for index, kind in enumerate(("conv", "bn"))
}

FAMILIES = {
    "efficientnet": Names(
        "stage{stage}_block{block}_",
        {"expand": "expand_conv", "expand_bn": "expand_bn", "depthwise": "depthwise_conv",
         "depthwise_bn": "depthwise_bn", "se.conv_reduce": "se_reduce", "se.conv_expand": "se_expand",
         "project": "project_conv", "project_bn": "project_bn"},
        {"conv_stem": "stem_conv", "bn1": "stem_bn", "conv_head": "head_conv", "bn2": "head_bn",
         "classifier": "head_logits"},
    ),
    "resnet": Names(
        "stage{stage}_block{block}_",
        {"downsample.0": "shortcut_conv", "downsample.1": "shortcut_bn", **_RESNET_PARTS},
        {"conv1": "stem_conv", "bn1": "stem_bn", "fc": "head_logits"},
    ),
    "regnet": Names(
        "stage{stage}_block{block}_",
        {"proj.0": "shortcut_conv", "proj.1": "shortcut_bn", "f.se.fc1": "se_reduce", "f.se.fc2": "se_expand",
         **_REGNET_PARTS},
        {"stem.0": "stem_conv", "stem.1": "stem_bn", "fc": "head_logits"},
    ),
    "densenet": Names(
        "stage{stage}_layer{block}_",
        {"conv1": "1_conv", "norm1": "1_bn", "conv2": "2_conv", "norm2": "2_bn", "conv": "conv", "norm": "bn"},
        {"features.conv0": "stem_conv", "features.norm0": "stem_bn", "features.norm5": "head_bn",
         "classifier": "head_logits"},
        between="stage{stage}_transition_",
    ),
    "convnext": Names(
        "stage{stage}_block{block}_",
        {"conv_dw": "depthwise", "norm": "norm", "mlp.fc1": "fc1", "mlp.fc2": "fc2", "gamma": "scale.gamma",
         "0": "norm", "1": "conv"},
        {"stem.0": "stem_conv", "stem.1": "stem_norm", "head.norm": "head_norm", "head.fc": "head_logits"},
        between="stage{stage}_downsample_",
    ),
}  # fmt: skip


def own_paths(state: Iterable[str]) -> dict[str, str]:
    """Layer in Keras -> the submodule of scalesearch's network that it gets its weights from.

    Args:
        state: names of scalesearch's weights.

    Example:
        >>> own_paths(["conv1.weight", "layer2.0.bn2.bias"])
        {'stem_conv': 'conv1', 'stage1_block0_2_bn': 'layer2.0.bn2'}
    """
    names = {name: name for name in state}
    family = family_of(names)
    named = renamed(names, FAMILIES[family], family)
    return {layer.rpartition(".")[0]: name.rpartition(".")[0] for layer, name in named.items()}
