"""`--to python` of a model of timm's own (`--base timm:NAME`): timm's class, called with everything written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from scalesearch.export.library import Family
from scalesearch.export.python.library import PythonLibrary
from scalesearch.export.text import module, render
from scalesearch.export.timm.adapted import written
from scalesearch.export.timm.written import CLASSES

if TYPE_CHECKING:
    pass

_DOCSTRING = """{{ family.heading }}

The accuracy is that of a short training; card.json, beside this file, has the whole record. This file needs timm, whose
class {{ family.baseline.family }} it calls, and registers nothing:

    network = {{ main.name }}(num_classes=1000, in_chans=3)
    logits = network(images)  # [N, in_chans, {{ px }}, {{ px }}] to [N, num_classes]

`build` is that network too.
"""

_BUILDERS = '''
{{ written.text }}

RESOLUTIONS_PX = {
{% for member in family.members %}
    "{{ member.name }}": {{ member.spec.resolution_px }},
{% endfor %}
}
"""Builder -> side of the images that it is meant for."""
{% for member in family.members %}


def {{ member.name }}(num_classes: int = {{ classes }}, in_chans: int = {{ channels }}, **kwargs: Any) -> nn.Module:
    {{ docstring(member) }}
    kwargs = {"num_classes": num_classes, "in_chans": in_chans, **kwargs}
    return {{ written.call[member.name] }}
{% endfor %}


build = {{ main.name }}
"""{{ what }}"""

RESOLUTION_PX = RESOLUTIONS_PX["{{ main.name }}"]
"""Side of the images that `build` is meant for."""
'''


class TimmPythonLibrary(PythonLibrary):
    """timm's own classes, without its registry."""

    needs: ClassVar[str] = "timm"
    extra: ClassVar[str] = "vision"

    def files(self, family: Family) -> dict[str, str]:
        """The one module.

        Raises:
            InexpressibleError: timm gives the model an argument that cannot be written.
        """
        parts, main = written(family, registered=False), family.main
        docstring = render(_DOCSTRING, family=family, main=main, px=main.spec.resolution_px)
        builders = render(
            _BUILDERS, family=family, main=main, written=parts, classes=family.task.num_classes,
            channels=family.task.in_channels,
            what="The network found." if main.phi == 1 else f"The network at phi {main.phi:g}.",
        )  # fmt: skip
        files = [CLASSES / f"{name}.py" for name in parts.models[main.name].classes]
        needs = {**parts.imports, "typing": ["Any"], "torch": {"nn", *parts.imports.get("torch", ())}}
        return {f"{family.name}.py": module(docstring, files, builders, needs)}

    def check(self, family: Family) -> None:
        """Refuse an argument of timm's that cannot be written."""
        self.files(family)
