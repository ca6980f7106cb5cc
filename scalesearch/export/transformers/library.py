"""Hugging Face transformers: a config with explicit stages and a model whose weights have transformers' names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scalesearch.export.library import Family, InexpressibleError, Library, Member, Probe, RefusedError
from scalesearch.export.text import docstring, fill, import_block
from scalesearch.export.transformers_convnext import HubConvNeXt
from scalesearch.export.transformers_efficientnet import HubEfficientNet
from scalesearch.export.transformers_resnet import HubRegNet, HubResNet
from scalesearch.export.transformers_text import HubFamily
from scalesearch.export.transformers_vit import HubViT
from scalesearch.networks.configured import ConfiguredBaseline

if TYPE_CHECKING:
    from torch import Tensor, nn

FAMILIES: tuple[HubFamily, ...] = (HubEfficientNet(), HubResNet(), HubRegNet(), HubConvNeXt(), HubViT())
"""What can be written."""

_HEAD = '''"""$heading

This file needs transformers 5 and torch. Images are [N, channels, height, width]:

    network = $example()
    logits = network(images).logits
    network.save_pretrained("folder")
    network = $model.from_pretrained("folder")

Every builder takes the number of classes and of the image's channels, and any other option of $config.
"""

$imports
'''

_BUILDER = """
def $name(num_labels=$classes, num_channels=$channels, **options):
    $docstring
    config = $config(
        num_labels=num_labels,
        num_channels=num_channels,
$values
        **options,
    )
    return $model(config)
"""


class TransformersLibrary(Library):
    """Builders of configs and models."""

    name: ClassVar[str] = "transformers"
    needs: ClassVar[str] = "transformers"
    extra: ClassVar[str] = "transformers"

    def files(self, family: Family) -> dict[str, str]:
        """See `Library.files`."""
        baseline, written = _family(family)
        try:
            imports, classes = written.source(baseline)
        except RefusedError as refusal:
            raise InexpressibleError(self.name, family.members[0].name, refusal.stage, refusal.why) from None
        names = {"model": written.model(baseline), "config": written.config}
        head = fill(
            _HEAD,
            heading=family.heading.rstrip(),
            example=family.main.name,
            imports=import_block(imports, {"transformers": (written.config,)}),
            **names,
        )
        builders = [fill(_BUILDER, **names, **_filled(written, baseline, family, one)) for one in family.members]
        return {f"{family.name}.py": "\n\n\n".join(part.strip("\n") for part in (head, *classes, *builders)) + "\n"}

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Library.own_names`."""
        return _of_state(state).names(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> Probe:
        """See `Library.probe`."""
        from scalesearch.export.check.torch_probe import import_file
        from scalesearch.export.transformers.probe import compare

        model = getattr(import_file(folder, module), builder)()
        state = own.state_dict()
        written = _of_state(state)
        return compare(model, own, images, written.names(state), written.stages(model.config))


def _family(family: Family) -> tuple[ConfiguredBaseline, HubFamily]:
    baseline = family.baseline
    if isinstance(baseline, ConfiguredBaseline):
        for one in FAMILIES:
            if one.module == baseline.MODULE[1]:
                return baseline, one
    why = f"begins a network like {baseline.name}, which transformers does not have"
    raise InexpressibleError("transformers", family.members[0].name, "stem", why)


def _of_state(state: Mapping[str, Tensor]) -> HubFamily:
    return next(one for one in FAMILIES if one.mark in state)


def _filled(written: HubFamily, baseline: ConfiguredBaseline, family: Family, member: Member) -> dict[str, object]:
    """What differs from builder to builder."""
    values = written.values(baseline, member.spec)
    return {
        "name": member.name,
        "classes": family.task.num_classes,
        "channels": family.task.in_channels,
        "docstring": docstring(member),
        "values": "\n".join(f"        {name}={_text(value)}," for name, value in values.items()),
    }


def _text(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
