"""Keras 3: one functional model for each network, on any backend, of public layers alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scalesearch.export.keras_convnext import KerasConvNeXt
from scalesearch.export.keras_dense import KerasDenseNet
from scalesearch.export.keras_mobile import KerasMobile
from scalesearch.export.keras_resnet import KerasRegNet, KerasResNet
from scalesearch.export.keras_text import KerasFamily
from scalesearch.export.library import Family, InexpressibleError, Library, Member, Probe
from scalesearch.export.text import docstring, fill
from scalesearch.networks.configured import ConfiguredBaseline

if TYPE_CHECKING:
    from torch import Tensor, nn

FAMILIES: tuple[KerasFamily, ...] = (KerasMobile(), KerasResNet(), KerasRegNet(), KerasDenseNet(), KerasConvNeXt())
"""What can be written."""

_HEAD = '''"""$heading

This file needs keras 3 alone, with any backend. Images are [N, height, width, channels]:

    model = $example()
    logits = model(images)

Every builder takes the shape of an image, the number of classes, the activation of the classifier (None gives logits),
a `.weights.h5` file to load (None gives new random weights) and the model's name.
"""

import keras
from keras import layers
'''

_BUILDER = """
def $name(
    input_shape=($px, $px, $channels),
    classes=$classes,
    classifier_activation=None,
    weights=None,
    name="$name",
):
    $docstring
    inputs = keras.Input(input_shape, name="images")
    $body
    return _classified(inputs, x, classes, classifier_activation, weights, name)
"""


class KerasLibrary(Library):
    """Builders in the manner of `keras.applications`, with explicit stages."""

    name: ClassVar[str] = "keras"
    needs: ClassVar[str] = "keras"
    extra: ClassVar[str] = "keras"

    def files(self, family: Family) -> dict[str, str]:
        """See `Library.files`."""
        baseline, written = _family(family)
        constants, *functions = written.definitions(baseline)
        head = fill(_HEAD, heading=family.heading.rstrip(), example=family.main.name)
        builders = [_builder(member, family, written.body(baseline, member.spec)) for member in family.members]
        parts = [f"{head}\n{constants}", *functions, *builders]
        return {f"{family.name}.py": "\n\n\n".join(part.strip("\n") for part in parts) + "\n"}

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> Probe:
        """See `Library.probe`; multiply-adds are counted on Keras' torch backend, which is taken if none was chosen."""
        os.environ.setdefault("KERAS_BACKEND", "torch")
        from scalesearch.export.check.torch_probe import import_file
        from scalesearch.export.keras.probe import compare

        model = getattr(import_file(folder, module), builder)()
        written = next(one for one in FAMILIES if one.module == type(own).__name__)
        return compare(model, own, images, written.own_path)


def _family(family: Family) -> tuple[ConfiguredBaseline, KerasFamily]:
    baseline = family.baseline
    if isinstance(baseline, ConfiguredBaseline):
        for one in FAMILIES:
            if one.module == baseline.MODULE[1]:
                return baseline, one
    why = f"begins a network like {baseline.name}, which is not written for Keras here"
    raise InexpressibleError("keras", family.members[0].name, "stem", why)


def _builder(member: Member, family: Family, statements: list[str]) -> str:
    return fill(
        _BUILDER,
        name=member.name,
        px=member.spec.resolution_px,
        channels=family.task.in_channels,
        classes=family.task.num_classes,
        docstring=docstring(member),
        body="\n    ".join(statements),
    )
