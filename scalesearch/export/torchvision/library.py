"""`--to torchvision`: one module of builders with the signature of torchvision's own, made of its own classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scalesearch.export.library import Family, Library, LibraryProbe, Member, member_parts
from scalesearch.export.literal import Source
from scalesearch.export.text import module, render
from scalesearch.export.torchvision.arguments import FAMILIES, NO_STOCHASTIC_DEPTH
from scalesearch.export.torchvision.names import torchvision_names, torchvision_stages

if TYPE_CHECKING:
    from torch import Tensor, nn

CLASSES = Path(__file__).parent / "classes"

_DOCSTRING = """{{ family.heading }}

It needs torchvision and nothing else (and safetensors to load weights):

    from {{ family.name }} import {{ main.name }}

    network = {{ main.name }}()  # [N, {{ channels }}, {{ px }}, {{ px }}] to [N, {{ classes }}]
    network = {{ main.name }}(num_classes=100, in_channels=3)
    network = {{ main.name }}(weights="model.safetensors")
{% if lacking %}

torchvision's {{ lacking }} has no stochastic depth; this family is trained with {{ rate }}.
{% endif %}"""

_BUILDERS = """
NETWORKS: dict[str, dict[str, Any]] = {
{{ table }}}
{% for member in members %}


def {{ member.name }}(*, weights: str | Path | None = None, progress: bool = True, **kwargs: Any) -> nn.Module:
    {{ docstring(member) }}
    return loaded(create(**{**NETWORKS["{{ member.name }}"], **kwargs}), weights)
{% endfor %}
"""


class TorchvisionLibrary(Library):
    """Builders beside those of `torchvision.models`."""

    name: ClassVar[str] = "torchvision"
    needs: ClassVar[str] = "torchvision"
    extra: ClassVar[str] = "vision"

    def files(self, family: Family) -> dict[str, str]:
        """The module of builders; see `Library.files`."""
        lacks = f"begins a network like {family.baseline.name}, which torchvision does not have"
        parts, task, main = member_parts(self.name, family, FAMILIES, lacks), family.task, family.main
        file, _ = parts[main.name]
        baseline: Any = family.baseline
        rate: float = baseline.config.stochastic_depth if file in NO_STOCHASTIC_DEPTH else 0.0
        docstring = render(
            _DOCSTRING, family=family, main=main, px=main.spec.resolution_px, channels=task.in_channels,
            classes=task.num_classes, lacking=NO_STOCHASTIC_DEPTH.get(file) if rate else None, rate=rate,
        )  # fmt: skip
        ends = {"in_channels": task.in_channels, "num_classes": task.num_classes}
        table = Source().entries({name: given | ends for name, (_, given) in parts.items()}, 4)
        builders = render(_BUILDERS, members=family.members, table=table)
        classes = (CLASSES / "loading.py", CLASSES / f"{file}.py")
        return {f"{family.name}.py": module(docstring, classes, builders, {"typing": ["Any"]})}

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """torchvision's names; see `Library.own_names`."""
        return torchvision_names(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """The builder called, counted and compared; see `Library.probe`."""
        from scalesearch.export.check.torch_probe import compare, import_file

        network = getattr(import_file(folder, module), builder)()
        return compare(network, own, images, torchvision_names(own.state_dict()), torchvision_stages(network, own))
