"""`--to torchvision`: one module of builders with the signature of torchvision's own, made of its own classes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scalesearch.export.base import Family, InexpressibleError, Library, Member, Probe
from scalesearch.export.torch_text import Imports, docstring, fill, import_block
from scalesearch.export.torchvision_names import torchvision_names, torchvision_stages
from scalesearch.networks.configured import ConfiguredBaseline

if TYPE_CHECKING:
    from torch import Tensor, nn

LIBRARY = "torchvision"


@dataclass(frozen=True)
class Written:
    """What one family of networks puts into a module.

    Attributes:
        imports: beside those that every module has.
        made: what the builders return, as an annotation.
        source: of the classes and of the function that the builders call.
        bodies: source of each builder's body, by member's name; lines without indentation.
        arguments: what a caller may give beside `weights`, for the example in the docstring.
        notes: sentences for the docstring: what the class lacks.
    """

    imports: Imports
    made: str
    source: str
    bodies: Mapping[str, str]
    arguments: str = "num_classes=100, in_channels=3"
    notes: str = ""


WRITERS = {
    "EfficientNetConfig": "torchvision_mobile",
    "ResNetConfig": "torchvision_resnet",
    "DenseNetConfig": "torchvision_densenet",
    "RegNetConfig": "torchvision_regnet",
    "ConvNeXtConfig": "torchvision_convnext",
    "ViTConfig": "torchvision_vit",
}
"""Config of a family -> module of this package that writes it with its function `written`."""


class TorchvisionLibrary(Library):
    """Builders beside those of `torchvision.models`."""

    name: ClassVar[str] = LIBRARY
    needs: ClassVar[str] = "torchvision"
    extra: ClassVar[str] = "vision"

    def files(self, family: Family) -> dict[str, str]:
        """The module of builders; see `Library.files`."""
        return {f"{family.name}.py": _module(family, _written(family))}

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's names; see `Library.own_names`."""
        return torchvision_names(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> Probe:
        """The builder called, counted and compared; see `Library.probe`."""
        from scalesearch.export.torch_probe import compare, import_file

        network = getattr(import_file(folder, module), builder)()
        return compare(network, own, images, torchvision_names(own.state_dict()), torchvision_stages(network, own))


def _written(family: Family) -> Written:
    baseline = family.baseline
    config = type(baseline.config).__name__ if isinstance(baseline, ConfiguredBaseline) else ""
    if config not in WRITERS:
        why = "is of a network whose source is not scalesearch's own"
        raise InexpressibleError(LIBRARY, family.members[0].name, "stem", why)
    written: Written = importlib.import_module(f"scalesearch.export.{WRITERS[config]}").written(family)
    return written


def stochastic_depth_note(rate: float, cls: str) -> str:
    """What to say of a class that cannot drop blocks; empty where the family does not either."""
    return f"torchvision's {cls} has no stochastic depth; this family is trained with {rate}." if rate else ""


_MODULE = '''"""$heading

It needs torchvision and nothing else (and safetensors to load weights):

    from $module import $example

    network = $example()  # [N, $channels, $px, $px] to [N, $classes]
    network = $example($arguments)
    network = $example(weights="model.safetensors")
$notes"""

$imports


def _loaded(network: $made, weights: str | Path | None) -> $made:
    """The network with weights from a file in torchvision's names; None leaves those that were drawn.

    Raises:
        ValueError: anything else than None or the path of a safetensors file.
    """
    if weights is None:
        return network
    if not isinstance(weights, str | Path) or Path(weights).suffix != ".safetensors":
        raise ValueError(f"weights is {weights!r}; allowed: None, or the path of a .safetensors file")
    from safetensors.torch import load_file

    network.load_state_dict(load_file(weights))
    return network


$source
$builders'''

_BUILDER = """

def $name(*, weights: str | Path | None = None, progress: bool = True, **kwargs: Any) -> $made:
    $doc
$body
"""

_IMPORTS: Imports = {"pathlib": ("Path",), "typing": ("Any",)}


def _module(family: Family, written: Written) -> str:
    task, example = family.task, family.main
    return fill(
        _MODULE,
        heading=family.heading,
        module=family.name,
        example=example.name,
        arguments=written.arguments,
        channels=task.in_channels,
        px=example.spec.resolution_px,
        classes=task.num_classes,
        notes=f"\n{written.notes}\n" if written.notes else "",
        imports=import_block(_IMPORTS, written.imports),
        made=written.made,
        source=written.source.strip(),
        builders="".join(_builder(member, written) for member in family.members),
    )


def _builder(member: Member, written: Written) -> str:
    body = "\n".join(f"    {line}" if line else "" for line in written.bodies[member.name].strip().splitlines())
    return fill(_BUILDER, name=member.name, made=written.made, doc=docstring(member), body=body)
