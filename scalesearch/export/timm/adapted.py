"""Scaled models of timm's own (`--base timm:NAME`), with the arguments that timm gives to the unscaled model."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any

from scalesearch.export.library import Family, InexpressibleError
from scalesearch.export.literal import Source, UnwritableError
from scalesearch.export.text import LINE, fill
from scalesearch.export.timm.library import LIBRARY, Written
from scalesearch.export.timm_regnet import staged_classes
from scalesearch.export.timm_resnet import scaled_class
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.timm.adapter import TimmBaseline
from scalesearch.networks.timm.capture import TimmCall, capture
from scalesearch.networks.timm.families import RESNET_STEM
from scalesearch.networks.timm.mobile import scaled_stage

if TYPE_CHECKING:
    from scalesearch.export.text import Imports

OF_THE_TASK = ("num_classes", "in_chans", "img_size", "device", "dtype")
"""Arguments that timm fills in from a model's default_cfg, or that place it somewhere."""

COMPUTED = ("depth", "w0", "wa", "wm")
"""What timm computes a RegNet's stages from, and `StagedCfg` does not."""

_CREATE = '''
$exact
def _build(variant: str, pretrained: bool, **kwargs: Any) -> $made:
    """A model with what timm gives to $model, but for the sizes that its builder says."""
    model_args: dict[str, Any] = {$entries}
    return build_model_with_cfg($cls, variant, pretrained, **{**model_args, **kwargs})
'''

_CREATE_PLAIN = '''
$exact
def _build(**kwargs: Any) -> $made:
    """A model with what timm gives to $model, but for the sizes that its builder says."""
    model_args: dict[str, Any] = {$entries}
    return $cls(**{**model_args, **kwargs})
'''

_EXACT = '''
def _exact(channels: int) -> int:
    """timm rounds channels to multiples of 8; those of these models are meant as they are."""
    return channels

'''

_BODY = """model_args: dict[str, Any] = {{
{entries}}}
return _build({first}**{{**model_args, **kwargs}})"""


def written(family: Family, *, registered: bool = True) -> Written:
    """The parts of the module.

    Args:
        family: of a `timm:` baseline.
        registered: whether timm's registry builds the models, which gives them a name, a configuration and weights;
            else the builders call timm's class themselves.

    Raises:
        InexpressibleError: timm gives the model an argument that cannot be written.
    """
    baseline = family.baseline
    if not isinstance(baseline, TimmBaseline):
        raise InexpressibleError(LIBRARY, family.members[0].name, "stem", "is not of timm's", written=False)
    try:
        return _written(family, baseline, capture(baseline.model), registered)
    except UnwritableError as error:
        why = f"takes {error}, which cannot be written in a file"
        library = LIBRARY if registered else "python"
        raise InexpressibleError(library, family.members[0].name, "stem", why, written=False) from None


def _written(family: Family, baseline: TimmBaseline, call: TimmCall, registered: bool) -> Written:
    from timm.models import get_pretrained_cfg

    source, made = Source(), call.make.__qualname__
    cfg: Any = get_pretrained_cfg(baseline.model)
    scaled = _has_another_stem(family, baseline, call)
    sizes = {m.name: _sizes(baseline.family, call, m.spec, scaled=scaled) for m in family.members}
    indented = dataclasses.replace(source, width=LINE - 4)
    changed = set(next(iter(sizes.values())))
    fixed = baseline.family == "ViT"
    if fixed and not registered:
        sizes = {m.name: sizes[m.name] | {"img_size": m.spec.resolution_px} for m in family.members}
    bodies = {name: _body(indented, name if registered else "", arguments) for name, arguments in sizes.items()}
    mobile = baseline.family in ("EfficientNet", "MobileNetV3")
    cls = {"RegNet": "StagedRegNet"}.get(baseline.family, "ScaledResNet" if scaled else made)
    features = {"feature_cfg": _features(baseline.family, call, baseline.spec)} if registered else {}
    common = {**features, **_unusual(call, changed)}
    entries = source.entries(common, 8) + ('        "round_chs_fn": _exact,\n' if mobile else "")
    entries = f"\n{entries}    " if entries else ""
    return Written(
        imports=_imports(source, call, baseline.family, scaled=scaled),
        made=made,
        classes=_classes(baseline.family, scaled=scaled),
        create=fill(
            _CREATE if registered else _CREATE_PLAIN,
            exact=_EXACT if mobile else "", made=made, model=baseline.model, entries=entries, cls=cls,
        ),
        bodies=bodies,
        first_conv=cfg.first_conv,
        classifier=cfg.classifier,
        pool_px=None,
        fixed_px=fixed,
    )  # fmt: skip


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
    return plain and any(member.spec.stem_width != RESNET_STEM for member in family.members)


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
        return {"model_cfg": (arguments["cfg"], spec)}
    stages = [
        scaled_stage(blocks, depth, width, arguments["round_chs_fn"])
        for blocks, depth, width in zip(arguments["block_args"], spec.depths, spec.widths, strict=True)
    ]
    return {"block_args": stages, "stem_size": spec.stem_width, "fix_stem": True, "num_features": spec.head_width}


def _body(source: Source, name: str, sizes: dict[str, Any]) -> str:
    """The lines of a builder; with no name the model is not one of timm's registry."""
    first = f'"{name}", pretrained, ' if name else ""
    if "model_cfg" not in sizes:
        return _BODY.format(entries=source.entries(sizes, 4), first=first)
    cfg, spec = sizes["model_cfg"]
    given = dataclasses.asdict(cfg) | {"stem_width": spec.stem_width, "num_features": spec.head_width}
    usual = {item.name: item.default for item in dataclasses.fields(cfg)}
    kept = {key: value for key, value in given.items() if key not in COMPUTED and value != usual[key]}
    sized = {"depths": spec.depths, "widths": spec.widths, **kept}
    lines = "".join(f"    {key}={source.flat(value)},\n" for key, value in sized.items())
    return f"cfg = StagedCfg(\n{lines})\nreturn _build({first}{'model_cfg' if name else 'cfg'}=cfg, **kwargs)"


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


def _imports(source: Source, call: TimmCall, family: str, *, scaled: bool) -> Imports:
    imports = {module: set(names) for module, names in source.imports.items()}
    imports.setdefault(call.make.__module__, set()).add(call.make.__qualname__)
    if scaled:
        imports.setdefault("torch", set()).add("nn")
    if family == "RegNet":
        imports.setdefault("dataclasses", set()).add("dataclass")
        imports[call.make.__module__].add("RegNetCfg")
    return imports


def _classes(family: str, *, scaled: bool) -> str:
    if family == "RegNet":
        return staged_classes(reached=True)
    return scaled_class("a stem of any width", 7, 2) if scaled else ""
