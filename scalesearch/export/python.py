"""One Python module that builds the network found, with torch and nothing else."""

from __future__ import annotations

import dataclasses
import pprint
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scalesearch.errors import UsageError
from scalesearch.export.source import collect, sources
from scalesearch.record import spec_from_dict

if TYPE_CHECKING:
    from scalesearch.networks.efficientnet import EfficientNetBaseline
    from scalesearch.spec import NetworkSpec

_NETWORKS = "scalesearch.networks"
_START = (
    ("scalesearch.spec", "NetworkSpec"),
    (f"{_NETWORKS}.base", "Task"),
    (f"{_NETWORKS}.efficientnet_config", "EfficientNetConfig"),
    (f"{_NETWORKS}.efficientnet_module", "EfficientNet"),
)

_DOCSTRING = '''"""{base}, scaled to {budget}: {macs:,} multiply-adds at {px} px, {params:,} parameters.

Found by scalesearch {version} in the study {study} with:

    {command}

alpha {alpha:.4g}, beta {beta:.4g}, gamma {gamma:.4g}; {evidence}
{advice}

The accuracy is that of a short training on {data}; `CARD` has the whole record.
This file needs torch alone:

    network = build(num_classes=1000, in_channels=3)
    logits = network(images)  # [N, in_channels, {px}, {px}] to [N, num_classes]
"""
'''

_BUILD = '''
def build(
    num_classes: int = {num_classes}, in_channels: int = {in_channels}, *, dropout: float = CONFIG.dropout,
    stochastic_depth: float = CONFIG.stochastic_depth,
) -> EfficientNet:
    """The network, with new random weights from torch's global generator.

    Args:
        num_classes: outputs of the classifier.
        in_channels: channels of the input image.
        dropout: rate before the classifier, 0 to 1.
        stochastic_depth: rate that the deepest blocks approach, 0 to 1.
    """
    config = dataclasses.replace(CONFIG, dropout=dropout, stochastic_depth=stochastic_depth)
    return EfficientNet(config, SPEC, Task(num_classes, in_channels))


if __name__ == "__main__":
    network = build().eval()
    images = torch.zeros(1, {in_channels}, RESOLUTION_PX, RESOLUTION_PX)
    with torch.no_grad():
        logits = network(images)
    print(f"{{sum(p.numel() for p in network.parameters()):,}} parameters")
    print(f"{{tuple(images.shape)}} -> {{tuple(logits.shape)}}")
'''


def python_module(card: Mapping[str, Any]) -> str:
    """Source of a module with `build`, `RESOLUTION_PX` and `CARD`, made of this package's own definitions.

    Args:
        card: from `network_card`.

    Raises:
        UnknownNameError: a baseline that is not known here.
        UsageError: a baseline that is not one of scalesearch's EfficientNets.
    """
    baseline, spec = _baseline(card["base"]), spec_from_dict(card["network"])
    found = collect(_START)
    build = _BUILD.format(num_classes=card["data"]["classes"], in_channels=card["data"]["channels"])
    parts = [
        _docstring(card),
        "from __future__ import annotations\n",
        _import_block({*found.imports, "import dataclasses", "import torch"}),
        f"CARD = {pprint.pformat(dict(card), width=100, sort_dicts=False)}",
        f'"""What was found, how, and how sure it is."""\n\nRESOLUTION_PX = {spec.resolution_px}\n\n',
        *(f"{text}\n\n" for text in sources(found)),
        _constants(baseline, spec),
        build,
    ]
    return "\n".join(parts)


def _import_block(lines: Iterable[str]) -> str:
    """Imports as people order them: plain before `from`, the standard library before torch."""
    of_torch = {line for line in lines if line.split()[1].split(".")[0] == "torch"}
    groups = (set(lines) - of_torch, of_torch)
    return "\n".join(
        "\n".join(sorted(group, key=lambda line: (line.startswith("from"), line))) + "\n" for group in groups
    )


def _baseline(name: str) -> EfficientNetBaseline:
    from scalesearch.networks.efficientnet import EfficientNetBaseline
    from scalesearch.networks.registry import get_baseline

    baseline = None if ":" in name else get_baseline(name)
    if not isinstance(baseline, EfficientNetBaseline):
        raise UsageError(
            f"baseline {name!r} cannot be written as a python module, because its source is not scalesearch's own; "
            "allowed: --to json, which has every channel and repeat"
        )
    return baseline


def _docstring(card: Mapping[str, Any]) -> str:
    accuracy, data = card["accuracy"], card["data"]
    spread = "" if accuracy["sd"] is None else f" (sd {100 * accuracy['sd']:.2f} points)"
    evidence = f"validation accuracy {100 * accuracy['mean']:.2f} % over {len(accuracy['seeds'])} seed(s){spread}."
    text = {
        **{name: card[name] for name in ("base", "budget", "study", "command", "advice")},
        "version": card["versions"].get("scalesearch", ""),
        "data": data["spec"],
    }
    safe = {name: " ".join(str(value).replace("\\", "\\\\").replace('"', "'").split()) for name, value in text.items()}
    safe["advice"] = textwrap.fill(safe["advice"], 110, break_long_words=False)
    return _DOCSTRING.format(
        **safe, **card["coefficients"], evidence=evidence, macs=card["macs"], params=card["params"],
        px=card["network"]["resolution_px"],
    )  # fmt: skip


def _constants(baseline: EfficientNetBaseline, spec: NetworkSpec) -> str:
    """The stage table of this very network, written out."""
    stages = tuple(
        replace(stage, channels=width, repeats=depth)
        for stage, width, depth in zip(baseline.config.stages, spec.widths, spec.depths, strict=True)
    )
    config = replace(baseline.config, stages=stages, stem_channels=spec.stem_width, head_channels=spec.head_width)
    rows = "".join(f"        {stage!r},\n" for stage in config.stages)
    names = [f.name for f in dataclasses.fields(config) if f.name != "stages"]
    rest = "".join(f"    {name}={getattr(config, name)!r},\n" for name in names)
    fields = "".join(f"    {f.name}={getattr(spec, f.name)!r},\n" for f in dataclasses.fields(spec))
    return f"CONFIG = EfficientNetConfig(\n    stages=(\n{rows}    ),\n{rest})\n\nSPEC = NetworkSpec(\n{fields})\n"
