"""`--to timm`: one module whose models timm knows by name, built by timm's own classes.

Weights are scalesearch's state dict as it is: its names are timm's, but for RegNet, whose names are torchvision's.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scalesearch.export.library import Family, InexpressibleError, Library, Member, Probe
from scalesearch.export.text import Imports, docstring, fill, import_block, mapping
from scalesearch.export.timm.names import timm_names, timm_stages
from scalesearch.networks.base import Baseline
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.user.function import UserBaseline

if TYPE_CHECKING:
    from torch import Tensor, nn

LIBRARY = "timm"


@dataclass(frozen=True)
class Written:
    """What one family of networks puts into a module.

    Attributes:
        imports: beside those that every module has.
        made: what the builders return, as an annotation.
        classes: source of the classes that the module defines; may be empty.
        create: source of the function that the builders call.
        bodies: source of each builder's body, by member's name; lines without indentation.
        first_conv: path of the first convolution; None where timm cannot adapt it to other channels.
        classifier: path of the classifier's linear layer; None where timm cannot leave it out for other classes.
        pool_px: side of the last feature map, by member's name; None where the network has no such map.
        fixed_px: whether a network takes images of its own resolution only.
        guarded_import: source of an import that may fail with advice; may be empty.
        needs: what the module needs.
        rates: arguments of timm's that the builders take beside classes and channels.
    """

    imports: Imports
    made: str
    classes: str
    create: str
    bodies: Mapping[str, str]
    first_conv: str | None
    classifier: str | None
    pool_px: Mapping[str, int] | None
    fixed_px: bool = False
    guarded_import: str = ""
    needs: str = "timm and nothing else"
    rates: Iterable[str] = ("drop_rate",)


WRITERS = {
    "EfficientNetConfig": "timm_efficientnet",
    "ResNetConfig": "timm_resnet",
    "DenseNetConfig": "timm_densenet",
    "RegNetConfig": "timm_regnet",
    "ConvNeXtConfig": "timm_convnext",
    "ViTConfig": "timm_vit",
}
"""Config of a family -> module of this package that writes it with its function `written`."""


class TimmLibrary(Library):
    """Models for `timm.create_model`."""

    name: ClassVar[str] = LIBRARY
    needs: ClassVar[str] = "timm"
    extra: ClassVar[str] = "vision"

    def suited(self, baseline: Baseline) -> TimmLibrary:
        """See `Library.suited`."""
        if not isinstance(baseline, UserBaseline):
            return self
        from scalesearch.export.timm.user import UserTimmLibrary

        return UserTimmLibrary()

    def files(self, family: Family) -> dict[str, str]:
        """The module that registers every member; see `Library.files`."""
        return {f"{family.name}.py": _module(family, written_for(family))}

    def usage(self, family: Family) -> str:
        """timm's own way; see `Library.usage`."""
        return (
            f"import timm\n\nimport {family.name}  # registers the models; this folder must be on the path\n\n"
            f'network = timm.create_model("{family.main.name}")'
        )

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """timm's names; see `Library.own_names`."""
        return timm_names(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> Probe:
        """`timm.create_model(builder)` counted and compared; see `Library.probe`."""
        import timm

        from scalesearch.export.check.torch_probe import compare, import_file

        import_file(folder, module)
        network = timm.create_model(builder)
        return compare(network, own, images, timm_names(own.state_dict()), timm_stages(own))


def created(function: str, member: Member, entries: Mapping[str, object]) -> str:
    """A builder's body: arguments of the model, as source, which the caller's own replace."""
    arguments = mapping("model_args: dict[str, Any]", entries)
    return f'{arguments}\nreturn {function}("{member.name}", pretrained, **{{**model_args, **kwargs}})'


def written_for(family: Family) -> Written:
    """What the family of networks puts into a module; needs no timm.

    Raises:
        InexpressibleError: a network that timm cannot build.
    """
    baseline = family.baseline
    if isinstance(baseline, UserBaseline):
        writer = "user_timm"
    elif baseline.name.startswith("timm:"):
        writer = "timm_adapted"
    elif isinstance(baseline, ConfiguredBaseline) and type(baseline.config).__name__ in WRITERS:
        writer = WRITERS[type(baseline.config).__name__]
    else:
        why = "is of a network whose source is not scalesearch's own"
        raise InexpressibleError(LIBRARY, family.members[0].name, "stem", why, written=False)
    written: Written = importlib.import_module(f"scalesearch.export.{writer}").written(family)
    return written


_MODULE = '''"""$heading

Importing this file registers the models with timm. It needs $needs:

    import timm
    import $module

    network = timm.create_model("$example")  # [N, $channels, $px, $px] to [N, $classes]
    network = timm.create_model("$example", num_classes=100, in_chans=3$rates)
    weights = {"file": "model.safetensors"}
    network = timm.create_model("$example", pretrained=True, pretrained_cfg_overlay=weights)

There are no weights to download: `pretrained=True` without a file is an error.
"""

$imports
$guarded_import

def _cfg(px: int$pool_argument) -> dict[str, Any]:
    """What timm's data pipeline and its loading of weights must know of a model."""
    return {
        "num_classes": $classes,
        "input_size": ($channels, px, px),
$input_entries        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "mean": $mean,
        "std": $std,
        "first_conv": $first_conv,
        "classifier": $classifier,
    }


default_cfgs = generate_default_cfgs(
    {
$cfgs    }
)


def _register(builder: Callable[..., $made]) -> Callable[..., $made]:
    """timm's `register_model`; a second import of this file replaces its own models without a warning."""
    name = builder.__name__
    with warnings.catch_warnings():
        if is_model(name) and model_entrypoint(name).__code__.co_filename == builder.__code__.co_filename:
            warnings.filterwarnings("ignore", f"Overwriting {name} in registry", UserWarning)
        return register_model(builder)


$classes_source$create
$builders'''

_BUILDER = """

@_register
def $name(pretrained: bool = False, **kwargs: Any) -> $made:
    $doc
$body
"""

_IMPORTS: Imports = {
    "warnings": (),
    "collections.abc": ("Callable",),
    "typing": ("Any",),
    "timm.models": (
        "build_model_with_cfg",
        "generate_default_cfgs",
        "is_model",
        "model_entrypoint",
        "register_model",
    ),
}


def _module(family: Family, written: Written) -> str:
    task, example = family.task, family.main
    mean, std, constants = _normalisation(family)
    return fill(
        _MODULE,
        heading=family.heading,
        module=family.name,
        example=example.name,
        channels=task.in_channels,
        px=example.spec.resolution_px,
        classes=task.num_classes,
        imports=import_block(_IMPORTS, written.imports, constants),
        pool_argument=", pool_px: int" if written.pool_px else "",
        input_entries=_input_entries(written),
        mean=mean,
        std=std,
        first_conv=_path(written.first_conv),
        classifier=_path(written.classifier),
        guarded_import=f"\n{written.guarded_import}\n" if written.guarded_import else "",
        needs=written.needs,
        rates="".join(f", {rate}=0.3" for rate in written.rates),
        cfgs="".join(f'        "{m.name}": {_cfg_call(m, written)},\n' for m in family.members),
        made=written.made,
        classes_source=f"{written.classes.strip()}\n\n\n" if written.classes else "",
        create=written.create.strip(),
        builders="".join(_builder(member, written) for member in family.members),
    )


def _normalisation(family: Family) -> tuple[str, str, Imports]:
    """Mean and deviation of the trained weights; without any, ImageNet's for colours and one half for others."""
    channels = family.task.in_channels
    if family.normalisation is not None:
        mean, std = (repr(tuple(round(value, 6) for value in values)) for values in family.normalisation)
        return mean, std, {}
    if channels == 3:
        names = ("IMAGENET_DEFAULT_MEAN", "IMAGENET_DEFAULT_STD")
        return *names, {"timm.data": names}
    half = repr((0.5,) * channels)
    return half, half, {}


def _path(path: str | None) -> str:
    return "None" if path is None else f'"{path}"'


def _input_entries(written: Written) -> str:
    pool = '        "pool_size": (pool_px, pool_px),\n' if written.pool_px else '        "pool_size": None,\n'
    return pool + ('        "fixed_input_size": True,\n' if written.fixed_px else "")


def _cfg_call(member: Member, written: Written) -> str:
    px = member.spec.resolution_px
    return f"_cfg({px}, {written.pool_px[member.name]})" if written.pool_px else f"_cfg({px})"


def _builder(member: Member, written: Written) -> str:
    body = "\n".join(f"    {line}" if line else "" for line in written.bodies[member.name].strip().splitlines())
    return fill(_BUILDER, name=member.name, made=written.made, doc=docstring(member), body=body)
