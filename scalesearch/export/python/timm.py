"""`--to python` of a model of timm's own (`--base timm:NAME`): timm's class, called with everything written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from scalesearch.export.library import Family, Member, Probe
from scalesearch.export.python.library import PythonLibrary, classes_of, hidden
from scalesearch.export.text import docstring, fill, import_block
from scalesearch.export.timm.adapted import written

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

_MODULE = '''"""$heading

The accuracy is that of a short training; card.json, beside this file, has the whole record. This file needs timm, whose
class $made it calls, and registers nothing:

    network = $main(num_classes=1000, in_chans=3)
    logits = network(images)  # [N, in_chans, $px, $px] to [N, num_classes]

`build` is that network too.
"""

$imports

RESOLUTIONS_PX = {
$resolutions}
"""Builder -> side of the images that it is meant for."""


$classes$create

$builders

build = $main
"""$what"""

RESOLUTION_PX = RESOLUTIONS_PX["$main"]
"""Of `build`."""
'''

_BUILDER = """
def $name(num_classes: int = $classes, in_chans: int = $channels, **kwargs: Any) -> $made:
    $doc
    kwargs = {"num_classes": num_classes, "in_chans": in_chans, **kwargs}
$body
"""


class TimmPythonLibrary(PythonLibrary):
    """timm's own classes, without its registry."""

    needs: ClassVar[str] = "timm"
    extra: ClassVar[str] = "vision"

    def files(self, family: Family) -> dict[str, str]:
        """The one module."""
        return {f"{family.name}.py": timm_python_module(family)}

    def check(self, family: Family) -> None:
        """Refuse an argument of timm's that cannot be written."""
        self.files(family)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> Probe:
        """See `PythonLibrary.probe`."""
        from scalesearch.export.check.torch_probe import compare, import_file

        with hidden("scalesearch"):
            network = getattr(import_file(folder, module), builder)(classes_of(own, images), images.shape[1])
        return compare(network, own, images, own.state_dict())


def timm_python_module(family: Family) -> str:
    """Source of the module.

    Raises:
        InexpressibleError: timm gives the model an argument that cannot be written.
    """
    parts, main = written(family, registered=False), family.main
    return fill(
        _MODULE,
        heading=family.heading,
        made=parts.made,
        main=main.name,
        px=main.spec.resolution_px,
        imports=import_block({"typing": ("Any",)}, parts.imports),
        resolutions="".join(f'    "{m.name}": {m.spec.resolution_px},\n' for m in family.members),
        classes=f"{parts.classes.strip()}\n\n\n" if parts.classes else "",
        create=parts.create.strip(),
        builders="\n".join(
            _builder(family, member, parts.made, parts.bodies[member.name]) for member in family.members
        ),
        what="The network found." if main.phi == 1 else f"The network at phi {main.phi:g}.",
    )


def _builder(family: Family, member: Member, made: str, body: str) -> str:
    return fill(
        _BUILDER,
        name=member.name,
        made=made,
        doc=docstring(member),
        classes=family.task.num_classes,
        channels=family.task.in_channels,
        body="\n".join(f"    {line}" if line else "" for line in body.strip().splitlines()),
    )
