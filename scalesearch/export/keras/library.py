"""Keras 3: one functional model for each network, on any backend, of public layers alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from scalesearch.export.keras.arguments import FAMILIES
from scalesearch.export.keras.names import own_paths
from scalesearch.export.library import Family, Library, LibraryProbe, member_parts
from scalesearch.export.literal import Source
from scalesearch.export.text import module, render

if TYPE_CHECKING:
    from torch import Tensor, nn

CLASSES = Path(__file__).parent / "classes"

_DOCSTRING = """{{ family.heading }}

This file needs keras 3 alone, with any backend. Images are [N, height, width, channels]:

    model = {{ family.main.name }}()
    logits = model(images)

Every builder takes the shape of an image, the number of classes, the activation of the classifier (None gives logits),
a `.weights.h5` file to load (None gives new random weights) and the model's name.
"""

_BUILDERS = """
NETWORKS: dict[str, dict[str, Any]] = {
{{ table }}}
{% for member in family.members %}


def {{ member.name }}(
    input_shape: tuple[int, int, int] = {{ (member.spec.resolution_px, member.spec.resolution_px, channels) }},
    classes: int = {{ classes }},
    classifier_activation: str | None = None,
    weights: str | None = None,
    name: str = "{{ member.name }}",
) -> Any:
    {{ docstring(member) }}
    head = {"classes": classes, "classifier_activation": classifier_activation, "weights": weights, "name": name}
    return create(input_shape, **NETWORKS["{{ member.name }}"], **head)
{% endfor %}
"""


class KerasLibrary(Library):
    """Builders in the manner of `keras.applications`, with explicit stages."""

    name: ClassVar[str] = "keras"
    needs: ClassVar[str] = "keras"
    extra: ClassVar[str] = "keras"

    @override
    def files(self, family: Family) -> dict[str, str]:
        lacks = f"begins a network like {family.baseline.name}, which is not written for Keras here"
        parts, task = member_parts(self.name, family, FAMILIES, lacks), family.task
        files, _ = parts[family.main.name]
        table = Source().entries({name: given for name, (_, given) in parts.items()}, 4)
        builders = render(_BUILDERS, family=family, table=table, classes=task.num_classes, channels=task.in_channels)
        classes = [CLASSES / f"{name}.py" for name in files]
        return {f"{family.name}.py": module(render(_DOCSTRING, family=family), classes, builders, {"typing": ["Any"]})}

    @override
    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """Multiply-adds are counted on Keras' torch backend, which is taken if none was chosen."""
        os.environ.setdefault("KERAS_BACKEND", "torch")
        from scalesearch.export.check.torch_probe import import_file
        from scalesearch.export.keras.probe import compare

        model = getattr(import_file(folder, module), builder)()
        return compare(model, own, images, own_paths(own.state_dict()))
