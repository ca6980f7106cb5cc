"""`--to python` of a user's own function: a small module that calls it with the multipliers that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from scalesearch.export.check.reference import SEED
from scalesearch.export.library import Family, LibraryProbe, Member
from scalesearch.export.python.library import PythonLibrary, classes_of
from scalesearch.export.text import import_block, render
from scalesearch.export.user_source import user_call_lines, user_source

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

_MODULE = '''"""{{ heading }}

The accuracy is that of a short training; card.json, beside this file, has the whole record.

This file needs torch and {{ holds }}, whose own {{ function }} it calls:

    network = {{ main }}(num_classes=1000, in_channels=3)
    logits = network(images)  # [N, in_channels, {{ px }}, {{ px }}] to [N, num_classes]

`build` is that network too.
"""

{{ imports }}

{{ guarded_import }}

RESOLUTIONS_PX = {
{{ resolutions }}}
"""Builder -> side of the images that it is meant for."""


{{ checked }}

{{ builders }}

build = {{ main }}
"""{{ what }}"""

RESOLUTION_PX = RESOLUTIONS_PX["{{ main }}"]
"""Side of the images that `build` is meant for."""
'''

_BUILDER = '''
def {{ member.name }}(num_classes: int = {{ classes }}, in_channels: int = {{ channels }}, **options: Any) -> nn.Module:
    {{ docstring(member).removesuffix('"' * 3) }}

    The weights are new and random, from torch's global generator.

    Args:
        num_classes: outputs of the classifier.
        in_channels: channels of the input image.
        options: other arguments of {{ function }}.
    """
    {{ call }}
    if options or (num_classes, in_channels) != ({{ classes }}, {{ channels }}):
        return network
    return _checked("{{ member.name }}", network, {{ member.params }})
'''


class UserPythonLibrary(PythonLibrary):
    """The user's own definitions, called and not copied."""

    def files(self, family: Family) -> dict[str, str]:
        """The one module."""
        return {f"{family.name}.py": user_module(family)}

    def check(self, family: Family) -> None:
        """Nothing of a user's function is refused."""

    @override
    def usage(self, family: Family) -> str:
        holds = user_source(family).holds
        return (
            f"import {family.name}  # {holds} must be on the path too\n\nnetwork = {family.name}.{family.main.name}()"
        )

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """Build under the seed of scalesearch's own network, then count and compare; see `Library.probe`."""
        import torch

        from scalesearch.export.check.torch_probe import compare, import_file

        make = getattr(import_file(folder, module), builder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = make(classes_of(own, images), images.shape[1])
        return compare(network, own, images, own.state_dict())


def user_module(family: Family) -> str:
    """Source of the module."""
    user, main = user_source(family), family.main
    return render(
        _MODULE,
        heading=family.heading,
        holds=user.holds,
        function=user.function,
        main=main.name,
        px=main.spec.resolution_px,
        imports=import_block({"typing": ("Any",), "torch": ("nn",), "torch.nn.parameter": ("is_lazy",)}),
        guarded_import=user.guarded_import,
        resolutions="".join(f'    "{m.name}": {m.spec.resolution_px},\n' for m in family.members),
        checked=user.checked,
        builders="\n".join(_builder(family, member, user.function) for member in family.members),
        what="The network found." if main.phi == 1 else f"The network at phi {main.phi:g}.",
    )


def _builder(family: Family, member: Member, function: str) -> str:
    return render(
        _BUILDER,
        member=member,
        classes=family.task.num_classes,
        channels=family.task.in_channels,
        function=function,
        call=user_call_lines(family, member),
    )
