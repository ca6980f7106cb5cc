"""pycls: one yaml for each network, for its trainer, and a module whose builders load them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scalesearch.export.library import Family, InexpressibleError, Library, Member, Probe, RefusedError
from scalesearch.export.pycls.arguments import AnyRegNet, AnyResNet, EffNet, PyclsFamily, Sections
from scalesearch.export.text import docstring, fill
from scalesearch.networks.configured import ConfiguredBaseline

if TYPE_CHECKING:
    from torch import Tensor, nn

FAMILIES: tuple[PyclsFamily, ...] = (EffNet(), AnyResNet(), AnyRegNet())
"""What can be written."""

CROP = 0.875
"""Side of the middle that is tested over the side that a test image is resized to, as usual for ImageNet."""

_NOTE = "pycls drops every branch at one rate in training, EN.DC_RATIO, here the mean of the rates that grow with depth"

_MODULE = '''"""$heading

This file needs pycls and the yaml files beside it:

    model = $example()
    logits = model(images)  # [N, 3, height, width] to [N, classes]

pycls' trainer takes the yaml itself, with what a training needs beside it:

    from pycls.core.config import cfg, load_cfg

    load_cfg(folder, "$example.yaml")
    cfg.merge_from_list(["TRAIN.DATASET", "imagenet", "TEST.DATASET", "imagenet"])

pycls reads some keys of its global config while it trains (EN.DC_RATIO, stochastic depth): the builders here put that
config back as it was, so train with the yaml.
"""

from pathlib import Path

from pycls.core.builders import build_model
from pycls.core.config import cfg, load_cfg, reset_cfg

FOLDER = Path(__file__).parent


def _build(name, num_classes):
    """The network of one yaml; pycls' global config is left as it was."""
    before, frozen = cfg.clone(), cfg.is_frozen()
    cfg.defrost()
    try:
        reset_cfg()
        load_cfg(str(FOLDER), f"{name}.yaml")
        cfg.MODEL.NUM_CLASSES = num_classes
        return build_model()
    finally:
        cfg.merge_from_other_cfg(before)
        if frozen:
            cfg.freeze()
'''

_BUILDER = """
def $name(num_classes=$classes):
    $docstring
    return _build("$name", num_classes)
"""


class PyclsLibrary(Library):
    """Configs of pycls' `effnet` and `anynet`."""

    name: ClassVar[str] = "pycls"
    needs: ClassVar[str] = "pycls"
    extra: ClassVar[str] = "pycls"

    def files(self, family: Family) -> dict[str, str]:
        """See `Library.files`."""
        baseline, written = _family(family)
        head = fill(_MODULE, heading=family.heading.rstrip(), example=family.main.name)
        builders, configs = [], {}
        for member in family.members:
            try:
                sections = written.sections(baseline, member.spec)
            except RefusedError as refusal:
                raise InexpressibleError(self.name, member.name, refusal.stage, refusal.why) from None
            configs[f"{member.name}.yaml"] = _yaml(member, family, sections)
            text = docstring(member)
            builders.append(fill(_BUILDER, name=member.name, classes=family.task.num_classes, docstring=text))
        module = "\n\n\n".join(part.strip("\n") for part in (head, *builders)) + "\n"
        return {f"{family.name}.py": module, **configs}

    def own_names(self, member: Member, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Library.own_names`."""
        return _of_state(state).names(state)

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> Probe:
        """See `Library.probe`."""
        from scalesearch.export.check.torch_probe import compare, import_file

        # In double precision: pycls' activation rounds otherwise than torch's, and a deep network makes more of that.
        network, own = getattr(import_file(folder, module), builder)().double(), copy.deepcopy(own).double()
        state = own.state_dict()
        found = compare(network, own, images.double(), _of_state(state).names(state), _stages(network))
        return replace(found, note=found.note or _NOTE) if _drops(own) else found


def _family(family: Family) -> tuple[ConfiguredBaseline, PyclsFamily]:
    baseline, network = family.baseline, family.members[0].name
    if family.task.in_channels != 3:
        why = f"takes images of {family.task.in_channels} channel(s), and every network of pycls takes 3"
        raise InexpressibleError("pycls", network, "stem", why)
    if isinstance(baseline, ConfiguredBaseline):
        for one in FAMILIES:
            if one.module == baseline.MODULE[1]:
                return baseline, one
    why = f"begins a network like {baseline.name}, which pycls does not have"
    raise InexpressibleError("pycls", network, "stem", why)


def _drops(own: nn.Module) -> bool:
    """Whether branches are dropped in training."""
    from scalesearch.networks.modules.blocks import DropPath

    return any(part.rate > 0 for part in own.modules() if isinstance(part, DropPath))


def _of_state(state: Mapping[str, Tensor]) -> PyclsFamily:
    return next(one for one in FAMILIES if one.mark in state)


def _stages(network: nn.Module) -> dict[str, Sequence[str]]:
    """pycls calls the stages s1, s2 ...; that of the stem and of the head are the names used here."""
    names = [name for name, _ in network.named_children()]
    return {str(int(name[1:]) - 1) if name[1:].isdigit() else name: [name] for name in names}


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
