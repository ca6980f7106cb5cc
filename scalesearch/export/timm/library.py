"""`--to timm`: one module whose models timm knows by name, built by timm's own classes.

Weights are scalesearch's state dict as it is: its names are timm's, but for RegNet, whose names are torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scalesearch.export.library import Family, Library, LibraryProbe, Member, member_parts
from scalesearch.export.literal import Source
from scalesearch.export.text import Imports, module, render
from scalesearch.export.timm.arguments import FAMILIES
from scalesearch.export.timm.names import timm_names, timm_stages
from scalesearch.export.timm.written import CLASSES, Written
from scalesearch.networks.timm.adapter import TimmBaseline

if TYPE_CHECKING:
    from torch import Tensor, nn


class TimmLibrary(Library):
    """Models for `timm.create_model`."""

    name: ClassVar[str] = "timm"
    needs: ClassVar[str] = "timm"
    extra: ClassVar[str] = "vision"

    def files(self, family: Family) -> dict[str, str]:
        """The module that registers every member; see `Library.files`."""
        return {f"{family.name}.py": _module(family, self.written(family))}

    def written(self, family: Family) -> Written:
        """What the family of networks puts into a module; needs timm for its own networks alone.

        Raises:
            InexpressibleError: a network that timm cannot build.
        """
        if isinstance(family.baseline, TimmBaseline):
            from scalesearch.export.timm.adapted import written

            return written(family)
        lacks = f"begins a network like {family.baseline.name}, which timm does not have"
        models = member_parts(self.name, family, FAMILIES, lacks)
        table = Source().entries({name: model.arguments for name, model in models.items()}, 4)
        return Written(
            models,
            f"NETWORKS: dict[str, dict[str, Any]] = {{\n{table}}}",
            {name: f'create("{name}", pretrained, **{{**NETWORKS["{name}"], **kwargs}})' for name in models},
        )

    def usage(self, family: Family) -> str:
        """timm's own way; see `Library.usage`."""
        return (
            f"import timm\n\nimport {family.name}  # registers the models; this folder must be on the path\n\n"
            f'network = timm.create_model("{family.main.name}")'
        )

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """timm's names; see `Library.own_names`."""
        return timm_names(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """`timm.create_model(builder)` counted and compared; see `Library.probe`."""
        import timm

        from scalesearch.export.check.torch_probe import compare, import_file

        import_file(folder, module)
        network = timm.create_model(builder)
        return compare(network, own, images, timm_names(own.state_dict()), timm_stages(own))


_DOCSTRING = """{{ family.heading }}

Importing this file registers the models with timm. It needs {{ written.needs }}:

    import timm
    import {{ family.name }}

    network = timm.create_model("{{ main.name }}")  # [N, {{ channels }}, {{ px }}, {{ px }}] to [N, {{ classes }}]
    network = timm.create_model("{{ main.name }}", num_classes=100, in_chans=3{{ rates }})
    weights = {"file": "model.safetensors"}
    network = timm.create_model("{{ main.name }}", pretrained=True, pretrained_cfg_overlay=weights)

There are no weights to download: `pretrained=True` without a file is an error.
"""

_BUILDERS = """
{{ written.text }}

default_cfgs = generate_default_cfgs(
    {
{{ cfgs }}    }
)
{% for member in members %}


@register
def {{ member.name }}(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    {{ docstring(member) }}
    return {{ written.call[member.name] }}
{% endfor %}
"""

_IMPORTS: Imports = {"typing": ("Any",), "timm.models": ("generate_default_cfgs",)}


def _module(family: Family, written: Written) -> str:
    task, main = family.task, family.main
    docstring = render(
        _DOCSTRING, family=family, written=written, main=main, channels=task.in_channels, px=main.spec.resolution_px,
        classes=task.num_classes, rates="".join(f", {rate}=0.3" for rate in written.rates),
    )  # fmt: skip
    cfgs = Source().entries({member.name: _cfg(family, member, written) for member in family.members}, 8)
    files = ["registry", *written.models[main.name].classes]
    return module(
        docstring,
        [CLASSES / f"{name}.py" for name in files],
        render(_BUILDERS, written=written, cfgs=cfgs, members=family.members),
        needs={**_IMPORTS, **written.imports},
        guarded_import=written.guarded_import,
    )


def _cfg(family: Family, member: Member, written: Written) -> dict[str, Any]:
    """What timm's data pipeline and its loading of weights must know of a model."""
    task, model, px = family.task, written.models[member.name], member.spec.resolution_px
    mean, std = _normalisation(family)
    return {
        "num_classes": task.num_classes, "input_size": (task.in_channels, px, px),
        "pool_size": (model.pool_px, model.pool_px) if model.pool_px else None,
        **({"fixed_input_size": True} if model.fixed_px else {}),
        "crop_pct": 1.0, "interpolation": "bilinear", "mean": mean, "std": std, "first_conv": model.first_conv,
        "classifier": model.classifier,
    }  # fmt: skip


def _normalisation(family: Family) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the trained weights; without any, ImageNet's for colours and one half for others."""
    if family.normalisation is not None:
        mean, std = (tuple(round(value, 6) for value in values) for values in family.normalisation)
        return mean, std
    if family.task.in_channels == 3:
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return (0.5,) * family.task.in_channels, (0.5,) * family.task.in_channels
