"""pycls: one yaml for each network, for its trainer, and a module whose builders load them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from scalesearch.export.library import Family, InexpressibleError, Library, LibraryProbe, Member, member_parts
from scalesearch.export.pycls.arguments import FAMILIES, Sections
from scalesearch.export.pycls.names import pycls_names, pycls_stages
from scalesearch.export.text import docstring, module, render
from scalesearch.scaling.units import plural

if TYPE_CHECKING:
    from torch import Tensor, nn

CLASSES = Path(__file__).parent / "classes"

CROP = 0.875
"""Side of the middle that is tested over the side that a test image is resized to, as usual for ImageNet."""

_NOTE = "pycls drops every branch at one rate in training, EN.DC_RATIO, here the mean of the rates that grow with depth"

_DOCSTRING = """{{ family.heading }}

This file needs pycls and the yaml files beside it:

    model = {{ family.main.name }}()
    logits = model(images)  # [N, 3, height, width] to [N, classes]

pycls' trainer takes the yaml itself, with what a training needs beside it:

    from pycls.core.config import cfg, load_cfg

    load_cfg(folder, "{{ family.main.name }}.yaml")
    cfg.merge_from_list(["TRAIN.DATASET", "imagenet", "TEST.DATASET", "imagenet"])

pycls reads some keys of its global config while it trains (EN.DC_RATIO, stochastic depth): the builders here put that
config back as it was, so train with the yaml.
"""

_BUILDERS = """
{% for member in family.members %}
def {{ member.name }}(num_classes: int = {{ family.task.num_classes }}) -> nn.Module:
    {{ docstring(member) }}
    return build("{{ member.name }}", num_classes)


{% endfor %}
"""


class PyclsLibrary(Library):
    """Configs of pycls' `effnet` and `anynet`."""

    name: ClassVar[str] = "pycls"
    needs: ClassVar[str] = "pycls"
    extra: ClassVar[str] = "pycls"

    @override
    def files(self, family: Family) -> dict[str, str]:
        if family.task.in_channels != 3:
            why = f"takes images of {plural(family.task.in_channels, 'channel')}, and every network of pycls takes 3"
            raise InexpressibleError(self.name, family.members[0].name, "stem", why)
        lacks = f"begins a network like {family.baseline.name}, which pycls does not have"
        sections = member_parts(self.name, family, FAMILIES, lacks)
        configs = {f"{member.name}.yaml": _yaml(member, family, sections[member.name]) for member in family.members}
        text, builders = render(_DOCSTRING, family=family), render(_BUILDERS, family=family)
        return {f"{family.name}.py": module(text, [CLASSES / "loading.py"], builders, {}), **configs}

    @override
    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return pycls_names(state)

    @override
    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        from scalesearch.export.check.torch_probe import compare, import_file

        # In double precision: pycls' activation rounds otherwise than torch's, and a deep network makes more of that.
        network, own = getattr(import_file(folder, module), builder)().double(), copy.deepcopy(own).double()
        state = own.state_dict()
        found = compare(network, own, images.double(), pycls_names(state), pycls_stages(network))
        return replace(found, note=found.note or _NOTE) if _drops(own) else found


def _drops(own: nn.Module) -> bool:
    """Whether branches are dropped in training."""
    from scalesearch.networks.modules.blocks import DropPath

    return any(part.rate > 0 for part in own.modules() if isinstance(part, DropPath))


def _yaml(member: Member, family: Family, sections: Sections) -> str:
    """A config for pycls, sections and keys in their order, with the sizes of images."""
    px = member.spec.resolution_px
    sizes = {"TRAIN": {"IM_SIZE": px}, "TEST": {"IM_SIZE": round(px / CROP)}}
    model = {**sections["MODEL"], "NUM_CLASSES": family.task.num_classes}
    lines = [f"# {line}".rstrip() for line in family.heading.strip().splitlines()]
    lines += ["#", f"# {docstring(member).strip(chr(34))}"]
    for section, values in {**sections, "MODEL": model, **sizes}.items():
        lines += [f"{section}:", *(f"  {key}: {_text(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """A value as YAML reads it; 1e-05 without a point would be a string there."""
    text = str(value)
    return text.replace("e-", ".0e-") if isinstance(value, float) and "." not in text else text
