"""Scaled models of timm's own (`--base timm:NAME`), with the arguments that timm gives to the unscaled model."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from scalesearch.export.library import Family, InexpressibleError
from scalesearch.export.literal import Source, UnwritableError
from scalesearch.export.timm.arguments import TIMM_STEM, TimmModel
from scalesearch.export.timm.written import Written
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.timm.adapter import TimmBaseline
from scalesearch.networks.timm.capture import TimmCall, capture
from scalesearch.networks.timm.mobile import scaled_stage

OF_THE_TASK = ("num_classes", "in_chans", "img_size", "device", "dtype")
"""Arguments that timm fills in from a model's default_cfg, or that place it somewhere."""

COMPUTED = ("depth", "w0", "wa", "wm")
"""What timm computes a RegNet's stages from, and `StagedCfg` does not."""


def written(family: Family, *, registered: bool = True) -> Written:
    """The parts of the module.

    Args:
        family: of a `timm:` baseline.
        registered: whether timm's registry builds the models, which gives them a name, a configuration and weights;
            else the builders call timm's class themselves.

    Raises:
        InexpressibleError: timm gives the model an argument that cannot be written.
    """
    baseline: Any = family.baseline
    try:
        return _written(family, baseline, capture(baseline.model), registered)
    except UnwritableError as error:
        why = f"takes {error}, which cannot be written in a file"
        library = "timm" if registered else "python"
        raise InexpressibleError(library, family.members[0].name, "stem", why, written=False) from None


def _written(family: Family, baseline: TimmBaseline, call: TimmCall, registered: bool) -> Written:
    from timm.models import get_pretrained_cfg

    cfg: Any = get_pretrained_cfg(baseline.model)
    stem = _has_another_stem(family, baseline, call)
    fixed = baseline.family == "ViT"
    sizes = {m.name: _sizes(baseline.family, call, m.spec, scaled=stem) for m in family.members}
    if fixed and not registered:
        sizes = {m.name: sizes[m.name] | {"img_size": m.spec.resolution_px} for m in family.members}
    common = _unusual(call, set(next(iter(sizes.values()))))
    if registered:
        common = {"feature_cfg": _features(baseline.family, call, baseline.spec), **common}
    source, (files, cls) = Source(), _classes(baseline.family, call, scaled=stem)
    if files == ("exact",):
        from scalesearch.export.timm.classes.exact import exact

        common["round_chs_fn"] = exact
    source.imports["copy"] = {"deepcopy"}  # timm empties the rows of blocks that it reads
    table = source.entries({name: {**common, **given} for name, given in sizes.items()}, 4)
    if not files or files == ("exact",):
        source.imports.setdefault(call.make.__module__, set()).add(cls)
    if registered:
        source.imports.setdefault("timm.models", set()).update(("build_model_with_cfg", "generate_default_cfgs"))
    builds = (
        f'build_model_with_cfg(\n        {cls},\n        "@",\n        pretrained,\n' if registered else f"{cls}(\n"
    )
    builds += '        **{**deepcopy(NETWORKS["@"]), **kwargs},\n    )'
    return Written(
        {name: TimmModel(files, given, cfg.first_conv, cfg.classifier, None, fixed) for name, given in sizes.items()},
        f"NETWORKS: dict[str, dict[str, Any]] = {{\n{table}}}\n"
        f'"""What timm gives to {baseline.model}, but for the sizes."""',
        {name: builds.replace("@", name) for name in sizes},
        source.imports,
    )


def _unusual(call: TimmCall, changed: set[str]) -> dict[str, Any]:
    """Arguments that differ from those the class takes by itself."""
    usual = {name: parameter.default for name, parameter in inspect.signature(call.make).parameters.items()}
    left_out = {*OF_THE_TASK, *changed, "round_chs_fn", "cfg"}
    return {
        name: value
        for name, value in call.arguments.items()
        if name not in left_out and (name not in usual or usual[name] != value)
    }


def _has_another_stem(family: Family, baseline: TimmBaseline, call: TimmCall) -> bool:
    """Whether a plain stem of a ResNet must have a width that timm's constructor does not take."""
    plain = baseline.family == "ResNet" and "deep" not in call.arguments["stem_type"]
    return plain and any(member.spec.stem_width != TIMM_STEM for member in family.members)


def _classes(family: str, call: TimmCall, *, scaled: bool) -> tuple[tuple[str, ...], str]:
    """Files of classes, and the class that is built."""
    if family == "RegNet":
        return ("staged_regnet",), "StagedRegNet"
    if scaled:
        return ("scaled_resnet",), "ScaledResNet"
    return ("exact",) if family in ("EfficientNet", "MobileNetV3") else (), call.make.__qualname__


def _sizes(family: str, call: TimmCall, spec: NetworkSpec, *, scaled: bool) -> dict[str, Any]:
    """The arguments that scale, of one network."""
    arguments = call.arguments
    if family == "ResNet":
        stem = {"stem_channels": spec.stem_width} if scaled else {}
        if "deep" in arguments["stem_type"]:
            stem = {"stem_width": spec.stem_width // 2}
        return {"layers": spec.depths, "channels": spec.widths, **stem}
    if family == "ConvNeXt":
        return {"depths": spec.depths, "dims": spec.widths, "head_hidden_size": spec.head_width or None}
    if family == "ViT":
        heads = spec.stem_width * arguments["num_heads"] // arguments["embed_dim"]
        ratio = (spec.widths[0] + 0.5) / spec.stem_width
        return {"embed_dim": spec.stem_width, "depth": spec.depths[0], "num_heads": heads, "mlp_ratio": ratio}
    if family == "RegNet":
        return {"stages": _staged(arguments["cfg"], spec)}
    stages = [
        scaled_stage(blocks, depth, width, arguments["round_chs_fn"])
        for blocks, depth, width in zip(arguments["block_args"], spec.depths, spec.widths, strict=True)
    ]
    return {"block_args": stages, "stem_size": spec.stem_width, "fix_stem": True, "num_features": spec.head_width}


def _staged(cfg: Any, spec: NetworkSpec) -> dict[str, Any]:
    """The fields of a `StagedCfg`, where they are not as usual."""
    given = dataclasses.asdict(cfg) | {"stem_width": spec.stem_width, "num_features": spec.head_width}
    usual = {item.name: item.default for item in dataclasses.fields(cfg)}
    kept = {key: value for key, value in given.items() if key not in COMPUTED and value != usual[key]}
    return {"depths": spec.depths, "widths": spec.widths, **kept}


def _features(family: str, call: TimmCall, spec: NetworkSpec) -> dict[str, Any]:
    """How `features_only` takes the network apart."""
    if family == "ConvNeXt":
        return {"out_indices": (0, 1, 2, 3), "flatten_sequential": True}
    if family == "ViT":
        return {"out_indices": min(3, spec.depths[0]), "feature_cls": "getter"}
    if family in ("ResNet", "RegNet"):
        return {"out_indices": (0, 1, 2, 3, 4)}
    strides = [blocks[0]["stride"] for blocks in call.arguments["block_args"]]
    count = 1 + (strides[0] > 1) + sum(stride > 1 for stride in strides[1:])
    return {"out_indices": tuple(range(count)), "feature_cls": "getter"}
