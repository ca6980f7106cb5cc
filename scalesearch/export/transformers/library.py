"""Hugging Face transformers: a config with explicit stages and a model whose weights have transformers' names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from scalesearch.export.library import Family, Library, LibraryProbe, Member, member_parts
from scalesearch.export.literal import Source
from scalesearch.export.text import module, render
from scalesearch.export.transformers.arguments import FAMILIES
from scalesearch.export.transformers.names import transformers_names, transformers_stages

if TYPE_CHECKING:
    from torch import Tensor, nn

CLASSES = Path(__file__).parent / "classes"

_DOCSTRING = """{{ family.heading }}

This file needs transformers 5 and torch. Images are [N, channels, height, width]:

    network = {{ family.main.name }}()
    logits = network(images).logits
    network.save_pretrained("folder")
    network = {{ model.name }}.from_pretrained("folder")

Every builder takes the number of classes and of the image's channels, and any other option of {{ model.config }}.
"""

_BUILDERS = """
NETWORKS: dict[str, dict[str, Any]] = {
{{ table }}}
{% for member in family.members %}


def {{ member.name }}(
    num_labels: int = {{ classes }},
    num_channels: int = {{ channels }},
    **options: Any,
) -> {{ model.name }}:
    {{ docstring(member) }}
    task = {"num_labels": num_labels, "num_channels": num_channels}
    arguments = {**task, **deepcopy(NETWORKS["{{ member.name }}"]), **options}
    return {{ model.name }}({{ model.config }}(**arguments))
{% endfor %}
"""


class TransformersLibrary(Library):
    """Builders of configs and models."""

    name: ClassVar[str] = "transformers"
    needs: ClassVar[str] = "transformers"
    extra: ClassVar[str] = "transformers"

    @override
    def files(self, family: Family) -> dict[str, str]:
        lacks = f"begins a network like {family.baseline.name}, which transformers does not have"
        models = member_parts(self.name, family, FAMILIES, lacks)
        model, task = models[family.main.name], family.task
        table = Source().entries({name: one.arguments for name, one in models.items()}, 4)
        builders = render(
            _BUILDERS, family=family, model=model, table=table, classes=task.num_classes, channels=task.in_channels
        )
        own = [] if model.classes else [model.name]
        needs = {"copy": ["deepcopy"], "typing": ["Any"], "transformers": [model.config, *own]}
        files = [CLASSES / f"{name}.py" for name in model.classes]
        return {f"{family.name}.py": module(render(_DOCSTRING, family=family, model=model), files, builders, needs)}

    @override
    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return transformers_names(state)

    @override
    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        from scalesearch.export.check.torch_probe import import_file
        from scalesearch.export.transformers.probe import compare

        model = getattr(import_file(folder, module), builder)()
        state = own.state_dict()
        return compare(model, own, images, transformers_names(state), transformers_stages(state, model.config))
