"""One Python module that builds every network of a family, with torch and nothing else."""

from __future__ import annotations

import dataclasses
import pprint
from collections.abc import Iterable
from typing import Any

from scalesearch.errors import UsageError
from scalesearch.export.library import Family, Member
from scalesearch.export.python.source import collect, sources
from scalesearch.export.text import render
from scalesearch.networks.base import Baseline
from scalesearch.networks.configured import ConfiguredBaseline

_DOCSTRING = '''"""{{ heading }}

The accuracy is that of a short training; `CARD` has the whole record. This file needs torch alone:

    network = {{ name }}(num_classes=1000, in_channels=3)
    logits = network(images)  # [N, in_channels, {{ px }}, {{ px }}] to [N, num_classes]

`build` is that network too.
"""
'''

_BUILDER = '''
def {{ name }}(
    num_classes: int = {{ num_classes }}, in_channels: int = {{ in_channels }}{{ parameters }},
) -> {{ module }}:
    {{ docstring(member).removesuffix('"' * 3) }}

    The weights are new and random, from torch's global generator.

    Args:
        num_classes: outputs of the classifier.
        in_channels: channels of the input image.{{ meanings }}
    """
    config = {{ config }}
    spec = {{ spec }}
    return {{ module }}(dataclasses.replace(config{{ given }}), spec, Task(num_classes, in_channels))
'''

_END = '''
build = {{ name }}
"""{{ what }}"""

RESOLUTION_PX = RESOLUTIONS_PX["{{ name }}"]
"""Side of the images that `build` is meant for."""


if __name__ == "__main__":
    for name, px in RESOLUTIONS_PX.items():
        network = globals()[name]().eval()
        images = torch.zeros(1, {{ in_channels }}, px, px)
        with torch.no_grad():
            logits = network(images)
        weights = sum(p.numel() for p in network.parameters())
        print(f"{name}: {weights:,} parameters, {tuple(images.shape)} -> {tuple(logits.shape)}")
'''

_RATES = {
    "dropout": "rate before the classifier, 0 to 1.",
    "stochastic_depth": "rate that the deepest blocks approach, 0 to 1.",
}


def python_module(family: Family) -> str:
    """Source of a module with one builder a member, `build`, `RESOLUTIONS_PX` and `CARD`, made of this package's own.

    Raises:
        UsageError: a baseline whose source is not scalesearch's own.
    """
    baseline = own_baseline(family.baseline)
    main = family.main
    found = collect(
        (
            ("scalesearch.networks.spec", "NetworkSpec"),
            ("scalesearch.networks.base", "Task"),
            (type(baseline.config).__module__, type(baseline.config).__name__),
            baseline.MODULE,
        )
    )
    parts = [
        render(_DOCSTRING, heading=family.heading, name=main.name, px=main.spec.resolution_px),
        "from __future__ import annotations\n",
        _import_block({*found.imports, "import dataclasses", "import torch"}),
        f"CARD = {pprint.pformat(dict(family.card), width=100, sort_dicts=False)}",
        '"""What was found, how, and how sure it is."""\n',
        _resolutions(family.members),
        *(f"{text}\n\n" for text in sources(found)),
        *(_builder(family, baseline, member) for member in family.members),
        render(_END, name=main.name, what=_what(main), in_channels=family.task.in_channels),
    ]
    return "\n".join(parts)


def own_baseline(baseline: Baseline) -> ConfiguredBaseline:
    """The baseline, if its source is scalesearch's own.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(baseline, ConfiguredBaseline):
        raise UsageError(
            f"baseline {baseline.name!r} cannot be written as a python module, because its source is neither "
            "scalesearch's nor timm's nor a function that can be imported by name; allowed: --to json, which has every "
            "channel and repeat, --to onnx or --to torch-export"
        )
    return baseline


def _what(member: Member) -> str:
    return "The network found." if member.phi == 1 else f"The network at phi {member.phi:g}."


def _resolutions(members: Iterable[Member]) -> str:
    rows = "".join(f'    "{member.name}": {member.spec.resolution_px},\n' for member in members)
    return f'RESOLUTIONS_PX = {{\n{rows}}}\n"""Builder -> side of the images that it is meant for."""\n\n'


def _builder(family: Family, baseline: ConfiguredBaseline, member: Member) -> str:
    """A function that builds one member, with the rates that the family's config has."""
    config = baseline.config_of(member.spec)
    rates = {name: getattr(config, name) for name in _RATES if hasattr(config, name)}
    parameters = "".join(f",\n    {name}: float = {rate!r}" for name, rate in rates.items())
    return render(
        _BUILDER,
        name=member.name,
        member=member,
        num_classes=family.task.num_classes,
        in_channels=family.task.in_channels,
        module=baseline.MODULE[1],
        parameters=f", *{parameters}" if rates else "",
        meanings="".join(f"\n        {name}: {_RATES[name]}" for name in rates),
        given="".join(f", {name}={name}" for name in rates),
        config=_written(config),
        spec=_written(member.spec),
    )


def _import_block(lines: Iterable[str]) -> str:
    """Imports as people order them: plain before `from`, the standard library before torch."""
    of_torch = {line for line in lines if line.split()[1].split(".")[0] == "torch"}
    groups = (set(lines) - of_torch, of_torch)
    return "\n".join(
        "\n".join(sorted(group, key=lambda line: (line.startswith("from"), line))) + "\n" for group in groups
    )


def _written(value: Any) -> str:
    """A frozen dataclass as the code that makes it inside a function, one field a line, and so the rows of a table."""

    def field(content: Any) -> str:
        rows = isinstance(content, tuple) and content and dataclasses.is_dataclass(content[0])
        return "(\n" + "".join(f"            {row!r},\n" for row in content) + "        )" if rows else repr(content)

    fields = (f"        {f.name}={field(getattr(value, f.name))},\n" for f in dataclasses.fields(value))
    return f"{type(value).__name__}(\n{''.join(fields)}    )"
